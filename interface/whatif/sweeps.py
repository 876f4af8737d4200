"""Sweeps: a problem solved at every point of a grid, each kept, and neighbours' plans taken where they are better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ...formulation import CostError, PlatformError, Problem
from ..fleet.engine import EngineError, Task
from ..fleet.processes import Processes
from .answers import Asker, Reply, refuse_front, reply_of
from .axes import Axis, Setting
from .neighbours import settled
from .points import Point, point_at
from .prices import Progress
from .store import Store, models_digest, question_of

OWN_LIMITS = "open"
"""Policy of sharing cores that keeps the problem's own limits and no stricter ones."""


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
    EngineError
        A process could not answer a point.
    OutputError
        An answer cannot be written down.
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
    asked = {digest: place for digest, place in zip(digests, places, strict=True) if digest not in replies}
    answers = _answers(_Shared(problem, tuple(axes), asker, policies), asked, jobs)
    for done, (digest, reply) in enumerate(answers, start=1):
        store.keep(digest, reply)
        replies[digest] = reply
        if progress is not None:
            progress(done, len(asked), reply.status)
    points = [
        point_at(place, digest, made, replies[digest], digest in kept)
        for place, digest, made in zip(places, digests, problems, strict=True)
    ]
    return Sweep(tuple(axes), tuple(settled(points, problems, axes, asker, policies)), asker, policies)


def _at(problem: Problem, axes: Sequence[Axis], place: Sequence[Setting]) -> Problem | None:
    """The problem at a place; None where no model could run at all."""
    try:
        for axis, setting in zip(axes, place, strict=True):
            problem = axis.at(problem, setting)
    except (CostError, PlatformError):
        return None
    return problem


@dataclass(frozen=True)
class _Shared:
    """What all points of a sweep share, sent to a process once: the cost tables, above all."""

    problem: Problem
    axes: tuple[Axis, ...]
    asker: Asker
    policies: bool


def _answers(shared: _Shared, asked: Mapping[str, tuple[Setting, ...]], jobs: int) -> Iterator[tuple[str, Reply]]:
    """Answer questions, in this process or in several; what is done comes as it is done."""
    if jobs == 1 or len(asked) <= 1:
        for digest, place in asked.items():
            yield digest, _answer_at(shared, place)
        return
    tasks = [Task(digest, "", place) for digest, place in asked.items()]
    with Processes(min(jobs, len(tasks))) as engine:
        for done in engine.run(_answer_at, {"": shared}, tasks):
            if done.failure:
                raise EngineError(
                    f"point {', '.join(setting.label for setting in asked[done.key])}",
                    expected="an answer",
                    got=done.failure,
                    remedy="What is answered is kept in the folder; run it again.",
                )
            yield done.key, done.result


def _answer_at(shared: _Shared, place: tuple[Setting, ...]) -> Reply:
    made = _at(shared.problem, shared.axes, place)
    assert made is not None, "only points where something can run are asked"
    return answer(made, shared.asker, shared.policies)


def answer(problem: Problem, asker: Asker, policies: bool = False) -> Reply:
    """Solve one point and simulate its plan."""
    if not policies:
        return asker.play(problem, asker.ask(problem))
    from ...solvers import by_simulation

    try:
        best = by_simulation(problem, time_limit_s=asker.time_limit_s, seed=asker.seed)[0]
    except (CostError, PlatformError) as error:
        return Reply("infeasible", reason=str(error))
    reply = reply_of(best.solution)
    if reply.plan is not None and reply.plan.solver.policy.split(",")[0] != OWN_LIMITS:
        # Proven of what its policy allows, which is less than what the problem does.
        reply = replace(reply, status="feasible", bound_us=None)
    return asker.play(problem, reply)
