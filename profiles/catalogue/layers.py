"""Layers of a network counted from its definition: multiplications, weights, tensors, and where it can be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Padding = Literal["same", "valid"]
_BIAS_BYTES = 4
"""Quantised networks keep biases as 32-bit integers, weights as 8-bit ones."""


@dataclass(frozen=True)
class Layer:
    """One layer of a network quantised to 8 bits; batch normalisation behind a convolution is folded into it.

    Attributes
    ----------
    name : str
    macs : int
        Multiplications with addition for one input.
    parameters : int
        Weights and biases.
    weight_bytes : int
        One byte a weight, four a bias.
    output_bytes : int
        One byte an element.
    inputs : tuple of int
        Layers whose outputs it reads, by index; -1 is the network's input.
    """

    name: str
    macs: int
    parameters: int
    weight_bytes: int
    output_bytes: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """A place where exactly one tensor goes from the layers before it to those behind.

    Attributes
    ----------
    name : str
        Of the block that ends there.
    layers : int
        Layers before it.
    tensor_bytes : int
        What crosses.
    """

    name: str
    layers: int
    tensor_bytes: int


@dataclass(frozen=True)
class Network:
    """A network as its layers in the order in which they run.

    Attributes
    ----------
    input_bytes : int
    layers : tuple of Layer
    cuts : tuple of Cut
        Ends of blocks where one tensor crosses, the network's end last.
    """

    input_bytes: int
    layers: tuple[Layer, ...]
    cuts: tuple[Cut, ...]

    @property
    def macs(self) -> int:
        """Multiplications with addition of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights and biases, quantised."""
        return sum(layer.weight_bytes for layer in self.layers)


class Tensor(NamedTuple):
    """What a layer hands on: the layer's index (-1: the input) and height, width and channels."""

    layer: int
    height: int
    width: int
    channels: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.height * self.width * self.channels


class NetworkBuilder:
    """Writes a network down layer by layer, in the order in which it runs.

    Parameters
    ----------
    size : int
        Height and width of the input, which has three channels.
    """

    def __init__(self, size: int) -> None:
        self.input = Tensor(-1, size, size, 3)
        self._layers: list[Layer] = []
        self._ends: list[tuple[str, int]] = []

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: Padding = "same",
        bias: bool = True,
    ) -> Tensor:
        """Convolution; `bias` stands for a folded batch normalisation too."""
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        height, width = _window(x, kh, kw, stride, padding)
        weights = kh * kw * x.channels * channels
        return self._add(
            f"conv {kh}x{kw}", (x,), (height, width, channels), weights * height * width, weights, bias * channels
        )

    def depthwise(self, x: Tensor, kernel: int, *, stride: int = 1, bias: bool = True) -> Tensor:
        """Convolution of each channel by itself."""
        height, width = _window(x, kernel, kernel, stride, "same")
        weights = kernel * kernel * x.channels
        return self._add(
            f"depthwise {kernel}x{kernel}",
            (x,),
            (height, width, x.channels),
            weights * height * width,
            weights,
            bias * x.channels,
        )

    def dense(self, x: Tensor, channels: int) -> Tensor:
        """Fully connected layer."""
        weights = x.elements * channels
        return self._add("fully connected", (x,), (1, 1, channels), weights, weights, channels)

    def scale(self, x: Tensor) -> Tensor:
        """Batch normalisation that no convolution can take in: a factor and a shift for each channel."""
        return self._add("scale", (x,), (x.height, x.width, x.channels), x.elements, x.channels, x.channels)

    def pool(
        self, x: Tensor, kernel: int, *, stride: int = 1, padding: Padding = "same", round_up: bool = False
    ) -> Tensor:
        """Pooling; `round_up` lets the last window reach over the edge."""
        height, width = _window(x, kernel, kernel, stride, padding)
        if round_up:
            height, width = (-(-(side - kernel) // stride) + 1 for side in (x.height, x.width))
        return self._add(f"pool {kernel}x{kernel}", (x,), (height, width, x.channels), 0, 0, 0)

    def mean(self, x: Tensor) -> Tensor:
        """Mean over height and width."""
        return self._add("mean", (x,), (1, 1, x.channels), 0, 0, 0)

    def add(self, *tensors: Tensor) -> Tensor:
        """Sum of tensors of one shape."""
        return self._add("add", tensors, tensors[0][1:], 0, 0, 0)

    def gate(self, x: Tensor, narrow: int) -> Tensor:
        """Squeeze and excitation: two layers, `narrow` between, find each channel's factor from all means."""
        factors = self.conv(self.conv(self.mean(x), narrow), x.channels)
        return self._add("multiply", (x, factors), x[1:], 0, 0, 0)

    def concat(self, *tensors: Tensor) -> Tensor:
        """Tensors of one height and width, channels one after the other."""
        first = tensors[0]
        channels = sum(tensor.channels for tensor in tensors)
        return self._add("concat", tensors, (first.height, first.width, channels), 0, 0, 0)

    def outputs(self, *tensors: Tensor) -> Tensor:
        """What is read of several tensors at the end, gathered in one."""
        return self._add("outputs", tensors, (1, 1, sum(tensor.elements for tensor in tensors)), 0, 0, 0)

    def block(self, name: str) -> None:
        """End a block here: a cut, if one tensor crosses."""
        self._ends.append((name, len(self._layers)))

    def build(self) -> Network:
        """Finish the network."""
        layers = tuple(self._layers)
        last_use = list(range(len(layers)))
        for position, layer in enumerate(layers):
            for read in layer.inputs:
                if read >= 0:
                    last_use[read] = position
        input_used = max(position for position, layer in enumerate(layers) if -1 in layer.inputs)
        cuts = []
        for name, count in self._ends:
            crossing = [i for i in range(count) if last_use[i] >= count]
            if count == len(layers):
                crossing = [count - 1]
            if len(crossing) == 1 and input_used < count:
                cuts.append(Cut(name, count, layers[crossing[0]].output_bytes))
        return Network(self.input.elements, layers, tuple(cuts))

    def _add(
        self, kind: str, inputs: Sequence[Tensor], shape: tuple[int, int, int], macs: int, weights: int, biases: int
    ) -> Tensor:
        index = len(self._layers)
        made = Tensor(index, *shape)
        self._layers.append(
            Layer(
                f"{index}: {kind}",
                macs,
                weights + biases,
                weights + _BIAS_BYTES * biases,
                made.elements,
                tuple(tensor.layer for tensor in inputs),
            )
        )
        return made


def _window(x: Tensor, kh: int, kw: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Height and width after a sliding window."""
    if padding == "same":
        return -(-x.height // stride), -(-x.width // stride)
    return (x.height - kh) // stride + 1, (x.width - kw) // stride + 1
