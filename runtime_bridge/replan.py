"""Re-solving for what was observed: the problem as it now looks, a new plan, and whether to switch to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from ..formulation import (
    CostError,
    EdgePlanError,
    Evaluation,
    Plan,
    Problem,
    Provenance,
    evaluate,
)
from ..solvers import Candidate, Judgement, by_simulation, judge
from .drift import Assumptions
from .trial import Prediction, predict

FOREIGN_SPEED = 0.5
"""Share of a core that a pinned thread keeps against one busy thread of another process: an even split."""

_LEAST_LIMITS = 2
"""Number of the view with the fewest limits; those behind it have fewer requests."""
_SHARES = (0.5, 0.25, 0.1, 0.03)
"""Of the requests, that a plan is made for where the device cannot carry all: admission refuses the rest."""


@dataclass(frozen=True)
class Replan:
    """Outcome of a re-solve.

    Attributes
    ----------
    problem : Problem
        What was solved.
    best : Candidate
        The best plan found, with its policy and how it fares against simulated arrivals.
    view : str
        How the device was seen and which limits were let go; empty where it is the scenario's own.
    current : Evaluation or None
        The running plan under the same problem; None where there is none that is for its models.
    judged : Judgement or None
        How the running plan would fare; None where it cannot run any more.
    predictions : dict of str to Prediction
        What the best plan is predicted to do to each model's requests.
    unmet : tuple of str
        Why limits had to be let go: what clashes where none is.
    """

    problem: Problem
    best: Candidate
    view: str
    current: Evaluation | None
    judged: Judgement | None
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    unmet: tuple[str, ...] = ()

    @property
    def clashes(self) -> tuple[str, ...]:
        """What clashes where there is no plan, in words."""
        return tuple(clash.sentence for clash in self.best.solution.clashes)

    @property
    def plan(self) -> Plan | None:
        """The new plan."""
        return self.best.solution.plan

    def rank(self) -> tuple[float, float]:
        """Order of outcomes, best first: simulated misses, then mean response. Not for outcomes without a plan."""
        judged = self.best.judgement
        return (judged.miss_ratio, judged.response_us) if judged else (np.inf, np.inf)

    def worth_switching(self, min_gain: float) -> tuple[bool, str]:
        """Whether the new plan is better by enough, and the reason in words.

        It is where the running plan breaks a limit, where fewer requests miss their deadline by `min_gain` of all
        requests, or where as few miss it and the mean stretch falls by that share.
        """
        new, old = self.best.judgement, self.judged
        if self.plan is None or new is None:
            clashes = "; ".join(self.clashes)
            return False, f"no plan found ({self.best.solution.status}{': ' + clashes if clashes else ''})"
        note = f", {self.view}" if self.view else ""
        if old is None:
            why = "for other models"
            if self.current is not None:
                why = f"the running plan cannot run any more ({self.current.violations[0]})"
            return True, f"{why}{note}"
        if self.current is not None and self.current.violations:
            first = self.current.violations[0]
            return True, f"the running plan would break {len(self.current.violations)} limits ({first}){note}"
        words = (
            f"simulated: {new.miss_ratio:.1%} of deadlines missed against {old.miss_ratio:.1%}, "
            f"stretch {new.stretch:.2f} against {old.stretch:.2f}{note}"
        )
        fewer = old.miss_ratio - new.miss_ratio
        return fewer >= min_gain or (fewer > -min_gain / 5 and new.stretch <= old.stretch * (1 - min_gain)), words


def replan(problem: Problem, running: Plan | None, seen: Assumptions, time_limit_s: float, seed: int) -> Replan:
    """Solve the problem for what was observed; where it has no solution, with fewer limits.

    Parameters
    ----------
    problem : Problem
        The scenario's own.
    running : Plan or None
        None where what runs is for other models.
    seen : Assumptions
        Rates, slowdowns and taken cores as they now look.
    time_limit_s : float
        For each of the views that are tried, all policies together.
    seed : int
    """
    outcomes: list[Replan] = []
    for number, stage in enumerate(_views(_adapted(problem, seen), seen.taken)):
        if number > _LEAST_LIMITS and not any("utilisation" in clash for clash in outcomes[-1].clashes):
            break  # fewer requests are no help
        for view, candidate in stage:
            best = by_simulation(candidate, time_limit_s=time_limit_s, seed=seed)[0]
            current = evaluate(candidate, running) if running else None
            judged = judge(candidate, running, seed) if running and current and current.models else None
            outcomes.append(Replan(candidate, best, view, current, judged))
        planned = [outcome for outcome in outcomes if outcome.plan is not None]
        if planned:
            chosen = min(planned, key=Replan.rank)
            assert chosen.plan is not None
            predictions = predict(chosen.problem, chosen.plan, seed)
            return replace(chosen, predictions=predictions, unmet=outcomes[0].clashes if number else ())
    return outcomes[0]


def _adapted(problem: Problem, seen: Assumptions) -> Problem:
    """The problem with observed rates, slowdowns, backends and limits.

    A configuration that was not observed is taken to be slowed down like the others of its model.
    """
    if seen.gone:
        problem = _without_backends(problem, seen.gone)
    if seen.memory_bytes:
        limits = problem.memory_limit
        lowered = {name: int(min(limit, seen.memory_bytes.get(name, limit))) for name, limit in limits.items()}
        problem = problem.replace(limits=problem.limits.model_copy(update={"memory_bytes": lowered}))
    factors = []
    for model in problem.models:
        observed = {c: f for (m, c), f in seen.slowdown.items() if m == model.name}
        usual = float(np.median(list(observed.values()))) if observed else 1.0
        factors.append([observed.get(c.name, usual) for c in model.costs.configurations])
    # a stream that fell silent keeps its model planned
    rates = [max(seen.rate_hz.get(stream.model, stream.rate_hz), 1e-3) for stream in problem.streams]
    streams = tuple(stream.at_rate(rate) for stream, rate in zip(problem.streams, rates, strict=True))
    return _corrected(problem, factors).replace(streams=streams)


def _without_backends(problem: Problem, gone: frozenset[str]) -> Problem:
    """The problem without what runs on some backends; a model that cannot do without them keeps them."""
    models = []
    for model in problem.models:
        kept = [k for k, configuration in enumerate(model.costs.configurations) if configuration.backend not in gone]
        if 0 < len(kept) < len(model.costs.configurations):
            with suppress(CostError):  # some layer runs on nothing else
                model = replace(model, costs=model.costs.only(kept))
        models.append(model)
    return problem.replace(models=tuple(models))


def _corrected(problem: Problem, factors: list[list[float]]) -> Problem:
    models = []
    for model, model_factors in zip(problem.models, factors, strict=True):
        source = model.costs.provenance.model_copy(update={"kind": "adapted"})
        changed = any(factor != 1.0 for factor in model_factors)
        costs = model.costs.corrected(model_factors, Provenance.model_validate(source)) if changed else model.costs
        models.append(replace(model, costs=costs))
    return problem.replace(models=tuple(models))


def _views(problem: Problem, taken: frozenset[int]) -> Iterator[list[tuple[str, Problem]]]:
    """Ways to see the problem, in stages: a later one, which asks for less, only counts where the earlier have no plan.

    An overloaded device still needs the best plan there is.
    """
    if taken:
        named = f"core {', '.join(str(core) for core in sorted(taken))}"
        without = _without_cores(problem, taken)
        problem = _shared_cores(problem, taken)
        # Shared first: workers are not held to single cores, so that what is left of a taken core is still of use.
        yield [(f"{named} shared", problem)]
        if without is not None:
            yield [(f"without {named}", without)]
    else:
        yield [("", problem)]
    relaxed = problem.replace(
        limits=problem.limits.model_copy(update={"max_utilisation": 1.0}),
        streams=tuple(s.model_copy(update={"percentile": 0.5}) for s in problem.streams),
    )
    yield [("deadlines held for single requests only", relaxed)]
    free = tuple(s.model_copy(update={"deadline_us": None}) for s in relaxed.streams)
    yield [("deadlines let go", relaxed.replace(streams=free))]
    for share in _SHARES:
        fewer = tuple(stream.at_rate(stream.rate_hz * share) for stream in free)
        yield [(f"deadlines let go, for {share:.0%} of the requests", relaxed.replace(streams=fewer))]


def _without_cores(problem: Problem, taken: frozenset[int]) -> Problem | None:
    left = tuple(
        processor.model_copy(update={"cores": kept})
        for processor in problem.platform.processors
        if (kept := tuple(core for core in processor.cores if core not in taken))
    )
    try:
        platform = type(problem.platform)(
            name=problem.platform.name,
            processors=left,
            memories=problem.platform.memories,
            links=problem.platform.links,
            fingerprint=problem.platform.fingerprint,
        )
        return problem.replace(platform=platform)
    except EdgePlanError:  # nothing is left, or a model needs what was taken
        return None


def _shared_cores(problem: Problem, taken: frozenset[int]) -> Problem:
    """All cores kept, times stretched: one thread by the mean speed of the cores, a gang by that of its slowest."""
    factors = []
    for model in problem.models:
        row = []
        for configuration in model.costs.configurations:
            processor = problem.platform.processor_by_name.get(configuration.processor)
            cores = processor.cores if processor else ()
            lost = len(taken & set(cores)) * (1 - FOREIGN_SPEED)
            if lost == 0:
                row.append(1.0)
            else:
                row.append(len(cores) / (len(cores) - lost) if configuration.threads == 1 else 1 / FOREIGN_SPEED)
        factors.append(row)
    return _corrected(problem, factors)
