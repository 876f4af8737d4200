"""Responses of all models in CP-SAT: who waits for whom, on which cores, and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..formulation import Problem, competing_releases
from .core_sets import CoreSet, Placement
from .cp_path import ModelPath

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


def parts_of_a_tick(offered: Iterable[Placement]) -> int:
    """Common denominator of the shares of core sets in each other, 1 / (|S| |U|)."""
    sizes = {len(cores) for placement in offered for cores in placement if cores is not None}
    return math.lcm(*(a * b for a in sizes for b in sizes))


def set_on(path_processors: Iterable[str], placement: Placement, processor: str) -> CoreSet | None:
    """Core set of a placement on one processor, None where it has none there."""
    pairs = zip(path_processors, placement, strict=True)
    return next((cores for name, cores in pairs if name == processor and cores is not None), None)


def shared_parts(mine: CoreSet | None, theirs: CoreSet | None, parts: int) -> int:
    """What a tick of core time spread over `theirs` adds to the wait for `mine`, |S ∩ U| / (|S| |U|), in parts."""
    if mine is None or theirs is None:
        return 0
    return len(set(mine) & set(theirs)) * parts // (len(mine) * len(theirs))


class Responses:
    """Response of each model at the critical instant, in `parts` of a tick.

    Model j's core time K on processor p adds n_ij · K · |S ∩ U| / (|S| |U|) to model i's wait there, where U and S are
    the two models' core sets. The product of K with the share, which depends on both placements, is linear because
    the share has few values: for each value a literal says that the share is at least that.
    """

    def __init__(
        self,
        cp: cp_model.CpModel,
        problem: Problem,
        paths: Mapping[str, ModelPath],
        longest_ticks: Mapping[str, int],
        parts: int,
    ) -> None:
        self._cp, self._problem, self._paths, self._longest_ticks = cp, problem, paths, longest_ticks
        self.parts = parts
        self._share: dict[tuple[str, str, str], dict[int, cp_model.IntVar]] = {}
        self._blocking: dict[str, cp_model.LinearExpr | int] = {}
        self._response: dict[str, cp_model.IntVar] = {}

    def blocking(self, model: str) -> cp_model.LinearExpr | int:
        """Longest waits for segments of later deadline, summed over the core sets in use, in ticks."""
        if model not in self._blocking:
            total: cp_model.LinearExpr | int = 0
            others = [other for other, releases in self._others(model) if not releases]
            for processor in self._paths[model].on_processor if others else ():
                name = f"blocking of {model} on {processor}"
                wait = self._cp.new_int_var(0, self._longest_ticks[model], name)
                for other in others:
                    for literal in list(self._share_at_least(model, other, processor).values())[:1]:
                        longest = self._paths[other].longest[processor]
                        self._cp.add(wait >= longest).only_enforce_if(literal)
                total = total + wait
            self._blocking[model] = total
        return self._blocking[model]

    def response(self, model: str) -> cp_model.IntVar:
        """Latency, blocking and interference, in parts of a tick."""
        if model not in self._response:
            most = self._longest_ticks[model] * self.parts
            total = self.parts * self._paths[model].latency + self.parts * self.blocking(model)
            for other, releases in self._others(model):
                for processor in self._paths[model].on_processor if releases else ():
                    name = f"interference of {other} with {model} on {processor}"
                    wait = self._cp.new_int_var(0, most, name)
                    for share, literal in self._share_at_least(model, other, processor).items():
                        core_ticks = self._paths[other].core_ticks[processor]
                        self._cp.add(wait >= releases * share * core_ticks).only_enforce_if(literal)
                    total = total + wait
            variable = self._cp.new_int_var(0, most, f"response of {model}")
            self._cp.add(variable >= total)
            self._response[model] = variable
        return self._response[model]

    def _others(self, model: str) -> list[tuple[str, int]]:
        """The other models, each with how many of its requests go first."""
        stream_of = self._problem.stream_of
        return [
            (other, competing_releases(stream_of.get(model), stream_of.get(other)))
            for other in self._paths
            if other != model and self._problem.streams
        ]

    def _share_at_least(self, model: str, other: str, processor: str) -> dict[int, cp_model.IntVar]:
        """Literals that hold where two models' core sets share at least so many parts, by ascending share."""
        one, two = sorted((model, other))
        key = (one, two, processor)
        if key not in self._share:
            first, second = self._paths[one], self._paths[two]
            sets = [
                [set_on([c.processor for c in path.chain.configurations], p, processor) for p in path.placements]
                for path in (first, second)
            ]
            shares = [[shared_parts(u, s, self.parts) for s in sets[1]] for u in sets[0]]
            literals = {}
            for share in sorted({share for row in shares for share in row if share}):
                literal = self._cp.new_bool_var(f"{one} and {two} share {share} of {processor}")
                for z, row in zip(first.placed, shares, strict=True):
                    sharing = [y for y, found in zip(second.placed, row, strict=True) if found >= share]
                    if sharing:
                        self._cp.add(sum(sharing) + z - 1 <= literal)
                literals[share] = literal
            self._share[key] = literals
        return self._share[key]
