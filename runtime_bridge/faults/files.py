"""Model files that are replaced, truncated or removed while the service runs.

A service keeps what it has opened, so a changed file does no harm until something opens it again: the next plan, or the
next start. By then it should be known, for another model must not answer in its place.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...formulation import ModelError
from ...profiles.onnx_file import external_files

if TYPE_CHECKING:
    from hashlib import _Hash

Content = Literal["same", "checking", "replaced", "missing", "restored"]
"""``same`` as the plan was made for; ``checking`` until its digest is known; ``replaced`` by another content;
``missing`` (itself or one of its data files); ``restored``: the same again, after it was not."""

SLICE_US = 3e3
"""Time that one check may spend on reading files, give or take one chunk."""

_CHUNK_BYTES = 1 << 17
_FRESH_NS = 100_000_000
"""Time stamps tick, some as slowly as every 10 ms: a file that was touched just now may be changed again unnoticed."""

_Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, and when content and inode were changed: what stays equal while nobody touches a file."""


@dataclass(frozen=True)
class FileState:
    """One model's files.

    Attributes
    ----------
    model : str
    content : {'same', 'checking', 'replaced', 'missing', 'restored'}
        See `Content`.
    since_us : float
        When that was noticed; −∞ for the state at the start.
    reason : str
    """

    model: str
    content: Content
    since_us: float
    reason: str


class FileWatch:
    """Watches the files of models, their external data included. Not for several threads.

    A check compares what the file system says of each file, which takes microseconds. Only where that has changed is
    the content read again, a slice a check, and compared with the digest that the plan names.

    Parameters
    ----------
    files : mapping of str to Path
        ONNX file of each model.
    sha256 : mapping of str to str
        Digest of each model as in the plan (`edgeplan.profiles.model_sha256`).
    verify : bool
        Whether to read all files once in the beginning. Otherwise they are taken for those of the plan as they are.
    slice_us : float
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        sha256: Mapping[str, str],
        *,
        verify: bool = True,
        slice_us: float = SLICE_US,
    ) -> None:
        self._slice_us = slice_us
        self._watched = [_Watched(model, Path(path), sha256[model], verify) for model, path in files.items()]

    @property
    def states(self) -> dict[str, FileState]:
        """As of the last check, by model."""
        return {watched.state.model: watched.state for watched in self._watched}

    def check(self, at_us: float) -> tuple[FileState, ...]:
        """Look at all files; returns the states of the models for which it changed."""
        stop_ns = time.perf_counter_ns() + int(1e3 * self._slice_us)
        before = self.states
        for watched in self._watched:
            watched.look(at_us, stop_ns)
        # They take turns in being first, so that a large file, or one that never rests, does not keep others waiting.
        self._watched = [*self._watched[1:], *self._watched[:1]]
        return tuple(state for model, state in self.states.items() if state.content != before[model].content)


@dataclass
class _Reading:
    """Digests of a model's files in the making."""

    stamps: tuple[_Stamp, ...]
    digests: list[str] = field(default_factory=list)
    offset: int = 0
    running: _Hash = field(default_factory=hashlib.sha256)


class _Watched:
    """The files of one model and what is known of them."""

    def __init__(self, model: str, path: Path, sha256: str, verify: bool) -> None:
        self._path = path
        self._data: tuple[Path, ...] | None = _data_files(path)  # none while the file is no model
        self._sha256 = sha256
        self._judged: tuple[_Stamp, ...] = ()  # of the content that was judged last
        self._sizes: list[int] = []  # of the content that the plan was made for, once that was seen
        self._reading: _Reading | None = None
        self._spoilt = False  # since it was the same last
        self.state = FileState(model, "checking", float("-inf"), "its content was not compared with the plan's yet")
        if not verify and self._data is not None:
            with suppress(OSError):  # a file of data is missing: the first check says so
                self._judged = self._stamps()
                self._sizes = _sizes(self._judged)
                self.state = FileState(model, "same", float("-inf"), "untouched since the start")

    def look(self, at_us: float, stop_ns: int) -> None:
        """Compare the files with what was known of them, and read on until `stop_ns` where that is not decided."""
        try:
            stamps = self._stamps()
            if stamps != self._judged:
                self._judge(stamps, at_us, stop_ns)
        except OSError as error:
            self._judged, self._reading = (), None
            self._become("missing", at_us, f"{error.filename or self._path}: {error.strerror or error}")

    def _judge(self, stamps: tuple[_Stamp, ...], at_us: float, stop_ns: int) -> None:
        sizes = _sizes(stamps)
        if self._sizes and sizes != self._sizes:  # there is no need to read it
            self._judged, self._reading = stamps, None
            self._become("replaced", at_us, f"{sum(sizes)} bytes, the plan's had {sum(self._sizes)}")
            return
        if self._reading is None or self._reading.stamps != stamps:
            self._judged, self._reading = (), _Reading(stamps)
            self._become("checking", at_us, "it was touched; its content is compared with the plan's")
        if any(0 <= time.time_ns() - changed < _FRESH_NS for stamp in stamps for changed in stamp[3:]):
            return
        found = self._read_on(self._reading, stop_ns)
        if not found:
            return
        self._judged, self._reading = stamps, None
        if self._data is None and (data := _data_files(self._path)) is not None:
            self._judged, self._data = (), data  # it is a model now, perhaps one with more files: read it as that
        elif found != self._sha256:
            self._become("replaced", at_us, f"SHA-256 {found[:12]}…, the plan is for {self._sha256[:12]}…")
        else:
            self._sizes = sizes
            self._become("restored" if self._spoilt else "same", at_us, "its content is that of the plan")

    def _read_on(self, reading: _Reading, stop_ns: int) -> str:
        """Read a slice; the model's digest where that was the last one, else nothing."""
        files = self._files
        while len(reading.digests) < len(files):
            with files[len(reading.digests)].open("rb", buffering=0) as handle:
                handle.seek(reading.offset)
                while time.perf_counter_ns() < stop_ns:
                    if not (chunk := handle.read(_CHUNK_BYTES)):
                        reading.digests.append(reading.running.hexdigest())
                        reading.offset, reading.running = 0, hashlib.sha256()
                        break
                    reading.running.update(chunk)
                    reading.offset += len(chunk)
                else:
                    return ""
        digests = reading.digests
        # As `model_sha256` puts them together.
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def _become(self, content: Content, at_us: float, reason: str) -> None:
        if content != "checking":
            self._spoilt = content in ("replaced", "missing")
        since_us = self.state.since_us if content == self.state.content else at_us
        self.state = FileState(self.state.model, content, since_us, reason)

    @property
    def _files(self) -> tuple[Path, ...]:
        return (self._path, *(self._data or ()))

    def _stamps(self) -> tuple[_Stamp, ...]:
        found = []
        for file in self._files:
            status = os.stat(file)
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        return tuple(found)


def _data_files(path: Path) -> tuple[Path, ...] | None:
    try:
        return tuple(path.parent / name for name in external_files(path))
    except ModelError:
        return None


def _sizes(stamps: tuple[_Stamp, ...]) -> list[int]:
    return [stamp[2] for stamp in stamps]
