"""Errors for bad input.

Every message has the same four parts, so that a reader always finds what was wrong, what would have been right,
what was there, and what to do. Infeasible and out of time are statuses of a solution, never exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable

LIST_CAP = 5
"""Longest list an error message prints."""


def capped(items: Iterable[object]) -> str:
    """Join items for a message, at most `LIST_CAP` of them, and say how many were left out."""
    texts = [str(item) for item in items]
    shown = ", ".join(texts[:LIST_CAP])
    return shown if len(texts) <= LIST_CAP else f"{shown} and {len(texts) - LIST_CAP} more"


class EdgePlanError(Exception):
    """Base of every error that bad input causes.

    Parameters
    ----------
    subject : str
        What is wrong, named so that the user can find it.
    expected, got : str
        What would have been right, and what was there.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, subject: str, *, expected: str, got: str, remedy: str) -> None:
        self.subject = subject
        self.expected = expected
        self.got = got
        self.remedy = remedy
        super().__init__(f"{subject}: expected {expected}, got {got}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from positional arguments when they cross a process boundary; ours are keywords.
        return (_rebuild, (type(self), self.subject, self.expected, self.got, self.remedy))


def _rebuild(kind: type[EdgePlanError], subject: str, expected: str, got: str, remedy: str) -> EdgePlanError:
    return kind(subject, expected=expected, got=got, remedy=remedy)


class GraphError(EdgePlanError):
    """A layer graph that is not a well-formed DAG."""


class CostError(EdgePlanError):
    """A cost that is missing, negative, or not a number."""


class PlatformError(EdgePlanError):
    """A platform without cores, with unknown memories or without a needed link."""


class WorkloadError(EdgePlanError):
    """A stream of requests that makes no sense or names an unknown model."""


class ScenarioError(EdgePlanError):
    """A scenario file that does not say what it must."""


class PlanError(EdgePlanError):
    """A plan that is not a plan for this problem."""


class StalePlanError(PlanError):
    """A plan made for another model, another machine or another schema version."""


class ProfileError(EdgePlanError):
    """A profile file that is truncated, foreign or stale."""


class ModelError(EdgePlanError):
    """A model file that cannot be read, is not ONNX, or lacks static shapes."""


class UnsupportedError(EdgePlanError):
    """A problem that the chosen solver or backend does not support."""


class PlannerError(EdgePlanError):
    """A planner that gave no answer: it died, answered nonsense, or its solver failed."""


class PlannerTimeout(PlannerError):
    """A planner that was ended since it took much longer than its solver was allowed.

    A solver that stops in time with nothing found answers with a status instead.
    """


class PlannerCancelled(PlannerError):
    """A planner that was told to stop before it answered."""


class InferenceError(EdgePlanError):
    """A request that does not fit its model, is refused, or fails while it runs."""


class AdmissionError(InferenceError):
    """A request that is refused at once, before it costs anything: its deadline cannot be met, or too many wait.

    Parameters
    ----------
    subject, expected, got, remedy : str
        See `EdgePlanError`.
    predicted_us : float
        When it would have ended, absolute, microseconds; NaN where it was refused for another reason.
    deadline_us : float
        When it had to end, absolute; ∞ where it had no deadline.
    """

    def __init__(
        self,
        subject: str,
        *,
        expected: str,
        got: str,
        remedy: str,
        predicted_us: float = float("nan"),
        deadline_us: float = float("inf"),
    ) -> None:
        self.predicted_us = predicted_us
        self.deadline_us = deadline_us
        super().__init__(subject, expected=expected, got=got, remedy=remedy)

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self.subject, self.expected, self.got, self.remedy, self.predicted_us, self.deadline_us)
        return (_rebuild_admission, parts)


def _rebuild_admission(
    subject: str, expected: str, got: str, remedy: str, predicted_us: float, deadline_us: float
) -> AdmissionError:
    return AdmissionError(
        subject, expected=expected, got=got, remedy=remedy, predicted_us=predicted_us, deadline_us=deadline_us
    )
