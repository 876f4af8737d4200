"""Axes of a sweep: what varies, over which values, as people write it on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from pydantic import ByteSize, TypeAdapter, ValidationError

from ...formulation import EdgePlanError, Problem, capped
from ..units import count
from .knobs import Knob, knobs_of, turned, value_of

MAX_POINTS = 10_000
"""Largest grid that is agreed to."""

_TIMES_US = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>[^:]+?)(?::(?P<count>\d{1,9})(?P<log>log)?)?")
_NUMBER = re.compile(r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>[A-Za-zµ%]*)")


class AxisError(EdgePlanError):
    """An axis of a sweep that makes no sense."""


@dataclass(frozen=True)
class Setting:
    """One place on an axis.

    Attributes
    ----------
    number : float
        Where it is drawn: in the unit of the knobs, or the factor where the axis is relative.
    label : str
        For people.
    values : tuple of float
        What each knob of the axis is turned to, in the formulation's units.
    """

    number: float
    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Axis:
    """What varies, and over which values.

    Attributes
    ----------
    name : str
        As it was written, for instance ``rate.*``.
    unit : str
        Of `Setting.number`; ``×`` for multiples of the present value.
    knobs : tuple of Knob
        Turned together.
    settings : tuple of Setting
        By growing number.
    """

    name: str
    unit: str
    knobs: tuple[Knob, ...]
    settings: tuple[Setting, ...]

    @property
    def title(self) -> str:
        """For the axis of a chart."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def at(self, problem: Problem, setting: Setting) -> Problem:
        """The problem with the axis' knobs at a setting.

        Raises
        ------
        EdgePlanError
            Nothing can run there.
        """
        for knob, value in zip(self.knobs, setting.values, strict=True):
            problem = turned(problem, knob, value)
        return problem


def parse_axis(problem: Problem, text: str) -> Axis:
    """Read an axis such as ``memory.ram=64MiB..512MiB:8``, ``rate.*=0.5x..3x:6`` or ``deadline.camera=20ms,30ms``.

    Parameters
    ----------
    problem : Problem
        Whose knobs are named; ``*`` stands for any number of characters, and a kind alone for all of that kind.
    text : str
        A name, ``=``, and values: a list with commas, or ``LOW..HIGH:COUNT``, evenly spaced, with ``:COUNTlog`` by
        equal factors; whole numbers need no count. ``x`` behind a number makes it a multiple of the present value.

    Raises
    ------
    AxisError
        There is nothing of that name, or the values cannot be read; the message lists what can vary.
    """
    name, equals, values = text.rpartition("=")  # the last one: a model may have it in its name
    name, values = name.strip(), values.strip()
    if not equals or not values:
        raise _refused(text, "NAME=VALUES, for instance memory.ram=64MiB..512MiB:8 or rate.*=0.5x,1x,2x", repr(text))
    knobs = _named(problem, name)
    numbers, relative = _numbers(knobs[0], name, values)
    present = [value_of(problem, knob) for knob in knobs]
    is_bare = knobs[0].kind in ("cores", "max_threads", "max_utilisation")
    size = 1.0 if relative or is_bare else knobs[0].unit_size
    settings = []
    for number in numbers:
        turned_to = tuple(
            _value(knob, number * now if relative else number) for knob, now in zip(knobs, present, strict=True)
        )
        drawn = number if relative else turned_to[0] / size
        label = f"{number:.4g}×" if relative else _label(knobs[0], turned_to[0])
        settings.append(Setting(drawn, label, turned_to))
    unit = "×" if relative else "" if is_bare else knobs[0].unit
    distinct = {setting.values: setting for setting in settings}
    return Axis(name, unit, knobs, tuple(sorted(distinct.values(), key=lambda setting: setting.number)))


def _label(knob: Knob, value: float) -> str:
    """A value that tells what it is among those of other axes."""
    return count(round(value), knob.unit) if knob.kind in ("cores", "max_threads") else knob.shown(value)


