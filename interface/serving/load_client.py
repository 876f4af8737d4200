"""A client that offers load to a server of the Open Inference Protocol: open loop, and closed loop for its capacity.

A request counts from the instant at which it is due, whenever the client got round to sending it, so that a stall shows
in the responses instead of vanishing (no coordinated omission). It speaks only what that needs, HTTP/1.1 with binary
tensors and one request at a time on a kept connection: where client and server share a machine, whatever the client
takes the server lacks.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...runtime_bridge import Arrivals
from ...runtime_bridge.clock import now_us
from .http.refusal import Refusal
from .load_connections import Answer, Connections
from .protocol.inference import HEADER_LENGTH
from .protocol.tensors import datatype, from_bytes, to_bytes


@dataclass(frozen=True)
class Question:
    """A request of which all but the id is made already.

    Attributes
    ----------
    model : str
    rest : bytes
        Its JSON after the id.
    tensors : bytes
        Of all inputs, one after another.
    """

    model: str
    rest: bytes
    tensors: bytes

    @classmethod
    def of(cls, model: str, feeds: Mapping[str, np.ndarray], timeout_us: int | None = None) -> Question:
        """Ask a model for all of its outputs as bytes; with `timeout_us`, with a deadline of its own."""
        parts = {name: to_bytes(array) for name, array in feeds.items()}
        inputs = [
            {
                "name": name,
                "datatype": datatype(array.dtype),
                "shape": list(array.shape),
                "parameters": {"binary_data_size": len(parts[name])},
            }
            for name, array in feeds.items()
        ]
        parameters: dict[str, Any] = {"binary_data_output": True}
        if timeout_us is not None:
            parameters["timeout"] = timeout_us
        rest = json.dumps({"inputs": inputs, "parameters": parameters}, separators=(",", ":"))
        return cls(model, b"," + rest[1:].encode(), b"".join(parts.values()))

    def head(self, request_id: str) -> bytes:
        """The JSON part with an id."""
        return b'{"id":' + json.dumps(request_id).encode() + self.rest


@dataclass(slots=True)
class Reply:
    """What became of a request. Instants are microseconds on the monotonic clock.

    Attributes
    ----------
    request_id, model : str
    due_us : float
        When it was to be sent.
    sent_us : float
        When it was; NaN where it never was.
    ended_us : float
        When its answer was complete, or was no longer waited for.
    status : int
        HTTP's; 0 where no answer came.
    error : str
        Empty where it was answered with outputs.
    outputs : dict of str to ndarray
    """

    request_id: str
    model: str
    due_us: float
    sent_us: float = math.nan
    ended_us: float = math.nan
    status: int = 0
    error: str = ""
    outputs: dict[str, np.ndarray] = field(default_factory=dict)

    def sending(self) -> None:
        """It is sent now."""
        self.sent_us = now_us()

    @property
    def response_us(self) -> float:
        """From when it was due to its end, however it ended."""
        return self.ended_us - self.due_us

    def in_time(self, deadline_us: float) -> bool:
        """Whether it was answered with outputs within a deadline, relative to when it was due."""
        return not self.error and self.response_us <= deadline_us


class LoadClient:
    """Asks one server over many connections. Use it as an asynchronous context manager, on one event loop.

    Nothing is ever sent twice: where a connection breaks, what became of the request is unknown, and that is its reply.

    Parameters
    ----------
    port : int
    host : str
    connections : int
        Most that are open at a time; a request that finds none free waits, from when it was due.
    timeout_s : float
        Longest wait for an answer.
    token : str, optional
        Bearer token.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        connections: int = 512,
        timeout_s: float = 60.0,
        token: str | None = None,
    ) -> None:
        authorization = f"Authorization: Bearer {token}\r\n" if token is not None else ""
        self._fixed = f"Host: {host}:{port}\r\n{authorization}"
        self._connections = Connections(host, port, connections, timeout_s)
        self.outstanding = 0
        """Requests that were due and have not ended."""

    async def __aenter__(self) -> LoadClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connections.close()

    async def ask(self, question: Question, request_id: str, due_us: float | None = None) -> Reply:
        """Ask once. Whatever happens, there is a reply."""
        reply = Reply(request_id, question.model, now_us() if due_us is None else due_us)
        head = question.head(request_id)
        lines = (
            f"POST /v2/models/{question.model}/infer HTTP/1.1\r\n{self._fixed}"
            f"Content-Type: application/octet-stream\r\n{HEADER_LENGTH}: {len(head)}\r\n"
            f"Content-Length: {len(head) + len(question.tensors)}\r\n\r\n"
        )
        self.outstanding += 1
        try:
            answer = await self._connections.exchange((lines.encode() + head, question.tensors), reply.sending)
            reply.status = answer.status
            _read(reply, answer)
        except (OSError, TimeoutError) as error:
            reply.error = f"no answer: {str(error) or type(error).__name__}"
        finally:
            self.outstanding -= 1
        reply.ended_us = now_us()
        return reply

    async def call(self, method: str, path: str, data: object = None) -> tuple[int, Any]:
        """Any other request, with JSON or nothing; returns the status and what came, JSON or text.

        Raises
        ------
        OSError, TimeoutError
            No answer came.
        """
        body = b"" if data is None else json.dumps(data).encode()
        lines = f"{method} {path} HTTP/1.1\r\n{self._fixed}Content-Type: application/json\r\n"
        answer = await self._connections.exchange((f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body,))
        try:
            return answer.status, json.loads(answer.body)
        except ValueError:
            return answer.status, answer.body.decode(errors="replace")

    async def offer(
        self,
        arrivals: Arrivals,
        question: Callable[[int, str], tuple[Question, str]],
        on_reply: Callable[[Reply], None],
        stop: asyncio.Event | None = None,
    ) -> float:
        """Open loop: send every request when it is due, and wait for all replies.

        Parameters
        ----------
        arrivals : Arrivals
        question : callable
            Takes a request's number and model; returns what to ask, and the id.
        on_reply : callable
            Takes every reply as it comes.
        stop : asyncio.Event, optional
            Set it to send no more.

        Returns
        -------
        float
            The instant that the offsets count from.
        """
        start_us = now_us() + 1000.0
        tasks: set[asyncio.Task[Reply]] = set()

        def ended(task: asyncio.Task[Reply]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                on_reply(task.result())

        for number, (model, offset_us) in enumerate(zip(arrivals.models, arrivals.offsets_us.tolist(), strict=True)):
            due_us = start_us + offset_us
            while (left_us := due_us - now_us()) > 0:
                await asyncio.sleep(left_us / 1e6)
            if stop is not None and stop.is_set():
                break
            task = asyncio.create_task(self.ask(*question(number, model), due_us))
            tasks.add(task)
            task.add_done_callback(ended)
        while tasks:
            await asyncio.wait(tasks)
        return start_us

    async def ask_in_turn(
        self, asks: Iterable[tuple[Question, str]], callers: int, duration_us: float, on_reply: Callable[[Reply], None]
    ) -> None:
        """Closed loop: that many callers, each asking again as soon as it has its answer.

        Parameters
        ----------
        asks : iterable of (Question, str)
            What is asked next, by whoever is free, and its id.
        callers : int
        duration_us : float
            After that nobody asks again; what is under way is still waited for.
        on_reply : callable
        """
        left, end_us = iter(asks), now_us() + duration_us

        async def call() -> None:
            while now_us() < end_us:
                on_reply(await self.ask(*next(left)))

        await asyncio.gather(*(call() for _ in range(callers)))


def _read(reply: Reply, answer: Answer) -> None:
    """Take the outputs out of an answer, or the reason why there are none."""
    try:
        data = json.loads(answer.body[: answer.json_length])
        if answer.status != 200:
            reply.error = str(data["error"])
            return
        rest, position = memoryview(answer.body)[answer.json_length :], 0
        for output in data["outputs"]:
            size = output["parameters"]["binary_data_size"]
            part = rest[position : position + size]
            reply.outputs[output["name"]] = from_bytes(output["name"], output["datatype"], output["shape"], part)
            position += size
        if (data.get("id", ""), data["model_name"]) != (reply.request_id, reply.model):
            reply.error = f"an answer to {data.get('id')!r} of {data['model_name']!r}"
    except (ValueError, KeyError, TypeError, Refusal) as error:
        reply.error = f"status {answer.status}, and no answer of the protocol: {error!r}"
