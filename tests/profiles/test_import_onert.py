"""onert's times of operators: read and interpolated as onert does it, applied to models, refused where wrong."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import Platform, Problem, ProfileError
from edgeplan.profiles import Profile, import_onnx
from edgeplan.profiles.imports import import_onert, read_onert_times
from edgeplan.profiles.imports.onert_links import fit_links
from edgeplan.profiles.imports.onert_profile import layer_io_bytes

TIMES = {
    "cpu": {
        "Conv2D": {"0": [[1000, 100], [3000, 300], [2000, 150]], "1": [[1000, 40]]},
        "Add": {"0": [[500, 7]]},
        "Pool2D": {"0": [[100, 20], [200, 10]]},
        "acl_cl": {"0": [[1000, 55]]},
    },
    "acl_cl": {"Conv2D": {"0": [[1000, 10]]}, "Pool2D": {"0": [[1000, 2147483647]]}},
}


def written(folder: Path, data: object) -> Path:
    path = folder / "exec_time.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("backend", "operator", "quantised", "n_bytes", "us"),
    [
        ("cpu", "Conv2D", False, 2000, 150),  # a point
        ("cpu", "Conv2D", False, 1500, 125),  # between two
        ("cpu", "Conv2D", False, 2500, 225),
        ("cpu", "Conv2D", False, 5000, 600),  # the last two go on
        ("cpu", "Conv2D", False, 500, 75),  # the first two go on
        ("cpu", "Conv2D", True, 9999, 40),  # a single point is the time at every size
        ("cpu", "Pool2D", False, 300, 1),  # 0 there: not below 1 µs
        ("cpu", "Pool2D", False, 500, 20),  # below 0 beyond the largest: the time before
        ("cpu", "Pool2D", False, 50, 25),
        ("acl_cl", "Pool2D", False, 1000, math.nan),  # onert's mark for what a backend does not have
        ("acl_cl", "Add", False, 500, math.nan),
        ("acl_cl", "Conv2D", True, 500, math.nan),
        ("npu", "Conv2D", False, 500, math.nan),
    ],
)
def test_times_are_interpolated_as_onert_does(
    backend: str, operator: str, quantised: bool, n_bytes: float, us: float, tmp_path: Path
) -> None:
    times = read_onert_times(written(tmp_path, TIMES))
    assert times.time_us(backend, operator, quantised, n_bytes) == pytest.approx(us, nan_ok=True)


def test_a_backend_among_the_operators_is_a_move(tmp_path: Path) -> None:
    times = read_onert_times(written(tmp_path, TIMES))
    assert times.backends == ("cpu", "acl_cl")
    assert times.operators == ("Conv2D", "Add", "Pool2D")


BAD_TIMES: dict[str, tuple[object, str]] = {
    "empty": ("", "empty file"),
    "truncated": (json.dumps(TIMES)[:60], "whole JSON"),
    "a list": ([1], "an object"),
    "nothing": ({}, "at least one operator"),
    "operator is a list": ({"cpu": {"Add": [[1, 2]]}}, "cpu.Add"),
    "unknown flag": ({"cpu": {"Add": {"yes": [[1, 2]]}}}, '"0" or "1"'),
    "no points": ({"cpu": {"Add": {"0": []}}}, "at least one point"),
    "one number": ({"cpu": {"Add": {"0": [[1]]}}}, "two numbers"),
    "text": ({"cpu": {"Add": {"0": [["1", 2]]}}}, "a number"),
    "half a byte": ({"cpu": {"Add": {"0": [[0.5, 2]]}}}, "whole number"),
    "negative": ({"cpu": {"Add": {"0": [[1, -2]]}}}, "got -2"),
    "NaN": ('{"cpu": {"Add": {"0": [[1, NaN]]}}}', "NaN"),
    "huge": ({"cpu": {"Add": {"0": [[1, 1e200]]}}}, "got 1e+200"),
    "size twice": ({"cpu": {"Add": {"0": [[1, 2], [1, 3]]}}}, "1 bytes twice"),
    "backend twice": ('{"cpu": {}, "cpu": {}}', "'cpu' twice"),
}


@pytest.mark.parametrize("case", BAD_TIMES)
def test_bad_times_are_refused(case: str, tmp_path: Path) -> None:
    data, said = BAD_TIMES[case]
    with pytest.raises(ProfileError) as refusal:
        read_onert_times(written(tmp_path, data))
    assert said in str(refusal.value)


def whole_times(**more: Any) -> dict[str, Any]:
    """Times of every operator of the branching model on the CPU, of convolutions on the GPU."""
    operators = "Conv2D ReLU Add MaxPool2D Concat Reshape FullyConnected Softmax Logistic BatchNormalization Dropout"
    cpu = {operator: {"0": [[0, 10], [1000, 20]]} for operator in operators.split()}
    return {"cpu": cpu, "acl_cl": {"Conv2D": {"0": [[0, 2], [1000, 4]]}}, **more}


def test_every_layer_costs_its_operators_time_at_its_bytes(tmp_path: Path, branching_path: Path) -> None:
    profile = import_onert(written(tmp_path, whole_times()), branching_path)
    (model,) = profile.to_models()
    assert model.costs.provenance.kind == "imported"
    assert [(c.backend, c.processor) for c in model.costs.configurations] == [
        ("onert-cpu", "cpu"),
        ("onert-acl_cl", "gpu"),
    ]
    sizes = layer_io_bytes(model.graph)
    assert model.costs.layer_us[:, 0] == pytest.approx(10 + sizes / 100, abs=1e-3)
    convolutions = np.array([layer.op_type == "Conv" for layer in model.graph.layers])
    assert np.isnan(model.costs.layer_us[~convolutions, 1]).all()
    assert model.costs.layer_us[convolutions, 1] == pytest.approx(2 + sizes[convolutions] / 500, abs=1e-3)
    assert any("acl_cl has no times for" in warning and "Relu" in warning for warning in profile.warnings)
    assert any("counts as free" in warning for warning in profile.warnings)


def test_bytes_are_inputs_constants_and_outputs(branching_path: Path) -> None:
    graph = import_onnx(branching_path)
    at = next(i for i, layer in enumerate(graph.layers) if layer.name == "conv0")
    image, weights = 8 * 12 * 12 * 4, 8 * 8 * 9 * 4
    assert layer_io_bytes(graph)[at] == image + weights + image


def test_an_imported_profile_survives_its_file_and_can_be_planned(tmp_path: Path, branching_path: Path) -> None:
    from edgeplan.solvers import solve

    profile = import_onert(written(tmp_path, whole_times()), branching_path)
    profile.save(tmp_path / "profile.json")
    loaded = Profile.load(tmp_path / "profile.json")
    assert loaded == profile
    (model,) = loaded.to_models()
    assert isinstance(loaded.platform, Platform)
    solution = solve(Problem((model,), loaded.platform, objective="latency"), time_limit_s=5)
    assert solution.status == "optimal"
    assert solution.plan is not None
    assert solution.plan.provenance[0].kind == "imported"
    # Nothing moves and nothing is fixed, so that every unit takes its cheapest backend.
    units = model.costs.interval_us(model.cuts.positions)
    cheapest = sum(units[k, k + 1].min() for k in range(model.cuts.n_units))
    assert solution.objective == pytest.approx(cheapest)


def test_operators_without_times_are_named(tmp_path: Path, branching_path: Path) -> None:
    times = whole_times()
    del times["cpu"]["ReLU"]
    del times["cpu"]["BatchNormalization"]
    path = written(tmp_path, times)
    with pytest.raises(ProfileError) as refusal:
        import_onert(path, branching_path)
    assert "Relu (ReLU or" in str(refusal.value)
    assert "BatchNormalization" in str(refusal.value)
    profile = import_onert(path, branching_path, fused=("Relu", "BatchNormalization"))
    (model,) = profile.to_models()
    free = [layer.op_type in ("Relu", "BatchNormalization") for layer in model.graph.layers]
    assert (model.costs.layer_us[free] == 0).all()
    assert not any("Relu" in warning for warning in profile.warnings)
    assert not any(free[position] for position in model.cuts.positions[:-1])


def test_unknown_backends_need_a_processor(tmp_path: Path, branching_path: Path) -> None:
    path = written(tmp_path, whole_times(hexagon={"Conv2D": {"0": [[0, 1]]}}))
    with pytest.raises(ProfileError, match="--processor hexagon="):
        import_onert(path, branching_path)
    profile = import_onert(path, branching_path, processors={"hexagon": "dsp"})
    assert [p.name for p in profile.platform.processors] == ["cpu", "gpu", "dsp"]


def moves(fixed_us: float, us_per_byte: float) -> dict[str, list[list[float]]]:
    """Times of an affine link, at sizes that count a tensor twice."""
    return {"0": [[2 * n, fixed_us + us_per_byte * n] for n in (100, 5000, 90_000)]}


@pytest.mark.parametrize(("fixed_us", "us_per_byte"), [(30, 0.01), (0, 0.01), (30, 0), (0, 0), (1e-3, 1e3)])
def test_links_are_the_line_through_the_times_to_move(fixed_us: float, us_per_byte: float, tmp_path: Path) -> None:
    times = whole_times()
    times["cpu"]["acl_cl"] = moves(fixed_us, us_per_byte)
    times["acl_cl"]["cpu"] = {"0": [[2000, 50]]}
    links = fit_links(read_onert_times(written(tmp_path, times)), {"cpu": "cpu", "acl_cl": "gpu"}, False)
    there, back = links
    assert (there.source, there.target) == (back.target, back.source) == ("cpu-memory", "gpu-memory")
    assert there.fixed_us == pytest.approx(fixed_us, abs=1e-6)
    assert 1 / there.bytes_per_us == pytest.approx(us_per_byte, abs=1e-9)
    assert (back.fixed_us, back.bytes_per_us) == (0, pytest.approx(20))


def test_links_are_never_negative(tmp_path: Path) -> None:
    times = whole_times()
    times["cpu"]["acl_cl"] = {"0": [[100, 50], [10_000, 10]]}
    times["acl_cl"]["cpu"] = {"0": [[100, 1], [10_000, 1000]]}
    there, back = fit_links(read_onert_times(written(tmp_path, times)), {"cpu": "cpu", "acl_cl": "gpu"}, False)
    assert there.fixed_us > 0
    assert there.bytes_per_us > 0
    assert back.fixed_us == 0
    assert back.bytes_per_us > 0


def test_moves_of_one_way_only_make_no_link(tmp_path: Path, branching_path: Path) -> None:
    times = whole_times()
    times["cpu"]["acl_cl"] = moves(30, 0.01)
    profile = import_onert(written(tmp_path, times), branching_path)
    assert profile.platform.links == ()
    assert any("counts as free" in warning for warning in profile.warnings)


@pytest.mark.parametrize("fixed_us", [0.0, 5.0, 1e6])
def test_plans_pay_for_moves(fixed_us: float, tmp_path: Path, chain_path: Path) -> None:
    from edgeplan.solvers import solve

    times = whole_times()
    times["cpu"]["acl_cl"] = times["acl_cl"]["cpu"] = moves(fixed_us, 1e-4)
    profile = import_onert(written(tmp_path, times), chain_path)
    assert not any("counts as free" in warning for warning in profile.warnings)
    (model,) = profile.to_models()
    problem = Problem((model,), profile.platform, objective="latency")
    solution = solve(problem, time_limit_s=5)
    # Eight like layers: all on one processor, and the GPU is brought its input and sends its output back.
    on_cpu, on_gpu = model.costs.layer_us.sum(axis=0)
    tensor_bytes = 8 * 20 * 20 * 4
    cheapest = min(on_cpu, on_gpu + 2 * (fixed_us + 1e-4 * tensor_bytes))
    assert solution.objective == pytest.approx(cheapest, rel=1e-6)
    assert solution.plan is not None
    used = {segment.configuration.processor for segment in solution.plan.models[0].segments}
    assert used == ({"cpu"} if fixed_us == 1e6 else {"gpu"})


def test_the_interpolation_is_onerts_own_arithmetic(tmp_path: Path) -> None:
    """Its code, in whole numbers, against ours, over every place of a size among three points."""
    for y in product((5, 40, 90), repeat=3):
        points = dict(zip((10, 20, 40), y, strict=True))
        path = written(tmp_path, {"cpu": {"Add": {"0": [list(p) for p in points.items()]}}})
        times = read_onert_times(path)
        for x in (0, 5, 10, 13, 20, 31, 40, 55, 90):
            assert times.time_us("cpu", "Add", False, x) == pytest.approx(_onert(points, x), abs=1)


def _onert(points: dict[int, int], x: int) -> int:
    if x in points:
        return points[x]
    sizes = sorted(points)
    above = next((k for k, size in enumerate(sizes) if size > x), len(sizes))
    low, high = (above - 2, above - 1) if above == len(sizes) else (0, 1) if above == 0 else (above - 1, above)
    x0, x1, y0, y1 = sizes[low], sizes[high], points[sizes[low]], points[sizes[high]]
    value = y0 + math.trunc((x - x0) * (y1 - y0) / (x1 - x0))
    return y0 if value < 0 and x > x1 else max(value, 1)
