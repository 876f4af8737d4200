"""Fronts where costs can only be measured end to end: a device in the loop, a budget, a journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import UnsupportedError
from .. import libraries
from ..pareto import non_dominated
from .measurements import Measurements, Record

Measure = Callable[[tuple[int, ...]], tuple[float, float]]
"""Runs one candidate on the device; its latency in microseconds and its memory in bytes."""

_CALIBRATION = 5
"""Times that the first candidate is measured, so that the noise is known from the start."""

_SEARCH_SHARE = 0.7
"""Share of what is left of the budget that the search may spend before what looks best is measured again."""

_LEAST_REPEATS = 3
"""Measurements of every point of the front, where there is noise."""

_IDLE_GENERATIONS = 20
"""Generations without anything new after which the space counts as measured."""


@dataclass(frozen=True, eq=False)
class MeasuredFront:
    """Points that no other measured candidate is known to dominate.

    Attributes
    ----------
    genomes : ndarray of int, shape (p, genes)
    figures : ndarray, shape (p, 2)
        Mean latency and mean memory of each, by growing latency, non-dominated as they stand.
    half_widths : ndarray, shape (p, 2)
        Of the 95 % confidence intervals of these means.
    repeats : ndarray of int, shape (p,)
        Measurements of each.
    contenders : ndarray of int, shape (q, genes)
        Other candidates that might belong to the front: none is known to dominate them, for intervals overlap.
    measured : int
        Measurements in all, those read from the journal among them.
    resumed : int
        Of which so many were in the journal already.
    """

    genomes: NDArray[np.int64]
    figures: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    repeats: NDArray[np.int64]
    contenders: NDArray[np.int64]
    measured: int
    resumed: int


def measured_front(
    measure: Measure,
    n_options: Sequence[int],
    *,
    budget: int,
    journal: str | Path | None = None,
    seeds: Sequence[Sequence[int]] = (),
    population: int = 20,
    seed: int = 0,
) -> MeasuredFront:
    """Search for a front by measuring candidates.

    Parameters
    ----------
    measure : callable
        Takes a candidate (for each gene, a unit or an operator, the number of its option) and measures it once.
    n_options : sequence of int
        For each gene how many options it has.
    budget : int
        Measurements in all, those in the journal among them.
    journal : str or Path, optional
        Every measurement is written there at once. Called again with the same arguments, the search goes on where it
        was interrupted: it walks the same way again, and what is in the journal is not measured again.
    seeds : sequence of candidates
        Measured first, for instance the front of a cost table.
    population : int
    seed : int

    Returns
    -------
    MeasuredFront

    Raises
    ------
    UnsupportedError
        A budget that is too small, or a gene without options.
    ProfileError
        The journal belongs to another search, or is damaged before its last line.

    Notes
    -----
    NSGA-II (doi 10.1109/4235.996017) on the means takes 7 of 10 measurements. Then points that look best are measured
    until each has three, and after them the contenders that are not clear, widest interval first. What is left of the
    budget is shared out in the same way.

    Rule of dominance: a is known to dominate b where in both figures a's interval ends no later than b's begins, and
    their means differ. Intervals: mean · (1 ± 1.96 · s / √k) for k measurements, where s is the relative standard
    deviation of the figure, pooled over all candidates measured twice or more. So one lucky measurement neither enters
    a candidate for good nor drops another; both are measured again.
    """
    genes = np.array(n_options, dtype=np.int64)
    if len(genes) == 0 or np.any(genes < 1) or budget < _CALIBRATION + population:
        raise UnsupportedError(
            "measured front",
            expected=f"options for every gene and a budget of {_CALIBRATION + population} measurements or more",
            got=f"{len(genes)} genes, budget {budget}",
            remedy="Allow more measurements, or take a smaller population.",
        )
    record = Measurements(measure, genes, budget, seed, None if journal is None else Path(journal))
    with libraries.named("measured_front"):
        search = _Search(record, genes, [tuple(int(g) for g in s) for s in seeds], population, seed)
    while record.spent < budget:
        before = record.spent
        search.run(until=before + max(1, int(_SEARCH_SHARE * (budget - before))))
        _settle(record)
        if record.spent == before:
            break
    return _result(record)


class _Search:
    """NSGA-II on the means, a part of the budget at a time."""

    def __init__(
        self,
        record: Measurements,
        genes: NDArray[np.int64],
        seeds: list[tuple[int, ...]],
        population: int,
        seed: int,
    ) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.termination import NoTermination

        from .gene_operators import GeneMutation, GeneSampling, UniformCrossover

        self._record, self._until = record, 0
        first = seeds[0] if seeds else (0,) * len(genes)
        for _ in range(_CALIBRATION):
            record.measure(first)
        operators: dict[str, Any] = {
            "sampling": GeneSampling(genes, [first, *seeds]),
            "crossover": UniformCrossover(),
            "mutation": GeneMutation(genes),
        }
        self._algorithm = NSGA2(pop_size=population, **operators)
        self._algorithm.setup(self._device(genes), termination=NoTermination(), seed=seed)

    def run(self, until: int) -> None:
        """Go on until so many measurements were made in all, or nothing new comes for a while."""
        self._until, idle = until, 0
        while self._record.spent < until and self._algorithm.has_next() and idle < _IDLE_GENERATIONS:
            before = self._record.spent
            self._algorithm.next()
            idle = idle + 1 if self._record.spent == before else 0

    def _scored(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Means of some candidates; each that was not measured yet is measured once, while that is allowed."""
        figures = []
        for row in rows:
            candidate = tuple(int(g) for g in row)
            if candidate not in self._record.by_genome and self._record.spent < self._until:
                self._record.measure(candidate)
            known = self._record.by_genome.get(candidate)
            figures.append((1e300, 1e300) if known is None else known.means)
        return np.array(figures)

    def _device(self, genes: NDArray[np.int64]) -> Any:
        from pymoo.core.problem import Problem as PymooProblem

        scored = self._scored

        class Device(PymooProblem):
            """Two figures, measured."""

            def __init__(self) -> None:
                super().__init__(n_var=len(genes), n_obj=2, xl=0, xu=genes - 1, vtype=int)

            def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
                out["F"] = scored(x.astype(np.int64))

        return Device()


