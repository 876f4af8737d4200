"""Design and fit: known costs are found again, and what is held out stays out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from edgeplan.formulation import Configuration, CostTable, LatencySummary, LayerGraph
from edgeplan.profiles.costs import Measurements, fit_costs, measured_segments
from edgeplan.profiles.design import Design, Range, design_segments
from edgeplan.profiles.fit import calibrate
from edgeplan.profiles.memory import SessionMemory, fit_memory
from numpy.typing import NDArray

ORT = Configuration(backend="onnxruntime-cpu", form="mapped")
ORT2 = Configuration(backend="onnxruntime-cpu", form="mapped", threads=2)
VINO = Configuration(backend="openvino-cpu")


def chain(n: int = 40) -> LayerGraph:
    rng = np.random.default_rng(n)
    sizes = rng.integers(1_000, 1_000_000, (n, 2))
    return LayerGraph.chain("chain", [(f"l{k}", "Conv", int(w), int(t)) for k, (w, t) in enumerate(sizes)], 50_000)


def design_of(graph: LayerGraph, layer_us: NDArray[np.float64], seed: int = 0, units: int = 8) -> Design:
    return design_segments(graph, layer_us, max_units=units, n_tiny=2, n_random=4, n_held_out=5, seed=seed)


def summary(us: float) -> LatencySummary:
    return LatencySummary(median_us=us, low_us=us * 0.99, high_us=us * 1.01, spread_us=us * 0.01, repeats=9)


@pytest.mark.parametrize("seed", range(5))
def test_known_costs_are_found_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = chain()
    profiled = rng.lognormal(6, 1, graph.n_layers)
    design = design_of(graph, profiled, seed)
    # The truth differs from what was profiled by a factor of its own in every unit, and by a fixed cost.
    truth = profiled.copy()
    for start, stop in design.units:
        truth[start:stop] *= rng.uniform(0.4, 1.6)
    fixed_us = 150.0

    def measured(segments: tuple[Range, ...], noise: float) -> dict[Range, float]:
        return {s: (fixed_us + truth[slice(*s)].sum()) * float(rng.normal(1, noise)) for s in segments}

    exact = calibrate(profiled, design.chain.positions, measured(design.fitted, 0))
    assert exact.mape(measured(design.held_out, 0)) == pytest.approx(0, abs=0.01)
    assert exact.fixed_us == pytest.approx(fixed_us, rel=0.1)
    noisy = calibrate(profiled, design.chain.positions, measured(design.fitted, 0.02))
    assert (noisy.mape(measured(design.held_out, 0)) or 0) < 0.04


def test_shares_within_a_unit_are_those_of_the_prior_and_nothing_is_free() -> None:
    profiled = np.array([1.0, 3.0, 0.0, 0.0, 5.0, 5.0])
    fit = calibrate(profiled, (0, 2, 4, 6), {(0, 6): 1400.0, (0, 2): 400.0, (2, 4): 1.0, (4, 6): 1000.0})
    assert fit.layer_us[1] == pytest.approx(3 * fit.layer_us[0])
    assert fit.layer_us[4] == pytest.approx(fit.layer_us[5])
    assert np.all(fit.layer_us > 0)


def test_a_design_covers_the_model_and_holds_some_out() -> None:
    graph = chain()
    layer_us = np.random.default_rng(1).lognormal(6, 1, graph.n_layers)
    design = design_of(graph, layer_us)
    assert (0, graph.n_layers) in design.fitted
    assert set(design.units) <= set(design.fitted)
    assert len(design.units) <= 8
    assert len(design.held_out) == 5
    assert not set(design.held_out) & set(design.fitted)
    assert len(set(design.segments)) == len(design.segments)
    longest = max(layer_us[slice(*unit)].sum() for unit in design.units)
    assert longest <= layer_us.sum() / 8 + 2 * layer_us.max()


def test_a_design_depends_on_the_seed_only() -> None:
    graph, layer_us = chain(), np.ones(40)
    assert design_of(graph, layer_us, 1).segments == design_of(graph, layer_us, 1).segments
    assert design_of(graph, layer_us, 1).held_out != design_of(graph, layer_us, 2).held_out


def test_no_cut_before_a_layer_that_is_done_along_with_another() -> None:
    graph = chain()
    layer_us = np.where(np.arange(40) % 2, 0.0, 100.0)
    assert all(position % 2 == 0 for position in design_of(graph, layer_us).chain.positions)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_models_have_a_design(n: int) -> None:
    design = design_of(chain(n), np.ones(n))
    assert (0, n) in design.fitted
    assert set(design.segments) <= set(itertools.combinations(range(n + 1), 2))


def measurements(graph: LayerGraph, design: Design, held_out_factor: float = 1.0) -> Measurements:
    layer_us = np.linspace(50, 500, graph.n_layers)
    times = {
        c: {s: summary(100 + factor * layer_us[slice(*s)].sum()) for s in design.fitted}
        | {s: summary(held_out_factor * (100 + factor * layer_us[slice(*s)].sum())) for s in design.held_out}
        for c, factor in ((ORT, 1.0), (ORT2, 0.55), (VINO, 0.8))
    }
    memory = {
        c: {
            s: SessionMemory(opened_bytes=0, anonymous_bytes=10**6 * (s[1] - s[0]), mapped_bytes=0, peak_bytes=0)
            for s in (*design.memory_fit, *design.memory_check)
        }
        for c in (ORT, VINO)
    }
    return Measurements({"onnxruntime": layer_us}, times, memory)


def same(a: CostTable, b: CostTable) -> bool:
    arrays = ("layer_us", "fixed_us", "weight_scale", "session_bytes", "workspace_bytes")
    return a.measured == b.measured and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)


def test_costs_do_not_know_what_is_held_out() -> None:
    graph = chain()
    design = design_of(graph, np.linspace(50, 500, 40))
    honest, honest_errors = fit_costs(graph, design, measurements(graph, design))
    wrong, wrong_errors = fit_costs(graph, design, measurements(graph, design, held_out_factor=2.0))
    assert same(honest, wrong)
    assert not {(m.start, m.stop) for m in honest.measured} & set(design.held_out)
    assert all((e.held_out_mape or 0) < 0.01 for e in honest_errors)
    assert all((e.held_out_mape or 0) == pytest.approx(0.5, abs=0.01) for e in wrong_errors)
    assert [e.held_out_segments for e in honest_errors] == [5, 5, 5]


def test_more_threads_share_the_memory_model_of_fewer() -> None:
    graph = chain()
    design = design_of(graph, np.linspace(50, 500, 40))
    table, errors = fit_costs(graph, design, measurements(graph, design))
    assert table.weight_scale[0] == table.weight_scale[1]
    assert errors[0].memory_error == errors[1].memory_error is not None


def test_units_that_a_backend_refuses_cannot_run_there() -> None:
    graph = chain()
    design = design_of(graph, np.linspace(50, 500, 40))
    taken = measurements(graph, design)
    start, stop = design.units[2]
    for segment in list(taken.times[VINO]):
        if segment[0] < stop and segment[1] > start:
            del taken.times[VINO][segment]
    table, _ = fit_costs(graph, design, taken)
    assert np.isnan(table.layer_us[start:stop, 2]).all()
    assert not np.isnan(np.delete(table.layer_us[:, 2], np.s_[start:stop])).any()
    assert np.isinf(table.segment_us(0, graph.n_layers)[2])


def test_measured_segments_carry_their_configuration() -> None:
    graph = chain()
    design = design_of(graph, np.linspace(50, 500, 40))
    taken = measurements(graph, design)
    kept = measured_segments(taken, (ORT, ORT2, VINO), design.held_out)
    assert len(kept) == 15
    assert all(taken.times[(ORT, ORT2, VINO)[m.configuration]][m.start, m.stop] == m.latency for m in kept)


def test_known_memory_is_found_again() -> None:
    graph = chain()
    segments = [(0, 40), (0, 20), (20, 40)]

    def resident(segment: Range) -> float:
        live, weights = graph.live_bytes[slice(*segment)].max(), graph.weight_bytes[slice(*segment)].sum()
        return 1.8 * weights + 1.5 * live + 2e6

    model = fit_memory(graph, {s: resident(s) for s in segments})
    assert model.predict_bytes(graph, (10, 30)) == pytest.approx(resident((10, 30)), rel=0.05)
    assert np.all(model.workspace_bytes(graph) >= 0)


def test_the_table_predicts_the_memory_that_the_model_does() -> None:
    graph = chain()
    design = design_of(graph, np.linspace(50, 500, 40))
    taken = measurements(graph, design)
    table, _ = fit_costs(graph, design, taken)
    model = fit_memory(graph, {s: taken.memory[ORT][s].resident_bytes for s in design.memory_fit})
    for segment in ((0, 40), (3, 9)):
        assert table.resident_bytes(graph, segment)[0, 1, 0] == pytest.approx(model.predict_bytes(graph, segment))
