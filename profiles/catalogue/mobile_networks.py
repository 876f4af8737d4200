"""Networks of separable convolutions: MobileNets, MnasNet, EfficientNet-EdgeTPU, GPUNet, Xception, SSD."""

from __future__ import annotations

import math

from .layers import Network, NetworkBuilder, Tensor


def _rounded(channels: float) -> int:
    """Nearest multiple of eight, at least nine tenths of what is asked."""
    whole = max(8, int(channels + 4) // 8 * 8)
    return whole if whole >= 0.9 * channels else whole + 8


def _classifier(b: NetworkBuilder, x: Tensor) -> Network:
    b.dense(b.mean(x), 1000)
    b.block("classifier")
    return b.build()


def _separable(b: NetworkBuilder, x: Tensor, channels: int, stride: int = 1) -> Tensor:
    return b.conv(b.depthwise(x, 3, stride=stride), channels)


def _mobilenet_v1_trunk(b: NetworkBuilder) -> tuple[Tensor, Tensor]:
    """Outputs of the eleventh and of the last separable block."""
    x = middle = b.conv(b.input, 32, 3, stride=2)
    b.block("stem")
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    for number, (channels, stride) in enumerate(plan, 1):
        x = _separable(b, x, channels, stride)
        if number == 11:
            middle = x
        b.block(f"block {number}")
    return middle, x


def mobilenet_v1() -> Network:
    """MobileNet v1, width 1, 224 × 224 (arXiv 1704.04861, table 1)."""
    b = NetworkBuilder(224)
    return _classifier(b, _mobilenet_v1_trunk(b)[1])


def _inverted(b: NetworkBuilder, x: Tensor, expand: int, channels: int, kernel: int, stride: int) -> Tensor:
    y = b.conv(x, expand * x.channels) if expand > 1 else x
    y = b.conv(b.depthwise(y, kernel, stride=stride), channels)
    return b.add(x, y) if stride == 1 and channels == x.channels else y


def _mobilenet_v2_trunk(b: NetworkBuilder, tap: bool = False) -> tuple[Tensor, Tensor]:
    """Expansion of the first block of 160 channels (where `tap` asks for it), and the last layer of 1280 channels."""
    x = tapped = b.conv(b.input, 32, 3, stride=2)
    b.block("stem")
    number = 0
    for expand, channels, repeats, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            number += 1
            if tap and channels == 160 and repeat == 0:
                tapped = b.conv(x, expand * x.channels)
                x = b.conv(b.depthwise(tapped, 3, stride=first), channels)
            else:
                x = _inverted(b, x, expand, channels, 3, first if repeat == 0 else 1)
            b.block(f"block {number}")
    x = b.conv(x, 1280)
    b.block("head")
    return tapped, x


def mobilenet_v2() -> Network:
    """MobileNet v2, width 1, 224 × 224 (arXiv 1801.04381, table 2)."""
    b = NetworkBuilder(224)
    return _classifier(b, _mobilenet_v2_trunk(b)[1])


def mnasnet_b1() -> Network:
    """MnasNet-B1, width 1, 224 × 224 (arXiv 1807.11626; the variant without squeeze and excitation)."""
    b = NetworkBuilder(224)
    x = b.conv(b.input, 32, 3, stride=2)
    b.block("stem")
    x = _separable(b, x, 16)
    b.block("block 1")
    number = 1
    for expand, channels, repeats, first, kernel in (
        (3, 24, 3, 2, 3),
        (3, 40, 3, 2, 5),
        (6, 80, 3, 2, 5),
        (6, 96, 2, 1, 3),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ):
        for repeat in range(repeats):
            number += 1
            x = _inverted(b, x, expand, channels, kernel, first if repeat == 0 else 1)
            b.block(f"block {number}")
    x = b.conv(x, 1280)
    b.block("head")
    return _classifier(b, x)


def efficientnet_edgetpu(size: int, width: float, depth: float) -> Network:
    """EfficientNet-EdgeTPU: S is 224, 1, 1; M is 240, 1, 1.1; L is 300, 1.2, 1.4 (`tensorflow/tpu`, its builder)."""
    b = NetworkBuilder(size)
    x = b.conv(b.input, _rounded(32 * width), 3, stride=2)
    b.block("stem")
    number = 0
    for expand, base, channels, repeats, stride, kernel, fused, skips in (
        (4, 24, 24, 1, 1, 3, True, False),
        (8, 24, 32, 2, 2, 3, True, True),
        (8, 32, 48, 4, 2, 3, True, True),
        (8, 48, 96, 5, 2, 5, False, True),
        (8, 96, 144, 4, 1, 5, False, True),
        (8, 144, 192, 2, 2, 5, False, True),
    ):
        made = _rounded(channels * width)
        for repeat in range(math.ceil(repeats * depth)):
            number += 1
            first = repeat == 0
            step = stride if first else 1
            # The definition counts the expansion from the block's nominal width, which the stem's output exceeds.
            wide = expand * (_rounded(base * width) if first else made)
            if fused:
                y = b.conv(b.conv(x, wide, kernel, stride=step), made)
            else:
                y = b.conv(b.depthwise(b.conv(x, wide), kernel, stride=step), made)
            x = b.add(x, y) if skips and step == 1 and x.channels == made else y
            b.block(f"block {number}")
    x = b.conv(x, _rounded(1280 * width))
    b.block("head")
    return _classifier(b, x)


def gpunet_0() -> Network:
    """GPUNet-0, 320 × 320 (arXiv 2205.00841; layers of the authors' configuration for 0.65 ms on one GPU)."""
    b = NetworkBuilder(320)
    x = b.conv(b.input, 32, 3, stride=2)
    b.block("stem")
    for number in (1, 2):
        x = b.conv(x, 32, 3)
        b.block(f"conv {number}")
    number = 0
    for channels, repeats, fused, gated in (
        (32, 2, True, False),
        (64, 3, True, False),
        (256, 3, False, False),
        (704, 2, False, True),
    ):
        for repeat in range(repeats):
            number += 1
            stride, wide = 2 if repeat == 0 else 1, 5 * x.channels
            if fused:
                y = b.conv(x, wide, 3, stride=stride)
            else:
                y = b.depthwise(b.conv(x, wide), 3, stride=stride)
            if gated:
                y = b.gate(y, x.channels // 4)
            y = b.conv(y, channels)
            x = b.add(x, y) if stride == 1 else y
            b.block(f"block {number}")
    x = b.conv(x, 1280)
    b.block("head")
    return _classifier(b, x)


def xception() -> Network:
    """Xception, 299 × 299 (arXiv 1610.02357, figure 5)."""
    b = NetworkBuilder(299)
    x = b.conv(b.input, 32, 3, stride=2, padding="valid")
    b.block("stem 1")
    x = b.conv(x, 64, 3, padding="valid")
    b.block("stem 2")

    def separable(y: Tensor, channels: int) -> Tensor:
        return b.conv(b.depthwise(y, 3, bias=False), channels)

    def reduction(y: Tensor, first: int, second: int) -> Tensor:
        short = b.conv(y, second, stride=2)
        return b.add(short, b.pool(separable(separable(y, first), second), 3, stride=2))

    for number, channels in enumerate((128, 256, 728), 1):
        x = reduction(x, channels, channels)
        b.block(f"entry {number}")
    for number in range(1, 9):
        x = b.add(x, separable(separable(separable(x, 728), 728), 728))
        b.block(f"middle {number}")
    x = reduction(x, 728, 1024)
    b.block("exit 1")
    for number, channels in enumerate((1536, 2048), 2):
        x = separable(x, channels)
        b.block(f"exit {number}")
    return _classifier(b, x)


def _ssd(b: NetworkBuilder, taps: tuple[Tensor, Tensor], extras: tuple[tuple[int, int], ...]) -> Network:
    """Box heads of 90 classes and the background on two tensors of the trunk and on extra layers behind it."""
    maps = list(taps)
    x = taps[1]
    for narrow, wide in extras:
        x = b.conv(b.conv(x, narrow), wide, 3, stride=2)
        maps.append(x)
    made = []
    for number, features in enumerate(maps):
        anchors = 3 if number == 0 else 6
        made += [b.conv(features, 4 * anchors), b.conv(features, 91 * anchors)]
    b.outputs(*made)
    b.block("boxes and classes")
    return b.build()


def ssd_mobilenet_v1() -> Network:
    """SSD on MobileNet v1, 300 × 300, 90 classes (arXiv 1704.04861, table 13; extra layers of the TensorFlow API)."""
    b = NetworkBuilder(300)
    return _ssd(b, _mobilenet_v1_trunk(b), ((256, 512), (128, 256), (128, 256), (64, 128)))


def ssd_mobilenet_v2() -> Network:
    """SSD on MobileNet v2, 300 × 300, 90 classes (TensorFlow object detection API, `ssd_mobilenet_v2`)."""
    b = NetworkBuilder(300)
    return _ssd(b, _mobilenet_v2_trunk(b, tap=True), ((256, 512), (128, 256), (128, 256), (64, 128)))
