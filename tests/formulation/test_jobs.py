"""Job problems and their evaluator, against cases that can be counted by hand."""

from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import (
    CostError,
    GraphError,
    Job,
    JobNetwork,
    JobProblem,
    JobSchedule,
    PeriodicJob,
    PlanError,
    PlatformError,
    WorkloadError,
    evaluate_jobs,
    over_hyperperiod,
)
from edgeplan.solvers.deadlines.testing import hax_conn


def schedule(*jobs: tuple[list[int], list[float]]) -> JobSchedule:
    return JobSchedule(
        tuple(np.array(p, dtype=np.int64) for p, _ in jobs), tuple(np.array(s, dtype=np.float64) for _, s in jobs)
    )


def two_networks(**rest: Any) -> JobProblem:
    chain = JobNetwork.build("chain", [[10.0, 20.0], [30.0, 5.0]], transfer_us=2.0, weight_bytes=[100.0, 50.0])
    single = JobNetwork.build("single", [[8.0, 16.0]], weight_bytes=7.0)
    jobs = [Job("a", "chain", deadline_us=20.0), Job("b", "single", 5.0, 20.0, 3.0, droppable=True)]
    return JobProblem.build(["gpu", "dla"], [chain, single], jobs, **rest)


def test_a_schedule_is_scored() -> None:
    found = evaluate_jobs(two_networks(), schedule(([0, 1], [0, 12]), ([0], [10])))
    assert found.feasible
    assert found.finish_us.tolist() == [17.0, 18.0]
    assert found.memory_bytes.tolist() == [107.0, 50.0]
    assert found.cost == (0.0, 0.0)
    late = evaluate_jobs(two_networks(), schedule(([0, 1], [0, 20]), ([0], [15])))
    assert late.feasible
    assert (late.weighted_misses, late.total_tardiness_us, late.missed) == (4.0, 5.0 + 3.0, (0, 1))
    dropped = evaluate_jobs(two_networks(), schedule(([0, 1], [0, 12]), ([-1], [0])))
    assert dropped.feasible
    assert (dropped.weighted_misses, dropped.makespan_us) == (3.0, 17.0)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (schedule(([0, 1], [0, 11]), ([0], [10])), "reads layer 0, by 1.000"),
        (schedule(([0, 1], [0, 12]), ([0], [9])), "runs two layers at once"),
        (schedule(([0, 1], [10, 22]), ([0], [2])), "before their job's release"),
        (schedule(([-1, -1], [0, 0]), ([0], [5])), "dropped that must run"),
    ],
)
def test_what_is_broken_is_said(broken: JobSchedule, says: str) -> None:
    assert any(says in violation for violation in evaluate_jobs(two_networks(), broken).violations)


def test_memory_is_shared_by_jobs_of_one_network() -> None:
    problem = two_networks(memory_bytes=[106.0, 50.0])
    assert "holds weights" in evaluate_jobs(problem, schedule(([0, 1], [0, 12]), ([0], [10]))).violations[0]
    assert evaluate_jobs(problem, schedule(([0, 1], [0, 12]), ([1], [17]))).violations != ()
    twice = problem.replace(jobs=(Job("a", "chain"), Job("c", "chain")))
    assert evaluate_jobs(twice, schedule(([0, 1], [0, 12]), ([0, 1], [10, 22]))).feasible


def test_contention_stretches_what_overlaps() -> None:
    one = JobNetwork.build("one", [[10.0, 10.0]])
    jobs = [Job("a", "one"), Job("b", "one")]
    problem = JobProblem.build(["x", "y"], [one], jobs, slowdown=[[1.0, 2.0], [1.25, 1.0]], objective="makespan")
    # Job a: 4 alone, then at half speed while b runs. Job b at 0.8 until a ends at 16, then alone.
    found = evaluate_jobs(problem, schedule(([0], [0.0]), ([1], [4.0])))
    assert found.finish_us == pytest.approx([4.0 + 12.0, 16.0 + (10.0 - 12.0 * 0.8)])
    apart = evaluate_jobs(problem, schedule(([0], [0.0]), ([1], [10.0])))
    assert apart.finish_us == pytest.approx([10.0, 20.0])


def test_hax_conn_s_published_order_is_refused() -> None:
    problem = hax_conn()
    gpu = [np.zeros(network.n_layers, dtype=np.int64) for network in problem.network_of]
    first = np.cumsum([0.0, *problem.network_of[0].duration_us[:-1, 0]])
    ends = first[-1] + problem.network_of[0].duration_us[-1, 0]
    second = ends + np.cumsum([0.0, *problem.network_of[1].duration_us[:-1, 0]])
    serial = evaluate_jobs(problem, JobSchedule(tuple(gpu), (first, second)))
    assert serial.feasible
    assert serial.makespan_us == pytest.approx(3510.0)
    early = second.copy()
    early[1] = early[0]
    violations = evaluate_jobs(problem, JobSchedule(tuple(gpu), (first, early))).violations
    assert any("layer 1 of 'AlexNet', which reads layer 0" in violation for violation in violations)


def test_bad_input_is_refused() -> None:
    with pytest.raises(GraphError):
        JobNetwork.build("n", [[1.0], [1.0]], edges=[(1, 0)])
    with pytest.raises(CostError):
        JobNetwork.build("n", [[1.0], [-1.0]])
    with pytest.raises(CostError):
        JobNetwork.build("n", [[1.0, 1.0], [np.inf, np.inf]])
    with pytest.raises(WorkloadError):
        JobProblem.build(["p"], [], [Job("a", "nothing")])
    with pytest.raises(WorkloadError):
        two_networks(objective="makespan")
    with pytest.raises(PlatformError):
        two_networks(slowdown=0.5)
    with pytest.raises(PlanError):
        evaluate_jobs(two_networks(), schedule(([0, 2], [0, 12]), ([0], [10])))
    with pytest.raises(PlanError):
        evaluate_jobs(two_networks(), schedule(([0], [0]), ([0], [10])))


def test_periodic_jobs_repeat_until_the_hyperperiod() -> None:
    jobs = over_hyperperiod([PeriodicJob("a", "n", 20.0), PeriodicJob("b", "n", 30.0, 10.0, 0.5)])
    assert [(job.name, job.release_us, job.deadline_us) for job in jobs] == [
        ("a#0", 0.0, 20.0),
        ("b#0", 0.5, 10.5),
        ("a#1", 20.0, 40.0),
        ("b#1", 30.5, 40.5),
        ("a#2", 40.0, 60.0),
    ]
    assert len(over_hyperperiod([PeriodicJob("a", "n", 0.1), PeriodicJob("b", "n", 0.3)])) == 4
    with pytest.raises(WorkloadError, match="common unit"):
        over_hyperperiod([PeriodicJob("a", "n", 1000.003), PeriodicJob("b", "n", 777.77)])
    with pytest.raises(WorkloadError):
        over_hyperperiod([PeriodicJob("a", "n", 0.0)])
