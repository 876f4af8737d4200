"""Simulated annealing as a solver of EdgePlan: whole plans are changed piece by piece and scored by the one evaluator.

Kirkpatrick, Gelatt, Vecchi 1983, doi 10.1126/science.220.4598.671. It proves nothing; it shows how little
a solver needs.
"""

from __future__ import annotations

import numpy as np
from edgeplan.formulation import (
    Evaluation,
    Model,
    ModelPlan,
    Plan,
    PlannedSegment,
    PlatformError,
    Problem,
    SolverStamp,
    evaluate,
)
from edgeplan.solvers import Features, Solution, Stop, families

PENALTY = 10.0
"""A limit that is exceeded by its whole value costs as much as this many times the first plan's objective."""


class Annealing:
    """Simulated annealing over plans.

    Parameters
    ----------
    steps : int
        Plans tried; the time limit may end the search before. The same seed and number give the same plan.
    hot, cold : float
        Temperatures at the begin and the end, as shares of the first plan's objective: a plan that is so much worse is
        taken with a probability of 1/e.
    """

    name = "annealing"
    features = Features(
        objectives=frozenset({"latency", "response"}),
        exact=False,
        several_models=True,
        several_memories=True,
        overlapping_segments=True,
    )

    def __init__(self, steps: int = 2000, hot: float = 0.3, cold: float = 1e-3) -> None:
        self.steps, self.hot, self.cold = steps, hot, cold

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve until the steps are done, or `stop` says so."""
        rng = np.random.default_rng(seed)
        draws = {model.name: Draw(problem, model, rng) for model in problem.models}
        parts = {name: draw.segments(0, draw.units) for name, draw in draws.items()}
        scored = self._scored(problem, parts)
        best: tuple[Plan, Evaluation] | None = scored if scored and scored[1].feasible else None
        scale = max(scored[1].objective, 1.0) if scored else 1.0
        energy = _energy(scored, scale)
        for step in range(self.steps):
            if stop():
                break
            name = problem.models[int(rng.integers(len(problem.models)))].name
            changed = {**parts, name: draws[name].neighbour(parts[name])}
            tried = self._scored(problem, changed)
            tried_energy = _energy(tried, scale)
            temperature = self.hot * (self.cold / self.hot) ** (step / self.steps)
            if tried_energy <= energy or rng.random() < np.exp((energy - tried_energy) / temperature):
                parts, energy = changed, tried_energy
            if tried and tried[1].feasible and (best is None or tried[1].objective < best[1].objective):
                best = tried
        if best is None:
            return Solution("timeout", self.name)
        return Solution("feasible", self.name, plan=best[0], objective=best[1].objective)

    def _scored(self, problem: Problem, parts: dict[str, tuple[PlannedSegment, ...]]) -> tuple[Plan, Evaluation] | None:
        plan = Plan(
            models=tuple(
                ModelPlan(model=model.name, sha256=model.sha256, segments=parts[model.name]) for model in problem.models
            ),
            platform_fingerprint=problem.platform.fingerprint,
            provenance=tuple(model.costs.provenance for model in problem.models),
            solver=SolverStamp(method=self.name, status="feasible"),
        )
        try:
            return plan, evaluate(problem, plan)
        except PlatformError:
            return None  # no link joins two of the memories that it uses


def _energy(scored: tuple[Plan, Evaluation] | None, scale: float) -> float:
    """What is minimised: the objective, and how far limits are exceeded."""
    if scored is None:
        return np.inf
    excess = sum(v.value / v.limit - 1.0 for v in scored[1].violations)
    return scored[1].objective / scale + PENALTY * excess


class Draw:
    """Draws segments of one model at random, of those that can run.

    Parameters
    ----------
    problem : Problem
    model : Model
    rng : numpy.random.Generator
    """

    def __init__(self, problem: Problem, model: Model, rng: np.random.Generator) -> None:
        self._rng = rng
        self._at = model.cuts.positions
        self._configurations = [model.costs.configurations[c] for c in problem.usable[model.name]]
        # Entry (a, b, c): whether configuration c can run the layers between cut a and cut b.
        self._runs = np.isfinite(model.costs.interval_us(self._at)[:, :, problem.usable[model.name]])
        sets = families(problem)
        self._cores = [
            [s for s in sets[c.processor] if c.threads == 1 or len(s) == c.threads] for c in self._configurations
        ]

    @property
    def units(self) -> int:
        """Number of units between neighbouring cuts."""
        return len(self._at) - 1

    def segments(self, first: int, last: int) -> tuple[PlannedSegment, ...]:
        """Segments from cut `first` to cut `last`, cut at random."""
        # From which cuts some way leads to the last one; `solve` has refused models without any from the first.
        leads = np.zeros(len(self._at), dtype=bool)
        leads[last] = True
        for a in range(last - 1, first - 1, -1):
            leads[a] = bool(np.any(self._runs[a, a + 1 : last + 1].any(axis=1) & leads[a + 1 : last + 1]))
        a, drawn = first, []
        while a < last:
            ends = [b for b in range(a + 1, last + 1) if leads[b] and self._runs[a, b].any()]
            b = ends[int(self._rng.integers(len(ends)))]
            drawn.append(self._segment(a, b))
            a = b
        return tuple(drawn)

    def neighbour(self, segments: tuple[PlannedSegment, ...]) -> tuple[PlannedSegment, ...]:
        """Copy with one segment, or two neighbouring ones, drawn again."""
        i = int(self._rng.integers(len(segments)))
        j = min(i + 1 + int(self._rng.integers(2)), len(segments))
        first, last = self._at.index(segments[i].start), self._at.index(segments[j - 1].stop)
        if self._rng.random() < 0.5 and self._runs[first, last].any():
            return (*segments[:i], self._segment(first, last), *segments[j:])
        return (*segments[:i], *self.segments(first, last), *segments[j:])

    def _segment(self, a: int, b: int) -> PlannedSegment:
        able = np.flatnonzero(self._runs[a, b])
        c = int(able[int(self._rng.integers(len(able)))])
        cores = self._cores[c][int(self._rng.integers(len(self._cores[c])))]
        return PlannedSegment(
            start=self._at[a], stop=self._at[b], configuration=self._configurations[c], cores=tuple(cores)
        )
