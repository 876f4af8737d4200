"""Files made from a model, kept between runs: whole, checked, and made again where they are not.

An artefact is a file with a manifest beside it (sizes, times of change and SHA-256 of the file and of those it needs).
A file whose size and time are as written is taken as it is, so that opening costs no reading; any other is hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .cache import exclusive, sha256_of_file, written_whole

BLOBS = "blobs"
"""Subfolder for weights, each in a file named by its SHA-256, so that segments with the same weights share them."""

Build = Callable[[Path], Iterable[str]]
"""Writes the file it is given and returns the names, relative to its folder, of the blobs that the file needs."""

_Stamp = tuple[int, int, str]


def artefact(folder: Path, name: str, build: Build) -> Path:
    """Path of a valid artefact, built where it is missing or damaged.

    Safe against other threads and processes that want the same.
    """
    target = folder / name
    if is_current(folder, name):
        return target
    with exclusive(folder):
        if not is_current(folder, name):
            manifest = folder / f"{name}.json"
            manifest.unlink(missing_ok=True)
            with written_whole(target) as temporary:
                needs = tuple(build(temporary))
            stamps = {file: _stamp(folder / file) for file in sorted({name, *needs})}
            with written_whole(manifest) as temporary:
                temporary.write_text(json.dumps(stamps))
    return target


def write_blob(folder: Path, data: bytes | memoryview) -> str:
    """Store bytes once; returns their file's name relative to `folder`."""
    digest = hashlib.sha256(data).hexdigest()
    name = f"{BLOBS}/{digest}"
    path = folder / name
    if not _is_blob(path, len(data), digest):
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
        _sound.add((str(path), path.stat().st_mtime_ns))
    return name


_sound: set[tuple[str, int]] = set()
"""Blobs (path, time of change) that this process wrote or hashed; the same weights are met in many segments."""


def _is_blob(path: Path, size: int, digest: str) -> bool:
    if not path.exists() or path.stat().st_size != size:
        return False
    known = (str(path), path.stat().st_mtime_ns)
    if known not in _sound and sha256_of_file(path) == digest:
        _sound.add(known)
    return known in _sound


def _stamp(path: Path) -> _Stamp:
    stat = path.stat()
    digest = path.name if path.parent.name == BLOBS else sha256_of_file(path)
    return stat.st_size, stat.st_mtime_ns, digest


def is_current(folder: Path, name: str) -> bool:
    """Whether an artefact and the blobs it needs are there and as they were written."""
    try:
        stamps: Mapping[str, list] = json.loads((folder / f"{name}.json").read_text())
        return all(_matches(folder / file, *stamp) for file, stamp in stamps.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False  # missing, truncated or of another format: all are made again


def _matches(path: Path, size: int, mtime_ns: int, digest: str) -> bool:
    stat = path.stat()
    return stat.st_size == size and (stat.st_mtime_ns == mtime_ns or sha256_of_file(path) == digest)
