"""Memory pressure: how near this process is to its limit, and the machine to having none left. Linux's files only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePosixPath


class MemoryLevel(IntEnum):
    """How bad it is; comparable."""

    OK = 0
    TIGHT = 1
    CRITICAL = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class MemoryLimit:
    """What this process, or the control group around it, may use.

    Attributes
    ----------
    limit_bytes : int
    source : str
        Where it comes from, in words.
    group : Path or None
        Folder of the control group whose limit it is; none where it is the process's own.
    """

    limit_bytes: int
    source: str
    group: Path | None = None


@dataclass(frozen=True)
class MemoryReading:
    """What the system says at one instant.

    Attributes
    ----------
    used_bytes : int
        Of the limit: what this process has resident; where a control group limits it, what that group uses and the
        system cannot simply drop.
    limit : MemoryLimit
    available_bytes, total_bytes : int
        Of the machine, ``MemAvailable`` and ``MemTotal``.
    some_stalled, all_stalled : float or None
        Share of the last ten seconds in which some tasks of the machine, or all of them, waited for memory; none where
        the system does not tell.
    """

    used_bytes: int
    limit: MemoryLimit
    available_bytes: int
    total_bytes: int
    some_stalled: float | None = None
    all_stalled: float | None = None

    @classmethod
    def take(cls, limit: MemoryLimit, root: Path = Path("/")) -> MemoryReading:
        """Read the counters now.

        Parameters
        ----------
        limit : MemoryLimit
            See `find_limit`.
        root : Path
            Folder with ``proc`` and ``sys``.
        """
        resident = _fields(root / "proc/self/status")["VmRSS"]
        machine = _fields(root / "proc/meminfo")
        stalled = _stalled(root / "proc/pressure/memory")
        return cls(
            (limit.group and _working_set(limit.group)) or resident,
            limit,
            machine["MemAvailable"],
            machine["MemTotal"],
            stalled.get("some"),
            stalled.get("full"),
        )


@dataclass(frozen=True)
class MemoryThresholds:
    """When memory counts as tight and as critical.

    Attributes
    ----------
    tight_used, critical_used : float
        Share of the limit in use, from which on.
    tight_available, critical_available : float
        Share of the machine's memory still available, down to which.
    tight_stalled, critical_stalled : float
        Share of time in which some tasks waited for memory; in which all did.
    relief : float
        By how much each share must be better than its threshold before the level falls …
    calm_us : float
        … and for how long.
    """

    tight_used: float = 0.85
    critical_used: float = 0.95
    tight_available: float = 0.10
    critical_available: float = 0.04
    tight_stalled: float = 0.10
    critical_stalled: float = 0.10
    relief: float = 0.03
    calm_us: float = 10e6


@dataclass(frozen=True)
class MemoryState:
    """The level, why, and since when."""

    level: MemoryLevel
    reason: str
    since_us: float
    reading: MemoryReading


class MemoryMonitor:
    """Watches memory. The level rises at once and falls when there has been relief for a while.

    Parameters
    ----------
    limit_bytes : int, optional
        What this process may use; that of its control group, or a share of the machine's memory, where left out.
    thresholds : MemoryThresholds, optional
    root : Path
        Folder with ``proc`` and ``sys``.
    """

    def __init__(
        self, limit_bytes: int | None = None, thresholds: MemoryThresholds | None = None, root: Path = Path("/")
    ) -> None:
        self.limit = find_limit(limit_bytes, root=root)
        self._thresholds = thresholds or MemoryThresholds()
        self._root = root
        self._state: MemoryState | None = None
        self._relieved_us: float | None = None  # since when a lower level would do

    def check(self, at_us: float) -> MemoryState:
        """Read the counters and say how bad it is. Takes well under a millisecond."""
        reading = MemoryReading.take(self.limit, self._root)
        level, reason = self._judged(reading, 0.0)
        before = self._state
        if before is None or level > before.level:
            self._state, self._relieved_us = MemoryState(level, reason, at_us, reading), None
            return self._state
        lower, lower_reason = self._judged(reading, self._thresholds.relief)
        if lower < before.level:
            since_us = at_us if self._relieved_us is None else self._relieved_us
            if at_us - since_us >= self._thresholds.calm_us:
                self._state, self._relieved_us = MemoryState(lower, lower_reason, at_us, reading), None
                return self._state
            self._relieved_us = since_us
        else:
            self._relieved_us = None
        self._state = MemoryState(
            before.level, reason if level == before.level else before.reason, before.since_us, reading
        )
        return self._state

    def _judged(self, reading: MemoryReading, relief: float) -> tuple[MemoryLevel, str]:
        """The worst of all signs, judged more strictly by `relief`."""
        marks = self._thresholds
        used = reading.used_bytes / reading.limit.limit_bytes
        available = reading.available_bytes / reading.total_bytes
        used_words = f"{used:.0%} of {_mib(reading.limit.limit_bytes)} in use ({reading.limit.source})"
        left_words = f"{_mib(reading.available_bytes)} of {_mib(reading.total_bytes)} available on the machine"
        stalled = {"some tasks": reading.some_stalled or 0.0, "all tasks": reading.all_stalled or 0.0}
        some_words, all_words = (f"{who} waited for memory {share:.0%} of the time" for who, share in stalled.items())
        signs = (
            (MemoryLevel.CRITICAL, used >= marks.critical_used - relief, used_words),
            (MemoryLevel.CRITICAL, available <= marks.critical_available + relief, left_words),
            (MemoryLevel.CRITICAL, stalled["all tasks"] >= marks.critical_stalled - relief, all_words),
            (MemoryLevel.TIGHT, used >= marks.tight_used - relief, used_words),
            (MemoryLevel.TIGHT, available <= marks.tight_available + relief, left_words),
            (MemoryLevel.TIGHT, stalled["some tasks"] >= marks.tight_stalled - relief, some_words),
        )
        return next(((level, words) for level, shows, words in signs if shows), (MemoryLevel.OK, used_words))


def find_limit(given_bytes: int | None = None, share: float = 0.9, root: Path = Path("/")) -> MemoryLimit:
    """Find what limits this process: what is given, its control groups, or a share of the machine's memory.

    Parameters
    ----------
    given_bytes : int, optional
    share : float
        Of the machine's memory, where nothing else limits it.
    root : Path
        Folder with ``proc`` and ``sys``.
    """
    if given_bytes is not None:
        return MemoryLimit(given_bytes, "the limit given")
    total_bytes = _fields(root / "proc/meminfo")["MemTotal"]
    groups = [limit for folder in _groups(root) if (limit := _group_limit(folder)) is not None]
    tightest = min(groups, key=lambda limit: limit.limit_bytes, default=None)
    if tightest is not None and tightest.limit_bytes < total_bytes:
        return tightest
    return MemoryLimit(int(share * total_bytes), f"{share:.0%} of the machine's memory")


def _fields(path: Path) -> dict[str, int]:
    """Lines of the form ``Name:   123 kB`` as bytes."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0]) * 1024
    return found


