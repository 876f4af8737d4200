"""Which solvers there are, and `solve`, the one way to use them."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..formulation import (
    JobProblem,
    PartitionProblem,
    Problem,
    TenancyProblem,
    ThroughputProblem,
    UnsupportedError,
    capped,
)
from ..formulation.operating_points import OperatingPointProblem
from . import libraries
from .answer import Answer
from .fronts.lazy_front import LazyFront
from .plugins import names_of_others, refuse_incomplete, solver_of_others
from .problem_classes import class_of
from .progress import OnProgress, Reporter
from .solution import Solution
from .stop import Cancellation, Stop, TimeLimit

if TYPE_CHECKING:
    from .deadlines.solution import JobSolution
    from .operating_points.solution import PointsSolution
    from .partition.solution import PartitionSolution
    from .tenancy.solution import TenancySolution
    from .throughput.solution import ThroughputSolution


class Supports(Protocol):
    """What a solver can do, as data; each class of problems has its own."""

    @property
    def exact(self) -> bool:
        """Whether the solver proves optimality and infeasibility, given time."""
        ...

    def unsupported(self, problem: Any) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        ...


@runtime_checkable
class Solver(Protocol):
    """A solver: problem in, answer out.

    Attributes
    ----------
    name : str
    features : Supports
        `solve` is only called with problems that these cover.
    """

    name: str

    @property
    def features(self) -> Supports:
        """What it can do."""
        ...

    def solve(self, problem: Any, stop: Stop, seed: int) -> Answer:
        """Solve until done or stopped; an infeasible problem and running out of time are statuses.

        Plans in the answer need no true stamp: `edgeplan.solvers.solve` stamps them.
        """
        ...


def available_methods(problem: type = Problem) -> tuple[str, ...]:
    """Names that `solve` accepts for a class of problems: the built-in solvers, then those of other distributions."""
    known = class_of(problem)
    others = names_of_others(known.entry_point_group)
    return (*known.built_in, *sorted(others - set(known.built_in)))


def solver(method: str, problem: type = Problem) -> Solver:
    """Make a solver by name, with its default settings.

    Parameters
    ----------
    method : str
    problem : type
        Class of the problems it shall solve.

    Raises
    ------
    UnsupportedError
        There is none of that name, a library that it is built on is not installed, or it is another distribution's and
        cannot be made.
    """
    known = class_of(problem)
    if method in known.built_in:
        module, name = known.built_in[method]
        with libraries.named(method):
            return getattr(import_module(f".{module}", __package__), name)()
    others = solver_of_others(method, known.entry_point_group)
    if others is not None:
        return others
    raise UnsupportedError(
        f"method {method!r}",
        expected=f"'auto' or one of {', '.join(available_methods(problem))}",
        got="an unknown name",
        remedy="Choose one of these, or install the distribution that provides it.",
    )


@overload
def solve(
    problem: Problem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> Solution: ...
@overload
def solve(
    problem: PartitionProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> PartitionSolution: ...
@overload
def solve(
    problem: JobProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> JobSolution: ...
@overload
def solve(
    problem: TenancyProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> TenancySolution: ...
@overload
def solve(
    problem: ThroughputProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> ThroughputSolution: ...
@overload
def solve(
    problem: OperatingPointProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> PointsSolution: ...
def solve(
    problem: Problem | PartitionProblem | JobProblem | TenancyProblem | ThroughputProblem | OperatingPointProblem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> Answer:
    """Solve a problem.

    Parameters
    ----------
    problem : Problem, PartitionProblem, JobProblem, TenancyProblem, ThroughputProblem or OperatingPointProblem
    method : str or Solver
        ``auto`` takes the first solver that fits: exact ones before others. A `Solver` object brings own settings.
    time_limit_s : float
        Wall-clock seconds. What is best by then is returned. Seconds in which loops are compiled, once after an
        installation, do not count, though `runtime_s` has them.
    seed : int
        The same seed gives the same plan, unless time ran out.
    cancel : threading.Event, optional
        Set it to end the search early.
    on_progress : callable, optional
        Called with a `Progress` as plans and bounds are found, from the thread that searches; at the start and at the
        end by every solver, in between by `cp_sat` for a `Problem` and by the searches for fronts.

    Returns
    -------
    Solution, PartitionSolution, JobSolution, TenancySolution, ThroughputSolution or PointsSolution
        Everything in it was scored by the class's one evaluator and keeps every limit.

    Raises
    ------
    UnsupportedError
        The method is unknown, does not support this problem, or lacks a library. What would do is named.
    EdgePlanError
        Nothing can run at all, whatever the limits.
    SolverBugError
        The solver and the evaluator disagree.
    """
    if not time_limit_s > 0:
        raise UnsupportedError(
            "time limit", expected="more than 0 seconds", got=f"{time_limit_s}", remedy="Allow at least a second."
        )
    chosen = _chosen(problem, method)
    with libraries.named(chosen.name):
        checks = import_module(f".{class_of(type(problem)).checks}", __package__)
        checks.refuse_unrunnable(problem)
        began_s = time.monotonic()
        reporter = Reporter(on_progress)
        stop: Stop = TimeLimit(time_limit_s, reporter)
        if cancel is not None:
            stop = Cancellation(cancel, stop)
        reporter.began()
        answer: Answer = checks.verified(problem, chosen.solve(problem, stop, seed))
    if reporter.is_heard:
        reporter.ended(answer.objective, answer.bound, _figures(answer))
    return replace(answer, seed=seed, runtime_s=time.monotonic() - began_s).stamped()


def _figures(answer: Answer) -> NDArray[np.float64] | None:
    """Latency and memory of the points of an answer that has a front of them."""
    if not isinstance(answer, Solution) or not len(answer.front):
        return None
    if isinstance(answer.front, LazyFront):  # whose plans are made when they are looked at
        return answer.front.figures
    return np.array([(point.latency_us, point.memory_bytes) for point in answer.front])


def _fits(method: str, problem: Any) -> bool:
    try:
        return solver(method, type(problem)).features.unsupported(problem) is None
    except UnsupportedError:
        return False  # a library that it is built on is not installed


def _chosen(problem: Any, method: str | Solver) -> Solver:
    kind = type(problem)
    known = class_of(kind)
    if method != "auto":
        if not isinstance(method, str):
            refuse_incomplete(method)
        named = solver(method, kind) if isinstance(method, str) else method
        lack = named.features.unsupported(problem)
        if lack is None:
            return named
        fitting = [name for name in available_methods(kind) if _fits(name, problem)]
        raise UnsupportedError(
            f"method {named.name!r}",
            expected="a problem that it supports",
            got=lack,
            remedy=f"Use {capped(fitting)}." if fitting else "No solver supports this; offer other cuts or objectives.",
        )
    lacks = []
    for name in known.built_in:
        candidate = solver(name, kind)
        lack = candidate.features.unsupported(problem)
        if lack is None:
            return candidate
        lacks.append(f"{name}: {lack}")
    raise UnsupportedError(
        "method 'auto'",
        expected="a problem that some solver supports",
        got="; ".join(lacks),
        remedy="Offer cuts that a single tensor crosses (`cut_chain(graph)`), or plan models one by one.",
    )
