"""Three times the load that can be carried, over HTTP: queues keep their bound, refusals come in time, it recovers."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import AdmissionError, Poisson, Problem, Stream
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.load_client import LoadClient, Question, Reply
from edgeplan.runtime_bridge import Arrivals, RequestRecord
from edgeplan.runtime_bridge.pipeline import Pipeline

from ...conftest import CORES, Toys
from .loopback import served

SERVICE_S = 0.08
DEADLINE_US = 10 * SERVICE_S * 1e6
CAPACITY_HZ = len(CORES) / SERVICE_S


@pytest.fixture
def slow_toys(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> Toys:
    """Models that take as long as their costs say, without taking the processor: what else runs here is no matter."""
    run_step = Pipeline.run_step

    def slow(pipeline: Pipeline, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
        end_s = time.monotonic() + SERVICE_S / len(pipeline.segments)
        run_step(pipeline, index, tensors, gang)
        time.sleep(max(0.0, end_s - time.monotonic()))

    monkeypatch.setattr(Pipeline, "run_step", slow)
    models = []
    for model in toys.problem.models:
        alone_us = model.costs.segment_us(0, model.graph.n_layers)
        models.append(replace(model, costs=model.costs.corrected(SERVICE_S * 1e6 / alone_us, model.costs.provenance)))
    streams = tuple(
        Stream(model=m.name, arrival=Poisson(rate_hz=CAPACITY_HZ / 4), deadline_us=DEADLINE_US) for m in models
    )
    return Toys(Problem(tuple(models), toys.problem.platform, streams, toys.problem.limits), toys.files)


def phases(models: list[str], *loads: tuple[float, float]) -> Arrivals:
    """Arrivals at shares of the capacity, each for so many seconds."""
    names: list[str] = []
    offsets: list[np.ndarray] = []
    from_us = 0.0
    for number, (load, length_s) in enumerate(loads):
        streams = [Stream(model=m, arrival=Poisson(rate_hz=load * CAPACITY_HZ / len(models))) for m in models]
        drawn = Arrivals.of(streams, length_s * 1e6, number)
        names += drawn.models
        offsets.append(drawn.offsets_us + from_us)
        from_us += length_s * 1e6
    return Arrivals(tuple(names), np.concatenate(offsets))


def test_overload_is_refused_in_time_and_passes(slow_toys: Toys) -> None:
    bound, calm_s, overload_s, after_s = 40, 0.4, 2.4, 2.2
    questions = {name: Question.of(name, slow_toys.feeds()) for name in slow_toys.files}
    arrivals = phases(list(questions), (0.5, calm_s), (3.0, overload_s), (0.3, after_s))
    most = 0
    replies: list[Reply] = []
    records: list[RequestRecord] = []

    def ended(record: RequestRecord) -> None:
        nonlocal most
        most = max(most, engine.runtime.in_flight)
        records.append(record)

    async def run(port: int) -> float:
        async with LoadClient(port) as client:
            return await client.offer(arrivals, lambda k, model: (questions[model], f"{k}"), replies.append)

    settings = EngineSettings(max_in_flight=bound, adapt=False)
    with (
        Engine(slow_toys.problem, slow_toys.whole(), slow_toys.files, settings, ended) as engine,
        served(engine) as port,
    ):
        start_us = asyncio.run(run(port))

    assert sorted(int(reply.request_id) for reply in replies) == list(range(len(arrivals.models)))
    assert {reply.status for reply in replies} == {200, 503}
    assert most <= bound
    due_s = {reply.request_id: (reply.due_us - start_us) / 1e6 for reply in replies}
    overload = [r for r in replies if calm_s <= due_s[r.request_id] < calm_s + overload_s]
    refused = [r for r in overload if r.error]
    in_time = [r for r in overload if r.in_time(DEADLINE_US)]
    assert len(refused) > len(overload) / 3
    assert len(in_time) > 0.5 * CAPACITY_HZ * overload_s, "the cores are used for what is in time"
    taken = [record for record in records if not record.refused]
    assert sum(record.missed for record in taken) < 0.2 * len(taken), "what is accepted keeps its deadline"
    assert np.median([r.response_us for r in refused]) < DEADLINE_US / 4
    later = [r.in_time(DEADLINE_US) for r in replies if due_s[r.request_id] > calm_s + overload_s + 1.2]
    assert np.mean(later) > 0.9, "it recovers"


def test_answers_are_the_models_and_carry_their_ids(toys: Toys) -> None:
    variants = itertools.cycle(itertools.product(toys.files, (1, 2)))
    asks = (
        (Question.of(name, toys.feeds(seed)), f"{name} {seed} é{number}")
        for number, (name, seed) in enumerate(variants)
    )
    replies: list[Reply] = []

    async def run(port: int) -> object:
        async with LoadClient(port) as client:
            await client.ask_in_turn(asks, 3, 3e5, replies.append)
            unknown = await client.ask(Question.of("nobody", toys.feeds()), "x")
            assert (unknown.status, "nobody" in unknown.error) == (404, True)
            return await client.call("GET", "/v2/models/left/ready")

    settings = EngineSettings(admission=False, adapt=False)
    with Engine(toys.problem, toys.halved(), toys.files, settings) as engine, served(engine) as port:
        assert asyncio.run(run(port)) == (200, {"name": "left", "ready": True})
    assert len(replies) > 3
    for reply in replies:
        name, seed, _ = reply.request_id.split()
        for output, expected in toys.unsplit(name, toys.feeds(int(seed))).items():
            np.testing.assert_allclose(reply.outputs[output], expected, rtol=1e-4, atol=1e-5)


ANSWER = b'HTTP/1.1 503 Busy\r\nContent-Length: 16\r\n\r\n{"error":"busy"}'


def asked_of(
    answer: Callable[[int, asyncio.StreamWriter], Awaitable[None]], arrivals: Arrivals, **settings: Any
) -> tuple[list[Reply], int]:
    """Offer load to a server of a few lines; returns the replies, and how many requests it was sent."""
    question, replies, count = Question.of("m", {"x": np.zeros(1, np.float32)}), [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if b"content-length" in x[:14])
                await reader.readexactly(length)
                count += 1
                await answer(count, writer)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with LoadClient(server.sockets[0].getsockname()[1], **settings) as client:
            await client.offer(arrivals, lambda k, _: (question, f"{k}"), replies.append)
        server.close()

    asyncio.run(run())
    return replies, count


def every(gap_s: float, count: int) -> Arrivals:
    return Arrivals(("m",) * count, np.arange(count) * gap_s * 1e6)


def test_a_stall_shows_in_all_responses_that_it_delays() -> None:
    async def stall(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 1:
            await asyncio.sleep(0.3)
        writer.write(ANSWER)

    replies, _ = asked_of(stall, every(0.02, 10), connections=1)
    replies.sort(key=lambda reply: reply.due_us)
    assert [reply.error for reply in replies] == ["busy"] * 10
    for number, reply in enumerate(replies):
        assert reply.response_us >= 0.3e6 - number * 0.02e6 - 1e3


def test_what_is_not_answered_is_not_asked_again() -> None:
    async def fail(number: int, writer: asyncio.StreamWriter) -> None:
        if number % 3 == 0:
            writer.write(ANSWER)
        elif number % 3 == 1:
            writer.write(b"nonsense\r\n\r\n")
        else:
            writer.close()

    replies, count = asked_of(fail, every(0.01, 12))
    assert count == len(replies) == 12
    assert sorted(reply.status for reply in replies) == [0] * 8 + [503] * 4
    assert all(reply.error for reply in replies)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    async def hang(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5 if number == 1 else 0.0)
        writer.write(ANSWER)

    replies, _ = asked_of(hang, every(0.05, 2), timeout_s=0.2)
    assert sorted(reply.status for reply in replies) == [0, 503]


def test_what_was_refused_is_freed_at_once(toys: Toys) -> None:
    """Not when the collector of cycles comes: inputs of some hundred KiB are refused by the thousand."""

    class Watched(np.ndarray):
        pass

    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(adapt=False)) as engine:
        gc.disable()
        try:
            image = toys.feeds()["image"].view(Watched)
            alive = weakref.ref(image)
            refused = engine.submit("left", {"image": image}, deadline_us=1.0)
            assert isinstance(refused.exception(20), AdmissionError)
            del image, refused
            assert alive() is None
        finally:
            gc.enable()
