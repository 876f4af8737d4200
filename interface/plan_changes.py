"""What two plans say to do otherwise, in words: models, cuts, configurations, cores, gangs, order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..formulation import Configuration, ModelPlan, Plan, PlannedSegment

ChangeKind = Literal[
    "added", "removed", "file", "cuts", "configuration", "cores", "gangs", "execution", "order", "platform", "listing"
]

ABSENT = "–"


@dataclass(frozen=True)
class Change:
    """One thing that a plan says otherwise.

    Attributes
    ----------
    kind : str
        ``added`` and ``removed`` models; another model ``file``; positions of ``cuts``; ``configuration``, ``cores``
        and ``gangs`` of layers; the ``execution`` of segments in another sequence; the ``order`` of dispatch; another
        ``platform``; the same models in another ``listing``, which changes nothing that is done.
    model : str
        Empty for what is of the whole plan.
    layers : tuple of int, optional
        Layers ``[start, stop)`` that it is about.
    old, new : str
    """

    kind: ChangeKind
    model: str
    layers: tuple[int, int] | None
    old: str
    new: str


def plan_changes(old: Plan, new: Plan) -> tuple[Change, ...]:
    """Everything that `new` says otherwise than `old`; empty exactly where both say the same.

    Who made a plan, what was proven of it, and where its costs come from say nothing of what to do and do not count.
    """
    before = {part.model: part for part in old.models}
    after = {part.model: part for part in new.models}
    found = [Change("removed", name, None, _segments(before[name]), ABSENT) for name in before if name not in after]
    found += [Change("added", name, None, ABSENT, _segments(after[name])) for name in after if name not in before]
    for name in before:
        if name in after and before[name] != after[name]:
            found += _of_model(before[name], after[name])
    if old.order != new.order:
        found.append(Change("order", "", None, old.order, new.order))
    if old.platform_fingerprint != new.platform_fingerprint:
        platforms = (plan.platform_fingerprint[:12] or "none in particular" for plan in (old, new))
        found.append(Change("platform", "", None, *platforms))
    if not found and list(before) != list(after):
        found.append(Change("listing", "", None, ", ".join(before), ", ".join(after)))
    return tuple(found)


def _of_model(old: ModelPlan, new: ModelPlan) -> Iterator[Change]:
    name = old.model
    if old.sha256 != new.sha256:
        yield Change("file", name, None, f"{old.sha256[:12]}…", f"{new.sha256[:12]}…")
    if old.segments == new.segments:
        return
    if _layers(old) != _layers(new):
        # Another graph: a position in one says nothing of the other.
        yield Change("execution", name, None, _segments(old), _segments(new))
        return
    found = []
    if _cuts(old) != _cuts(new):
        found.append(Change("cuts", name, None, _positions(_cuts(old)), _positions(_cuts(new))))
    found += _by_layers(old, new, "configuration", lambda segment: _configuration(segment.configuration))
    found += _by_layers(old, new, "cores", lambda segment: _listed(segment.cores))
    found += _by_layers(old, new, "gangs", _gangs)
    yield from found or [Change("execution", name, None, _sequence(old), _sequence(new))]


def _by_layers(
    old: ModelPlan, new: ModelPlan, kind: ChangeKind, described: Callable[[PlannedSegment], str]
) -> Iterator[Change]:
    """Stretches of layers of which the two say something else; neighbours of which they say the same are one."""
    stretches: list[Change] = []
    for start, stop in pairwise(sorted({0, *_cuts(old), *_cuts(new), _layers(old)})):
        said, says = (_said(part, start, stop, described) for part in (old, new))
        last = stretches[-1] if stretches else None
        if last is not None and last.layers is not None and (last.old, last.new) == (said, says):
            stretches[-1] = Change(kind, old.model, (last.layers[0], stop), said, says)
        else:
            stretches.append(Change(kind, old.model, (start, stop), said, says))
    yield from (stretch for stretch in stretches if stretch.old != stretch.new)


def _said(part: ModelPlan, start: int, stop: int, described: Callable[[PlannedSegment], str]) -> str:
    # A plan that was made by hand may leave layers out, or have them twice; all that is said counts.
    return "; ".join(described(s) for s in part.segments if s.start <= start and stop <= s.stop) or ABSENT


def _layers(part: ModelPlan) -> int:
    return max(segment.stop for segment in part.segments)


def _cuts(part: ModelPlan) -> tuple[int, ...]:
    ends = {segment.start for segment in part.segments} | {segment.stop for segment in part.segments}
    return tuple(sorted(ends - {0, _layers(part)}))


def _configuration(configuration: Configuration) -> str:
    return f"{configuration.processor} {configuration.name}"


def _gangs(segment: PlannedSegment) -> str:
    gangs = (f"{_configuration(gang.configuration)} on {_listed(gang.cores)}" for gang in segment.gangs)
    return ", ".join(gangs) or "none"


def _positions(cuts: tuple[int, ...]) -> str:
    return _listed(cuts) if cuts else "none"


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _segments(part: ModelPlan) -> str:
    number = len(part.segments)
    return f"{number} segment{'' if number == 1 else 's'} of {_layers(part)} layers"


def _sequence(part: ModelPlan) -> str:
    return ", ".join(f"{s.start}–{s.stop - 1} on {_listed(s.cores)}" for s in part.segments)
