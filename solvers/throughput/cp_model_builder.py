"""Throughput planning as a CP-SAT model that no plan's true value exceeds: columns, lanes, core time, memory.

It is a relaxation: no request waits for a lane, batches are always full, and co-runs cost no more than those of the two
gentlest activities (`bounds.lane_time`); lanes of one kind are counted, not told apart. Rates are integers of a small
unit. To stay a relaxation, times and bytes are rounded down, limits up, and each model may fall short by a unit a
column. What CP-SAT proposes is scored by the evaluator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...formulation.throughput import ServiceLimit
from ...formulation.throughput.memory import weights_key
from .bounds import lane_time
from .offer import Offer
from .structure import Structure

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

STEPS = 20_000
"""Steps in which the objective is counted, from 0 to its bound by core time."""
_UNITS = 8
"""Units of a model's rate in a step."""
_WORK = 10**10
"""Lane time that a lane has a second, in integers."""
_KIB = 1024
_SHARE = 1000


class StructureModel:
    """Structures, as CP-SAT sees them.

    Parameters
    ----------
    offer : Offer
    bound : float
        Objective that no plan undercuts (`bounds.core_time_bound`), finite.
    kept : frozenset of ServiceLimit, optional
        Limits to keep; all where left out.
    """

    def __init__(self, offer: Offer, bound: float, kept: frozenset[ServiceLimit] | None = None) -> None:
        from ortools.sat.python import cp_model

        self.cp = cp_model.CpModel()
        self._offer, self._kept = offer, kept
        self._objective = offer.problem.service.objective
        models = range(len(offer.problem.models))
        self._sizes = [sorted({b.max_batch for b in options}) for options in offer.batchings]
        self.size = [[self.cp.new_bool_var(f"batch{i}_{b}") for b in self._sizes[i]] for i in models]
        self.lanes = [self.cp.new_int_var(0, offer.lanes_at_most(k), f"lanes{k}") for k in range(len(offer.kinds))]
        self.used = [self.cp.new_bool_var(f"used{c}") for c in range(len(offer.columns))]
        self.count = [self.cp.new_int_var(0, offer.most_instances(c), f"count{c}") for c in range(len(offer.columns))]
        self._structure()
        self._memory()
        self._unit_hz = self._units(bound)
        self._rates()
        self._aim(bound)

    def _keeps(self, kind: str, subject: str) -> bool:
        return self._kept is None or any(x.kind == kind and x.subject == subject for x in self._kept)

    def _structure(self) -> None:
        offer, cp = self._offer, self.cp
        for sizes in self.size:
            cp.add_exactly_one(sizes)
        for p in offer.problem.platform.processors:
            mine = [k for k, kind in enumerate(offer.kinds) if kind.processor == p.name]
            cp.add(sum(offer.kinds[k].threads * self.lanes[k] for k in mine) <= len(p.cores))
        for c, column in enumerate(offer.columns):
            cp.add(self.count[c] >= self.used[c])
            cp.add(self.count[c] <= offer.most_instances(c) * self.used[c])
            cp.add_implication(self.used[c], self.size[column.model][self._sizes[column.model].index(column.batch)])
            for k in column.kinds:
                cp.add(self.lanes[k] >= self.used[c])
            cp.add(self.count[c] <= sum(self.lanes[k] for k in column.kinds))
        for k in range(len(offer.kinds)):
            users = [c for c, column in enumerate(offer.columns) if k in column.kinds]
            cp.add(self.lanes[k] <= sum(self.count[c] for c in users))
            for i in range(len(offer.batchings)):
                cp.add_at_most_one(self.used[c] for c in users if offer.columns[c].model == i)
        for i, model in enumerate(offer.problem.models):
            mine = [c for c, column in enumerate(offer.columns) if column.model == i]
            cp.add_at_least_one(self.used[c] for c in mine)
            most = offer.problem.service.max_instances.get(model.name)
            if most is not None:
                cp.add(sum(self.count[c] for c in mine) <= most)

    def _memory(self) -> None:
        offer, cp, problem = self._offer, self.cp, self._offer.problem
        where = {p.name: p.memory for p in problem.platform.processors}
        terms: dict[str, list[cp_model.LinearExprT]] = {m.name: [] for m in problem.platform.memories}
        shared: dict[tuple[object, ...], cp_model.IntVar] = {}
        largest = [cp.new_int_var(0, 2**40, f"running{k}") for k in range(len(offer.kinds))]
        for c, column in enumerate(offer.columns):
            for stage, k in zip(column.stages, column.kinds, strict=True):
                memory, bytes_in = offer.costs.memory(stage), terms[where[offer.kinds[k].processor]]
                # A stage of a pipeline may serve several instances, so that only one copy is sure.
                copies = self.count[c] if len(column.stages) == 1 else self.used[c]
                weights = math.floor(memory.weights / _KIB)
                bytes_in.append(math.floor(memory.own / _KIB) * copies)
                if problem.service.weights == "instance":
                    bytes_in.append(weights * copies)
                else:
                    key = weights_key(problem, stage)
                    if key not in shared:
                        shared[key] = cp.new_bool_var(f"weights{len(shared)}")
                        bytes_in.append(weights * shared[key])
                    cp.add_implication(self.used[c], shared[key])
                cp.add(largest[k] >= math.floor(memory.running / _KIB) * copies)
        for k, kind in enumerate(offer.kinds):
            terms[where[kind.processor]].append(largest[k])
        for name, limit in problem.memory_limit.items():
            if self._keeps("memory", name) and terms[name]:
                cp.add(sum(terms[name]) <= math.ceil(limit / _KIB))

    def _units(self, bound: float) -> np.ndarray:
        """Requests a second of a unit, by model, shape (models,)."""
        problem = self._offer.problem
        if self._objective == "cost":
            return problem.mix_hz / (_UNITS * STEPS)
        if self._objective == "throughput":
            # Least when one model's weighted rate made up the whole bound.
            return -bound / problem.weight / (_UNITS * STEPS)
        return -bound * (problem.mix_hz if self._objective == "capacity" else problem.weight) / (_UNITS * STEPS)

    def _rates(self) -> None:
        offer, cp, problem = self._offer, self.cp, self._offer.problem
        top = math.ceil(problem.limits.max_utilisation * _WORK)
        on_kind: list[list[cp_model.LinearExprT]] = [[] for _ in offer.kinds]
        self._flow: list[cp_model.IntVar] = []
        for c, column in enumerate(offer.columns):
            unit = float(self._unit_hz[column.model])
            works = [max(1, math.floor(unit * us / 1e6 * _WORK)) for us in column.request_us]
            most = min(top * offer.lanes_at_most(k) // w + 1 for k, w in zip(column.kinds, works, strict=True))
            flow = cp.new_int_var(0, most, f"flow{c}")
            self._flow.append(flow)
            for k, work in zip(column.kinds, works, strict=True):
                on_kind[k].append(work * flow)
                cp.add(work * flow <= top * self.count[c])
        for k, terms in enumerate(on_kind):
            if terms:
                cp.add(sum(terms) <= top * self.lanes[k])
        for p in problem.platform.processors:
            mine = [k for k, kind in enumerate(offer.kinds) if kind.processor == p.name and on_kind[k]]
            # Lanes beside each other slow each other down, so that n of them do less than n times the work of one.
            done = [math.ceil(share * _WORK) for share in lane_time(offer, p.name)]
            if len(done) > 2 and done[-1] < (len(done) - 1) * done[1]:
                lanes = cp.new_int_var(0, len(done) - 1, f"lanes_{p.name}")
                together = cp.new_int_var(0, done[-1], f"work_{p.name}")
                cp.add(lanes == sum(self.lanes[k] for k in mine))
                cp.add_element(lanes, done, together)
                cp.add(sum(term for k in mine for term in on_kind[k]) <= together)
        self._short = len(offer.kinds)
        self._total = []
        for i, model in enumerate(problem.models):
            mine = [c for c, column in enumerate(offer.columns) if column.model == i]
            total = sum(self._flow[c] for c in mine) + self._short
            self._total.append(total)
            if self._keeps("response", model.name):
                late = [self._flow[c] for c in mine if offer.columns[c].quickest_us > problem.deadline_us[i]]
                allowed = math.ceil((1.0 - float(problem.level[i])) * _SHARE)
                cp.add(_SHARE * sum(late) <= allowed * total)
            if self._keeps("rate", model.name):
                cp.add(total >= math.floor(float(problem.min_rate_hz[i]) / float(self._unit_hz[i])))

    def _aim(self, bound: float) -> None:
        cp, problem = self.cp, self._offer.problem
        if self._objective == "cost":
            service = problem.service
            prices = [*service.processor_price.values(), *service.core_price.values()]
            self._step = max([p for p in prices if p > 0], default=1.0) / STEPS
            terms = []
            for p in problem.platform.processors:
                mine = [k for k, kind in enumerate(self._offer.kinds) if kind.processor == p.name]
                used = cp.new_bool_var(f"processor_{p.name}")
                for k in mine:
                    cp.add(self.lanes[k] <= self._offer.lanes_at_most(k) * used)
                    core = service.core_price.get(p.name, 0.0) * self._offer.kinds[k].threads
                    terms.append(math.floor(core / self._step) * self.lanes[k])
                terms.append(math.floor(service.processor_price.get(p.name, 0.0) / self._step) * used)
            self.aim: cp_model.LinearExprT = -sum(terms)
        elif self._objective == "throughput":
            self._step = -bound / STEPS
            self.aim = cp.new_int_var(0, STEPS + 1 + self._short * len(self._total), "throughput")
            cp.add(_UNITS * self.aim <= sum(self._total))
        else:
            self._step = -bound / STEPS
            self.aim = cp.new_int_var(0, STEPS, "factor")
            for total in self._total:
                cp.add(total >= _UNITS * self.aim)
        cp.maximize(self.aim)

    def objective_bound(self, aim: float) -> float:
        """No structure with at most this aim has a smaller objective."""
        if self._objective == "cost":
            return -aim * self._step
        return -(aim + 1) * self._step

    def demand(self, objective: float) -> int:
        """Ask for structures that may have an objective below this, and say from which aim on."""
        aim = (
            math.floor(-objective / self._step) + 1
            if self._objective == "cost"
            else math.floor(-objective / self._step)
        )
        self.cp.add(self.aim >= aim)
        return aim

    def structure(self, solver: cp_model.CpSolver) -> Structure:
        """What CP-SAT chose; the window of each model is its first."""
        offer = self._offer
        batching = []
        for sizes, own, options in zip(self._sizes, self.size, offer.batchings, strict=True):
            b = next(size for size, chosen in zip(sizes, own, strict=True) if solver.boolean_value(chosen))
            batching.append(next(n for n, option in enumerate(options) if option.max_batch == b))
        counts = tuple((c, solver.value(v)) for c, v in enumerate(self.count) if solver.value(v))
        return Structure(tuple(batching), counts, tuple(solver.value(v) for v in self.lanes))

    def exclude(self, structure: Structure) -> None:
        """Forbid a structure, whatever its windows."""
        cp, counts = self.cp, dict(structure.instances)
        same = []
        for i, n in enumerate(structure.batching):
            size = self._offer.batchings[i][n].max_batch
            same.append(self.size[i][self._sizes[i].index(size)])
        for c, used in enumerate(self.used):
            if c not in counts:
                same.append(used.Not())
        figures = [(self.count[c], n) for c, n in counts.items()] + list(zip(self.lanes, structure.lanes, strict=True))
        for variable, value in figures:
            equal = cp.new_bool_var("")
            # Only one direction is needed: where all are equal, the clause below must fail.
            below, above = cp.new_bool_var(""), cp.new_bool_var("")
            cp.add(variable <= value - 1).only_enforce_if(below)
            cp.add(variable >= value + 1).only_enforce_if(above)
            cp.add_bool_or([equal, below, above])
            same.append(equal)
        cp.add_bool_or([literal.Not() for literal in same])
