"""The exact solvers against closed forms and enumerations of their own classes of schedules."""

import itertools

import numpy as np
import pytest
from edgeplan.formulation import Job, JobNetwork, JobProblem
from edgeplan.solvers import TimeLimit, solve
from edgeplan.solvers.deadlines.dynamic_program import DynamicProgram
from edgeplan.solvers.deadlines.testing import JobKind, hax_conn, random_job_problem


def test_hax_conn_s_instance() -> None:
    problem = hax_conn()
    best = solve(problem, "cp_sat", time_limit_s=60)
    assert best.status == "optimal"
    assert best.objective == pytest.approx(2520.0)
    assert solve(problem, "gpu_edf").objective == pytest.approx(3510.0)


def best_by_enumeration(problem: JobProblem) -> tuple[float, float]:
    """Least cost over all drops, cuts and processors of jobs in deadline order, timed by hand."""
    order = sorted(range(len(problem.jobs)), key=lambda j: (problem.jobs[j].deadline_us, problem.jobs[j].release_us))
    ways = []
    for j in order:
        n = problem.network_of[j].n_layers
        pairs = list(itertools.permutations(range(problem.n_processors), 2))
        ways.append(
            [(n, a, a) for a in range(problem.n_processors)] + [(k, a, b) for k in range(1, n) for a, b in pairs]
        )
        if problem.jobs[j].droppable:
            ways[-1].append((0, -1, -1))
    best = (np.inf, np.inf)
    for choice in itertools.product(*ways):
        free, misses, tardiness = [0.0] * problem.n_processors, 0.0, 0.0
        for j, (cut, a, b) in zip(order, choice, strict=True):
            job, network = problem.jobs[j], problem.network_of[j]
            if a < 0:
                misses += job.weight
                continue
            free[a] = end = max(free[a], job.release_us) + network.duration_us[:cut, a].sum()
            if a != b:
                arrived = end + network.transfer_us[cut - 1, a, b]
                free[b] = end = max(free[b], arrived) + network.duration_us[cut:, b].sum()
            if end > job.deadline_us:
                misses += job.weight if not job.hard else np.inf
                tardiness += end - job.deadline_us
        best = min(best, (misses, tardiness))
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("droppable", [0.0, 0.5])
def test_the_dynamic_program_is_exact_in_its_class(seed: int, droppable: float) -> None:
    kind = JobKind(layers=3, processors=2 + seed % 2, droppable=droppable, deadline_slack=0.5)
    problem = random_job_problem(kind, seed)
    found = solve(problem, "dynamic_program").evaluation
    assert found is not None
    # A job that may be dropped and is late counts like a dropped one.
    expected = best_by_enumeration(problem)
    assert found.cost[0] == expected[0]
    assert found.cost[1] <= expected[1] + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_few_labels_still_give_a_schedule(seed: int) -> None:
    problem = random_job_problem(JobKind(jobs=8, layers=4, droppable=1.0, deadline_slack=0.4), seed)
    few = DynamicProgram(most_labels=8).solve(problem, TimeLimit(20), 0)
    many = DynamicProgram().solve(problem, TimeLimit(20), 0)
    assert few.objective is not None
    assert many.objective is not None
    assert few.objective >= many.objective


def test_contention_is_worth_waiting_for() -> None:
    one = JobNetwork.build("one", [[10.0, 12.0]])
    jobs = [Job("a", "one"), Job("b", "one")]
    problem = JobProblem.build(["x", "y"], [one], jobs, slowdown=1.25, objective="makespan")
    # Side by side: 10 of work at speed 0.8 takes 12.5; the other has done 10 of its 12 by then.
    together = solve(problem, "cp_sat", time_limit_s=20)
    assert together.objective == pytest.approx(14.5)
    apart = solve(problem.replace(slowdown=np.array([[1.0, 4.0], [4.0, 1.0]])), "cp_sat", time_limit_s=20)
    assert apart.objective == pytest.approx(20.0)


@pytest.mark.parametrize("seed", range(4))
def test_contended_answers_keep_their_bounds(seed: int) -> None:
    kind = JobKind(jobs=2, layers=2, slowdown=1.3, deadline_slack=0.6)
    contended = solve(random_job_problem(kind, seed), "cp_sat", time_limit_s=10)
    free = solve(random_job_problem(JobKind(jobs=2, layers=2, deadline_slack=0.6), seed), "brute_force")
    assert contended.objective is not None
    assert free.objective is not None
    assert contended.bound is not None
    assert contended.objective >= free.objective - 1e-9
    assert contended.bound <= contended.objective + 1e-9


def test_times_that_are_no_multiples_of_a_tick_are_bounded_from_both_sides() -> None:
    third = JobNetwork.build("third", [[10.0 / 3, 20.0 / 7], [1.0 / 3, 22.0 / 7]])
    problem = JobProblem.build(["x", "y"], [third], [Job("a", "third"), Job("b", "third")], objective="makespan")
    found, best = solve(problem, "cp_sat", time_limit_s=20), solve(problem, "brute_force")
    assert best.objective is not None
    assert found.objective == pytest.approx(best.objective, abs=0.01)
    assert found.bound is not None
    assert found.bound <= best.objective + 1e-9
    assert found.bound == pytest.approx(best.objective, abs=0.01)


@pytest.mark.parametrize("method", ["cp_sat", "brute_force"])
def test_the_deadlines_that_clash_are_named(method: str) -> None:
    network = JobNetwork.build("n", [[10.0]], weight_bytes=5.0)
    jobs = [Job(name, "n", 0.0, 15.0, hard=name in "ab") for name in "abc"]
    problem = JobProblem.build(["x"], [network], jobs, memory_bytes=100.0)
    found = solve(problem, method, time_limit_s=20)
    assert found.status == "infeasible"
    assert found.clashes == ("hard deadline of job 'a': 15 µs", "hard deadline of job 'b': 15 µs")
    small = solve(problem.replace(memory_bytes=np.array([4.0])), method, time_limit_s=20)
    assert small.clashes == ("memory of processor 'x': 4 bytes",)
