"""The three functions of the package itself: load, plan, run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import Plan, Problem
from .case import Case

if TYPE_CHECKING:
    from ..runtime_bridge import RunReport
    from ..solvers import Candidate, OnProgress, Solution


def load(scenario: str | Path, profile: str | Path | None = None) -> Case:
    """Read a scenario and its profile.

    Parameters
    ----------
    scenario : str or Path
        YAML file.
    profile : str or Path, optional
        Profile to plan with, instead of the one that the scenario names.

    Returns
    -------
    Case
        Its `problem` is what solvers take.

    Raises
    ------
    EdgePlanError
        A file cannot be read or does not fit.
    """
    return Case.load(scenario, profile)


def plan(
    case: Case | Problem,
    method: str = "auto",
    time_limit_s: float = 10.0,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Solution:
    """Plan a loaded scenario, or any problem.

    Parameters
    ----------
    case : Case or Problem
    method : str
        Name of a solver. ``auto`` takes the strongest that supports the problem; for objective ``response`` it solves
        every policy of sharing cores and takes the plan that fares best against simulated arrivals.
    time_limit_s : float
        Wall-clock seconds.
    seed : int
        Same seed, same plan, where the time limit does not cut the search short.
    on_progress : callable, optional
        Called with an `edgeplan.solvers.Progress` as plans and bounds are found.

    Returns
    -------
    Solution
        Infeasible and out of time are statuses, not exceptions.

    Raises
    ------
    UnsupportedError
        The method does not support the problem; one that does is named.
    """
    from ..solvers import solve

    problem = case.problem if isinstance(case, Case) else case
    if method == "auto" and problem.objective == "response":
        return candidates(problem, time_limit_s, seed, on_progress)[0].solution
    return solve(problem, method=method, time_limit_s=time_limit_s, seed=seed, on_progress=on_progress)


def candidates(
    case: Case | Problem, time_limit_s: float = 10.0, seed: int = 0, on_progress: OnProgress | None = None
) -> tuple[Candidate, ...]:
    """Plan under every policy of sharing cores, best first: what `plan` chooses from where it is left to choose.

    Raises
    ------
    UnsupportedError
        No solver supports the problem.
    """
    from ..solvers import by_simulation

    problem = case.problem if isinstance(case, Case) else case
    return by_simulation(problem, time_limit_s=time_limit_s, seed=seed, on_progress=on_progress)


def run(
    case: Case,
    plan: Plan,
    duration_s: float,
    *,
    seed: int = 0,
    adapt: bool = True,
    stop: threading.Event | None = None,
) -> RunReport:
    """Serve a scenario by a plan on this machine, under the scenario's own load.

    Parameters
    ----------
    case : Case
    plan : Plan
    duration_s : float
        Seconds for which requests are offered.
    seed : int
        Of the arrivals.
    adapt : bool
        Whether to re-plan when rates, costs or free cores change.
    stop : threading.Event, optional
        Set it to end early; requests in flight are still answered.

    Returns
    -------
    RunReport

    Raises
    ------
    StalePlanError
        The plan or the profile was made for other models or another machine.
    """
    from ..formulation import refuse_stale
    from ..runtime_bridge import Phase, prepare_plan, run_scenario

    refuse_stale(case.here().problem, plan)
    prepare_plan(case.problem, plan, case.files)
    phases = [Phase(case.problem.streams, duration_s)]
    return run_scenario(case.problem, plan, case.files, phases, seed=seed, adapt=adapt, stop=stop)
