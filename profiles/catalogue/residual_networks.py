"""Networks of plain convolutions: VGG, SqueezeNet, ResNet v1 and v2, DenseNet."""

from __future__ import annotations

from collections.abc import Sequence

from .layers import Network, NetworkBuilder, Tensor


def vgg(repeats: Sequence[int]) -> Network:
    """VGG, 224 × 224 (arXiv 1409.1556, table 1): VGG16 repeats 2, 2, 3, 3, 3; VGG19 repeats 2, 2, 4, 4, 4."""
    b = NetworkBuilder(224)
    x = b.input
    for stage, (count, channels) in enumerate(zip(repeats, (64, 128, 256, 512, 512), strict=True), 1):
        for number in range(1, count + 1):
            x = b.conv(x, channels, 3)
            if number == count:
                x = b.pool(x, 2, stride=2)
            b.block(f"conv {stage}.{number}")
    for number, channels in enumerate((4096, 4096, 1000), 1):
        x = b.dense(x, channels)
        b.block(f"fully connected {number}")
    return b.build()


def squeezenet(*, early_pools: bool = False) -> Network:
    """SqueezeNet 1.0, 224 × 224 (arXiv 1602.07360, table 1).

    Parameters
    ----------
    early_pools : bool
        Version 1.1 instead: a smaller first convolution, and pooling before the third and fifth module.
    """
    b = NetworkBuilder(224)
    channels, kernel = (64, 3) if early_pools else (96, 7)
    x = _half(b, b.conv(b.input, channels, kernel, stride=2, padding="valid"))
    b.block("stem")
    for number, (narrow, wide) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), 2
    ):
        squeezed = b.conv(x, narrow)
        b.block(f"squeeze {number}")
        x = b.concat(b.conv(squeezed, wide), b.conv(squeezed, wide, 3))
        if number in ((3, 5) if early_pools else (4, 8)):
            x = _half(b, x)
        b.block(f"fire {number}")
    b.mean(b.conv(x, 1000))
    b.block("classifier")
    return b.build()


def _half(b: NetworkBuilder, x: Tensor) -> Tensor:
    return b.pool(x, 3, stride=2, padding="valid", round_up=True)


def resnet(units: Sequence[int], size: int, *, preactivated: bool) -> Network:
    """ResNet of bottlenecks: v1 (arXiv 1512.03385) or, `preactivated`, v2 (arXiv 1603.05027).

    The stride stands in the 3 × 3 convolution of a stage's first unit, where most trained models have it.

    Parameters
    ----------
    units : sequence of int
        Units of the four stages.
    size : int
        Height and width of the input.
    preactivated : bool
    """
    b = NetworkBuilder(size)
    x = b.pool(b.conv(b.input, 64, 7, stride=2), 3, stride=2)
    b.block("stem")
    for stage, (count, channels) in enumerate(zip(units, (64, 128, 256, 512), strict=True), 1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            read = b.scale(x) if preactivated else x
            short = b.conv(read, 4 * channels, stride=stride, bias=not preactivated) if number == 1 else x
            y = b.conv(b.conv(read, channels), channels, 3, stride=stride)
            x = b.add(short, b.conv(y, 4 * channels, bias=not preactivated))
            b.block(f"unit {stage}.{number}")
    if preactivated:
        x = b.scale(x)
    b.dense(b.mean(x), 1000)
    b.block("classifier")
    return b.build()


def densenet(layers: Sequence[int]) -> Network:
    """DenseNet, growth 32, 224 × 224 (arXiv 1608.06993, table 1).

    Parameters
    ----------
    layers : sequence of int
        Layers of the four dense blocks.
    """
    b = NetworkBuilder(224)
    x = b.pool(b.conv(b.input, 64, 7, stride=2), 3, stride=2)
    b.block("stem")
    for stage, count in enumerate(layers, 1):
        for number in range(1, count + 1):
            grown = b.conv(b.conv(b.scale(x), 128), 32, 3, bias=False)
            x = b.concat(x, grown)
            b.block(f"dense {stage}.{number}")
        if stage < len(layers):
            x = b.pool(b.conv(b.scale(x), x.channels // 2, bias=False), 2, stride=2)
            b.block(f"transition {stage}")
    b.dense(b.mean(b.scale(x)), 1000)
    b.block("classifier")
    return b.build()
