"""Cost tables: segment sums, measured overrides, memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import (
    Configuration,
    CostError,
    CostTable,
    LatencySummary,
    LayerGraph,
    MeasuredSegment,
    Provenance,
)

ONE = Configuration(backend="a")
TWO = Configuration(backend="a", threads=2)


def summary(us: float) -> LatencySummary:
    return LatencySummary(median_us=us, low_us=us, high_us=us, spread_us=0, repeats=1)


def table(**changes: object) -> CostTable:
    arguments: dict = {"fixed_us": [10.0, 20.0], "workspace_bytes": 3.0, "session_bytes": 100.0} | changes
    return CostTable.create([ONE, TWO], [[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]], **arguments)


def chain() -> LayerGraph:
    return LayerGraph.chain("c", [("l0", "Op", 7, 40), ("l1", "Op", 11, 50), ("l2", "Op", 13, 60)], 30)


def test_a_segment_costs_its_layers_and_the_fixed_cost_once() -> None:
    assert table().segment_us(0, 3)[0] == 10 + 1 + 3 + 5
    assert table().segment_us(2, 3).tolist() == [15, 26]


def test_a_configuration_that_lacks_one_layer_cannot_run_the_segment() -> None:
    assert table().segment_us(0, 2).tolist() == [14, np.inf]


def test_a_measured_segment_overrides_the_sum_only_for_itself() -> None:
    measured = (MeasuredSegment(start=0, stop=2, configuration=0, latency=summary(99.0)),)
    costs = table(measured=measured)
    assert costs.segment_us(0, 2)[0] == 99
    assert costs.segment_us(0, 3)[0] == 19
    intervals = costs.interval_us([0, 1, 2, 3])
    assert intervals[0, 2, 0] == 99
    assert intervals[1, 3, 0] == 10 + 3 + 5
    assert np.all(np.isinf(intervals[np.tril_indices(4)]))


def test_interval_costs_agree_with_single_segments() -> None:
    costs, positions = table(), [0, 1, 3]
    intervals = costs.interval_us(positions)
    for a in range(3):
        for b in range(a + 1, 3):
            assert intervals[a, b].tolist() == costs.segment_us(positions[a], positions[b]).tolist()


def test_memory_follows_weights_live_tensors_and_workspace() -> None:
    graph = chain()
    costs = table(weight_scale=[1.0, 2.0], holds_workspace=[False, True])
    resident = costs.resident_bytes(graph, [0, 1, 3])
    transient = costs.transient_bytes(graph, [0, 1, 3])
    live = [30 + 40, 40 + 50, 50 + 60]
    assert resident[0, 1].tolist() == [7 + 100, 14 + 100 + live[0] + 3]
    assert resident[0, 2].tolist() == [31 + 100, 62 + 100 + max(live) + 3]
    assert transient[0, 2].tolist() == [max(live) + 3, 0]
    assert transient[1, 2].tolist() == [max(live[1:]) + 3, 0]


def test_a_correction_scales_every_time_of_its_configuration() -> None:
    measured = (MeasuredSegment(start=0, stop=2, configuration=0, latency=summary(99.0)),)
    costs = table(measured=measured).corrected([2.0, 1.0], Provenance(kind="adapted"))
    assert costs.segment_us(0, 2)[0] == 198
    assert costs.segment_us(0, 3)[0] == 38
    assert costs.segment_us(2, 3)[1] == 26
    assert costs.provenance.kind == "adapted"


@pytest.mark.parametrize("bad", [-1.0, np.inf])
def test_negative_and_infinite_costs_are_refused(bad: float) -> None:
    with pytest.raises(CostError, match="layer 0, configuration 0"):
        CostTable.create([ONE], [[bad]])
    with pytest.raises(CostError, match="fixed_us"):
        CostTable.create([ONE], [[1.0]], fixed_us=bad)
    with pytest.raises(CostError, match="session_bytes"):
        CostTable.create([ONE], [[1.0]], session_bytes=bad)


def test_nan_is_refused_where_it_cannot_mean_unsupported() -> None:
    with pytest.raises(CostError, match="none for layers 1"):
        CostTable.create([ONE, TWO], [[1.0, 1.0], [np.nan, np.nan]])
    with pytest.raises(CostError, match="workspace_bytes"):
        CostTable.create([ONE], [[1.0]], workspace_bytes=np.nan)


def test_shapes_and_repeats_are_refused() -> None:
    with pytest.raises(CostError, match="one column a configuration"):
        CostTable.create([ONE], [[1.0, 2.0]])
    with pytest.raises(CostError, match="each once"):
        CostTable.create([ONE, ONE], [[1.0, 2.0]])
    with pytest.raises(CostError, match="range within 3 layers"):
        table(measured=(MeasuredSegment(start=0, stop=4, configuration=0, latency=summary(1)),))


@pytest.mark.parametrize("cost", [0.0, 1e-9, 1e12])
def test_extreme_costs_are_kept(cost: float) -> None:
    assert CostTable.create([ONE], [[cost]]).segment_us(0, 1)[0] == cost
