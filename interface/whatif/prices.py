"""What each limit costs: every one is relaxed, and tightened, by a step, and the problem solved again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Literal

from ...formulation import CostError, PlatformError, Problem, evaluate
from .answers import OPTIMAL_TOLERANCE, Asker, Played, Reply, refuse_front, reply_of
from .knobs import Knob, knobs_of, never_hurts, same_order, turned, value_of

if TYPE_CHECKING:
    from ...solvers import Solution

Direction = Literal["relaxed", "tightened"]
Verdict = Literal["binds", "free", "open"]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Price:
    """What turning one knob by a step does to the optimum: a finite difference, not a derivative.

    Attributes
    ----------
    knob : Knob
    direction : {'relaxed', 'tightened'}
    value, turned : float
        Where the knob stands and where it was turned to, in the formulation's units (bytes, µs, Hz, cores).
    before, after : Reply
        The problem as it is, and with the knob turned; by the same method, seed and time limit.
    never_hurts : bool
        Whether the looser of the two problems is known to have an optimum no worse. Not so for a deadline that changes
        who goes before whom.
    reorders : bool
        Whether turning the knob changes which requests go before which others.
    """

    knob: Knob
    direction: Direction
    value: float
    turned: float
    before: Reply
    after: Reply
    never_hurts: bool
    reorders: bool = False

    @property
    def gain_us(self) -> float | None:
        """By how much the best plan known becomes better, in the objective's unit; negative where it becomes worse.

        None where either side has no plan.
        """
        if self.before.objective_us is None or self.after.objective_us is None:
            return None
        return self.before.objective_us - self.after.objective_us

    @property
    def interval_us(self) -> tuple[float, float]:
        """Between which the true gain lies: from both sides' objectives and bounds, and from what never hurts.

        Infinite ends where nothing is known, (−∞, −∞) where nothing keeps the tightened limit.
        """
        if self.after.status == "infeasible":
            return (-float("inf"), -float("inf"))
        low = _difference(self.before.bound_us, self.after.objective_us, -float("inf"))
        high = _difference(self.before.objective_us, self.after.bound_us, float("inf"))
        if self.never_hurts:
            low, high = (max(low, 0.0), high) if self.direction == "relaxed" else (low, min(high, 0.0))
        return (min(low, high), high)

    @property
    def is_exact(self) -> bool:
        """Whether both optima are proven, so that the gain is the true one, or it is proven that nothing is left."""
        return self.after.status == "infeasible" or self.before.status == self.after.status == "optimal"

    @property
    def per_unit_us(self) -> float | None:
        """Gain for each `knob.unit` of the step: ms of objective per MiB, per ms, per Hz, per core, all in µs."""
        step = abs(self.turned - self.value) / self.knob.unit_size
        return None if self.gain_us is None or not step else self.gain_us / step

    @property
    def verdict(self) -> Verdict:
        """``binds`` where turning it is proven to change the optimum, ``free`` where proven not to, else ``open``."""
        low, high = self.interval_us
        allowed = OPTIMAL_TOLERANCE * max(abs(self.before.objective_us or 0.0), 1e-9)
        if low > allowed or high < -allowed:
            return "binds"
        return "free" if -allowed <= low and high <= allowed else "open"


def _difference(one: float | None, other: float | None, unknown: float) -> float:
    return unknown if one is None or other is None else one - other


def prices(
    problem: Problem,
    solution: Solution | None = None,
    *,
    knobs: Sequence[Knob] | None = None,
    step: float = 0.1,
    tighten: bool = True,
    method: str | None = None,
    time_limit_s: float = 5.0,
    seed: int | None = None,
    requests: int = 4000,
    cancel: Event | None = None,
    progress: Progress | None = None,
) -> tuple[Price, ...]:
    """Price the limits of a problem by solving it again with each of them turned by a step.

    Parameters
    ----------
    problem : Problem
        With one objective, ``response`` or ``latency``.
    solution : Solution, optional
        Of the problem: its method and seed are used again. Where its plan was found within a policy of sharing cores
        (`edgeplan.solvers.by_simulation`), everything is priced within that policy. Its figures are taken where it is
        optimal and of no policy; otherwise the problem is solved again, so that both sides are asked alike.
    knobs : sequence of Knob, optional
        What to price; by default everything that the problem has.
    step : float
        Share of the present value, in (0, 1); counts of cores and threads change by one.
    tighten : bool
        Whether to tighten each limit too.
    method, time_limit_s, seed
        Of each re-solve.
    requests : int
        Simulated requests for each plan; 0 for none.
    cancel : threading.Event, optional
    progress : callable, optional
        Called with what is done, what there is to do, and what is being done.

    Returns
    -------
    tuple of Price
        In the order of `knobs`; nothing where the problem as it is has no plan (see `rescues`).

    Raises
    ------
    UnsupportedError
        The objective is ``front``, or the method does not support the problem.
    WorkloadError
        A knob that the problem does not have.
    """
    refuse_front(problem)
    chosen = knobs_of(problem) if knobs is None else tuple(knobs)
    named = method or (solution.method if solution is not None else "auto")
    asker = Asker(named, time_limit_s, solution.seed if seed is None and solution else (seed or 0), requests, cancel)
    policy = solution.plan.solver.policy if solution is not None and solution.plan is not None else ""
    problem = within_policy(problem, policy)
    cache: dict[str, Played] = {}
    steps: list[tuple[Knob, Direction, float]] = [
        (knob, direction, to)
        for knob in chosen
        for direction, to in stepped(problem, knob, step)
        if tighten or direction == "relaxed"
    ]
    total = len(steps) + 1
    _tell(progress, 0, total, "as it is")
    before = _base(asker, problem, None if policy else solution)
    if before.plan is None:
        return ()
    before = asker.play(problem, before, cache)
    found = []
    for done, (knob, direction, to) in enumerate(steps, start=1):
        if cancel is not None and cancel.is_set():
            break
        _tell(progress, done, total, f"{knob.name} {direction}")
        found.append(_price(asker, problem, before, knob, direction, to, cache))
    return _level(asker, problem, found, cache)


def stepped(problem: Problem, knob: Knob, step: float = 0.1) -> tuple[tuple[Direction, float], ...]:
    """Where a knob is turned to for a price: a step looser and a step tighter, as far as either makes sense."""
    value = value_of(problem, knob)
    if knob.kind in ("cores", "max_threads"):
        return (("relaxed", value + 1), *((("tightened", value - 1),) if value > 1 else ()))
    if knob.kind == "core_sets":
        return () if value else (("relaxed", 1.0),)
    if knob.kind == "max_utilisation":
        looser = min(1.0, value * (1 + step))
        return (*((("relaxed", looser),) if looser > value else ()), ("tightened", value * (1 - step)))
    ends = (value * (1 + step * knob.looser), value * (1 - step * knob.looser))
    relaxed, tightened = (float(int(end)) for end in ends) if knob.is_whole else ends
    return (("relaxed", relaxed), ("tightened", tightened))


def within_policy(problem: Problem, policy: str) -> Problem:
    """The problem under the limits of the policy of sharing cores that a plan's stamp names, if it names one."""
    if not policy:
        return problem
    from ...solvers.policies import policies

    base = policy.split(",")[0]
    limits = next((known.limits for known in policies(problem) if known.name == base), problem.limits)
    return problem.replace(limits=limits)


