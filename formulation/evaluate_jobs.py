"""The one evaluator of job schedules: when each layer ends, which deadlines are missed, and which limits break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError, capped
from .jobs import JobProblem

TIME_TOLERANCE_US = 1e-6
"""Slack of every comparison of times: they are sums of floats that depend on their order."""
MEMORY_TOLERANCE = 1e-9
"""Relative slack of the memory limits, for the same reason."""


@dataclass(frozen=True, eq=False)
class JobSchedule:
    """Where and when each layer of each job starts; when it ends follows from that.

    Attributes
    ----------
    processor : tuple of ndarray of int, each of shape (layers of the job,)
        -1 for every layer of a dropped job.
    start_us : tuple of ndarray, each of shape (layers of the job,)
        Not looked at for a dropped job.
    """

    processor: tuple[NDArray[np.int64], ...]
    start_us: tuple[NDArray[np.float64], ...]

    @property
    def dropped(self) -> tuple[int, ...]:
        """Indices of the jobs that are left out."""
        return tuple(j for j, processor in enumerate(self.processor) if np.all(processor < 0))

    def without(self, jobs: Sequence[int]) -> JobSchedule:
        """Copy that drops some jobs as well."""
        gone = set(jobs)
        processor = tuple(np.full_like(p, -1) if j in gone else p for j, p in enumerate(self.processor))
        return JobSchedule(processor, self.start_us)


@dataclass(frozen=True, eq=False)
class JobEvaluation:
    """What a schedule costs.

    Attributes
    ----------
    objective : float
        Weighted misses or makespan, as the problem asks.
    weighted_misses : float
        Weight of the jobs that are late or dropped.
    total_tardiness_us : float
        Of the jobs that run.
    makespan_us : float
    finish_us : ndarray, shape (jobs,)
        Infinite for a dropped job.
    layer_finish_us : tuple of ndarray
        Like `JobSchedule.start_us`.
    memory_bytes : ndarray, shape (P,)
    missed : tuple of int
        Jobs that are late or dropped.
    violations : tuple of str
        What is broken, for people; empty where the schedule is feasible.
    objective_is_misses : bool
        Whether the problem's objective is ``deadlines``.
    """

    objective: float
    weighted_misses: float
    total_tardiness_us: float
    makespan_us: float
    finish_us: NDArray[np.float64]
    layer_finish_us: tuple[NDArray[np.float64], ...]
    memory_bytes: NDArray[np.float64]
    missed: tuple[int, ...]
    violations: tuple[str, ...]
    objective_is_misses: bool

    @property
    def feasible(self) -> bool:
        """Whether nothing is broken."""
        return not self.violations

    @property
    def cost(self) -> tuple[float, float]:
        """What solvers minimise, in this order: weighted misses and total tardiness, or the makespan and 0."""
        return self.objective, self.total_tardiness_us if self.objective_is_misses else 0.0


def evaluate_jobs(problem: JobProblem, schedule: JobSchedule) -> JobEvaluation:
    """Score a schedule and check everything.

    A layer on processor a works at speed 1 - sum of ``loss[a, b]`` over the other processors b that are busy at that
    time, so ends follow from starts, in any contention.

    Parameters
    ----------
    problem : JobProblem
    schedule : JobSchedule

    Raises
    ------
    PlanError
        The schedule is for other jobs, or names processors that there are not.
    """
    _refuse_foreign(problem, schedule)
    jobs, offsets = problem.jobs, problem.offsets
    processor, start = np.concatenate(schedule.processor), np.concatenate(schedule.start_us)
    duration = np.concatenate([network.duration_us for network in problem.network_of])
    runs = np.flatnonzero(processor >= 0)
    owner = np.repeat(np.arange(len(jobs)), np.diff(offsets))
    violations: list[str] = []

    def name(i: int) -> str:
        return f"layer {i - offsets[owner[i]]} of {jobs[owner[i]].name!r}"

    unable = [name(i) for i in runs.tolist() if np.isinf(duration[i, processor[i]])]
    if unable:
        violations.append(f"a processor cannot run {capped(unable)}")
    work = np.zeros(len(start))
    work[runs] = np.where(np.isinf(duration[runs, processor[runs]]), 0.0, duration[runs, processor[runs]])
    layer_finish = _finishes(problem, runs, processor, start, work)
    violations += _order_violations(problem, schedule, layer_finish, name)
    for p in range(problem.n_processors):
        mine = runs[processor[runs] == p]
        mine = mine[np.lexsort((layer_finish[mine], start[mine]))]
        over = np.flatnonzero(start[mine[1:]] < layer_finish[mine[:-1]] - TIME_TOLERANCE_US)
        if len(over):
            pairs = capped(f"{name(mine[k])} and {name(mine[k + 1])}" for k in over)
            violations.append(f"{problem.processors[p]} runs two layers at once: {pairs}")
    memory = _memory(problem, schedule)
    for p in np.flatnonzero(memory > problem.memory_bytes * (1 + MEMORY_TOLERANCE)):
        violations.append(
            f"{problem.processors[p]} holds weights of {memory[p]:.0f} of {problem.memory_bytes[p]:.0f} bytes"
        )
    finish = np.full(len(jobs), np.inf)
    dropped = set(schedule.dropped)
    for j in range(len(jobs)):
        if j not in dropped:
            finish[j] = layer_finish[offsets[j] : offsets[j + 1]].max()
    deadline = np.array([job.deadline_us for job in jobs])
    late = [j for j in range(len(jobs)) if j not in dropped and finish[j] > deadline[j] + TIME_TOLERANCE_US]
    illegal = [jobs[j].name for j in sorted(dropped) if not jobs[j].droppable]
    if illegal:
        violations.append(f"jobs are dropped that must run: {capped(illegal)}")
    too_late = [jobs[j].name for j in late if jobs[j].hard]
    if too_late:
        violations.append(f"jobs miss hard deadlines: {capped(too_late)}")
    missed = tuple(sorted({*late, *dropped}))
    weighted = float(sum(jobs[j].weight for j in missed))
    makespan = float(max((finish[j] for j in range(len(jobs)) if j not in dropped), default=0.0))
    return JobEvaluation(
        objective=makespan if problem.objective == "makespan" else weighted,
        weighted_misses=weighted,
        total_tardiness_us=float(sum(finish[j] - deadline[j] for j in late)),
        makespan_us=makespan,
        finish_us=finish,
        layer_finish_us=tuple(np.split(layer_finish, offsets[1:-1])),
        memory_bytes=memory,
        missed=missed,
        violations=tuple(violations),
        objective_is_misses=problem.objective == "deadlines",
    )


def _refuse_foreign(problem: JobProblem, schedule: JobSchedule) -> None:
    expected = [network.n_layers for network in problem.network_of]
    shapes = [len(p) for p in schedule.processor], [len(s) for s in schedule.start_us]
    fits = shapes == (expected, expected) and all(
        (np.all(p == -1) or np.all((p >= 0) & (p < problem.n_processors))) and (np.all(p == -1) or np.isfinite(s).all())
        for p, s in zip(schedule.processor, schedule.start_us, strict=True)
    )
    if not fits:
        raise PlanError(
            "schedule",
            expected=f"a processor 0 … {problem.n_processors - 1} and a finite start for every layer of "
            f"{len(expected)} jobs, or -1 for all layers of a dropped one",
            got=f"{len(shapes[0])} jobs, or others",
            remedy="Take a schedule that was made for this problem.",
        )


def _order_violations(
    problem: JobProblem, schedule: JobSchedule, layer_finish: NDArray[np.float64], name: Callable[[int], str]
) -> list[str]:
    """Layers that start before their job is released, or before they have what they read."""
    early, unfed = [], []
    dropped = set(schedule.dropped)
    for j, network in enumerate(problem.network_of):
        if j in dropped:
            continue
        start, processor, first = schedule.start_us[j], schedule.processor[j], int(problem.offsets[j])
        early += [
            name(first + i) for i in np.flatnonzero(start < problem.jobs[j].release_us - TIME_TOLERANCE_US).tolist()
        ]
        u, v = network.edges[:, 0], network.edges[:, 1]
        ready = layer_finish[first + u] + network.transfer_us[u, processor[u], processor[v]]
        for k in np.flatnonzero(start[v] < ready - TIME_TOLERANCE_US):
            unfed.append(f"{name(first + v[k])}, which reads layer {u[k]}, by {ready[k] - start[v[k]]:.3f} µs")
    broken = [f"layers start before their job's release: {capped(early)}"] if early else []
    return broken + ([f"layers start before their input is there: {capped(unfed)}"] if unfed else [])


def _memory(problem: JobProblem, schedule: JobSchedule) -> NDArray[np.float64]:
    """Bytes that each processor keeps; jobs of one network share its weights."""
    held = {network.name: np.zeros(network.duration_us.shape, dtype=np.bool_) for network in problem.networks}
    for network, processor in zip(problem.network_of, schedule.processor, strict=True):
        layers = np.flatnonzero(processor >= 0)
        held[network.name][layers, processor[layers]] = True
    return sum(
        (np.where(held[network.name], network.weight_bytes, 0.0).sum(axis=0) for network in problem.networks),
        np.zeros(problem.n_processors),
    )


def _finishes(
    problem: JobProblem,
    runs: NDArray[np.int64],
    processor: NDArray[np.int64],
    start: NDArray[np.float64],
    work: NDArray[np.float64],
) -> NDArray[np.float64]:
    """When each layer that runs ends: speeds are constant between any two starts or ends."""
    if not problem.contended:
        return start + work
    finish, left = start.copy(), work.copy()
    waiting = sorted(runs.tolist(), key=lambda i: (start[i], i), reverse=True)
    active: list[int] = []
    now = 0.0
    while waiting or active:
        if not active:
            now = start[waiting[-1]]
        while waiting and start[waiting[-1]] <= now:
            active.append(waiting.pop())
        busy = np.zeros(problem.n_processors)
        busy[processor[active]] = 1.0
        # A processor never slows itself down: the diagonal of the loss is 0.
        speed = 1.0 - problem.loss[processor[active]] @ busy
        ends = now + left[active] / speed
        until = min(float(ends.min()), start[waiting[-1]] if waiting else np.inf)
        left[active] -= speed * (until - now)
        for i, end in zip(tuple(active), ends, strict=True):
            if end <= until:
                finish[i] = end
                active.remove(i)
        now = until
    return finish