def _settle(record: Measurements) -> None:
    """Measure contenders again, those that look best and are known least first, until the budget is spent."""
    while record.spent < record.budget:
        known = record.contenders()
        means, widths = record.table(known)
        if not np.any(widths > 0):
            return
        best = [int(k) for k in non_dominated(means)]
        chosen = [k for k in best if known[k].repeats < _LEAST_REPEATS]
        if not chosen:
            chosen = [k for k in range(len(known)) if _is_unclear(k, means, widths)]
        if not chosen:
            return
        relative = np.max(widths / np.maximum(means, 1e-300), axis=1)
        record.measure(known[max(chosen, key=lambda k: (float(relative[k]), -k))].genome)


def _is_unclear(k: int, means: NDArray[np.float64], widths: NDArray[np.float64]) -> bool:
    """Whether one of contender k and another dominates the other as they stand, which intervals leave open."""
    better = np.all(means <= means[k], axis=1)
    worse = np.all(means >= means[k], axis=1)
    better[k] = worse[k] = False
    return bool(np.any((better | worse) & np.any(widths + widths[k] > 0, axis=1)))


def _result(record: Measurements) -> MeasuredFront:
    known = record.contenders()
    means, widths = record.table(known)
    best = non_dominated(means)
    rest = [known[k] for k in range(len(known)) if k not in set(best.tolist())]
    front: list[Record] = [known[int(k)] for k in best]
    n_genes = len(record.genes)
    return MeasuredFront(
        np.array([r.genome for r in front], dtype=np.int64).reshape(-1, n_genes),
        means[best],
        widths[best],
        np.array([r.repeats for r in front], dtype=np.int64),
        np.array([r.genome for r in rest], dtype=np.int64).reshape(-1, n_genes),
        record.spent,
        record.resumed,
    )
