"""Chain fronts from plain arrays: against enumeration, closed forms, and each other."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import CostError
from edgeplan.solvers import chain_front
from edgeplan.solvers.fronts.chain_costs import ChainCosts
from edgeplan.solvers.fronts.chain_front import label_front
from edgeplan.solvers.fronts.labels import Caps
from edgeplan.solvers.pareto import non_dominated


def drawn(n: int, width: int, seed: int, whole: bool = True) -> dict[str, Any]:
    """Random costs with every kind of extra; whole numbers add up without rounding."""
    rng = np.random.default_rng(seed)
    us = rng.uniform(1, 60, (n, width))
    us[rng.random(us.shape) < 0.15] = np.inf
    us[:, 0] = rng.uniform(1, 60, n)
    switch_us = rng.uniform(0, 20, (n, width, width))
    switch_us[rng.random(switch_us.shape) < 0.1] = np.inf
    costs = {
        "latency_us": us,
        "memory_bytes": rng.uniform(0, 90, (n, width)),
        "switch_us": switch_us,
        "fixed_us": rng.uniform(0, 9, width),
        "fixed_bytes": rng.uniform(0, 30, width),
        "start_us": rng.uniform(0, 9, width),
        "end_us": rng.uniform(0, 9, width),
    }
    return {name: np.round(values) for name, values in costs.items()} if whole else costs


def enumerated(given: dict[str, Any], workspace: Any = None, energy: Any = None) -> np.ndarray:
    """Figures of every way, non-dominated, by the definition."""
    us = np.asarray(given["latency_us"])
    n, width = us.shape
    switch_us = np.broadcast_to(given.get("switch_us", 0.0), (n, width, width))
    rows = []
    for way in product(range(width), repeat=n):
        latency = memory = peak = spent = 0.0
        for i, c in enumerate(way):
            if i == 0:
                latency += np.broadcast_to(given.get("start_us", 0.0), width)[c]
            elif way[i - 1] != c:
                latency += switch_us[i, way[i - 1], c]
            if i == 0 or way[i - 1] != c:
                latency += np.broadcast_to(given.get("fixed_us", 0.0), width)[c]
                memory += np.broadcast_to(given.get("fixed_bytes", 0.0), width)[c]
            latency += us[i, c]
            memory += given["memory_bytes"][i][c]
            peak = max(peak, 0.0 if workspace is None else workspace[i, c])
            spent += 0.0 if energy is None else energy[i, c]
        latency += np.broadcast_to(given.get("end_us", 0.0), width)[way[-1]]
        if np.isfinite(latency):
            rows.append((latency, memory + peak, *(() if energy is None else (spent,))))
    table = np.array(rows)
    return table[non_dominated(table)]


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_whole_numbers_give_the_enumerated_front_to_the_bit(n: int, seed: int) -> None:
    given = drawn(n, 3, seed)
    front = chain_front(**given)
    assert front.complete
    assert front.epsilon == 0.0
    assert np.array_equal(front.figures, enumerated(given))


@pytest.mark.parametrize("seed", range(6))
def test_rounding_is_all_that_parts_other_numbers_from_enumeration(seed: int) -> None:
    given = drawn(5, 3, seed, whole=False)
    assert chain_front(**given).figures == pytest.approx(enumerated(given), rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_workspace_counts_once_the_largest(seed: int) -> None:
    given = drawn(5, 3, seed)
    workspace = np.random.default_rng(seed).integers(0, 200, (5, 3)).astype(float)
    front = chain_front(**given, workspace_bytes=workspace)
    assert np.array_equal(front.figures, enumerated(given, workspace))


@pytest.mark.parametrize("seed", range(6))
def test_energy_is_a_third_objective(seed: int) -> None:
    given = drawn(5, 3, seed)
    energy = np.random.default_rng(seed).integers(0, 50, (5, 3)).astype(float)
    front = chain_front(**given, energy_uj=energy)
    assert np.array_equal(front.figures, enumerated(given, energy=energy))


@pytest.mark.parametrize("extra", ["none", "workspace_bytes", "energy_uj"])
def test_choices_cost_what_the_points_say(extra: str) -> None:
    given = drawn(40, 3, 1)
    more = {} if extra == "none" else {extra: np.random.default_rng(1).integers(0, 9, (40, 3)).astype(float)}
    front = chain_front(**given, **more)
    third = next(iter(more.values()), None)
    costs = ChainCosts.of(
        given["latency_us"],
        given["memory_bytes"],
        third=third,
        third_is="max" if extra == "workspace_bytes" else "sum",
        **{name: value for name, value in given.items() if name not in ("latency_us", "memory_bytes")},
    )
    figures = costs.figures(front.choices())
    if extra == "workspace_bytes":
        figures = np.column_stack([figures[:, 0], figures[:, 1] + figures[:, 2]])
    assert np.array_equal(figures[:, : front.figures.shape[1]], front.figures)
    assert np.array_equal(front.choices([3, 0]), front.choices()[[3, 0]])


def covers(points: np.ndarray, exact: np.ndarray, epsilon: float) -> bool:
    return all(np.any(np.all(points <= row * (1 + epsilon) * (1 + 1e-12), axis=1)) for row in exact)


@pytest.mark.parametrize("epsilon", [0.001, 0.01, 0.1])
@pytest.mark.parametrize(("n", "seed"), [(1, 0), (4, 1), (12, 2), (40, 3), (90, 4)])
def test_an_approximation_keeps_its_factor(n: int, seed: int, epsilon: float) -> None:
    given = drawn(n, 3, seed, whole=False)
    exact, near = chain_front(**given), chain_front(**given, epsilon=epsilon)
    assert near.epsilon == epsilon
    assert len(near) <= len(exact)
    assert covers(near.figures, exact.figures, epsilon)
    assert covers(exact.figures, near.figures, 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_trimmed_labels_keep_the_factor_too(seed: int) -> None:
    given = drawn(30, 3, seed)
    energy = np.random.default_rng(seed).uniform(1, 9, (30, 3))
    exact = chain_front(**given)
    trimmed = label_front(ChainCosts.of(**given), Caps(), 0.05, None)
    assert trimmed.n_labels < exact.n_labels
    assert covers(trimmed.figures, exact.figures, 0.05)
    short = {name: value[:8] if np.shape(value)[0] == 30 else value for name, value in given.items()}
    three = chain_front(**short, energy_uj=energy[:8])
    assert covers(chain_front(**short, energy_uj=energy[:8], epsilon=0.05).figures, three.figures, 0.05)


@pytest.mark.parametrize("epsilon", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(4))
def test_limits_leave_out_points_and_nothing_else(seed: int, epsilon: float) -> None:
    given = drawn(12, 3, seed)
    exact = chain_front(**given).figures
    low, high = len(exact) // 4, 3 * len(exact) // 4
    limits = {"memory_limit_bytes": exact[low, 1], "latency_limit_us": exact[high, 0]}
    found = chain_front(**given, **limits, epsilon=epsilon).figures
    expected = exact[low : high + 1]
    assert np.array_equal(found, expected) if epsilon == 0 else covers(found, expected, epsilon)
    assert np.all(found <= [limits["latency_limit_us"], limits["memory_limit_bytes"]])
    assert len(chain_front(**given, memory_limit_bytes=exact[-1, 1] / 2)) == 0


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 1e12])
def test_costs_of_any_size_and_ties(scale: float) -> None:
    us, held = np.array([[2.0, 1.0]] * 6) * scale, np.array([[1.0, 2.0]] * 6) * scale
    front = chain_front(us, held)
    expected = np.array([[12.0 - k, 6.0 + k] for k in range(6, -1, -1)]) * scale
    assert front.figures == pytest.approx(expected if scale else np.zeros((1, 2)), rel=1e-12, abs=0)


def test_sizes_may_differ_by_twenty_powers_of_ten() -> None:
    us = np.array([[1e12, 1e-9], [1e-9, 1e12], [0.0, 1e-9]])
    held = np.array([[1e-9, 1e12], [1e12, 1.0], [0.0, 1e-9]])
    given = {"latency_us": us, "memory_bytes": held}
    exact = enumerated(given)
    assert covers(chain_front(us, held).figures, exact, 1e-9)
    assert covers(chain_front(us, held, epsilon=0.01).figures, exact, 0.01)


def test_equal_layers_give_one_point_for_each_count() -> None:
    n = 60
    front = chain_front(np.tile([3.0, 1.0], (n, 1)), np.tile([1.0, 4.0], (n, 1)))
    assert front.figures.tolist() == [[3.0 * n - 2 * k, n + 3.0 * k] for k in range(n, -1, -1)]


def test_no_way_at_all_is_an_empty_front() -> None:
    us = np.array([[1.0, np.inf], [np.inf, 1.0]])
    for epsilon in (0.0, 0.1):
        front = chain_front(us, np.ones((2, 2)), switch_us=np.inf, epsilon=epsilon)
        assert front.complete
        assert len(front) == 0
        assert front.choices().shape == (0, 2)


def test_a_stopped_search_says_so() -> None:
    class Now:
        remaining_s = 0.0

        def __call__(self) -> bool:
            return True

    front = chain_front(**drawn(5, 3, 0), stop=Now())
    assert not front.complete
    assert len(front) == 0


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"latency_us": [1.0, 2.0]}, "shape"),
        ({"latency_us": [[-1.0, 2.0]]}, "0 or more"),
        ({"latency_us": [[np.nan, np.inf]]}, "layers 0"),
        ({"memory_bytes": [[1.0, 2.0, 3.0]]}, "memory_bytes"),
        ({"memory_bytes": [[np.inf, 2.0]]}, "finite"),
        ({"epsilon": 1.0}, "below 1"),
        ({"workspace_bytes": [[1.0, 1.0]], "energy_uj": [[1.0, 1.0]]}, "both"),
    ],
)
def test_costs_that_do_not_fit_are_refused(bad: dict[str, Any], word: str) -> None:
    with pytest.raises(CostError, match=word):
        chain_front(**({"latency_us": [[1.0, 2.0]], "memory_bytes": [[1.0, 2.0]]} | bad))
