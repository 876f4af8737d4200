"""One question asked of a solver and what came of it: what is proven, and how the plan fares in simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from ...formulation import CostError, Plan, PlatformError, Problem, Status, UnsupportedError, evaluate, simulate
from ..identity import digest_of, plan_digest

if TYPE_CHECKING:
    from ...solvers import Solution

OPTIMAL_TOLERANCE = 1e-6
"""Relative difference of two objectives that counts as none: sums of floats."""


@dataclass(frozen=True)
class Played:
    """How a plan fares against simulated arrivals.

    Attributes
    ----------
    p99_us : float
        Response that 99 % of all requests keep to.
    model_p99_us : dict of str to float
        The same by model.
    miss_ratio : float
        Share of requests, by weight, that end after their deadline.
    """

    p99_us: float
    model_p99_us: Mapping[str, float]
    miss_ratio: float


@dataclass(frozen=True)
class Reply:
    """What is known of a problem's optimum.

    Attributes
    ----------
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
    objective_us : float or None
        Of the best plan known; the optimum is no larger.
    bound_us : float or None
        The optimum is no smaller.
    plan : Plan or None
        The best one known.
    played : Played or None
        None without a plan or without streams, and where nothing was to be simulated.
    reason : str
        For ``infeasible``: which limits clash.
    """

    status: Status
    objective_us: float | None = None
    bound_us: float | None = None
    plan: Plan | None = None
    played: Played | None = None
    reason: str = ""

    @property
    def gap(self) -> float | None:
        """Share of the objective that is not proven necessary; None where nothing is known."""
        if self.objective_us is None or self.bound_us is None:
            return None
        return max(0.0, self.objective_us - self.bound_us) / abs(self.objective_us) if self.objective_us else 0.0


def reply_of(solution: Solution) -> Reply:
    """What a solution says of its problem."""
    reason = "; ".join(clash.sentence for clash in solution.clashes)
    # What is optimal is its own bound, whether or not the solver repeats it.
    bound = solution.objective if solution.status == "optimal" else solution.bound
    return Reply(solution.status, solution.objective, bound, solution.plan, reason=reason)


@dataclass(frozen=True)
class Asker:
    """Asks the same solver with the same settings again and again.

    Attributes
    ----------
    method : str
    time_limit_s : float
        For each question.
    seed : int
        Of the solver and of simulated arrivals.
    requests : int
        Simulated requests for each plan, all models together; 0 for none.
    cancel : threading.Event, optional
    """

    method: str = "auto"
    time_limit_s: float = 5.0
    seed: int = 0
    requests: int = 4000
    cancel: Event | None = None

    def ask(self, problem: Problem, known: Plan | None = None) -> Reply:
        """Solve a problem.

        Parameters
        ----------
        problem : Problem
        known : Plan, optional
            Of a neighbouring problem: it is taken where it keeps all limits and beats what the solver found, which
            happens where time runs out.

        Returns
        -------
        Reply
            ``infeasible`` too where no layer or link lets a model run at all.
        """
        from ...solvers import solve

        try:
            solution = solve(problem, self.method, time_limit_s=self.time_limit_s, seed=self.seed, cancel=self.cancel)
        except (CostError, PlatformError) as error:
            return Reply("infeasible", reason=str(error))
        reply = reply_of(solution)
        return self.with_known(problem, reply, known) if known is not None else reply

    def with_known(self, problem: Problem, reply: Reply, known: Plan) -> Reply:
        """The reply, or the plan known from elsewhere where that is better."""
        scored = evaluate(problem, known)
        if not scored.feasible:
            return reply
        if reply.objective_us is not None and scored.objective >= reply.objective_us * (1 - OPTIMAL_TOLERANCE):
            return reply
        bound = reply.bound_us
        if bound is not None and bound > scored.objective:
            # The solver proved it among the core sets that it offers; this plan uses another.
            bound = None
        return Reply("feasible", scored.objective, bound, known)

    def play(self, problem: Problem, reply: Reply, cache: dict[str, Played] | None = None) -> Reply:
        """The reply with its plan simulated; `cache` spares what was simulated before."""
        if reply.plan is None or not problem.streams or not self.requests:
            return reply
        key = digest_of(
            {
                "plan": plan_digest(reply.plan),
                "streams": problem.streams,
                "cores": [processor.cores for processor in problem.platform.processors],
            }
        )
        cache = {} if cache is None else cache
        if key not in cache:
            cache[key] = played(problem, reply.plan, self.requests, self.seed)
        return replace(reply, played=cache[key])


def played(problem: Problem, plan: Plan, requests: int, seed: int = 0) -> Played:
    """Play a plan against simulated arrivals of the problem's streams; misses count as in `edgeplan.solvers.judge`.

    Parameters
    ----------
    problem : Problem
        With streams.
    plan : Plan
    requests : int
        All models together, about.
    seed : int
    """
    rate_hz = sum(stream.rate_hz for stream in problem.streams)
    simulated = simulate(problem, plan, requests / rate_hz * 1e6, seed)
    heard = [(stream, simulated[stream.model]) for stream in problem.streams]
    heard = [(stream, responses) for stream, responses in heard if len(responses.response_us)]
    if not heard:
        return Played(0.0, {}, 0.0)
    weights = [stream.weight * len(responses.response_us) for stream, responses in heard]
    return Played(
        float(np.quantile(np.concatenate([responses.response_us for _, responses in heard]), 0.99)),
        {stream.model: responses.percentile_us(0.99) for stream, responses in heard},
        float(np.average([responses.miss_ratio for _, responses in heard], weights=weights)),
    )


def refuse_front(problem: Problem) -> None:
    """Refuse a problem that has no single objective.

    Raises
    ------
    UnsupportedError
        Its objective is ``front``.
    """
    if problem.objective == "front":
        raise UnsupportedError(
            "objective 'front'",
            expected="one objective, so that two plans can be told apart by it",
            got="a front of latency and memory",
            remedy="Set the scenario's `objective` to `response` or `latency`; fronts are for `edgeplan pareto`.",
        )
