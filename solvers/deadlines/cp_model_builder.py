"""The CP-SAT model of a job problem: a layer is an interval on one processor. Times are integers, in ticks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...formulation import JobProblem, JobSchedule
from .timing import FlatJobs

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

Rounding = Literal["up", "down"]
"""``up``: durations and releases up and deadlines down, so that what fits the model fits the problem; ``down``: the
other way and without contention, so that what fits the problem fits the model."""

TICKS_US = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
"""Ticks that are tried, the longest first, for one of which all times are multiples; else the last one is taken."""
LOSS_PARTS = 1000
"""A loss of speed is counted in these parts, rounded up."""
WEIGHT_PARTS = 10**6
"""A job's weight is counted in these parts of the largest weight, rounded to the nearest."""

_WHOLE = 1e-6
"""A time this close to a multiple of a tick is one."""


def tick_us(problem: JobProblem) -> tuple[float, bool]:
    """Longest tick that all times are multiples of, or the shortest; and whether they are, and bytes are whole."""
    held = np.concatenate([n.weight_bytes.ravel() for n in problem.networks])
    bytes_whole = bool(np.all(held == np.round(held)))
    parts = [a for n in problem.networks for a in (n.duration_us.ravel(), n.transfer_us.ravel())]
    parts += [np.array([job.release_us, job.deadline_us]) for job in problem.jobs]
    times_us = np.concatenate(parts)
    times_us = np.unique(times_us[np.isfinite(times_us)])
    for tick in TICKS_US:
        ticks = times_us / tick
        if np.all(np.abs(ticks - np.round(ticks)) <= _WHOLE):
            return tick, bytes_whole
    return TICKS_US[-1], False