def _base(asker: Asker, problem: Problem, solution: Solution | None) -> Reply:
    """The problem as it is: the solution where that is proven, else an answer asked for like all others."""
    if solution is not None and solution.status == "optimal":
        return reply_of(solution)
    reply = asker.ask(problem)
    if solution is not None and solution.plan is not None:
        reply = asker.with_known(problem, reply, solution.plan)
    return reply


def _price(
    asker: Asker,
    problem: Problem,
    before: Reply,
    knob: Knob,
    direction: Direction,
    to: float,
    cache: dict[str, Played],
) -> Price:
    value = value_of(problem, knob)
    try:
        other = turned(problem, knob, to)
    except (CostError, PlatformError) as error:
        return Price(knob, direction, value, to, before, Reply("infeasible", reason=str(error)), True)
    tight, loose = (problem, other) if direction == "relaxed" else (other, problem)
    safe = never_hurts(tight, knob, loose)
    assert before.plan is not None
    if safe and direction == "tightened" and before.status == "optimal" and _still_best(other, before):
        # Nothing tighter has a better optimum, and the best plan keeps the tighter limit: no need to ask.
        after = replace(before, played=None)
    else:
        after = asker.ask(other, known=before.plan)
    after = asker.play(other, after, cache)
    return Price(knob, direction, value, to, before, after, safe, not same_order(problem, other))


def _level(asker: Asker, problem: Problem, found: list[Price], cache: dict[str, Played]) -> tuple[Price, ...]:
    """Prices that no luckier search distorts: a plan found for a turned problem counts for the base too."""
    if not found or found[0].before.status == "optimal":
        return tuple(found)
    best = before = found[0].before
    for price in found:
        if price.after.plan is not None:
            best = asker.with_known(problem, best, price.after.plan)
    if best is before:
        return tuple(found)
    known = best.plan
    assert known is not None
    best = asker.play(problem, best, cache)
    levelled = []
    for price in found:
        try:
            other = turned(problem, price.knob, price.turned)
        except (CostError, PlatformError):
            levelled.append(replace(price, before=best))
            continue
        after = asker.play(other, asker.with_known(other, price.after, known), cache)
        levelled.append(replace(price, before=best, after=after))
    return tuple(levelled)


def _still_best(other: Problem, before: Reply) -> bool:
    assert before.plan is not None
    assert before.objective_us is not None
    scored = evaluate(other, before.plan)
    return scored.feasible and scored.objective <= before.objective_us * (1 + OPTIMAL_TOLERANCE)


def _tell(progress: Progress | None, done: int, total: int, label: str) -> None:
    if progress is not None:
        progress(done, total, label)
