"""Conditions on a plan, such as ``camera.p99_us>20ms``: what they mean, and whether they hold.

A condition is ``FIGURE OPERATOR VALUE``::

    condition = ["delta."] figure operator value
    figure    = [MODEL "."] NAME | "memory" ["." MEMORY] | NAME
    operator  = ">" | ">=" | "<" | "<="
    value     = ["-"] NUMBER [UNIT]

``NAME`` is one of `figures.FIGURES`. ``*``, or no name before the figure, stands for any model, or any memory. Times
are microseconds or have a unit (``us``, ``µs``, ``ms``, ``s``), sizes are bytes or have a unit as in scenario files
(``200MiB``), shares are numbers or per cent. ``delta.`` compares two plans: how much larger the figure of the new one
is; there, per cent are per cent of the old one's figure, whatever its unit, and a value may be negative.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ByteSize

from ..formulation import EdgePlanError, Problem, capped
from .figures import FIGURES, UNKNOWN, AssessedPlan, Estimate, Figure, difference, subjects

Operator = Literal[">", ">=", "<", "<="]
Verdict = Literal["passed", "failed", "unknown"]

ANY = "*"

_TIMES = {"": 1.0, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_SHARES = {"": 1.0, "%": 0.01}
_UNITS_SHOWN = {"bytes": "B, KiB, MiB, GiB, KB, MB, GB"}
"""Where there are more than anybody would read."""
_EXPRESSION = re.compile(
    r"\s*(?P<path>[^<>=]+?)\s*(?P<operator>[<>]=?)\s*"
    r"(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-zµμ]*|%)\s*"
)
_DELTA = "delta."
_FINEST = 6
"""More digits are not shown: sums of floats differ there."""
_HOLDS: dict[Operator, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class ConditionError(EdgePlanError):
    """A condition that cannot be read, or that speaks of something the scenario does not have."""


@dataclass(frozen=True)
class Condition:
    """A condition on a plan. Its text, ``str(condition)``, reads back as the same condition.

    Attributes
    ----------
    figure : Figure
    subject : str
        A model or a memory, `ANY` for any of them; empty for a figure of the whole plan.
    operator : {'>', '>=', '<', '<='}
    number : float
        As it was written, in `unit`.
    unit : str
        Of `number`; empty for the figure's own: microseconds, bytes, or a share.
    delta : bool
        Whether it speaks of the difference of two plans.
    """

    figure: Figure
    subject: str
    operator: Operator
    number: float
    unit: str = ""
    delta: bool = False

    @property
    def is_relative(self) -> bool:
        """Whether the difference is held against the old plan's figure."""
        return self.delta and self.unit == "%"

    @property
    def limit(self) -> float:
        """What the figure is held against: microseconds, bytes, or a share."""
        return self.number * (0.01 if self.is_relative else _factors(self.figure)[_unit_of(self.figure, self.unit)])

    def text_of(self, value: float) -> str:
        """A value that the limit is held against, as people read it: with the digits that tell it from the limit."""
        finer = range(_FINEST) if value != self.limit else ()
        return self._text(value, next((k for k in finer if self._text(value, k) != self._text(self.limit, k)), 0))

    def _text(self, value: float, finer: int) -> str:
        if self.is_relative:
            return FIGURES["gap"].text(value, finer)
        return self.figure.change_text(value, finer) if self.delta else self.figure.text(value, finer)

    def holds(self, value: float) -> bool:
        """Whether a value satisfies it."""
        return _HOLDS[self.operator](value, self.limit)

    def __str__(self) -> str:
        name = self.figure.name
        paths = {"model": f"{self.subject}.{name}", "memory": f"{name}.{self.subject}", "plan": name}
        path = f"{_DELTA if self.delta else ''}{paths[self.figure.whose]}"
        number = int(self.number) if self.number.is_integer() and abs(self.number) < 1e15 else self.number
        return f"{path}{self.operator}{number!r}{self.unit}"


def parse_condition(text: str) -> Condition:
    """Read a condition; whether its model or memory exists is for `parsed_conditions` to say.

    Raises
    ------
    ConditionError
        It is none, or its figure or unit is unknown.
    """
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise ConditionError(
            f"condition {text!r}",
            expected="FIGURE, one of > >= < <=, and a number with or without a unit, such as p99_us>20ms",
            got="something else",
            remedy=_figures_there_are(),
        )
    path, delta = match["path"], match["path"].startswith(_DELTA)
    figure, subject = _figure_of(text, path.removeprefix(_DELTA) if delta else path)
    number, unit = float(match["number"]), _spelt(match["unit"])
    compared: Operator = next(known for known in _HOLDS if known == match["operator"])
    if _unit_of(figure, unit) not in _factors(figure) and not (delta and unit == "%"):
        units = _UNITS_SHOWN.get(figure.unit) or ", ".join(unit for unit in _factors(figure) if unit)
        if delta and figure.unit != "share":
            units += ", % of the old one's"
        raise ConditionError(
            f"condition {text!r}",
            expected=f"a number with one of the units {units}, or none",
            got=f"the unit {unit!r}",
            remedy=f"{figure.name}: {figure.meaning}.",
        )
    condition = Condition(figure, subject, compared, number, unit, delta)
    if not math.isfinite(condition.limit) or (number < 0 and not delta):
        raise ConditionError(
            f"condition {text!r}",
            expected="a finite number of 0 or more",
            got=match["number"],
            remedy="Only differences (`delta.`) can be negative.",
        )
    return condition


