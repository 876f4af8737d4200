"""Inception networks: v1, v3, v4 and Inception-ResNet v2."""

from __future__ import annotations

from collections.abc import Sequence

from .layers import Network, NetworkBuilder, Tensor

Step = tuple[int, int | tuple[int, int]]
"""Channels and kernel of a convolution."""
ROW, COLUMN = (1, 7), (7, 1)


def _chain(b: NetworkBuilder, x: Tensor, *steps: Step, reduce: bool = False) -> Tensor:
    """Convolutions one after the other; `reduce`: the last one with stride 2 and without padding."""
    for number, (channels, kernel) in enumerate(steps, 1):
        last = reduce and number == len(steps)
        x = b.conv(x, channels, kernel, stride=2 if last else 1, padding="valid" if last else "same")
    return x


def _half(b: NetworkBuilder, x: Tensor) -> Tensor:
    return b.pool(x, 3, stride=2, padding="valid")


def _classifier(b: NetworkBuilder, x: Tensor) -> Network:
    b.dense(b.mean(x), 1000)
    b.block("classifier")
    return b.build()


def inception_v1(wide_kernel: int = 3) -> Network:
    """Inception v1 (GoogLeNet), 224 × 224 (arXiv 1409.4842, table 1), without the helper classifiers.

    Parameters
    ----------
    wide_kernel : int
        Of each module's third branch: 5 in the paper, 3 in the trained models of TensorFlow and PyTorch.
    """
    b = NetworkBuilder(224)
    x = b.pool(b.conv(b.input, 64, 7, stride=2), 3, stride=2)
    b.block("stem 1")
    x = b.conv(x, 64)
    b.block("stem 2")
    x = b.pool(b.conv(x, 192, 3), 3, stride=2)
    b.block("stem 3")
    for name, sizes in (
        ("3a", (64, 96, 128, 16, 32, 32)),
        ("3b", (128, 128, 192, 32, 96, 64)),
        ("4a", (192, 96, 208, 16, 48, 64)),
        ("4b", (160, 112, 224, 24, 64, 64)),
        ("4c", (128, 128, 256, 24, 64, 64)),
        ("4d", (112, 144, 288, 32, 64, 64)),
        ("4e", (256, 160, 320, 32, 128, 128)),
        ("5a", (256, 160, 320, 32, 128, 128)),
        ("5b", (384, 192, 384, 48, 128, 128)),
    ):
        one, three_in, three, five_in, five, pooled = sizes
        x = b.concat(
            b.conv(x, one),
            _chain(b, x, (three_in, 1), (three, 3)),
            _chain(b, x, (five_in, 1), (five, wide_kernel)),
            b.conv(b.pool(x, 3), pooled),
        )
        if name in ("3b", "4e"):
            x = b.pool(x, 3, stride=2)
        b.block(f"inception {name}")
    return _classifier(b, x)


def _v3_stem(b: NetworkBuilder) -> Tensor:
    x = b.conv(b.input, 32, 3, stride=2, padding="valid")
    b.block("stem 1")
    x = b.conv(x, 32, 3, padding="valid")
    b.block("stem 2")
    x = _half(b, b.conv(x, 64, 3))
    b.block("stem 3")
    x = b.conv(x, 80)
    b.block("stem 4")
    x = _half(b, b.conv(x, 192, 3, padding="valid"))
    b.block("stem 5")
    return x


def _spread(b: NetworkBuilder, x: Tensor, channels: int) -> Sequence[Tensor]:
    """A row and a column kernel on the same tensor, side by side."""
    return b.conv(x, channels, (1, 3)), b.conv(x, channels, (3, 1))


def inception_v3() -> Network:
    """Inception v3, 299 × 299 (arXiv 1512.00567, table 1), without the helper classifier."""
    b = NetworkBuilder(299)
    x = _v3_stem(b)
    for number, pooled in enumerate((32, 64, 64), 1):
        x = b.concat(
            b.conv(x, 64),
            _chain(b, x, (48, 1), (64, 5)),
            _chain(b, x, (64, 1), (96, 3), (96, 3)),
            b.conv(b.pool(x, 3), pooled),
        )
        b.block(f"module A{number}")
    x = b.concat(_chain(b, x, (384, 3), reduce=True), _chain(b, x, (64, 1), (96, 3), (96, 3), reduce=True), _half(b, x))
    b.block("reduction A")
    for number, c in enumerate((128, 160, 160, 192), 1):
        x = b.concat(
            b.conv(x, 192),
            _chain(b, x, (c, 1), (c, ROW), (192, COLUMN)),
            _chain(b, x, (c, 1), (c, COLUMN), (c, ROW), (c, COLUMN), (192, ROW)),
            b.conv(b.pool(x, 3), 192),
        )
        b.block(f"module B{number}")
    x = b.concat(
        _chain(b, x, (192, 1), (320, 3), reduce=True),
        _chain(b, x, (192, 1), (192, ROW), (192, COLUMN), (192, 3), reduce=True),
        _half(b, x),
    )
    b.block("reduction B")
    for number in (1, 2):
        x = b.concat(
            b.conv(x, 320),
            *_spread(b, b.conv(x, 384), 384),
            *_spread(b, _chain(b, x, (448, 1), (384, 3)), 384),
            b.conv(b.pool(x, 3), 192),
        )
        b.block(f"module C{number}")
    return _classifier(b, x)


