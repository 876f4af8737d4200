"""What is told while a search runs brackets what it finds, and changes nothing of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pytest
from edgeplan.solvers import Progress, Reporter, Solver, by_simulation, solve
from edgeplan.solvers.dynamic_program import DynamicProgram
from edgeplan.solvers.fronts.hlps import Hlps
from edgeplan.solvers.fronts.spea2 import Spea2
from edgeplan.solvers.nsga2 import Nsga2
from edgeplan.solvers.testing import ProblemKind, random_problem
from hypothesis import given
from hypothesis import strategies as st

PAIR = ProblemKind(objective="response", models=2, layers=4, streams=True)
KINDS = [
    PAIR,
    replace(PAIR, deadline_slack=1.0, memory_slack=1.0),
    replace(PAIR, deadline_slack=0.6, memory_slack=0.8),
    replace(PAIR, objective="latency", streams=False, layers=6, memory_slack=0.8),
    replace(PAIR, models=3, cores=3),
]
FRONT = ProblemKind(objective="front", layers=8)


def refuse_what_goes_back(told: list[Progress]) -> None:
    for earlier, later in pairwise(told):
        assert later.elapsed_s >= earlier.elapsed_s >= 0
        if earlier.objective is not None:
            assert later.objective is not None
            assert later.objective <= earlier.objective
        if earlier.bound is not None:
            assert later.bound is not None
            assert later.bound >= earlier.bound
        if earlier.hypervolume is not None:
            assert later.hypervolume is not None
            assert later.hypervolume >= earlier.hypervolume
    for each in told:
        if each.objective is not None and each.bound is not None:
            assert each.bound <= each.objective
            assert each.gap is not None
            assert each.gap >= 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_cp_sat_closes_in_on_what_it_finds(kind: ProblemKind, seed: int) -> None:
    problem, told = random_problem(kind, seed), []
    found = solve(problem, "cp_sat", seed=seed, on_progress=told.append)
    refuse_what_goes_back(told)
    assert (told[-1].objective, told[-1].bound) == (found.objective, found.bound)
    for each in told:
        if found.objective is not None:
            assert each.objective is None or each.objective >= found.objective
            assert each.bound is None or each.bound <= found.objective
    silent = solve(problem, "cp_sat", seed=seed)
    assert (silent.status, silent.objective) == (found.status, found.objective)
    assert (silent.plan is None) == (found.plan is None)
    if silent.plan is not None and found.plan is not None:
        assert silent.plan.models == found.plan.models


def test_a_search_that_takes_its_time_tells_in_between() -> None:
    # Tight memory: the bounds of combinations do not settle it, so that CP-SAT has to search.
    kind = ProblemKind(objective="response", models=3, layers=8, streams=True, memory_slack=0.8)
    most = 0
    for seed in range(3):
        told: list[Progress] = []
        solve(random_problem(kind, seed), "cp_sat", time_limit_s=2.0, on_progress=told.append)
        refuse_what_goes_back(told)
        most = max(most, len({(each.objective, each.bound) for each in told}))
    assert most > 3


@pytest.mark.parametrize(
    "method",
    [
        Nsga2(population=30, generations=20),
        Spea2(population=30, generations=10),
        Hlps(samples=300),
        DynamicProgram(),
    ],
    ids=lambda method: method.name,
)
def test_fronts_fill_up_to_the_one_that_is_found(method: Solver) -> None:
    told: list[Progress] = []
    found = solve(random_problem(FRONT, 1), method, on_progress=told.append)
    refuse_what_goes_back(told)
    last = told[-1].front
    assert last is not None
    assert last.tolist() == [[point.latency_us, point.memory_bytes] for point in found.front]
    if method.name != "dynamic_program":
        assert sum(each.front is not None for each in told) > 1
    for each in told:  # nothing that was told is better than what is found
        for latency_us, memory_bytes in [] if each.front is None else each.front:
            assert np.any((last[:, 0] <= latency_us) & (last[:, 1] <= memory_bytes))


def test_policies_are_told_one_after_the_other() -> None:
    problem, told = random_problem(PAIR, 0), []
    candidates = by_simulation(problem, time_limit_s=8.0, on_progress=told.append)
    names = [name for name, _ in groupby(told, key=lambda each: each.policy)]
    assert set(names) <= {candidate.policy.name for candidate in candidates}
    assert len(names) == len(set(names)) > 1
    for _, part in groupby(told, key=lambda each: each.policy):
        refuse_what_goes_back(list(part))
    assert all(later.elapsed_s >= earlier.elapsed_s for earlier, later in pairwise(told))


@pytest.mark.parametrize("method", ["cp_sat", "greedy"])
def test_what_a_listener_raises_is_raised(method: str) -> None:
    class Enough(Exception):
        pass

    def refuse(progress: Progress) -> None:
        if progress.objective is not None:
            raise Enough

    with pytest.raises(Enough):
        solve(random_problem(PAIR, 0), method, on_progress=refuse)


@given(
    st.lists(st.one_of(st.tuples(st.just("found"), st.floats(1, 9)), st.tuples(st.just("bounded"), st.floats(0, 9))))
)
def test_a_reporter_never_goes_back(news: list[tuple[str, float]]) -> None:
    told: list[Progress] = []
    reporter = Reporter(told.append)
    for kind, value in news:
        getattr(reporter, kind)(value)
    for earlier, later in pairwise(told):
        assert (later.objective, later.bound) != (earlier.objective, earlier.bound)
        assert earlier.bound is None or (later.bound is not None and later.bound >= earlier.bound)
        assert earlier.objective is None or (later.objective is not None and later.objective <= earlier.objective)
