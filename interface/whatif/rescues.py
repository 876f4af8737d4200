"""What makes an infeasible problem feasible: the smallest relaxation of each limit by itself, by bisection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from ...formulation import CostError, PlatformError, Problem
from .answers import Asker, Reply
from .knobs import Knob, knob_of, knobs_of, never_hurts, turned, value_of
from .prices import Progress

if TYPE_CHECKING:
    from ...solvers import Clash, Solution

MOST = 64.0
"""A limit is tried up to so many times its value, a rate down to such a part of it."""
MOST_CORES = 4
"""Processors are tried up to so many times their cores."""
PRECISION = 0.01
"""Bisection ends where what is refused and what suffices differ by this share."""


@dataclass(frozen=True)
class Rescue:
    """One limit, relaxed by itself until a plan keeps all.

    Attributes
    ----------
    knob : Knob
    value : float
        Where it stands.
    needs : float or None
        The smallest relaxation found that lets a plan keep every limit; None where none was found.
    refused : float
        The largest relaxation at which no plan was found; the true threshold is between the two.
    is_proven : bool
        Whether `refused` was proven infeasible, not only not solved in time; then nothing below it helps where
        relaxing the knob never hurts.
    after : Reply
        With the knob at `needs`; where that is None, at the largest relaxation tried.
    reorders : bool
        Whether on the way requests go before others in another order, so that a smaller relaxation might help too.
    """

    knob: Knob
    value: float
    needs: float | None
    refused: float
    is_proven: bool
    after: Reply
    reorders: bool = False

    @property
    def change(self) -> float:
        """How far it must be turned, as a factor of at least 1: what relaxations of unlike limits are compared by.

        Infinite where it does not help, and for what is no number.
        """
        if self.needs is None or not self.value > 0:
            return math.inf
        return max(self.value, self.needs) / min(self.value, self.needs)


def rescues(
    problem: Problem,
    solution: Solution,
    *,
    knobs: Sequence[Knob] | None = None,
    method: str | None = None,
    time_limit_s: float = 5.0,
    seed: int | None = None,
    cancel: Event | None = None,
    progress: Progress | None = None,
) -> tuple[Rescue, ...]:
    """Find the smallest relaxation of each limit that by itself makes an infeasible problem feasible.

    A limit that is named in a clash is first tried at the best that any plan reaches while it keeps the others of that
    clash (``Clash.best_achievable``): less cannot suffice, so where that suffices it is the answer. Otherwise the
    relaxation that suffices is bisected, to `PRECISION`.

    Parameters
    ----------
    problem : Problem
    solution : Solution
        Infeasible; its clashes say where to begin. Its method and seed are used again.
    knobs : sequence of Knob, optional
        What to try; by default all that can help (`helpful`).
    method, time_limit_s, seed
        Of each re-solve.
    cancel : threading.Event, optional
    progress : callable, optional

    Returns
    -------
    tuple of Rescue
        The smallest change first, those that do not help by themselves last.
    """
    asker = Asker(method or solution.method, time_limit_s, solution.seed if seed is None else seed, 0, cancel)
    tried = helpful(problem, solution.clashes) if knobs is None else tuple(knobs)
    found = []
    for done, knob in enumerate(tried):
        if cancel is not None and cancel.is_set():
            break
        if progress is not None:
            progress(done, len(tried), knob.name)
        found.append(_rescue(_Trial(asker, problem, knob), _floor(solution.clashes, knob)))
    return tuple(sorted(found, key=lambda rescue: (rescue.needs is None, rescue.change, rescue.knob)))


def helpful(problem: Problem, clashes: Sequence[Clash]) -> tuple[Knob, ...]:
    """What may make a problem feasible by itself: what the limits that clash depend on.

    A limit on memory or utilisation outside the clash cannot help, for the clash stays without it. Deadlines do where
    one clashes (any of them, for they are ranks), rates where anything but memory does, cores and threads always.
    """
    named = {knob_of(clash.limit) for clash in clashes}
    kinds = {knob.kind for knob in named}

    def may_help(knob: Knob) -> bool:
        if not clashes:
            return True
        if knob.kind in ("memory", "max_utilisation"):
            return knob in named
        if knob.kind == "deadline":
            return "deadline" in kinds
        return knob.kind != "rate" or bool(kinds - {"memory"})

    return tuple(knob for knob in knobs_of(problem) if may_help(knob))


@dataclass(frozen=True)
class _Trial:
    """Turns one knob of a problem and asks."""

    asker: Asker
    problem: Problem
    knob: Knob

    @property
    def value(self) -> float:
        return value_of(self.problem, self.knob)

    def at(self, value: float) -> Reply:
        try:
            return self.asker.ask(turned(self.problem, self.knob, value))
        except (CostError, PlatformError) as error:
            return Reply("infeasible", reason=str(error))

    def reorders(self, value: float) -> bool:
        return not never_hurts(self.problem, self.knob, turned(self.problem, self.knob, value))


def _rescue(trial: _Trial, floor: float | None) -> Rescue:
    knob, value = trial.knob, trial.value
    refused, proven, reply = value, True, Reply("infeasible")
    for tried in _ladder(knob, value, floor):
        reply = trial.at(tried)
        if reply.plan is not None:
            if tried == floor:
                # The clash proves that less does not do; what it states was rounded up by less than one.
                below = max(value, tried - 1) if knob.kind in ("memory", "deadline") else tried
                return Rescue(knob, value, tried, below, True, reply, trial.reorders(tried))
            return _bisected(trial, refused, proven, tried, reply)
        refused, proven = tried, reply.status == "infeasible"
    return Rescue(knob, value, None, refused, proven, reply)


def _ladder(knob: Knob, value: float, floor: float | None) -> Iterator[float]:
    """Relaxations to try until one suffices: where the clash says that it begins, then further.

    A deadline grows step by step, for it changes who goes before whom, and a much later one may fail where a little
    later one does not. Of all else the most is tried at once: where that does not help, nothing less does.
    """
    if knob.kind == "core_sets":
        yield from () if value else (1.0,)
        return
    if knob.kind == "max_utilisation":
        yield from (to for to in (floor, 1.0) if to is not None and value < to <= 1)
        return
    if knob.kind in ("cores", "max_threads"):
        yield MOST_CORES * value
        return
    start = value
    if floor is not None and floor > value:
        yield floor
        start = floor
    if knob.kind == "deadline":
        factor = 1.25
        while factor < MOST:
            yield start * factor
            factor *= factor
        yield start * MOST
    else:
        yield start * MOST if knob.looser > 0 else start / MOST


def _bisected(trial: _Trial, refused: float, proven: bool, needs: float, reply: Reply) -> Rescue:
    """Close in between what is refused and what suffices; on a scale of factors, for that is how limits compare."""
    knob = trial.knob
    while not knob.is_whole or abs(needs - refused) > 1:
        if max(needs, refused) / min(needs, refused) <= 1 + PRECISION:
            break
        middle = math.sqrt(needs * refused)
        if knob.is_whole:
            middle = float(round(middle))
            if middle in (needs, refused):
                break
        answer = trial.at(middle)
        if answer.plan is not None:
            needs, reply = middle, answer
        else:
            refused, proven = middle, answer.status == "infeasible"
    return Rescue(knob, trial.value, needs, refused, proven, reply, trial.reorders(needs))


def _floor(clashes: Sequence[Clash], knob: Knob) -> float | None:
    """Least value of a limit at which a clash that names it can end, rounded up; None where that is not known."""
    for clash in clashes:
        if knob_of(clash.limit) == knob and clash.best_achievable is not None:
            best = clash.best_achievable
            return best if knob.kind == "max_utilisation" else float(math.ceil(best))
    return None
