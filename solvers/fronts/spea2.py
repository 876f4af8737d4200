"""SPEA2 for the latency/memory front of one model, a baseline for NSGA-II under the same operators."""

from __future__ import annotations

from typing import Any

from ..nsga2 import Nsga2, Operators, Seeding


class Spea2(Nsga2):
    """SPEA2 (Zitzler, Laumanns, Thiele 2001, doi 10.3929/ethz-a-004284029) on pymoo; unseeded unless told.

    Parameters
    ----------
    seeding, population, generations, operators
        As of `Nsga2`.
    """

    name = "spea2"

    def __init__(
        self,
        seeding: Seeding = "none",
        population: int = 100,
        generations: int = 200,
        operators: Operators = "segments",
    ) -> None:
        super().__init__(seeding, population, generations, operators)

    def _algorithm(self, operators: dict[str, Any]) -> Any:
        from pymoo.algorithms.moo.spea2 import SPEA2

        return SPEA2(pop_size=self.population, **operators)
