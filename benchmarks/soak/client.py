"""The client's process: it sends, exchanges plans and breaks things until the time is over."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil
from edgeplan.formulation import Poisson, Stream
from edgeplan.interface.serving.load_client import LoadClient, Question, Reply
from edgeplan.runtime_bridge import Arrivals
from edgeplan.runtime_bridge.clock import now_us

from soak.accounts import Ledger
from soak.bench import INPUTS, Bench
from soak.samples import WARM_UP, Samples

RESOLVE_LIMIT_S = 1.0


@dataclass
class Fault:
    """One that was injected. Instants on the monotonic clock, microseconds."""

    name: str
    begin_us: float
    end_us: float = np.inf


Inject = Callable[["Soak"], Awaitable[None]]


class Soak:
    """One run against a server."""

    def __init__(
        self,
        bench: Bench,
        options: argparse.Namespace,
        process: psutil.Process,
        control: Connection,
        client: LoadClient,
        ledger: Ledger,
        injections: Mapping[str, Inject],
    ) -> None:
        self.bench, self.options, self.process, self.client = bench, options, process, client
        self.ledger, self._injections = ledger, injections
        self.sent: list[str] = []
        self.faults: list[Fault] = []
        self.swaps: list[tuple[float, float]] = []
        self.refused_swaps: list[str] = []
        self.samples = Samples()
        self.capacity_hz = 0.0
        self.stop = asyncio.Event()
        self._warm_until_s = math.inf
        self._control, self._asking = control, asyncio.Lock()
        self.told: list[tuple[float, str]] = []

    async def order(self, *order: Any) -> Any:
        """Tell the server's harness something, and wait for its answer."""
        async with self._asking:

            def ask() -> Any:
                self._control.send(order)
                return self._control.recv()

            return await asyncio.to_thread(ask)

    async def run(self) -> None:
        """Measure the capacity, then send, exchange and break until the time is over."""
        asks = self._asks(itertools.cycle(self.bench.patient))
        callers = 2 * len(os.sched_getaffinity(0))
        await self.client.ask_in_turn(asks, callers, self.options.capacity_s * 1e6 / 3, self._take)
        before, began_us = len(self.ledger.replies), now_us()
        await self.client.ask_in_turn(asks, callers, self.options.capacity_s * 1e6, self._take)
        self.capacity_hz = (len(self.ledger.replies) - before) / (now_us() - began_us) * 1e6

        rate_hz = self.options.load * self.capacity_hz / len(self.bench.questions)
        streams = [Stream(model=name, arrival=Poisson(rate_hz=rate_hz)) for name in self.bench.questions]
        arrivals = Arrivals.of(streams, self.options.minutes * 60e6, self.options.seed)
        tasks = [asyncio.create_task(task) for task in (self._sample(), self._swap(), self._break(), self._listen())]
        self._warm_until_s = time.monotonic() + WARM_UP * self.options.minutes * 60
        await self.client.offer(arrivals, self._question, self._take)
        self.stop.set()
        await asyncio.gather(*tasks)

    def _take(self, reply: Reply) -> None:
        self.ledger.add(reply, self.bench)

    def _asks(self, questions: Iterator[Question]) -> Iterator[tuple[Question, str]]:
        for number, question in enumerate(questions):
            self.sent.append(f"c{number}/0")
            yield question, self.sent[-1]

    def _question(self, number: int, model: str) -> tuple[Question, str]:
        variant = number % INPUTS
        self.sent.append(f"{number}/{variant}")
        return self.bench.questions[model][variant], self.sent[-1]

    async def rest(self, seconds: float) -> bool:
        """Wait; False where all is over."""
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return True
        return False

    def _slot_s(self, seconds: float) -> float:
        """So long; shorter in the warm-up, for a process comes to what it keeps by what happens and not by waiting."""
        return seconds / self.options.warm_up_pace if time.monotonic() < self._warm_until_s else seconds

    async def resolve(self) -> None:
        """Ask for a re-solve, which is not waited for."""
        await self.client.call("POST", "/edgeplan/resolve", {"time_limit_s": RESOLVE_LIMIT_S})

    async def _sample(self) -> None:
        while True:
            self.samples.take(self.process, await self.order("plan"))
            if not await self.rest(1.0):
                return

    async def _swap(self) -> None:
        """Back and forth between the plan that serves and the one before."""
        await self.order("swap", 1)  # so that there is one
        while await self.rest(self._slot_s(self.options.swap_s)):
            try:
                status, job = await self.client.call("POST", "/edgeplan/rollback")
                while status in (200, 202) and job["status"] in ("queued", "running"):
                    await asyncio.sleep(0.1)
                    status, job = await self.client.call("GET", f"/edgeplan/jobs/{job['id']}")
            except (OSError, TimeoutError) as error:
                self.refused_swaps.append(str(error))
                continue
            result = job.get("result") or {}
            if result.get("action") == "switched":
                self.swaps.append((now_us() - result["swap_s"] * 1e6, now_us()))
            else:
                self.refused_swaps.append(str(result.get("reason") or job.get("error") or job))

    async def _break(self) -> None:
        """One fault after another, each half a slot after the last."""
        if not await self.rest(self.options.fault_s / 2):
            return
        wanted = [each for each in self._injections.items() if each[0] not in self.options.without]
        for name, inject in itertools.cycle(wanted):
            until_s = time.monotonic() + self._slot_s(self.options.fault_s)
            fault = Fault(name, now_us())
            self.faults.append(fault)
            await inject(self)
            fault.end_us = now_us()
            if not await self.rest(max(0.0, until_s - time.monotonic())):
                return

    async def _listen(self) -> None:
        """What the server says of faults and decisions, as it says it."""
        known: set[str] = set()
        planner = await self.order("planner")
        while True:
            if (other := await self.order("planner")) not in (planner, 0):
                planner = other
                self.told.append((now_us(), "planner: another process"))
            for path in ("/edgeplan/decisions", "/edgeplan/faults", "/edgeplan/history?limit=20"):
                with suppress(OSError, TimeoutError):
                    _, data = await self.client.call("GET", path)
                    for words in _words(data):
                        if words not in known:
                            known.add(words)
                            self.told.append((now_us(), words.partition(" ")[2]))
            if not await self.rest(0.5):
                return


def _words(data: Any) -> Iterator[str]:
    """Each entry in words, behind what tells it from others. Plans exchanged because the soak said so are no news."""
    if isinstance(data, dict):
        if data["trouble"]:
            yield f"state state: {data['trouble']}"
        data = [{**each["what"], "at_us": each["id"]} for each in data["events"] if each["kind"] == "fault"]
    for entry in data:
        if "action" in entry and entry["origin"] != "rollback":
            why = "; ".join([*entry["drifts"], entry["reason"]])
            yield f"{entry['at_us']} {entry['origin']}, {entry['action']}: {why}"
        elif "kind" in entry:
            yield f"{entry.get('at_us', entry.get('since_us'))} {entry['kind']} {entry['model']}: {entry['reason']}"
