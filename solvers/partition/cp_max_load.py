"""CP-SAT model of a max-load partition over groups and slots.

Variables: x[i, s] group i runs on slot s; y[e, s] slot s pays for net e; L the largest load. Without contiguity the
slots are the devices, accelerators first. With contiguity they are the places of a chain, each of which is either kind
of device, and a group never stands before one that feeds it.

Times become integers, rounded down, so that the bound of the model is one of the problem; its partitions are scored by
the evaluator, so that rounding can cost some quality but no truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from ..cp_run import run_cp_sat
from ..stop import Stop
from .reduced import Reduced

_STEPS = 1_000_000_000
"""Integer steps of the largest load of interest; a load of up to a few thousand terms is short by 1e-6 at most."""

_ORDERED = 60
"""Groups, the longest first, whose accelerators are numbered in order of first use: others change little."""


@dataclass(frozen=True, eq=False)
class CpAnswer:
    """What CP-SAT found: a device for each group, if any below the limit, and a proven bound up to the limit."""

    device: NDArray[np.int64] | None
    bound: float
    proven: bool


def cp_max_load(groups: Reduced, limit: float, hint: NDArray[np.int64] | None, stop: Stop, seed: int) -> CpAnswer:
    """Search for a partition whose largest load is at most a limit.

    Parameters
    ----------
    groups : Reduced
    limit : float
        Where nothing is found and all was searched, every partition's largest load is larger.
    hint : ndarray of int, shape (g,), optional
        Device of each group, to start from.
    stop : Stop
    seed : int
    """
    model = _Model(groups, limit)
    if hint is not None and not groups.problem.contiguous:
        for i, device in enumerate(hint.tolist()):
            for s in range(model.n_slots):
                model.cp.add_hint(model.x[i][s], int(s == device))
    return model.solve(stop, seed)


class _Model:
    def __init__(self, groups: Reduced, limit: float) -> None:
        problem = groups.problem
        self.groups = groups
        self.limit = limit
        self.n_slots = problem.n_accelerators + problem.n_cpus
        # Under a limit of nothing every positive time is too long; any scale says so.
        self.scale = _STEPS / limit if limit > 0 else 1.0
        self.cp = cp_model.CpModel()
        self.x = [[self.cp.new_bool_var("") for _ in range(self.n_slots)] for _ in range(groups.n_groups)]
        self.longest = self.cp.new_int_var(0, int(np.floor(limit * self.scale)), "")
        if problem.contiguous:
            is_cpu = [self.cp.new_bool_var("") for _ in range(self.n_slots)]
            self.cp.add(sum(is_cpu) == problem.n_cpus)
            self.is_cpu: list[cp_model.IntVar] | None = is_cpu
        else:
            self.is_cpu = None
        for row in self.x:
            self.cp.add_exactly_one(row)
        for s in range(self.n_slots):
            self._slot(s)
        if problem.contiguous:
            self._chain()
        else:
            self._symmetry()
        self.cp.minimize(self.longest)

    def _rounded(self, time: float) -> int:
        return int(np.floor(time * self.scale))

    def _slot(self, s: int) -> None:
        if self.is_cpu is not None:
            self._cpu(s, [self.is_cpu[s]])
            self._accelerator(s, [self.is_cpu[s].negated()])
        elif s < self.groups.problem.n_accelerators:
            self._accelerator(s, [])
        else:
            self._cpu(s, [])

    def _cpu(self, s: int, only_if: list[cp_model.BoolVarT]) -> None:
        terms = []
        for i, time in enumerate(self.groups.cpu.tolist()):
            if time > self.limit * (1 + 1e-9):
                self.cp.add_bool_and([self.x[i][s].negated()]).only_enforce_if(only_if)
            elif self._rounded(time):
                terms.append(self._rounded(time) * self.x[i][s])
        self.cp.add(sum(terms) <= self.longest).only_enforce_if(only_if)

    def _accelerator(self, s: int, only_if: list[cp_model.BoolVarT]) -> None:
        groups, problem = self.groups, self.groups.problem
        terms = []
        for i, time in enumerate(groups.accelerator.tolist()):
            if time > self.limit * (1 + 1e-9):
                self.cp.add_bool_and([self.x[i][s].negated()]).only_enforce_if(only_if)
            elif self._rounded(time):
                terms.append(self._rounded(time) * self.x[i][s])
        for e, cost in enumerate(groups.net_cost.tolist()):
            if not self._rounded(cost):
                continue
            pays = self.cp.new_bool_var("")
            pins = groups.pins[e].tolist()
            # Around a circle of pins: unless all are in or all are out, somewhere one is in and the next is out.
            for p, q in zip(pins, pins[1:] + pins[:1], strict=True):
                self.cp.add_bool_or(self.x[p][s].negated(), self.x[q][s], pays)
            terms.append(min(self._rounded(cost), 4 * _STEPS) * pays)
        self.cp.add(sum(terms) <= self.longest).only_enforce_if(only_if)
        capacity = problem.accelerator_bytes
        if groups.size.sum() > capacity:
            steps = 1 << 30
            held = [int(size / capacity * steps) if capacity else int(size > 0) for size in groups.size.tolist()]
            full = steps + (steps >> 20) if capacity else 0
            self.cp.add(sum(h * self.x[i][s] for i, h in enumerate(held) if h) <= full).only_enforce_if(only_if)

    def _chain(self) -> None:
        for u, v in self.groups.edges.tolist():
            for s in range(self.n_slots - 1):
                # If v stands at s or before, so does u.
                self.cp.add(sum(self.x[u][: s + 1]) >= sum(self.x[v][: s + 1]))

    def _symmetry(self) -> None:
        """Accelerators, and CPU cores, are alike: number them by the first group, longest first, that uses them."""
        groups, k = self.groups, self.groups.problem.n_accelerators
        time = np.where(np.isfinite(groups.accelerator), groups.accelerator, -1.0)
        ranked = np.argsort(-time, kind="stable").tolist()
        for first, last in ((0, k), (k, self.n_slots)):
            for place, i in enumerate(ranked[:_ORDERED]):
                for s in range(first + 1, last):
                    earlier = [self.x[j][s - 1] for j in ranked[:place]]
                    self.cp.add_bool_or(self.x[i][s].negated(), *earlier)

    def solve(self, stop: Stop, seed: int) -> CpAnswer:
        if stop():
            return CpAnswer(None, 0.0, False)
        solver, status = run_cp_sat(self, stop, seed)
        if status in ("OPTIMAL", "FEASIBLE"):
            slot = np.array([[solver.boolean_value(v) for v in row] for row in self.x]).argmax(axis=1)
            kinds = None if self.is_cpu is None else [solver.boolean_value(v) for v in self.is_cpu]
            bound = min(solver.best_objective_bound / self.scale, self.limit)
            return CpAnswer(self._devices(slot, kinds), bound, status == "OPTIMAL")
        if status == "INFEASIBLE":
            return CpAnswer(None, self.limit, True)
        bound = 0.0 if solver.response_proto is None else solver.best_objective_bound / self.scale
        return CpAnswer(None, max(0.0, min(bound, self.limit)), False)

    def _devices(self, slot: NDArray[np.int64], is_cpu: list[bool] | None) -> NDArray[np.int64]:
        if is_cpu is None:
            return slot
        place = np.empty(self.n_slots, dtype=np.int64)
        place[~np.array(is_cpu)] = np.arange(self.groups.problem.n_accelerators)
        place[np.array(is_cpu)] = self.groups.problem.n_accelerators + np.arange(self.groups.problem.n_cpus)
        return place[slot]