def inception_v4() -> Network:
    """Inception v4, 299 × 299 (arXiv 1602.07261, figures 3 to 9)."""
    b = NetworkBuilder(299)
    x = b.conv(b.input, 32, 3, stride=2, padding="valid")
    b.block("stem 1")
    x = b.conv(x, 32, 3, padding="valid")
    b.block("stem 2")
    x = b.conv(x, 64, 3)
    b.block("stem 3")
    x = b.concat(_half(b, x), _chain(b, x, (96, 3), reduce=True))
    b.block("stem 4")
    x = b.concat(
        b.conv(b.conv(x, 64), 96, 3, padding="valid"),
        b.conv(_chain(b, x, (64, 1), (64, ROW), (64, COLUMN)), 96, 3, padding="valid"),
    )
    b.block("stem 5")
    x = b.concat(_chain(b, x, (192, 3), reduce=True), _half(b, x))
    b.block("stem 6")
    for number in range(1, 5):
        x = b.concat(
            b.conv(x, 96),
            _chain(b, x, (64, 1), (96, 3)),
            _chain(b, x, (64, 1), (96, 3), (96, 3)),
            b.conv(b.pool(x, 3), 96),
        )
        b.block(f"module A{number}")
    x = b.concat(
        _chain(b, x, (384, 3), reduce=True), _chain(b, x, (192, 1), (224, 3), (256, 3), reduce=True), _half(b, x)
    )
    b.block("reduction A")
    for number in range(1, 8):
        x = b.concat(
            b.conv(x, 384),
            _chain(b, x, (192, 1), (224, ROW), (256, COLUMN)),
            _chain(b, x, (192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
            b.conv(b.pool(x, 3), 128),
        )
        b.block(f"module B{number}")
    x = b.concat(
        _chain(b, x, (192, 1), (192, 3), reduce=True),
        _chain(b, x, (256, 1), (256, ROW), (320, COLUMN), (320, 3), reduce=True),
        _half(b, x),
    )
    b.block("reduction B")
    for number in range(1, 4):
        x = b.concat(
            b.conv(x, 256),
            *_spread(b, b.conv(x, 384), 256),
            *_spread(b, _chain(b, x, (384, 1), (448, (3, 1)), (512, (1, 3))), 256),
            b.conv(b.pool(x, 3), 256),
        )
        b.block(f"module C{number}")
    return _classifier(b, x)


def inception_resnet_v2() -> Network:
    """Inception-ResNet v2, 299 × 299 (arXiv 1602.07261; stem and widths of the trained TensorFlow model)."""
    b = NetworkBuilder(299)
    x = _v3_stem(b)
    x = b.concat(
        b.conv(x, 96),
        _chain(b, x, (48, 1), (64, 5)),
        _chain(b, x, (64, 1), (96, 3), (96, 3)),
        b.conv(b.pool(x, 3), 64),
    )
    b.block("stem 6")
    for number in range(1, 11):
        y = b.concat(b.conv(x, 32), _chain(b, x, (32, 1), (32, 3)), _chain(b, x, (32, 1), (48, 3), (64, 3)))
        x = b.add(x, b.conv(y, x.channels))
        b.block(f"module A{number}")
    x = b.concat(
        _chain(b, x, (384, 3), reduce=True), _chain(b, x, (256, 1), (256, 3), (384, 3), reduce=True), _half(b, x)
    )
    b.block("reduction A")
    for number in range(1, 21):
        y = b.concat(b.conv(x, 192), _chain(b, x, (128, 1), (160, ROW), (192, COLUMN)))
        x = b.add(x, b.conv(y, x.channels))
        b.block(f"module B{number}")
    x = b.concat(
        _chain(b, x, (256, 1), (384, 3), reduce=True),
        _chain(b, x, (256, 1), (288, 3), reduce=True),
        _chain(b, x, (256, 1), (288, 3), (320, 3), reduce=True),
        _half(b, x),
    )
    b.block("reduction B")
    for number in range(1, 11):
        y = b.concat(b.conv(x, 192), _chain(b, x, (192, 1), (224, (1, 3)), (256, (3, 1))))
        x = b.add(x, b.conv(y, x.channels))
        b.block(f"module C{number}")
    x = b.conv(x, 1536)
    b.block("head")
    return _classifier(b, x)
