"""Points of a sweep's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...formulation import Problem, evaluate
from .answers import Reply
from .axes import Setting


@dataclass(frozen=True)
class Point:
    """One point of a grid.

    Attributes
    ----------
    settings : tuple of Setting
        One for each axis.
    digest : str
        Of the question that was answered.
    reply : Reply
    memory_bytes : dict of str to float
        What the plan needs of each memory; empty without a plan.
    utilisation : float
        Of the busiest core; NaN without a plan or streams.
    is_kept : bool
        Whether the answer was read from the folder.
    taken_from : tuple of Setting
        The neighbour whose plan this is, where that beats what the solver found here in its time; else empty.
    """

    settings: tuple[Setting, ...]
    digest: str
    reply: Reply
    memory_bytes: Mapping[str, float]
    utilisation: float
    is_kept: bool = False
    taken_from: tuple[Setting, ...] = ()

    @property
    def label(self) -> str:
        """Where it is, for people."""
        return ", ".join(setting.label for setting in self.settings)

    @property
    def total_memory_bytes(self) -> float:
        """Of all memories; NaN without a plan."""
        return sum(self.memory_bytes.values()) if self.memory_bytes else float("nan")


def point_at(place: tuple[Setting, ...], digest: str, problem: Problem | None, reply: Reply, is_kept: bool) -> Point:
    """A point with what its plan needs, scored by the evaluator."""
    if reply.plan is None or problem is None:
        return Point(place, digest, reply, {}, float("nan"), is_kept)
    scored = evaluate(problem, reply.plan)
    busiest = max(scored.utilisation.values(), default=float("nan")) if problem.streams else float("nan")
    return Point(place, digest, reply, dict(scored.memory_bytes), busiest, is_kept)
