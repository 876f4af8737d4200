"""What a service writes to stderr: one line an event, for people or as a JSON object for programs.

It is the standard library's logging, so that what other packages log comes out the same way.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from .units import jsonable

if TYPE_CHECKING:
    from ..runtime_bridge import Decision
    from ..runtime_bridge.supervisor import Fault

LOGGER = "edgeplan"
HIDDEN = "•••"
EVERY_S = 1.0
"""How often at most a line of one class is written, where many of it come."""
_LONGEST_TEXT = 2000
_MOST_CLASSES = 256


class LogFormat(StrEnum):
    """Forms of a line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """As logging counts."""
        return logging.getLevelNamesMapping()[self.name]


def event(level: int, kind: str, message: str, /, **fields: Any) -> None:
    """Log an event.

    Parameters
    ----------
    level : int
        Of `logging`.
    kind : str
        What programs look for.
    message : str
        The whole of it for people.
    **fields
        The whole of it for programs: plain data, never tensors.
    """
    logging.getLogger(LOGGER).log(level, message, extra={"event": kind, "fields": fields})


def decided(decision: Decision) -> None:
    """Log a decision of the controller."""
    drifts = [str(drift) for drift in decision.drifts]
    because = f" Seen: {'; '.join(drifts)}" if drifts else ""
    said = {
        "switched": f"Another plan serves, version {decision.plan_version}",
        "kept": f"The plan stays, version {decision.plan_version}",
        "failed": f"No other plan could serve, version {decision.plan_version} stays",
        "cancelled": f"A re-solve was cancelled, version {decision.plan_version} stays",
    }[decision.action]
    event(
        logging.WARNING if decision.action == "failed" else logging.INFO,
        "decision",
        f"{said}: {decision.reason.removesuffix('.')}.{because}",
        action=decision.action,
        origin=decision.origin,
        reason=decision.reason,
        drifts=drifts,
        plan_version=decision.plan_version,
        solve_s=decision.solve_s,
        swap_s=decision.swap_s,
        expected=None if decision.expected is None else asdict(decision.expected),
        before=None if decision.before is None else asdict(decision.before),
    )


def faulty(fault: Fault, ended: bool) -> None:
    """Log that a fault began, or is over."""
    where = f" of {fault.model}" if fault.model else ""
    said = "Fault over" if ended else "Fault"
    event(
        logging.INFO if ended else logging.ERROR,
        "recovery" if ended else "fault",
        f"{said} ({fault.kind}{where}): {fault.reason}",
        kind=fault.kind,
        model=fault.model,
        reason=fault.reason,
        since_us=fault.since_us,
    )


def refused(status: int, reason: str) -> None:
    """Log a request that was not served. Of one status at most one line comes every `EVERY_S`, with their number."""
    level = logging.WARNING if status >= 500 else logging.INFO
    event(level, "refused", f"Refused with {status}: {reason}", status=status, reason=reason)


@contextmanager
def logging_to_stderr(
    format: LogFormat, level: LogLevel, secrets: Iterable[str | None] = (), stream: TextIO | None = None
) -> Iterator[None]:
    """Write all that is logged to stderr while the block runs.

    Parameters
    ----------
    format : LogFormat
    level : LogLevel
    secrets : iterable of str
        Texts that never come out, wherever they stand.
    stream : text file, optional
        Instead of stderr.
    """
    kept = tuple(secret for secret in secrets if secret)
    handler = _Throttled(sys.stderr if stream is None else stream)
    handler.setFormatter((_JsonLine if format is LogFormat.JSON else _TextLine)(kept))
    handler.setLevel(level.number)  # loggers with a level of their own do not ask the root's
    root, ours = logging.getLogger(), logging.getLogger(LOGGER)
    before = root.handlers[:], root.level, ours.level
    root.handlers[:] = [handler]
    root.setLevel(max(level.number, logging.WARNING))
    ours.setLevel(level.number)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        handler.close()
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


class _Line(logging.Formatter):
    """One line of bounded length without secrets, whatever is logged."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def said(self, record: logging.LogRecord) -> str:
        """The message, with how often it came."""
        repeated = getattr(record, "repeated", 1)
        return self.shown(record.getMessage()) + (f" ({repeated} times)" if repeated > 1 else "")

    def shown(self, text: str) -> str:
        """A text as it may come out."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback of what was raised: its end where it is long, for there it says what."""
        if not record.exc_info:
            return ""
        text = self.formatException(record.exc_info)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text[-4 * _LONGEST_TEXT :]


class _JsonLine(_Line):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": self.said(record),
            "logger": record.name,
        }
        if trace := self.trace(record):
            line["exception"] = trace
        if (repeated := getattr(record, "repeated", 1)) > 1:
            line["count"] = repeated
        # What every line has comes first, and no field of an event takes its place.
        line = {**line, **{key: v for key, v in getattr(record, "fields", {}).items() if key not in line}}
        return json.dumps(self._plain(line), allow_nan=False)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, Mapping):
            return {self.shown(str(key)): self._plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return jsonable(value)
        return f"<{type(value).__name__}>"  # and nothing of what it holds: it may be a tensor


class _TextLine(_Line):
    def format(self, record: logging.LogRecord) -> str:
        said = f"{_time(record)} {record.levelname.lower():7} {self.said(record)}"
        # A client's text may not look like a line of its own.
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)
        trace = self.trace(record)
        return f"{line}\n{trace}" if trace else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Class:
    """Lines of one class within the last `EVERY_S`: how many were held back, and the last of them."""

    __slots__ = ("held", "last", "timer")

    def __init__(self, timer: threading.Timer) -> None:
        self.held = 0
        self.last: logging.LogRecord | None = None
        self.timer = timer


class _Throttled(logging.StreamHandler[TextIO]):
    """Writes refusals, and what other packages say again and again, at most every `EVERY_S` a class, with a count."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._classes: dict[tuple[object, ...], _Class] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. Logging calls this with the handler's lock held."""
        key = _class_of(record)
        if key is not None and key not in self._classes and len(self._classes) >= _MOST_CLASSES:
            key = ("more",)
        if key is None:
            super().emit(record)
        elif (known := self._classes.get(key)) is None:
            super().emit(record)
            self._rest(key)
        else:
            known.held += 1
            known.last = record

    def close(self) -> None:
        """Write what was held back."""
        with self._locked():
            for known in self._classes.values():
                known.timer.cancel()
                self._write(known)
            self._classes.clear()
        super().close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _rest(self, key: tuple[object, ...]) -> None:
        timer = threading.Timer(EVERY_S, self._rested, (key,))
        timer.daemon = True
        self._classes[key] = _Class(timer)
        timer.start()

    def _rested(self, key: tuple[object, ...]) -> None:
        with self._locked():
            known = self._classes.pop(key, None)
            if known is not None and known.last is not None:
                self._write(known)
                self._rest(key)

    def _write(self, known: _Class) -> None:
        if known.last is not None:
            known.last.repeated = known.held
            known.last.created = time.time()
            super().emit(known.last)


def _class_of(record: logging.LogRecord) -> tuple[object, ...] | None:
    if record.name.partition(".")[0] != LOGGER:
        return record.name, record.levelno, str(record.msg)[:_LONGEST_TEXT]
    if getattr(record, "event", "") == "refused":
        return "refused", getattr(record, "fields", {}).get("status")
    return None
