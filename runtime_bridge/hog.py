"""A foreign process that keeps one core busy, to see how plans and the controller take it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"


@contextmanager
def core_hog(core: int) -> Iterator[int]:
    """Keep `core` busy from another process while the block runs; yields that process's id."""
    with subprocess.Popen([sys.executable, "-c", _SPIN, str(core)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()
