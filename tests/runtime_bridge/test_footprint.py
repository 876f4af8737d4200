"""Memory of the process: what the C library is told."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The malloc of many threads at once, and then how many heaps there are, by the C library's own account.
HEAPS = """
import ctypes, sys, threading
from edgeplan.runtime_bridge.footprint import limit_heaps
if sys.argv[2] != "as it is":
    limit_heaps(int(sys.argv[2]))
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
all_there = threading.Barrier(12)
def allocate():
    all_there.wait()
    libc.malloc(ctypes.c_size_t(100_000))
    all_there.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def heaps(path: Path, limit: str, **environment: str) -> int:
    given = {key: value for key, value in os.environ.items() if key != "MALLOC_ARENA_MAX"} | environment
    subprocess.run([sys.executable, "-c", HEAPS, str(path), limit], env=given, check=True)
    return path.read_text().count("<heap nr=")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="needs glibc's malloc_info")
def test_threads_share_as_many_heaps_as_was_said(tmp_path: Path) -> None:
    assert heaps(tmp_path / "default", "as it is") > 4
    assert heaps(tmp_path / "two", "2") == 2
    assert heaps(tmp_path / "decided", "2", MALLOC_ARENA_MAX="4") == 4
