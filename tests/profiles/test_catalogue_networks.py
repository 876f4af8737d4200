"""Layer tables of the catalogue, held against published totals and against the graphs that the onnx package brings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from edgeplan.profiles import catalogue
from edgeplan.profiles.catalogue import residual_networks
from edgeplan.profiles.catalogue.inception_networks import inception_v1
from edgeplan.profiles.catalogue.layers import Network, NetworkBuilder
from edgeplan.profiles.light_models import _light_files

MACS_TOLERANCE, PARAMETERS_TOLERANCE = 0.035, 0.01
"""Published totals are rounded, and some count poolings or normalisation, which these tables fold away."""

WITH_MACS = [name for name, entry in catalogue.entries().items() if entry.totals.macs]
WITH_PARAMETERS = [name for name, entry in catalogue.entries().items() if entry.totals.parameters]


@pytest.mark.parametrize("name", WITH_MACS)
def test_multiplications_are_the_published_total(name: str) -> None:
    published = catalogue.entries()[name].totals.macs
    assert published is not None
    assert catalogue.architecture(name).macs == pytest.approx(published.value, rel=MACS_TOLERANCE)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameters_are_the_published_total(name: str) -> None:
    published = catalogue.entries()[name].totals.parameters
    assert published is not None
    assert catalogue.architecture(name).parameters == pytest.approx(published.value, rel=PARAMETERS_TOLERANCE)


def test_only_two_networks_have_no_published_total() -> None:
    assert set(catalogue.names()) - set(WITH_PARAMETERS) == {"gpunet-0", "ssd-mobilenet-v2"}


def test_a_gate_adds_two_small_layers_and_a_factor_a_channel() -> None:
    b = NetworkBuilder(8)
    x = b.conv(b.input, 16)
    before = b.build()
    gated = b.gate(x, 4)
    b.block("gated")
    network = b.build()
    assert gated[1:] == x[1:]
    assert network.parameters - before.parameters == 16 * 4 + 4 + 4 * 16 + 16
    assert network.macs - before.macs == 2 * 16 * 4
    assert [cut.layers for cut in network.cuts] == [len(network.layers)]


@pytest.mark.parametrize(
    ("units", "preactivated", "macs", "parameters"),
    [
        ((3, 4, 6, 3), False, 4.11e9, 25.56e6),
        ((3, 8, 36, 3), False, 11.56e9, 60.19e6),
        ((3, 8, 36, 3), True, 11.55e9, 60.19e6),
    ],
)
def test_residual_networks_at_the_published_size(
    units: tuple[int, ...], preactivated: bool, macs: float, parameters: float
) -> None:
    """Totals are published for 224 × 224 (pytorch-image-models); the catalogue has the same networks at 299 × 299."""
    network = residual_networks.resnet(units, 224, preactivated=preactivated)
    assert network.macs == pytest.approx(macs, rel=0.01)
    assert network.parameters == pytest.approx(parameters, rel=0.002)


def counted(network: Network) -> Counter[tuple[int, int]]:
    """Multiplications and weights of each layer that has weights in a kernel."""
    return Counter(
        (layer.macs, layer.weight_bytes - 4 * (layer.weight_bytes - layer.parameters) // 3)
        for layer in network.layers
        if layer.macs and not layer.name.endswith("scale")
    )


def in_graph(name: str) -> Counter[tuple[int, int]]:
    """The same, from the shapes in an ONNX graph."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(_light_files()[name])), data_prop=True).graph
    sizes = {
        t.name: tuple(int(d) for d in onnx.numpy_helper.to_array(t)) for t in graph.initializer if t.data_type == 7
    }
    weights = {node.output[0]: sizes[node.input[0]] for node in graph.node if node.op_type == "ConstantOfShape"}
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    found: Counter[tuple[int, int]] = Counter()
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
        if node.op_type in ("Conv", "Gemm"):
            kernel = int(np.prod(weights[node.input[1]]))
            places = int(np.prod(shapes[node.output[0]][2:])) if node.op_type == "Conv" else 1
            found[kernel * places, kernel] += 1
    return found


@pytest.mark.parametrize(
    ("light", "network"),
    [
        ("squeezenet", lambda: residual_networks.squeezenet(early_pools=True)),
        ("vgg19", lambda: catalogue.architecture("vgg19")),
        ("densenet121", lambda: catalogue.architecture("densenet-121")),
    ],
)
def test_layers_are_those_of_the_onnx_graph(light: str, network: Callable[[], Network]) -> None:
    assert counted(network()) == in_graph(light)


@pytest.mark.parametrize(
    ("light", "network"),
    [
        ("inception_v1", lambda: inception_v1(wide_kernel=5)),
        ("resnet50", lambda: residual_networks.resnet((3, 4, 6, 3), 224, preactivated=False)),
    ],
)
def test_weights_are_those_of_the_onnx_graph(light: str, network: Callable[[], Network]) -> None:
    """These graphs pad their pools or place a stage's stride otherwise, so that only the weights are the same."""
    here, there = counted(network()), in_graph(light)
    assert Counter(weights for _, weights in here.elements()) == Counter(weights for _, weights in there.elements())


@pytest.mark.parametrize("name", catalogue.architecture_names())
def test_one_tensor_crosses_each_cut(name: str) -> None:
    """Held against a count of all tensors that a later layer reads, cut by cut."""
    network = catalogue.architecture(name)
    assert len({cut.name for cut in network.cuts}) == len(network.cuts)
    assert [cut.layers for cut in network.cuts] == sorted({cut.layers for cut in network.cuts})
    assert network.cuts[-1].layers == len(network.layers)
    for cut in network.cuts[:-1]:
        crossing = {i for layer in network.layers[cut.layers :] for i in layer.inputs if i < cut.layers}
        assert len(crossing) == 1
        (tensor,) = crossing
        assert tensor >= 0
        assert cut.tensor_bytes == network.layers[tensor].output_bytes


def test_a_block_within_a_skip_is_no_cut() -> None:
    b = NetworkBuilder(8)
    x = b.conv(b.input, 4)
    b.block("stem")
    y = b.conv(x, 4, 3)
    b.block("inside")
    b.add(x, y)
    b.block("end")
    network = b.build()
    assert [cut.name for cut in network.cuts] == ["stem", "end"]
    assert network.cuts[0].tensor_bytes == 8 * 8 * 4
    assert network.input_bytes == 8 * 8 * 3
    assert network.macs == 64 * 3 * 4 + 64 * 9 * 4 * 4
    assert network.parameters == 3 * 4 + 4 + 9 * 4 * 4 + 4
    assert network.weight_bytes == 3 * 4 + 9 * 4 * 4 + 4 * 8


@pytest.mark.parametrize("size", [7, 8])
def test_windows_at_the_edge(size: int) -> None:
    b = NetworkBuilder(size)
    same = b.conv(b.input, 1, 3, stride=2)
    valid = b.conv(b.input, 1, 3, stride=2, padding="valid")
    over = b.pool(b.input, 3, stride=2, round_up=True)
    assert same.height == (size + 1) // 2
    assert valid.height == 3
    assert over.height == (3 if size == 7 else 4)
