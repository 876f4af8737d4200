"""How one plan takes the place of another within the memory limit: which models change together, and which must wait.

Where all sessions of both plans fit, all models change at once. Where they do not, models change one after the other;
and a model whose old and new sessions do not fit beside each other is closed before it is opened again, while its
requests wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formulation import ScoredSegment
from ..formulation.evaluate import MICROSECOND_TOLERANCE

Segments = tuple[ScoredSegment, ...]


@dataclass(frozen=True)
class Stage:
    """Models that change together.

    Attributes
    ----------
    models : tuple of str
    beside : bool
        Whether their new sessions are opened while the old ones serve; otherwise their requests wait.
    peak_bytes : dict of str to float
        Most that all sessions take of each memory meanwhile.
    """

    models: tuple[str, ...]
    beside: bool
    peak_bytes: Mapping[str, float]


def stages(
    old: Mapping[str, Segments],
    new: Mapping[str, Segments],
    limit_bytes: Mapping[str, float],
    fresh: Iterable[str] = (),
) -> tuple[Stage, ...]:
    """Stages from one plan to another, none of which takes more memory than the limit, where that can be.

    Only the last may: where nothing else is left to close, and the new plan itself does. Where more is taken already
    (the limit was lowered), it is that which no stage exceeds.

    Parameters
    ----------
    old, new : mapping of str to tuple of ScoredSegment
        By model; models may come and go.
    limit_bytes : mapping of str to float
        By memory.
    fresh : iterable of str
        Models whose plans share no session.
    """
    memories = list(limit_bytes)
    limits = np.array([limit_bytes[memory] for memory in memories]) * (1 + MICROSECOND_TOLERANCE)
    apart = set(fresh)

    def held(name: str, *plans: Mapping[str, Segments]) -> NDArray[np.float64]:
        """Bytes of each memory: every session once, working memory once a plan."""
        total = np.zeros(len(memories))
        counted: list[ScoredSegment] = []
        for plan in plans:
            working = np.zeros(len(memories))
            for segment in plan.get(name, ()):
                memory = memories.index(segment.memory)
                if name in apart or all(segment.planned != other.planned for other in counted):
                    total[memory] += segment.resident_bytes
                    counted.append(segment)
                working[memory] = max(working[memory], segment.transient_bytes)
            total += working
        return total

    def stage(models: tuple[str, ...], beside: bool, peak: NDArray[np.float64]) -> Stage:
        return Stage(models, beside, dict(zip(memories, peak.tolist(), strict=True)))

    left = sorted(old.keys() | new.keys())
    before = {name: held(name, old) for name in left}
    after = {name: held(name, new) for name in left}
    both = {name: held(name, old, new) for name in left}
    now = sum(before.values(), start=np.zeros(len(memories)))
    limits = np.maximum(limits, now)
    together = sum(both.values(), start=np.zeros(len(memories)))
    if (together <= limits).all():
        return (stage(tuple(left), True, together),)
    route = []
    while left:
        ways = [
            # Nobody waits, if it can be; then what leaves most room for the others.
            (not beside, float((after[name] - before[name]).sum()), name, now - before[name] + meanwhile)
            for name in left
            for beside, meanwhile in ((True, both[name]), (False, after[name]))
        ]
        possible = [way for way in ways if (way[3] <= limits).all()]
        if not possible:
            peak = now - sum(before[name] for name in left) + sum(after[name] for name in left)
            route.append(stage(tuple(left), False, peak))
            break
        waits, _, name, peak = min(possible, key=lambda way: way[:3])
        route.append(stage((name,), not waits, peak))
        now = now - before[name] + after[name]
        left.remove(name)
    return tuple(route)
