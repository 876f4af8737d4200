"""The user's cache: materialised models and prepared segments. Everything in it can be made again."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path


def cache_dir() -> Path:
    """Folder for what can be made again: ``$EDGEPLAN_CACHE``, or ``edgeplan`` in the user's cache."""
    if os.environ.get("EDGEPLAN_CACHE"):
        return Path(os.environ["EDGEPLAN_CACHE"])
    from platformdirs import user_cache_path

    return user_cache_path("edgeplan")


def build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Make `folder` by `build`, atomically: other processes see all of it or nothing.

    `build` gets an empty folder beside the target. Where two processes build the same folder, the first to end wins.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        build(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file; remembered as long as its size and time of change stay."""
    status = path.stat()
    return _file_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_sha256(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
