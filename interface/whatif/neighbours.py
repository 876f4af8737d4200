"""What points of a grid know of each other: plans that fit the neighbour too, and proofs that hold there as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...formulation import Problem
from .answers import OPTIMAL_TOLERANCE, Asker, Reply
from .axes import Axis, Setting
from .knobs import never_hurts
from .points import Point, point_at


def settled(
    points: Sequence[Point], problems: Sequence[Problem | None], axes: Sequence[Axis], asker: Asker, policies: bool
) -> list[Point]:
    """Points none of which has a neighbour whose plan keeps its limits and is better here.

    An optimum never is: this repairs what a time limit cut short, for instance a larger memory that came out worse.
    Under policies a plan is chosen by simulation, not by the objective; there only points without a plan are filled.

    Parameters
    ----------
    points : sequence of Point
        In row-major order.
    problems : sequence of Problem or None
        Of each point; None where nothing can run.
    axes : sequence of Axis
    asker : Asker
    policies : bool
    """
    shape = tuple(len(axis.settings) for axis in axes)
    found = list(points)
    changed = True
    while changed:
        changed = False
        for i, made in enumerate(problems):
            if made is None or (policies and found[i].reply.plan is not None):
                continue
            for k, _ in _neighbours(i, shape):
                known = found[k].reply.plan
                if known is None:
                    continue
                better = asker.with_known(made, found[i].reply, known)
                if better is found[i].reply:
                    continue
                source = found[k].taken_from or found[k].settings
                point = point_at(found[i].settings, found[i].digest, made, asker.play(made, better), found[i].is_kept)
                found[i] = replace(point, taken_from=source)
                changed = True
    return found if policies else _proven(found, problems, axes)


def _proven(points: list[Point], problems: Sequence[Problem | None], axes: Sequence[Axis]) -> list[Point]:
    """Points with the proofs of looser neighbours: what is impossible there, or not that good, is so here too."""
    shape = tuple(len(axis.settings) for axis in axes)
    changed = True
    while changed:
        changed = False
        for i, tight in enumerate(problems):
            for k, along in _neighbours(i, shape):
                loose = problems[k]
                if tight is None or loose is None:
                    continue
                ends = points[i].settings[along], points[k].settings[along]
                reply = _with_proof(points[i].reply, points[k])
                if reply is points[i].reply or not _is_looser(axes[along], *ends, tight, loose):
                    continue
                points[i] = replace(points[i], reply=reply)
                changed = True
    return points


def _with_proof(reply: Reply, loose: Point) -> Reply:
    """A reply with what is proven of a looser problem; itself where that says nothing new."""
    other = loose.reply
    if other.status == "infeasible":
        if reply.status != "timeout":
            return reply
        return Reply("infeasible", reason=f"there is no plan at {loose.label}, which is looser")
    if reply.status != "feasible" or reply.objective_us is None or other.bound_us is None:
        return reply
    bound = min(other.bound_us, reply.objective_us)
    if reply.bound_us is not None and bound <= reply.bound_us + OPTIMAL_TOLERANCE * abs(reply.objective_us):
        return reply
    is_best = bound >= reply.objective_us - OPTIMAL_TOLERANCE * abs(reply.objective_us)
    return replace(reply, bound_us=bound, status="optimal" if is_best else "feasible")


def _is_looser(axis: Axis, here: Setting, there: Setting, tight: Problem, loose: Problem) -> bool:
    """Whether every plan at `here` is on offer at `there` too and is no worse."""
    return all(
        (after - before) * knob.looser >= 0 and never_hurts(tight, knob, loose)
        for knob, before, after in zip(axis.knobs, here.values, there.values, strict=True)
    )


def _neighbours(i: int, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Points one step away, by index into the grid in row-major order, and the axis of the step."""
    place = np.unravel_index(i, shape)
    for axis, size in enumerate(shape):
        for step in (-1, 1):
            at = int(place[axis]) + step
            if 0 <= at < size:
                yield int(np.ravel_multi_index((*place[:axis], at, *place[axis + 1 :]), shape)), axis