def parsed_conditions(texts: Sequence[str], problem: Problem, delta: bool = False) -> tuple[Condition, ...]:
    """Read conditions and refuse those that a problem has no figure for; done before anything is solved.

    Parameters
    ----------
    texts : sequence of str
    problem : Problem
    delta : bool
        Whether there are two plans to compare.

    Raises
    ------
    ConditionError
    """
    try:
        conditions = tuple(parse_condition(text) for text in texts)
    except ConditionError as error:
        models = capped(model.name for model in problem.models)
        remedy = f"{error.remedy} Models: {models}."
        raise ConditionError(error.subject, expected=error.expected, got=error.got, remedy=remedy) from error
    for text, condition in zip(texts, conditions, strict=True):
        if condition.delta and not delta:
            raise ConditionError(
                f"condition {text!r}",
                expected="a figure of one plan",
                got="a difference of two",
                remedy="Leave out `delta.`, or compare two plans by `edgeplan diff`.",
            )
        there = subjects(problem, condition.figure)
        if condition.subject not in ("", ANY, *there) or not there:
            what = "model with a stream of requests" if condition.figure.simulated else condition.figure.whose
            raise ConditionError(
                f"condition {text!r}",
                expected=f"a {what}: {capped(there) or 'the scenario has none'}",
                got=condition.subject,
                remedy=_figures_there_are(),
            )
    return conditions


@dataclass(frozen=True)
class Outcome:
    """A condition held against one model, one memory, or the whole plan.

    Attributes
    ----------
    condition : Condition
    subject : str
        Whose figure it is; empty for the whole plan.
    estimate : Estimate
    """

    condition: Condition
    subject: str
    estimate: Estimate

    @property
    def verdict(self) -> Verdict:
        """``failed`` where it holds; a figure that is not known is no reason to pass."""
        if math.isnan(self.estimate.value):
            return "unknown"
        return "failed" if self.condition.holds(self.estimate.value) else "passed"

    @property
    def is_decided(self) -> bool:
        """Whether the simulation is long enough to tell: the limit does not lie within the interval."""
        if math.isnan(self.estimate.low):
            return False
        exact = self.estimate.low == self.estimate.high
        return exact or not self.estimate.low <= self.condition.limit <= self.estimate.high


def outcomes(
    conditions: Sequence[Condition], new: AssessedPlan | None, old: AssessedPlan | None = None
) -> tuple[Outcome, ...]:
    """Hold conditions against a plan, or against two where they speak of differences.

    Parameters
    ----------
    conditions : sequence of Condition
        Of `parsed_conditions` for the same problem.
    new, old : AssessedPlan or None
        None for a plan that does not fit the problem: what is asked of it is unknown.
    """
    found = []
    for condition in conditions:
        fitting = new if new is not None else old
        whose = subjects(fitting.problem, condition.figure) if fitting is not None else (condition.subject,)
        for subject in whose:
            if condition.subject in ("", ANY, subject):
                found.append(Outcome(condition, subject, _estimate(condition, subject, new, old)))
    return tuple(found)


def _estimate(condition: Condition, subject: str, new: AssessedPlan | None, old: AssessedPlan | None) -> Estimate:
    if new is None or (condition.delta and old is None):
        return UNKNOWN
    if condition.delta and old is not None:
        return difference(old, new, condition.figure, subject, condition.is_relative)
    return new.estimate(condition.figure, subject)


def any_failed(found: Sequence[Outcome]) -> bool:
    """Whether the check failed: a condition holds, or cannot be known."""
    return any(outcome.verdict != "passed" for outcome in found)


def _figure_of(text: str, path: str) -> tuple[Figure, str]:
    """Whose figure a path names. The last part decides, for names of models may have dots in them."""
    head, _, last = path.rpartition(".")
    figure = FIGURES.get(last)
    if (figure is None or figure.whose != "model") and (path == "memory" or path.startswith("memory.")):
        return FIGURES["memory"], path[len("memory.") :] or ANY
    if figure is None or (figure.whose != "model" and head):
        raise ConditionError(
            f"condition {text!r}",
            expected="a figure that there is" if figure is None else f"{last} without {head!r} before it",
            got=path,
            remedy=_figures_there_are(),
        )
    return figure, (head or ANY) if figure.whose == "model" else ""


def _figures_there_are() -> str:
    models = ", ".join(figure.name for figure in FIGURES.values() if figure.whose == "model")
    others = ", ".join(figure.name for figure in FIGURES.values() if figure.whose == "plan")
    return f"Of a model (MODEL.figure, or *): {models}. Of a memory: memory.NAME. Of the plan: {others}."


def _factors(figure: Figure) -> dict[str, float]:
    if figure.unit == "time":
        return _TIMES
    return _SHARES if figure.unit == "share" else {"": 1.0, **ByteSize.byte_sizes}


def _spelt(unit: str) -> str:
    # There are two characters that look the same: the sign for micro, and the Greek letter.
    return unit.replace("μ", "µ")


def _unit_of(figure: Figure, unit: str) -> str:
    return unit.lower() if figure.unit == "bytes" else unit  # as in scenario files