def parse_axes(problem: Problem, texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read all axes of a sweep.

    Raises
    ------
    AxisError
        One cannot be read, two turn the same knob, or the grid is too large.
    """
    axes = tuple(parse_axis(problem, text) for text in texts)
    if not axes:
        raise _refused("sweep", "at least one axis", "none", problem)
    used = [knob for axis in axes for knob in axis.knobs]
    twice = sorted({knob.name for knob in used if used.count(knob) > 1})
    if twice:
        raise AxisError(
            "axes of the sweep",
            expected="each value on one axis",
            got=f"{capped(twice)} on two",
            remedy="Put all its values on one axis.",
        )
    points = math.prod(len(axis.settings) for axis in axes)
    if points > MAX_POINTS:
        raise AxisError(
            "axes of the sweep",
            expected=f"at most {MAX_POINTS:,} points",
            got=f"{points:,}",
            remedy="Take fewer values, or sweep parts of the grid into the same folder.",
        )
    return axes


def _named(problem: Problem, name: str) -> tuple[Knob, ...]:
    can_vary = tuple(_can_vary(problem))
    # A name before a pattern: brackets in a model's name mean themselves.
    found = tuple(knob for knob in can_vary if name in (knob.name, knob.kind))
    found = found or tuple(knob for knob in can_vary if fnmatchcase(knob.name, name))
    if not found:
        raise _refused(name, "something that can vary", "nothing of that name", problem)
    kinds = sorted({knob.kind for knob in found})
    if len(kinds) > 1:
        raise _refused(name, "one kind of value on an axis", f"{capped(kinds)}", problem)
    return found


def _can_vary(problem: Problem) -> Iterable[Knob]:
    yield from knobs_of(problem)
    if problem.limits.max_threads is None:
        yield Knob("max_threads")


def _listed(knobs: Iterable[Knob]) -> str:
    # All of them: it is what the reader came for.
    return ", ".join(knob.name for knob in knobs)


def _numbers(knob: Knob, name: str, values: str) -> tuple[list[float], bool]:
    """Numbers in the formulation's units, or factors; and which of the two they are."""
    if knob.kind == "core_sets":
        raise _refused(name, "something with numbers", "core_sets, which is one of two words")
    ranged = _RANGE.fullmatch(values) if ".." in values else None
    if ".." in values and ranged is None:
        raise _refused(name, "LOW..HIGH:COUNT", repr(values))
    texts = [ranged["low"], ranged["high"]] if ranged else [part.strip() for part in values.split(",")]
    read = [_number(knob, name, text) for text in texts]
    relative = {is_factor for _, is_factor in read}
    if len(relative) > 1:
        raise _refused(name, "multiples (2x) or values, not both", repr(values))
    numbers = [number for number, _ in read]
    if ranged is None:
        return numbers, relative.pop()
    return _spread(knob, name, numbers, ranged["count"], bool(ranged["log"]), relative), relative.pop()


def _spread(knob: Knob, name: str, ends: list[float], count: str | None, log: bool, relative: set[bool]) -> list[float]:
    low, high = ends
    if not low < high:
        raise _refused(name, "a range that grows", f"{low:g}..{high:g}")
    if count is None:
        if not knob.is_whole or knob.kind == "memory" or True in relative:
            raise _refused(name, "a count of values, LOW..HIGH:COUNT", "a range without one")
        count = f"{round(high - low) + 1}"
    if not 2 <= int(count) <= MAX_POINTS:
        raise _refused(name, f"at least 2 and at most {MAX_POINTS:,} values in a range", count)
    return [float(n) for n in (np.geomspace if log else np.linspace)(low, high, int(count))]


def _number(knob: Knob, name: str, text: str) -> tuple[float, bool]:
    """A number in the formulation's unit, or a factor; and whether it is a factor."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise _refused(name, "a number, with a unit where it has one", repr(text))
    number, unit = float(match["number"]), match["unit"]
    if not 0 < number < math.inf:
        raise _refused(name, "a number above 0", repr(text))
    if unit in ("x", "×"):
        return number, True
    if knob.kind == "memory":
        try:
            return float(TypeAdapter(ByteSize).validate_python(text.strip())), False
        except ValidationError:
            raise _refused(name, "bytes, for instance 64MiB", repr(text)) from None
    if knob.kind == "deadline" and unit in _TIMES_US:
        return number * _TIMES_US[unit], False
    if (knob.kind == "rate" and unit in ("", "Hz")) or (knob.kind not in ("memory", "deadline", "rate") and not unit):
        return number, False
    examples = {"deadline": "a time such as 30ms", "rate": "requests a second such as 20Hz"}
    wanted = examples.get(knob.kind, "a plain number")
    raise _refused(name, f"{wanted}, or a multiple of the present value such as 1.5x", repr(text))


def _value(knob: Knob, value: float) -> float:
    if not math.isfinite(value):
        raise _refused(knob.name, "a finite number", f"{value:g}")
    if knob.kind == "max_utilisation" and not 0 < value <= 1:
        raise _refused(knob.name, "a share of a core's time above 0 and up to 1", f"{value:g}")
    if not knob.is_whole:
        return float(value)
    whole = math.floor(value) if knob.kind == "memory" else round(value)
    if whole < 1 or (knob.kind != "memory" and abs(value - whole) > 1e-9):
        raise _refused(knob.name, "whole numbers of 1 or more", f"{value:g}")
    return float(whole)


def _refused(subject: str, expected: str, got: str, problem: Problem | None = None) -> AxisError:
    remedy = "See `edgeplan sweep --help`."
    if problem is not None:
        remedy = f"Vary one of {_listed(_can_vary(problem))}; `*` stands for all."
    return AxisError(f"axis {subject!r}", expected=expected, got=got, remedy=remedy)
