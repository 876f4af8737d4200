"""The CP-SAT model of a problem: paths of all models and the constraints between them, exactly those of `evaluate`.

All numbers are integers: ticks, parts of a tick, memory units, and shares in billionths.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..formulation import Problem
from ..formulation.evaluate import MICROSECOND_TOLERANCE
from .chain import Chain
from .core_sets import Placement
from .cp_arcs import BYTES_QUANTUM, TIME_QUANTUM_US, Arc
from .cp_path import ModelPath
from .cp_responses import Responses
from .cp_utilisation import SHARE_PARTS, core_shares
from .limits import Limit

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    Expression = cp_model.LinearExpr | cp_model.IntVar | int

_WITHIN_TOLERANCE = 1 + MICROSECOND_TOLERANCE / 2
"""Limits are held here at half the evaluator's own slack: rounding up costs no plan, and none is let pass too much."""

LARGEST_SUM = 2**60
"""CP-SAT refuses sums that may leave 64 bits; what is summed here stays below this."""


@dataclass(frozen=True, eq=False)
class ModelChoices:
    """What CP-SAT chooses from for one model.

    Attributes
    ----------
    chain : Chain
    arcs : tuple of Arc
    placements : tuple of Placement
    longest_us : float
        No response or latency of this model that is worth finding is longer.
    """

    chain: Chain
    arcs: tuple[Arc, ...]
    placements: tuple[Placement, ...]
    longest_us: float

    @property
    def longest_ticks(self) -> int:
        """`longest_us` in ticks, and a microsecond more for all that is rounded up."""
        return math.ceil((self.longest_us + 1.0) / TIME_QUANTUM_US)


class CpProblem:
    """A problem as a CP-SAT model, to which limits and one objective are then added.

    Parameters
    ----------
    problem : Problem
    choices : dict of str to ModelChoices
        By model.
    parts : int
        Parts of a tick that responses are counted in.
    """

    def __init__(self, problem: Problem, choices: Mapping[str, ModelChoices], parts: int) -> None:
        from ortools.sat.python import cp_model

        self.problem = problem
        self.cp = cp_model.CpModel()
        self.paths = {
            name: ModelPath(self.cp, of.chain, of.arcs, of.placements, of.longest_ticks) for name, of in choices.items()
        }
        self.parts = parts
        longest_ticks = {name: of.longest_ticks for name, of in choices.items()}
        self._responses = Responses(self.cp, problem, self.paths, longest_ticks, self.parts)

    def keep(self, limits: Collection[Limit], values: Mapping[Limit, float]) -> None:
        """Add limits as constraints."""
        for limit in sorted(limits):
            if limit.kind == "memory":
                most = math.floor(values[limit] * _WITHIN_TOLERANCE / BYTES_QUANTUM)
                self.cp.add(self._memory_units[limit.subject] <= most)
            elif limit.kind == "utilisation":
                most = math.floor(values[limit] * _WITHIN_TOLERANCE * SHARE_PARTS)
                for share in self._utilisation.values():
                    self.cp.add(share <= most)
            else:
                most = values[limit] * _WITHIN_TOLERANCE / TIME_QUANTUM_US * self.parts
                self.cp.add(self._held_to_deadline(limit.subject) <= math.floor(min(most, LARGEST_SUM)))

    def objective(self, weights: Mapping[str, int]) -> Expression:
        """The problem's objective with integer weights, in parts of a tick."""
        if self.problem.objective == "response":
            return sum(weights[name] * self._responses.response(name) for name in self.paths)
        return sum(weights[name] * self.parts * path.latency for name, path in self.paths.items())

    def figure(self, limit: Limit) -> tuple[Expression, float]:
        """The figure that a limit is held against, and what one unit of it is worth."""
        if limit.kind == "memory":
            return self._memory_units[limit.subject], BYTES_QUANTUM
        if limit.kind == "deadline":
            return self._held_to_deadline(limit.subject), TIME_QUANTUM_US / self.parts
        busiest = self.cp.new_int_var(0, 10**6 * SHARE_PARTS, "busiest core")
        for share in self._utilisation.values():
            self.cp.add(busiest >= share)
        return busiest, 1.0 / SHARE_PARTS

    def _held_to_deadline(self, model: str) -> Expression:
        """In parts of a tick."""
        if self.problem.stream_of[model].is_hard:
            return self._responses.response(model)
        return self.parts * self.paths[model].latency + self.parts * self._responses.blocking(model)

    @cached_property
    def _memory_units(self) -> dict[str, Expression]:
        """Use of each memory: resident bytes of all models and each one's largest transient need."""
        used: dict[str, Expression] = {memory.name: 0 for memory in self.problem.platform.memories}
        for name, path in self.paths.items():
            for m, memory in enumerate(path.chain.memories):
                transient = path.largest(
                    lambda arc, m=m: arc.transient * (arc.memory == m), f"transient of {name} in {memory}"
                )
                used[memory] += path.total(lambda arc, m=m: arc.resident * (arc.memory == m)) + transient
        return used

    @cached_property
    def _utilisation(self) -> dict[int, Expression]:
        return core_shares(self.cp, self.problem, self.paths)
