"""Layer graphs and cut chains: order, frontiers, live bytes, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from edgeplan.formulation import CutChain, GraphError, Layer, LayerGraph, cut_chain
from hypothesis import given
from hypothesis import strategies as st


def diamond() -> LayerGraph:
    layers = [
        Layer("join", "Add", 0, ("left", "right"), (("y", 40),)),
        Layer("stem", "Conv", 100, ("x",), (("s", 10),)),
        Layer("a", "Conv", 200, ("s",), (("left", 20),)),
        Layer("b", "Conv", 300, ("s",), (("right", 30),)),
    ]
    return LayerGraph.build("diamond", layers, {"x": 5}, ("y",))


@st.composite
def random_graphs(draw: st.DrawFn) -> LayerGraph:
    n = draw(st.integers(1, 9))
    layers = []
    for i in range(n):
        sources = draw(st.sets(st.integers(0, i), min_size=1, max_size=min(3, i + 1)))
        inputs = tuple("x" if s == 0 else f"t{s - 1}" for s in sorted(sources))
        layers.append(Layer(f"l{i}", "Op", draw(st.integers(0, 9)), inputs, ((f"t{i}", draw(st.integers(0, 9))),)))
    read = {t for layer in layers for t in layer.inputs}
    outputs = tuple(f"t{i}" for i in range(n) if f"t{i}" not in read)
    shuffled = draw(st.permutations(layers))
    return LayerGraph.build("g", shuffled, {"x": draw(st.integers(0, 9))}, outputs)


def test_layers_come_in_topological_order_whatever_the_order_given() -> None:
    names = [layer.name for layer in diamond().layers]
    assert names == ["stem", "a", "b", "join"]


@given(random_graphs())
def test_every_layer_comes_after_what_it_reads(graph: LayerGraph) -> None:
    assert all(p < i for i, sources in enumerate(graph.predecessors) for p in sources)


@given(random_graphs())
def test_frontier_counts_and_bytes_agree_with_their_definition(graph: LayerGraph) -> None:
    for position in range(graph.n_layers + 1):
        crossing = graph.frontier(position)
        assert graph.frontier_tensors[position] == len(crossing)
        assert graph.frontier_bytes[position] == sum(int(graph.tensor_bytes[t]) for t in crossing)


@given(random_graphs())
def test_live_bytes_agree_with_their_definition(graph: LayerGraph) -> None:
    for i in range(graph.n_layers):
        alive = [
            int(graph.tensor_bytes[t])
            for t in range(len(graph.tensor_names))
            if graph.tensor_producer[t] <= i <= graph.tensor_last_use[t]
        ]
        assert graph.live_bytes[i] == sum(alive)


@given(random_graphs())
def test_a_graph_survives_its_dictionary(graph: LayerGraph) -> None:
    again = LayerGraph.from_dict(graph.to_dict())
    assert again.sha256 == graph.sha256
    assert again.layers == graph.layers


@given(random_graphs())
def test_segments_between_cuts_are_convex(graph: LayerGraph) -> None:
    positions = cut_chain(graph, max_frontier_tensors=None).positions
    for start, stop in itertools.pairwise(positions):
        inside = set(range(start, stop))
        reached_from_inside = set(inside)
        for i in range(stop, graph.n_layers):
            if reached_from_inside & set(graph.predecessors[i]):
                reached_from_inside.add(i)
        left_and_back = [i for i in inside if set(graph.predecessors[i]) & (reached_from_inside - inside)]
        assert not left_and_back


def test_only_positions_that_one_tensor_crosses_are_cuts() -> None:
    assert cut_chain(diamond()).positions == (0, 1, 4)


def test_units_are_balanced_by_weight() -> None:
    graph = LayerGraph.chain("c", [(f"l{i}", "Op", 0, 1) for i in range(6)], 1)
    assert cut_chain(graph, max_units=2, weights=[5, 1, 1, 1, 1, 1]).positions == (0, 1, 6)
    assert cut_chain(graph, max_units=1).positions == (0, 6)


def test_a_cycle_is_named() -> None:
    layers = [Layer("a", "Op", 0, ("tb",), (("ta", 1),)), Layer("b", "Op", 0, ("ta",), (("tb", 1),))]
    with pytest.raises(GraphError, match=r"cycle through (a, b|b, a)"):
        LayerGraph.build("loop", layers, {"x": 1}, ("tb",))


@pytest.mark.parametrize(
    ("layers", "inputs", "outputs", "message"),
    [
        ([], {"x": 1}, ("x",), "at least one layer"),
        ([Layer("a", "Op", 0, ("q",), (("t", 1),))], {"x": 1}, ("t",), "got q"),
        ([Layer("a", "Op", -1, ("x",), (("t", 1),))], {"x": 1}, ("t",), "weights of a = -1"),
        ([Layer("a", "Op", 0, ("x",), (("t", -2),))], {"x": 1}, ("t",), "t = -2"),
        ([Layer("a", "Op", 0, ("x",), (("t", 1),))], {"x": 1}, ("u",), "got u"),
        (
            [Layer("a", "Op", 0, ("x",), (("t", 1),)), Layer("a", "Op", 0, ("t",), (("u", 1),))],
            {"x": 1},
            ("u",),
            "once",
        ),
        ([Layer("a", "Op", 0, ("x",), (("x", 1),))], {"x": 1}, ("x",), "once"),
    ],
)
def test_graphs_that_make_no_sense_are_refused(layers: list, inputs: dict, outputs: tuple, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        LayerGraph.build("bad", layers, inputs, outputs)


def test_cut_positions_must_span_the_graph() -> None:
    for positions in [(0, 2), (1, 4), (0, 2, 2, 4), (4,)]:
        with pytest.raises(GraphError, match="ascending from 0 to 4"):
            CutChain(diamond(), positions)


def test_a_thousand_layers_are_quick_to_describe() -> None:
    graph = LayerGraph.chain("long", [(f"l{i}", "Op", 1, 1) for i in range(2000)], 1)
    assert np.all(graph.live_bytes[:-1] == 2)
    assert len(cut_chain(graph).positions) == 2001
