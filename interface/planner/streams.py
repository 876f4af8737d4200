"""Events of a job as server-sent events (WHATWG HTML, section 9.2), each numbered, so that a client can go on later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool

from .store import JobStore

_LOOK_S = 0.25
HEARTBEAT_S = 10.0


async def stream(jobs: JobStore, job_id: str, after: int, closing: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Events after one of them until the job has ended, with a comment now and then while nothing happens.

    Parameters
    ----------
    jobs : JobStore
    job_id : str
    after : int
        Number of the last event that the client has; 0 for all.
    closing : callable
        Whether the server is about to stop: the client then comes again.
    """
    said_s = time.monotonic()
    while True:
        events, over = await run_in_threadpool(jobs.events, job_id, after)
        for event in events:
            after = event.number
            yield f"id: {event.number}\nevent: {event.kind}\ndata: {event.data}\n\n".encode()
        if over or closing():
            return
        now_s = time.monotonic()
        if events:
            said_s = now_s
        elif now_s - said_s >= HEARTBEAT_S:
            said_s = now_s
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_S)
