"""What every kind of solution claims, held against the evaluator: a solver that disagrees with it is a bug."""

from __future__ import annotations

from collections.abc import Sequence

_ROUNDING = 1e-9
"""Relative slack of a claim: the same sums of floats may be taken in another order."""


class SolverBugError(RuntimeError):
    """A solver handed back something that the evaluator contradicts. Not the user's fault; please report it."""


def refuse_wrong_parts(who: str, status: str, given: object | None, clashes: Sequence[object]) -> None:
    """Refuse a solution whose parts do not fit its status.

    Parameters
    ----------
    who : str
        The solver, as errors name it.
    status : str
        "optimal", "feasible", "infeasible" or "timeout".
    given : object, optional
        What was found: a plan, a partition, a choice.
    clashes : sequence
        Limits named as clashing.

    Raises
    ------
    SolverBugError
        Found without a status that says so, or the other way round; infeasible without a reason.
    """
    if (status in ("optimal", "feasible")) != (given is not None):
        raise SolverBugError(f"{who}: what it found does not fit the status {status!r}")
    if status == "infeasible" and not clashes:
        raise SolverBugError(f"{who}: no limits are named that clash")


def agreed_bound(
    who: str, objective: float | None, bound: float | None, truth: float, least_scale: float = 0.0, exact: bool = True
) -> float | None:
    """A lower bound that the evaluator does not contradict, at most the true objective.

    Parameters
    ----------
    who : str
        The solver, as errors name it.
    objective, bound : float, optional
        As claimed.
    truth : float
        The evaluator's objective.
    least_scale : float
        Magnitude below which rounding is no longer taken in proportion to `truth`.
    exact : bool
        Whether the objective must be equal to the last bit; else within rounding.

    Raises
    ------
    SolverBugError
        The objective is another one, or the bound lies above it.
    """
    slack = _ROUNDING * max(least_scale, abs(truth))
    if objective is None or abs(objective - truth) > (0.0 if exact else slack):
        raise SolverBugError(f"{who}: objective {objective}, but the evaluator says {truth}")
    if bound is None:
        return None
    if bound > truth + slack:
        raise SolverBugError(f"{who}: bound {bound} above its own objective {truth}")
    return min(bound, truth)
