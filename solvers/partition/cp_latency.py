"""CP-SAT model of the latency of one sample.

Variables: x[u, b] unit u runs in block b, the last b being the CPU; when each node's output is in the host's memory;
when each block starts and ends. A unit is a colour where each accelerator has one block, else a node. Times are
rounded down, so that the bound of the model is one of the problem.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from ...formulation import PartitionProblem
from ..cp_run import run_cp_sat
from ..stop import Stop
from .bounds import earliest

_STEPS = 1_000_000_000


class CpLatency:
    """The model, for latencies of at most a limit.

    Parameters
    ----------
    problem : PartitionProblem
    limit : float
        An upper bound on the latencies of interest.

    Attributes
    ----------
    cp : ortools.sat.python.cp_model.CpModel
    """

    def __init__(self, problem: PartitionProblem, limit: float) -> None:
        self.problem = problem
        self.limit = limit
        self.scale = _STEPS / limit if limit > 0 else 1.0
        self.most = int(np.floor(limit * self.scale))
        self.n_blocks = problem.n_accelerators * problem.blocks
        one_block = problem.blocks == 1
        self.unit = problem.colour if one_block else np.arange(problem.n_nodes)
        self.cp = cp_model.CpModel()
        n_units = int(self.unit.max()) + 1
        self.x = [[self.cp.new_bool_var("") for _ in range(self.n_blocks + 1)] for _ in range(n_units)]
        for row in self.x:
            self.cp.add_exactly_one(row)
        least = earliest(problem)
        floor = [min(self._ticks(float(t)), self.most) for t in least.min(axis=1)]
        self.ready = [self.cp.new_int_var(t, self.most, "") for t in floor]
        self.start = [self.cp.new_int_var(0, self.most, "") for _ in range(self.n_blocks)]
        self.finish = [self.cp.new_int_var(0, self.most, "") for _ in range(self.n_blocks)]
        self.last = self.cp.new_int_var(max(floor), self.most, "")
        self._cpu(least)
        for b in range(self.n_blocks):
            self._block(b)
        self._memory()
        if not one_block:
            self._colours()
        self._symmetry()
        self.cp.add_max_equality(self.last, self.ready)
        self.cp.minimize(self.last)

    def _ticks(self, time: float) -> int:
        return min(int(np.floor(time * self.scale)), self.most + 1)

    def _in(self, node: int, b: int) -> cp_model.IntVar:
        return self.x[int(self.unit[node])][b]

    def _cpu(self, least: NDArray[np.float64]) -> None:
        for i, time in enumerate(self.problem.cpu_time.tolist()):
            on_cpu = self._in(i, self.n_blocks)
            at_least = max(self._ticks(time), self._ticks(float(least[i, 1])))
            self.cp.add(self.ready[i] >= at_least).only_enforce_if(on_cpu)
        for u, v in self.problem.edges.tolist():
            time = self._ticks(float(self.problem.cpu_time[v]))
            self.cp.add(self.ready[v] >= self.ready[u] + time * self._in(v, self.n_blocks))

    def _block(self, b: int) -> None:
        problem = self.problem
        terms = []
        for i, time in enumerate(problem.accelerator_time.tolist()):
            inside = self._in(i, b)
            if np.isinf(time):
                self.cp.add(inside == 0)
                continue
            if self._ticks(time):
                terms.append(self._ticks(time) * inside)
            self.cp.add(self.ready[i] >= self.finish[b]).only_enforce_if(inside)
        consumers: dict[int, list[int]] = {}
        for u, v in problem.edges.tolist():
            consumers.setdefault(u, []).append(v)
        for u, readers in consumers.items():
            # The block takes u in where it reads it from outside, and hands it out where it is read outside.
            takes, hands = self.cp.new_bool_var(""), self.cp.new_bool_var("")
            for v in readers:
                self.cp.add_bool_or(self._in(v, b).negated(), self._in(u, b), takes)
                self.cp.add_bool_or(self._in(u, b).negated(), self._in(v, b), hands)
            cost = self._ticks(float(problem.transfer_time[u]))
            if cost:
                terms += [cost * takes, cost * hands]
            self.cp.add(self.start[b] >= self.ready[u]).only_enforce_if(takes)
        self.cp.add(self.finish[b] >= self.start[b] + sum(terms))
        if b % problem.blocks:
            self.cp.add(self.start[b] >= self.finish[b - 1])

    def _memory(self) -> None:
        problem = self.problem
        capacity = problem.accelerator_bytes
        if problem.size_bytes.sum() <= capacity:
            return
        steps = 1 << 30
        held = [int(size / capacity * steps) if capacity else int(size > 0) for size in problem.size_bytes.tolist()]
        full = steps + (steps >> 20) if capacity else 0
        for a in range(problem.n_accelerators):
            own = range(a * problem.blocks, (a + 1) * problem.blocks)
            self.cp.add(sum(h * self._in(i, b) for i, h in enumerate(held) if h for b in own) <= full)

    def _colours(self) -> None:
        problem = self.problem
        first: dict[int, int] = {}
        for i, colour in enumerate(problem.colour.tolist()):
            j = first.setdefault(colour, i)
            if j == i:
                continue
            for a in range(problem.n_accelerators):
                own = range(a * problem.blocks, (a + 1) * problem.blocks)
                self.cp.add(sum(self._in(i, b) for b in own) == sum(self._in(j, b) for b in own))

    def _symmetry(self) -> None:
        """Accelerators are alike: they are numbered by the start of their first block."""
        q = self.problem.blocks
        for a in range(1, self.problem.n_accelerators):
            self.cp.add(self.start[(a - 1) * q] <= self.start[a * q])

    def hint(self, device: NDArray[np.int64], block: NDArray[np.int64]) -> None:
        """Start from a partition of the nodes."""
        k, q = self.problem.n_accelerators, self.problem.blocks
        seen: set[int] = set()
        for i, u in enumerate(self.unit.tolist()):
            if u not in seen:
                seen.add(u)
                at = int(device[i]) * q + int(block[i]) if device[i] < k else self.n_blocks
                for b in range(self.n_blocks + 1):
                    self.cp.add_hint(self.x[u][b], int(b == at))

    def solve(self, stop: Stop, seed: int) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]] | None, float, bool]:
        """Device and block of each node if a partition was found; a bound up to the limit; whether all was searched."""
        if stop():
            return None, 0.0, False
        solver, status = run_cp_sat(self, stop, seed)
        if status == "INFEASIBLE":
            return None, self.limit, True
        if status not in ("OPTIMAL", "FEASIBLE"):
            bound = 0.0 if solver.response_proto is None else solver.best_objective_bound / self.scale
            return None, max(0.0, min(bound, self.limit)), False
        at = np.array([[solver.boolean_value(v) for v in row] for row in self.x]).argmax(axis=1)[self.unit]
        q = self.problem.blocks
        device = np.where(at < self.n_blocks, at // q, self.problem.n_accelerators)
        block = np.where(at < self.n_blocks, at % q, 0)
        return (device, block), min(solver.best_objective_bound / self.scale, self.limit), status == "OPTIMAL"
