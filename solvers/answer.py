"""What every solver's answer has, whatever the class of problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..formulation import SolverStamp, Status


@dataclass(frozen=True)
class Answer:
    """Base of the answers of all solvers. Typed fields only: what is not a field is not part of an answer.

    Attributes
    ----------
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
        ``feasible``: something that keeps every limit, its optimality not proven. ``timeout``: time ran out with
        nothing found.
    method : str
        Name of the solver.
    objective : float or None
        In the problem's own unit.
    bound : float or None
        Nothing has a smaller objective; None where nothing is known.
    seed : int
    runtime_s : float
    """

    status: Status
    method: str
    objective: float | None = None
    bound: float | None = None
    seed: int = 0
    runtime_s: float = 0.0

    @property
    def gap(self) -> float | None:
        """Share of the objective that is not proven necessary, 0 when optimal; None where nothing is known."""
        if self.objective is None or self.bound is None:
            return None
        return max(0.0, self.objective - self.bound) / abs(self.objective) if self.objective else 0.0

    @property
    def stamp(self) -> SolverStamp:
        """What a saved plan says of its solver."""
        return SolverStamp(
            method=self.method,
            status=self.status,
            objective=self.objective,
            bound=self.bound,
            gap=self.gap,
            seed=self.seed,
            runtime_s=self.runtime_s,
        )

    def stamped(self) -> Self:
        """Copy whose parts carry what the answer says of itself; here there are no parts."""
        return self