def _stalled(path: Path) -> dict[str, float]:
    """Share of the last ten seconds by kind; empty where the system does not tell."""
    try:
        lines = path.read_text().splitlines()
    except OSError:  # not built in, switched off, or not allowed
        return {}
    return {line.split()[0]: float(line.split("avg10=")[1].split()[0]) / 100 for line in lines if "avg10=" in line}


def _groups(root: Path) -> list[Path]:
    """Folders of the memory control groups around this process, the innermost first, of both versions."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    groups = []
    for membership in memberships:
        number, controllers, own = membership.split(":", 2)
        unified = number == "0"
        if not unified and "memory" not in controllers.split(","):
            continue
        for mount in mounts:
            place, _, what = mount.partition(" - ")
            kind, _, options = what.split(maxsplit=2)
            if kind == "cgroup2" if unified else kind == "cgroup" and "memory" in options.split(","):
                shown, where = place.split()[3:5]
                groups += _upwards(root / where.lstrip("/"), shown, own)
    return [folder for folder in groups if folder.is_dir()]


def _upwards(mount: Path, shown: str, own: str) -> list[Path]:
    """The group `own` and those around it, as far as a mount that begins at the group `shown` shows them."""
    try:
        inner = PurePosixPath(own).relative_to(shown)
    except ValueError:  # outside of what the mount shows, as in a container of its own name space
        inner = PurePosixPath()
    inside = mount / inner
    return [inside, *(parent for parent in inside.parents if parent == mount or mount in parent.parents)]


def _group_limit(folder: Path) -> MemoryLimit | None:
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [value for name in names if (value := _number(folder / name)) is not None]
    return MemoryLimit(min(limits), f"control group {folder.name}", folder) if limits else None


def _working_set(group: Path) -> int:
    """What a group uses without the file pages that nobody has used lately; 0 where it does not say."""
    used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes")
    if used is None:
        return 0
    try:
        lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return used
    return max(0, used - int(lines.get("total_inactive_file", lines.get("inactive_file", 0))))


def _number(path: Path) -> int | None:
    """Content of a file with one number; none where there is no such file, or it says ``max``."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
