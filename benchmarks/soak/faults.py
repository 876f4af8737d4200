"""The faults, and the words by which the server tells that it has seen them."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sys

from edgeplan.runtime_bridge.hog import core_hog

from soak.client import Inject, Soak


async def planner_killed(soak: Soak) -> None:
    """In the middle of a solve."""
    await soak.resolve()
    await asyncio.sleep(0.2)
    os.kill(await soak.order("planner"), signal.SIGKILL)


async def planner_stopped(soak: Soak) -> None:
    """For longer than its limit."""
    os.kill(await soak.order("planner"), signal.SIGSTOP)
    await soak.resolve()


async def server_stopped(soak: Soak) -> None:
    soak.process.suspend()
    try:
        await asyncio.sleep(2.0)
    finally:
        soak.process.resume()


async def model_touched(soak: Soak) -> None:
    next(iter(soak.bench.files.values())).touch()


async def model_replaced(soak: Soak) -> None:
    """By another model's file, and put back."""
    first, second, *_ = soak.bench.files.values()
    kept, new = first.with_suffix(".kept"), first.with_suffix(".new")
    shutil.copy2(first, kept)
    shutil.copy(second, new)
    new.replace(first)
    try:
        await soak.rest(soak.options.fault_s / 2)
    finally:
        kept.replace(first)


async def sessions_raise(soak: Soak) -> None:
    await _sabotaged(soak, "raises", 2.0)


async def sessions_hang(soak: Soak) -> None:
    await _sabotaged(soak, "hangs", 8.0)


async def _sabotaged(soak: Soak, kind: str, for_s: float) -> None:
    await soak.order("sabotage", next(iter(soak.bench.files)), kind, for_s)
    await soak.rest(for_s)


async def core_taken(soak: Soak) -> None:
    hog = core_hog(min(os.sched_getaffinity(0)))
    await asyncio.to_thread(hog.__enter__)  # which waits, as sending must not
    try:
        await soak.rest(soak.options.fault_s / 2)
    finally:
        hog.__exit__(None, None, None)


async def memory_taken(soak: Soak) -> None:
    script = "import sys, time; held = b'x' * (int(sys.argv[1]) << 20); time.sleep(600)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(soak.options.memory_mib))
    try:
        await soak.rest(soak.options.fault_s / 2)
    finally:
        process.kill()
        await process.wait()


async def disk_full(soak: Soak) -> None:
    """Nothing that the server writes to files arrives, while it has a plan to write down."""
    before = resource.prlimit(soak.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(soak.process.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        await soak.client.call("POST", "/edgeplan/rollback")
        await soak.rest(soak.options.fault_s / 2)
    finally:
        resource.prlimit(soak.process.pid, resource.RLIMIT_FSIZE, before)


FAULTS: dict[str, tuple[Inject, str]] = {
    "planner killed": (planner_killed, "planner:"),
    "whole server stopped for 2 s": (server_stopped, "clock "),
    "model file touched": (model_touched, ""),
    "sessions of a model raise for 2 s": (sessions_raise, "failing |backend "),
    "model file replaced and put back": (model_replaced, "file "),
    "core taken by another process": (core_taken, r"drift.*core \d"),
    "planner stopped": (planner_stopped, "planner:"),
    "memory taken by another process": (memory_taken, "memory "),
    "disk full": (disk_full, "state:"),
    "sessions of a model hang for 8 s": (sessions_hang, "hang "),
}
"""What does it, and the words by which the server tells that it has seen it; empty where there is nothing to tell."""
