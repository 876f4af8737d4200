"""Sweeps: a problem solved at every point of a grid, each kept, and neighbours' plans taken where they are better."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from ...formulation import CostError, PlatformError, Problem, evaluate
from .answers import Asker, Reply, refuse_front, reply_of
from .axes import Axis, Setting
from .prices import Progress
from .store import Store, models_digest, question_of


@dataclass(frozen=True)
class Point:
    """One point of a grid.

    Attributes
    ----------
    settings : tuple of Setting
        One for each axis.
    digest : str
        Of the question that was answered.
    reply : Reply
    memory_bytes : dict of str to float
        What the plan needs of each memory; empty without a plan.
    utilisation : float
        Of the busiest core; NaN without a plan or streams.
    is_kept : bool
        Whether the answer was read from the folder.
    taken_from : tuple of Setting
        The neighbour whose plan this is, where that beats what the solver found here in its time; else empty.
    """

    settings: tuple[Setting, ...]
    digest: str
    reply: Reply
    memory_bytes: Mapping[str, float]
    utilisation: float
    is_kept: bool = False
    taken_from: tuple[Setting, ...] = ()

    @property
    def label(self) -> str:
        """Where it is, for people."""
        return ", ".join(setting.label for setting in self.settings)

    @property
    def total_memory_bytes(self) -> float:
        """Of all memories; NaN without a plan."""
        return sum(self.memory_bytes.values()) if self.memory_bytes else float("nan")


@dataclass(frozen=True)
class Sweep:
    """A grid of answers.

    Attributes
    ----------
    axes : tuple of Axis
    points : tuple of Point
        The last axis varies fastest.
    asker : Asker
        With what each point was solved.
    policies : bool
        Whether each point was planned under every policy of sharing cores.
    """

    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    asker: Asker
    policies: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Settings of each axis."""
        return tuple(len(axis.settings) for axis in self.axes)


def sweep(
    problem: Problem,
    axes: Sequence[Axis],
    *,
    asker: Asker | None = None,
    policies: bool = False,
    jobs: int = 1,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Solve a problem at every point of a grid.

    Parameters
    ----------
    problem : Problem
    axes : sequence of Axis
        From `parse_axes` for this problem.
    asker : Asker, optional
        Method, seed, time limit of each point and simulated requests.
    policies : bool
        Plan each point under every policy of sharing cores and take what fares best in simulation, as ``edgeplan plan``
        does for objective ``response``; else minimise the objective as it stands.
    jobs : int
        Processes that solve points side by side; 1 solves them in this one.
    folder : Path, optional
        Where answers are kept. What was answered there before, by the same method, seed, limit and versions, is not
        asked again.
    progress : callable, optional

    Returns
    -------
    Sweep

    Raises
    ------
    UnsupportedError
        The objective is ``front``, or the method does not support the problem.
    """
    refuse_front(problem)
    asker = asker or Asker()
    policies = policies and problem.objective == "response"
    store, models = Store(folder), models_digest(problem)
    settings = {
        "method": asker.method,
        "time_limit_s": float(asker.time_limit_s),
        "seed": asker.seed,
        "requests": asker.requests,
        "policies": policies,
    }
    places = list(product(*(axis.settings for axis in axes)))
    problems = [_at(problem, axes, place) for place in places]
    digests = ["" if made is None else question_of(made, models, **settings) for made in problems]
    replies: dict[str, Reply] = {"": Reply("infeasible", reason="nothing can run there")}
    kept = {digest: reply for digest in set(digests) - {""} if (reply := store.find(digest)) is not None}
    replies |= kept
    open_questions = {d: p for d, p in zip(digests, problems, strict=True) if p is not None and d not in replies}
    for done, (digest, reply) in enumerate(_answers(open_questions, asker, policies, jobs), start=1):
        store.keep(digest, reply)
        replies[digest] = reply
        if progress is not None:
            progress(done, len(open_questions), reply.status)
    points = [
        _point(place, digest, made, replies[digest], digest in kept)
        for place, digest, made in zip(places, digests, problems, strict=True)
    ]
    return Sweep(tuple(axes), tuple(_settled(points, problems, axes, asker, policies)), asker, policies)


def _at(problem: Problem, axes: Sequence[Axis], place: Sequence[Setting]) -> Problem | None:
    """The problem at a place; None where no model could run at all."""
    try:
        for axis, setting in zip(axes, place, strict=True):
            problem = axis.at(problem, setting)
    except (CostError, PlatformError):
        return None
    return problem


def _answers(questions: Mapping[str, Problem], asker: Asker, policies: bool, jobs: int) -> Iterator[tuple[str, Reply]]:
    """Answer questions, in this process or in several; what is done comes as it is done."""
    if jobs == 1 or len(questions) <= 1:
        for digest, problem in questions.items():
            yield digest, answer(problem, asker, policies)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(questions)), mp_context=context) as pool:
        try:
            asked = {pool.submit(answer, problem, asker, policies): d for d, problem in questions.items()}
            for done in as_completed(asked):
                yield asked[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def answer(problem: Problem, asker: Asker, policies: bool = False) -> Reply:
    """Solve one point and simulate its plan."""
    if not policies:
        return asker.play(problem, asker.ask(problem))
    from ...solvers import by_simulation

    try:
        best = by_simulation(problem, time_limit_s=asker.time_limit_s, seed=asker.seed)[0]
    except (CostError, PlatformError) as error:
        return Reply("infeasible", reason=str(error))
    return asker.play(problem, reply_of(best.solution))


def _point(place: tuple[Setting, ...], digest: str, problem: Problem | None, reply: Reply, is_kept: bool) -> Point:
    if reply.plan is None or problem is None:
        return Point(place, digest, reply, {}, float("nan"), is_kept)
    scored = evaluate(problem, reply.plan)
    busiest = max(scored.utilisation.values(), default=float("nan")) if problem.streams else float("nan")
    return Point(place, digest, reply, dict(scored.memory_bytes), busiest, is_kept)


def _settled(
    points: list[Point], problems: Sequence[Problem | None], axes: Sequence[Axis], asker: Asker, policies: bool
) -> list[Point]:
    """Points none of which has a neighbour whose plan keeps its limits and is better here.

    An optimum never is: this repairs what a time limit cut short, for instance a larger memory that came out worse.
    Under policies a plan is chosen by simulation, not by the objective; there only points without a plan are filled.
    """
    shape = tuple(len(axis.settings) for axis in axes)
    found = list(points)
    changed = True
    while changed:
        changed = False
        for i, made in enumerate(problems):
            if made is None or (policies and found[i].reply.plan is not None):
                continue
            for k in _neighbours(i, shape):
                known = found[k].reply.plan
                if known is None:
                    continue
                better = asker.with_known(made, found[i].reply, known)
                if better is found[i].reply:
                    continue
                source = found[k].taken_from or found[k].settings
                point = _point(found[i].settings, found[i].digest, made, asker.play(made, better), found[i].is_kept)
                found[i] = replace(point, taken_from=source)
                changed = True
    return found


def _neighbours(i: int, shape: tuple[int, ...]) -> Iterator[int]:
    """Points one step away along one axis, by index into the grid in row-major order."""
    place = np.unravel_index(i, shape)
    for axis, size in enumerate(shape):
        for step in (-1, 1):
            at = int(place[axis]) + step
            if 0 <= at < size:
                yield int(np.ravel_multi_index((*place[:axis], at, *place[axis + 1 :]), shape))
