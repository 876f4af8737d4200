"""Events of a job as server-sent events (WHATWG HTML, section 9.2), each numbered, so that a client can go on later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from .store import JobStore

_LOOK_S = 0.25
HEARTBEAT_S = 10.0


class EventStream(StreamingResponse):
    """An answer that goes on until its events end or its client goes.

    Parameters
    ----------
    events : async iterator of bytes
    ended : callable
        Called once it is over, however that came.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        # Neither kept nor collected on the way: a proxy that waits for more would hold back what is news.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def stream(jobs: JobStore, job_id: str, after: int, closing: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Events after one of them until the job has ended, with a comment now and then while nothing happens.

    Parameters
    ----------
    jobs : JobStore
    job_id : str
    after : int
        Number of the last event that the client has; 0 for all.
    closing : callable
        Whether the server is about to stop: the client then comes again, as it does where the store does not answer.
    """
    said_s = time.monotonic()
    while True:
        try:
            events, over = await run_in_threadpool(jobs.events, job_id, after)
        except SQLAlchemyError:
            return
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
