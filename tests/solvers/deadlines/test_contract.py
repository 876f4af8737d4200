"""What every solver of job problems must do, on every kind of problem that it supports."""

import threading
import time
from functools import cache

import numpy as np
import pytest
from edgeplan.formulation import JobProblem, evaluate_jobs
from edgeplan.solvers import available_methods, solve, solver
from edgeplan.solvers.deadlines import JobSolution
from edgeplan.solvers.deadlines.testing import JobKind, random_job_problem

KINDS = {
    "soft": JobKind(),
    "dropped": JobKind(jobs=4, droppable=1.0, deadline_slack=0.4),
    "mixed": JobKind(droppable=0.5, hard=0.3, deadline_slack=0.6),
    "makespan": JobKind(objective="makespan"),
    "DAGs": JobKind(jobs=2, layers=3, chains=False),
    "three processors": JobKind(jobs=2, processors=3, deadline_slack=0.3),
    "little memory": JobKind(jobs=2, memory_slack=0.6),
    "too little memory": JobKind(jobs=2, memory_slack=0.1),
    "too late": JobKind(hard=1.0, deadline_slack=0.2),
}
METHODS = available_methods(JobProblem)


def problem_of(kind: str, seed: int = 7) -> JobProblem:
    problem = random_job_problem(KINDS[kind], seed)
    names = ("cpu", "gpu", "npu")[: problem.n_processors]
    return problem.replace(processors=names)


@cache
def oracle(kind: str, seed: int = 7) -> JobSolution:
    return solve(problem_of(kind, seed), "brute_force")


PAIRS = [
    pytest.param(method, kind, id=f"{method}-{kind}")
    for method in METHODS
    for kind in KINDS
    if solver(method, JobProblem).features.unsupported(problem_of(kind)) is None
]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_answers_are_right(method: str, kind: str) -> None:
    for seed in range(2):
        problem, best = problem_of(kind, seed), oracle(kind, seed)
        solution = solve(problem, method, time_limit_s=20, seed=3)
        if solver(method, JobProblem).features.exact:
            assert solution.status == best.status
        if best.status == "infeasible":
            assert solution.schedule is None
            assert (solution.status == "infeasible") == bool(solution.clashes)
            continue
        if solution.schedule is None:
            assert solution.status == "timeout"
            continue
        assert best.evaluation is not None
        assert solution.evaluation is not None
        assert evaluate_jobs(problem, solution.schedule).feasible
        assert solution.evaluation.cost >= (best.evaluation.cost[0] - 1e-6, best.evaluation.cost[1] - 1e-6)
        assert solution.bound is not None
        assert solution.bound <= best.evaluation.objective + 1e-6
        if solution.status == "optimal":
            assert solution.evaluation.cost == pytest.approx(best.evaluation.cost)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_schedule(method: str, kind: str) -> None:
    first, second = (solve(problem_of(kind), method, time_limit_s=20, seed=1) for _ in range(2))
    assert first.status == second.status
    if first.schedule is None or second.schedule is None:
        assert first.schedule is second.schedule
        return
    assert all(map(np.array_equal, first.schedule.processor, second.schedule.processor))
    assert all(map(np.array_equal, first.schedule.start_us, second.schedule.start_us))


LARGE = JobKind(jobs=30, layers=12, networks=5, droppable=1.0, deadline_slack=0.3)


@pytest.mark.parametrize("method", ["cp_sat", "dynamic_program", "random_search", "heft"])
def test_time_limits_are_kept(method: str) -> None:
    problem = random_job_problem(LARGE, 1)
    solve(random_job_problem(KINDS["soft"], 1), method)
    limit_s = 2.0
    began_s = time.monotonic()
    solution = solve(problem, method, time_limit_s=limit_s)
    assert time.monotonic() - began_s <= 1.2 * limit_s + 1.0
    assert solution.status in ("optimal", "feasible")


def test_no_time_at_all_is_a_status() -> None:
    for method in METHODS:
        if solver(method, JobProblem).features.unsupported(problem_of("soft")) is None:
            assert solve(problem_of("soft"), method, time_limit_s=1e-6).status in ("optimal", "feasible", "timeout")


@pytest.mark.parametrize("method", ["cp_sat", "random_search"])
def test_a_search_can_be_cancelled(method: str) -> None:
    problem = random_job_problem(LARGE, 2)
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began_s = time.monotonic()
    solution = solve(problem, method, time_limit_s=60, cancel=cancel)
    assert time.monotonic() - began_s < 6
    assert solution.schedule is not None
