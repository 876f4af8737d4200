"""Fronts of latency and memory as onert's ``pareto_profiler`` writes them, read and written.

The tool is the public code of Automated Backend Allocation for Multi-Model, On-Device AI Inference
(doi 10.1145/3626793). ``exec_time`` is in milliseconds, ``max_rss`` in KiB.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...formulation import ProfileError
from ..cache import written_whole
from .files import ForeignFile
from .onert_settings import BackendSettings

Mode = Literal["name", "index"]
"""Whether backends are chosen by operator type, or by operator."""

_KIND = "front of onert's pareto_profiler"
_REMEDY = "Write it again with pareto_profiler; docs/importing.md describes the format."


@dataclass(frozen=True)
class OnertFrontPoint:
    """One assignment of backends that was measured.

    Attributes
    ----------
    id : int
        The assignment as onert numbers it.
    latency_us : float
    rss_bytes : int
        Largest resident memory of the process.
    settings : BackendSettings
    dominated : bool
        Whether another point is at least as good in both and better in one: the tool keeps such points, for it asks
        for strict dominance in both. Of two points that are equal in both, the later is dominated.
    """

    id: int
    latency_us: float
    rss_bytes: int
    settings: BackendSettings
    dominated: bool


@dataclass(frozen=True)
class OnertFront:
    """A measured front.

    Attributes
    ----------
    mode : {'name', 'index'}
    operators : tuple of str or int
        In mode ``name`` the operator types; in mode ``index`` for each operator the number of its group.
    points : tuple of OnertFrontPoint
        In the file's order, dominated ones too.
    sample_count : int, optional
        How many assignments were tried.
    """

    mode: Mode
    operators: tuple[str | int, ...]
    points: tuple[OnertFrontPoint, ...]
    sample_count: int | None = None

    @property
    def front(self) -> tuple[OnertFrontPoint, ...]:
        """Points that are not dominated, the fastest first."""
        return tuple(sorted((p for p in self.points if not p.dominated), key=lambda p: p.latency_us))


def mark_dominated(values: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """For each pair of values to minimise, whether another pair dominates it or an earlier one equals it."""
    order = sorted(range(len(values)), key=lambda i: (*values[i], i))
    dominated = [True] * len(values)
    least = float("inf")
    for i in order:
        if values[i][1] < least:
            dominated[i], least = False, values[i][1]
    return tuple(dominated)


def read_onert_front(path: str | Path) -> OnertFront:
    """Read a front.

    Parameters
    ----------
    path : str or Path
        ``{"mode", "sample_cnt", "configs": {id: settings}, "oplist", "solutions": [{"id", "exec_time", "max_rss"}]}``;
        ``sample_cnt`` may be missing.

    Raises
    ------
    ProfileError
        The file cannot be read or is not of that form; a figure is negative or not finite; an id comes twice, or has
        no settings; settings name operators that the list does not have.
    """
    file = ForeignFile.read(path, _KIND, _REMEDY)
    root = file.mapping(file.data)
    mode = file.key(root, "mode")
    if mode not in ("name", "index"):
        file.refuse("'name' or 'index'", repr(mode)[:40], "mode")
    operators = _operators(file, file.key(root, "oplist"), mode)
    configs = file.mapping(file.key(root, "configs"), "configs")
    rows: list[tuple[int, float, int, BackendSettings]] = []
    for i, item in enumerate(file.sequence(file.key(root, "solutions"), "solutions")):
        where = f"solutions[{i}]"
        solution = file.mapping(item, where)
        number = _id(file, file.key(solution, "id", where), f"{where}.id")
        latency_us = 1000.0 * file.number(file.key(solution, "exec_time", where), f"{where}.exec_time")
        rss_bytes = 1024 * file.count(file.key(solution, "max_rss", where), f"{where}.max_rss")
        if any(number == row[0] for row in rows):
            file.refuse("every id once", f"{number} twice", f"{where}.id")
        text = file.text(file.key(configs, str(number), "configs"), f"configs.{number}")
        rows.append((number, latency_us, rss_bytes, _settings(file, text, mode, operators, f"configs.{number}")))
    if not rows:
        file.refuse("at least one solution", "none", "solutions")
    marks = mark_dominated([(latency_us, float(rss_bytes)) for _, latency_us, rss_bytes, _ in rows])
    points = tuple(OnertFrontPoint(*row, dominated=mark) for row, mark in zip(rows, marks, strict=True))
    counted = root.get("sample_cnt")
    return OnertFront(mode, operators, points, None if counted is None else file.count(counted, "sample_cnt"))


def write_onert_front(front: OnertFront, path: str | Path) -> None:
    """Write a front as onert's ``pareto_scheduler`` reads it."""
    data: dict[str, Any] = {"mode": front.mode}
    if front.sample_count is not None:
        data["sample_cnt"] = front.sample_count
    data["configs"] = {str(point.id): point.settings.text() for point in front.points}
    data["oplist"] = list(front.operators)
    data["solutions"] = [
        {"id": point.id, "exec_time": point.latency_us / 1000.0, "max_rss": point.rss_bytes // 1024}
        for point in front.points
    ]
    with written_whole(Path(path)) as temporary:
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _operators(file: ForeignFile, value: object, mode: Mode) -> tuple[str | int, ...]:
    items = file.sequence(value, "oplist")
    if mode == "index":
        return tuple(file.count(item, f"oplist[{i}]") for i, item in enumerate(items))
    names = [file.text(item, f"oplist[{i}]") for i, item in enumerate(items)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        file.refuse("every operator once", f"{twice} twice", "oplist")
    return tuple(names)


def _id(file: ForeignFile, value: object, where: str) -> int:
    """Ids are whole numbers of any length: digits to the base of the number of backends."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        file.refuse("a whole number of 0 or more", repr(value)[:40], where)
    return value


def _settings(
    file: ForeignFile, text: str, mode: Mode, operators: tuple[str | int, ...], where: str
) -> BackendSettings:
    try:
        settings = BackendSettings.parse(text)
    except ProfileError as error:
        raise ProfileError(
            f"{_KIND} {file.path}, {where}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error
    if mode == "name":
        strange = [name for name in settings.by_type if name not in operators]
    else:
        strange = [str(index) for index in settings.by_index if index >= len(operators)]
    if strange:
        file.refuse(f"operators of the list of {len(operators)}", ", ".join(strange[:5]), where)
    return settings