class JobModel:
    """Everything of a job problem but its objective.

    Parameters
    ----------
    problem : JobProblem
    flat : FlatJobs
        Of the same problem.
    tick : float
        In microseconds.
    rounding : {'up', 'down'}
    """

    def __init__(self, problem: JobProblem, flat: FlatJobs, tick: float, rounding: Rounding) -> None:
        from ortools.sat.python import cp_model

        self.problem, self.flat, self.tick, self._up = problem, flat, tick, rounding == "up"
        self.cp = cp_model.CpModel()
        n, p = flat.duration_us.shape
        contended = problem.contended and self._up
        able = np.isfinite(flat.duration_us)
        slowest = LOSS_PARTS / (LOSS_PARTS - math.ceil(problem.loss.sum(axis=1).max() * LOSS_PARTS)) if contended else 1
        most_us = np.where(able, flat.duration_us, 0.0).max(axis=1).sum() * slowest
        most_us += flat.transfer_us.max(axis=(1, 2)).sum() + flat.release_us.max()
        self.horizon = math.ceil(most_us / tick) + 4 * n
        self.runs = [self.cp.new_bool_var("") if job.droppable else 1 for job in problem.jobs]
        self.on: list[dict[int, cp_model.IntVar]] = []
        self.start, self.end = [], []
        lanes: list[list[cp_model.IntervalVar]] = [[] for _ in range(p)]
        for i in range(n):
            at, until = (self.cp.new_int_var(self._more(flat.release_us[i]), self.horizon, "") for _ in range(2))
            choices = {int(a): self.cp.new_bool_var("") for a in np.flatnonzero(able[i])}
            self.cp.add(sum(choices.values()) == self.runs[flat.owner[i]])
            for a, chosen in choices.items():
                ticks = self._more(flat.duration_us[i, a])
                size = self.cp.new_int_var(ticks, math.ceil(ticks * slowest) + n, "") if contended else ticks
                lanes[a].append(self.cp.new_optional_interval_var(at, size, until, chosen, ""))
            self.on.append(choices)
            self.start.append(at)
            self.end.append(until)
        for lane in lanes:
            self.cp.add_no_overlap(lane)
        self._add_precedence()
        self._add_memory()
        if contended:
            self._add_contention()
        self.misses, self.tardiness = self._add_deadlines()

    def _more(self, us: float) -> int:
        return math.ceil(us / self.tick - _WHOLE) if self._up else math.floor(us / self.tick + _WHOLE)

    def _less(self, us: float) -> int:
        return math.floor(us / self.tick + _WHOLE) if self._up else math.ceil(us / self.tick - _WHOLE)

    def _add_precedence(self) -> None:
        flat = self.flat
        for i in range(len(self.on)):
            for u in flat.producers[flat.first[i] : flat.first[i + 1]]:
                # Dropped jobs keep the order too, which costs them nothing: the horizon has room.
                self.cp.add(self.start[i] >= self.end[u])
                for a, left in self.on[u].items():
                    for b, entered in self.on[i].items():
                        ticks = self._more(flat.transfer_us[u, a, b])
                        if ticks > 0:
                            self.cp.add(self.start[i] >= self.end[u] + ticks).only_enforce_if(left, entered)

    def _add_memory(self) -> None:
        problem, whole = self.problem, math.ceil if self._up else math.floor
        for p in np.flatnonzero(np.isfinite(problem.memory_bytes)):
            used = []
            for network in problem.networks:
                jobs = [j for j, job in enumerate(problem.jobs) if job.network == network.name]
                for layer in np.flatnonzero((network.weight_bytes[:, p] > 0) & np.isfinite(network.duration_us[:, p])):
                    held = self.cp.new_bool_var("")
                    for j in jobs:
                        self.cp.add_implication(self.on[problem.offsets[j] + layer][int(p)], held)
                    used.append(whole(network.weight_bytes[layer, p]) * held)
            most = problem.memory_bytes[p]
            self.cp.add(sum(used) <= (math.floor(most) if self._up else math.ceil(most)))

    def _add_contention(self) -> None:
        """The length of a layer grows by its loss of speed times the time that another layer runs beside it."""
        losses = np.ceil(self.problem.loss * LOSS_PARTS - _WHOLE).astype(int)
        extra: list[list[tuple[cp_model.IntVar, int]]] = [[] for _ in self.on]
        for i in range(len(self.on)):
            for k in range(i):
                first, last = self.cp.new_int_var(0, self.horizon, ""), self.cp.new_int_var(0, self.horizon, "")
                self.cp.add_max_equality(first, [self.start[i], self.start[k]])
                self.cp.add_min_equality(last, [self.end[i], self.end[k]])
                for a, mine in self.on[i].items():
                    for b, other in self.on[k].items():
                        if a == b or losses[a, b] + losses[b, a] == 0:
                            continue
                        beside = self.cp.new_int_var(0, self.horizon, "")
                        self.cp.add(beside >= last - first).only_enforce_if(mine, other)
                        extra[i].append((beside, int(losses[a, b])))
                        extra[k].append((beside, int(losses[b, a])))
        for i, choices in enumerate(self.on):
            alone = sum(self._more(self.flat.duration_us[i, a]) * chosen for a, chosen in choices.items())
            longer = sum(parts * beside for beside, parts in extra[i])
            self.cp.add(LOSS_PARTS * (self.end[i] - self.start[i]) >= LOSS_PARTS * alone + longer)

    def _add_deadlines(self) -> tuple[cp_model.LinearExpr | int, cp_model.LinearExpr | int]:
        """Weighted misses, in parts, and tardiness, in ticks."""
        problem = self.problem
        largest = max((job.weight for job in problem.jobs), default=0.0) or 1.0
        misses, tardiness = 0, 0
        for j, job in enumerate(problem.jobs):
            parts = round(job.weight / largest * WEIGHT_PARTS)
            ends = self.end[problem.offsets[j] : problem.offsets[j + 1]]
            if job.droppable:
                misses += parts * (1 - self.runs[j])
            if not math.isfinite(job.deadline_us):
                continue
            due = self._less(job.deadline_us)
            if job.droppable or job.hard:
                # A job that may be dropped is better dropped than late.
                for end in ends:
                    strict = self.cp.add(end <= due)
                    if job.droppable:
                        strict.only_enforce_if(self.runs[j])
                continue
            late, behind = self.cp.new_bool_var(""), self.cp.new_int_var(0, self.horizon, "")
            for end in ends:
                self.cp.add(end <= due).only_enforce_if(late.negated())
                self.cp.add(behind >= end - due)
            misses += parts * late
            tardiness += behind
        self.weight_unit = largest / WEIGHT_PARTS
        return misses, tardiness

    def makespan(self) -> cp_model.IntVar:
        """When everything has ended, in ticks."""
        last = self.cp.new_int_var(0, self.horizon, "makespan")
        for end in self.end:
            self.cp.add(last >= end)
        return last

    def hint(self, schedule: JobSchedule) -> None:
        """Start the search from a schedule."""
        processor, start_us = np.concatenate(schedule.processor), np.concatenate(schedule.start_us)
        for j, runs in enumerate(self.runs):
            if not isinstance(runs, int):
                self.cp.add_hint(runs, int(j not in schedule.dropped))
        for i, choices in enumerate(self.on):
            for a, chosen in choices.items():
                self.cp.add_hint(chosen, int(processor[i] == a))
            if processor[i] >= 0:
                self.cp.add_hint(self.start[i], math.ceil(start_us[i] / self.tick - _WHOLE))

    def schedule(self, solver: cp_model.CpSolver) -> JobSchedule:
        """What CP-SAT found."""
        processor = np.full(len(self.on), -1, dtype=np.int64)
        for i, choices in enumerate(self.on):
            for a, chosen in choices.items():
                if solver.boolean_value(chosen):
                    processor[i] = a
        start_us = np.array([solver.value(at) for at in self.start]) * self.tick
        return self.flat.schedule(processor, start_us)
