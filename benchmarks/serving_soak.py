"""Half an hour at a share of the capacity, with plans exchanged and faults injected: nothing lost, nothing grows.

The server is a process of its own that builds what `edgeplan serve` builds. The client's process measures the capacity
(callers that ask again as soon as they have an answer), then sends Poisson requests at a share of it, each with an id
of its own and one of a few known inputs. Meanwhile the plan is exchanged again and again, and faults are injected one
after another. In the end the ids of both sides are compared, every answer has been compared with the model's own, and
the memory, threads and open files of the server are tested for growth. The exit code is 1 where anything of this does
not hold.

    python benchmarks/serving_soak.py --minutes 30 --load 0.7 --output docs/results/serving_soak.md
    python benchmarks/serving_soak.py --minutes 1 --swap-s 10 --fault-s 5
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
import uvloop
import yaml
from edgeplan.formulation import Plan, Poisson, Stream
from edgeplan.interface.facade import candidates
from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.engine import EngineSettings
from edgeplan.interface.serving.http.server import Server
from edgeplan.interface.serving.load_client import LoadClient, Question, Reply
from edgeplan.interface.serving.startup import started
from edgeplan.interface.signals import stop_on_signals
from edgeplan.profiles import (
    Profile,
    ProfileSettings,
    local_platform,
    machine_fingerprint,
    profile_models,
    resolve_model,
    sample_inputs,
)
from edgeplan.runtime_bridge import Arrivals, RequestRecord, prepare_plan
from edgeplan.runtime_bridge.clock import now_us
from edgeplan.runtime_bridge.hog import core_hog
from edgeplan.runtime_bridge.pipeline import Pipeline
from edgeplan.runtime_bridge.state import StateStore
from scipy import stats

import edgeplan

INPUTS = 4
TOLERANCE = 1e-3
ENOUGH_TIME_US = 60_000_000
BIN_S = 0.5
DISTURBED = 0.1
WARM_UP = 0.25
PLANNED = 0.5
CONFIDENCE = 0.95
LEAST_BLOCKS = 8
REASON_LENGTH = 150
MOST_REASONS = 10
RESOLVE_LIMIT_S = 1.0
DETECTED_WITHIN_US = 30e6


# ---- the server's process ----


class Saboteur:
    """Makes the sessions of a model raise or hang, whatever plan they belong to."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[str, float]] = {}
        self._run_step = Pipeline.run_step
        saboteur = self

        def run_step(pipeline: Pipeline, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
            kind, end_s = saboteur._ends.get(pipeline.model, ("", 0.0))
            if (left_s := end_s - time.monotonic()) > 0:
                if kind == "raises":
                    raise RuntimeError("the device has gone")
                time.sleep(left_s)
            saboteur._run_step(pipeline, index, tensors, gang)

        Pipeline.run_step = run_step

    def begin(self, model: str, kind: str, for_s: float) -> None:
        """From now on, for that many seconds."""
        self._ends[model] = kind, time.monotonic() + for_s


def serve(control: Connection, log: Connection, folder: Path, plans: Sequence[Plan], planner_grace_s: float) -> None:
    """Serve until SIGINT; write down every request that ends; do what is said through the pipe."""
    saboteur, lock = Saboteur(), threading.Lock()

    def ended(record: RequestRecord) -> None:
        if not record.label:
            return  # the server's own, by which it warms up
        ran = [segment.segment for segment in record.segments]
        outcome = "refused" if record.refused else "failed" if record.error else "answered"
        with lock:
            log.send_bytes(f"{record.label}\t{outcome}\t{len(ran) - len(set(ran))}".encode())

    case = edgeplan.load(folder / "scenario.yaml", folder / "profile.json").here()
    with (
        StateStore(folder / "state") as store,
        started(case, lambda: plans[0], EngineSettings(), store, "soak") as engine,
    ):
        engine.runtime.listeners.append(ended)
        planner = engine.controller._planner
        assert planner is not None
        planner._grace_s = planner_grace_s

        def obey() -> None:
            with suppress(EOFError):
                while True:
                    order, *details = control.recv()
                    if order == "swap":
                        engine.runtime.swap(case.problem, plans[details[0]])
                    elif order == "sabotage":
                        saboteur.begin(*details)
                    control.send(planner.pid)

        def listening(port: int) -> None:
            control.send(port)
            threading.Thread(target=obey, daemon=True).start()

        with stop_on_signals():
            Server(create_app(engine), engine, "127.0.0.1", 0, on_listening=listening).run()


# ---- the client's process ----


@dataclass(frozen=True)
class Bench:
    """What is served, what is asked, and what the right answers are."""

    folder: Path
    plans: tuple[Plan, Plan]
    files: dict[str, Path]
    questions: dict[str, list[Question]]
    patient: list[Question]
    expected: dict[str, list[dict[str, np.ndarray]]]
    deadline_us: dict[str, float]

    @classmethod
    def made(cls, folder: Path, models: Sequence[str], factor: float) -> Bench:
        """Copy the models, profile them (unless the folder has a profile), and make two plans."""
        files = {name: folder / f"{name}.onnx" for name in models}
        for name, path in files.items():
            if not path.exists():
                shutil.copy(resolve_model(name), path)
        profile_path = folder / "profile.json"
        if not profile_path.exists():
            profile_models(files, local_platform(), ProfileSettings(quick=True), profile_path)
        alone_us = {}
        for model in Profile.load(profile_path).to_models():
            times = model.costs.segment_us(0, model.graph.n_layers)
            alone_us[model.name] = float(times[[c.threads == 1 for c in model.costs.configurations]].min())
        deadlines = {name: round(alone_us[name] * factor, -3) for name in models}
        rate_hz = PLANNED * len(os.sched_getaffinity(0)) * 1e6 / sum(alone_us.values())
        streams = [
            {"model": m, "arrival": {"kind": "poisson", "rate_hz": rate_hz}, "deadline_us": deadlines[m]}
            for m in models
        ]
        scenario = {
            "schema_version": 1,
            "name": "soak",
            "models": [{"name": name, "path": path.name} for name, path in files.items()],
            "streams": streams,
            "objective": "response",
        }
        (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
        case = edgeplan.load(folder / "scenario.yaml", profile_path).here()
        found = [c.solution.plan for c in candidates(case) if c.solution.plan is not None]
        if not found:
            raise SystemExit("no plan")
        # The best, and the one that is in most pieces, which has the least in common with it.
        plans = found[0], max(found[1:] or found, key=lambda plan: sum(len(part.segments) for part in plan.models))
        for plan in plans:
            prepare_plan(case.problem, plan, case.files)
        feeds = {name: [sample_inputs(path, seed=k) for k in range(INPUTS)] for name, path in files.items()}
        return cls(
            folder,
            plans,
            files,
            {name: [Question.of(name, each) for each in inputs] for name, inputs in feeds.items()},
            [Question.of(name, inputs[0], ENOUGH_TIME_US) for name, inputs in feeds.items()],
            {name: [own_answer(files[name], each) for each in inputs] for name, inputs in feeds.items()},
            deadlines,
        )


def own_answer(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's own, without any plan."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@dataclass
class Ledger:
    """What came back, and what the server wrote down."""

    replies: list[tuple[str, float, float, int, bool]] = field(default_factory=list)
    """Id, when it was due, its response, its status, whether it was answered in time."""
    records: list[tuple[str, str, int]] = field(default_factory=list)
    """Label, outcome, segments that ran once more than they should have."""
    wrong: list[str] = field(default_factory=list)
    reasons: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Of replies without outputs: status and words, without their figures."""
    largest_difference: float = 0.0
    sent_late_us: list[float] = field(default_factory=list)

    def add(self, reply: Reply, bench: Bench) -> None:
        """Take a reply, and compare its answer."""
        in_time = reply.in_time(bench.deadline_us[reply.model])
        self.replies.append((reply.request_id, reply.due_us, reply.response_us, reply.status, in_time))
        self.sent_late_us.append(reply.sent_us - reply.due_us)
        if reply.error:
            self.reasons[reply.status, re.sub(r"[\d.]+", "#", reply.error)[:REASON_LENGTH]] += 1
        if reply.status == 200:
            variant = int(reply.request_id.rpartition("/")[2])
            expected = bench.expected[reply.model][variant]
            difference = np.inf
            if not reply.error and reply.outputs.keys() == expected.keys():
                difference = max(
                    float(np.abs(reply.outputs[name] - value).max() / np.abs(value).max())
                    for name, value in expected.items()
                )
            self.largest_difference = max(self.largest_difference, difference)
            if not difference <= TOLERANCE:
                self.wrong.append(reply.request_id)

    def read(self, log: Connection) -> None:
        """Take what the server writes down, until it closes."""
        with suppress(EOFError):
            while True:
                label, outcome, again = log.recv_bytes().decode().split("\t")
                self.records.append((label, outcome, int(again)))


@dataclass(frozen=True)
class Accounts:
    """The ids of both sides, compared."""

    sent: int
    replied: Counter[str]
    recorded: Counter[str]
    lost: list[str]
    twice: list[str]
    disagree: list[str]

    @classmethod
    def of(cls, sent: Sequence[str], ledger: Ledger) -> Accounts:
        kind = {200: "answered", 503: "refused", 0: "no answer"}
        replied = {number: kind.get(status, "failed") for number, _, _, status, _ in ledger.replies}
        recorded: dict[str, str] = {label: outcome for label, outcome, _ in ledger.records}
        times_replied = Counter(number for number, *_ in ledger.replies)
        times_recorded = Counter(label for label, *_ in ledger.records)
        ran_again = {label for label, _, again in ledger.records if again}
        return cls(
            len(sent),
            Counter(replied.values()),
            Counter(outcome for _, outcome, _ in ledger.records),
            # What is refused before the engine sees it leaves no record; nothing else may.
            [n for n in sent if n not in replied or replied[n] == "no answer"
             or (n not in recorded and replied[n] != "refused")]
            + [label for label in recorded if label not in replied],
            [n for n in {*times_replied, *times_recorded} if times_replied[n] > 1 or times_recorded[n] > 1]
            + sorted(ran_again),
            [n for n, outcome in replied.items() if n in recorded and recorded[n] != outcome],
        )  # fmt: skip


@dataclass
class Fault:
    """One that was injected. Instants on the monotonic clock, microseconds."""

    name: str
    begin_us: float
    end_us: float = np.inf


@dataclass
class Samples:
    """Of the server's process, once a second."""

    at_s: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess, OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            read = {line.split(":")[0]: line.split(":")[1].split()[0] for line in status.splitlines() if ":" in line
                    and line.split(":")[1].split()}  # fmt: skip
            self.at_s.append(time.monotonic())
            self.values["resident, MiB"].append(int(read["VmRSS"]) / 1024)
            self.values["resident and of its own, MiB"].append(int(read["RssAnon"]) / 1024)
            self.values["threads"].append(int(read["Threads"]))
            self.values["open files"].append(process.num_fds())

    def growth(self, name: str, block_s: float) -> tuple[float, float, float, float, float, int]:
        """First and last after the warm-up, slope a minute and the ends of its confidence interval, number of blocks.

        Of the means over blocks, for samples that are seconds apart say much the same.
        """
        at_s, values = np.array(self.at_s), np.array(self.values[name])
        at_s = at_s - at_s[0]
        blocks = (at_s / block_s).astype(int)
        kept = [b for b in np.unique(blocks) if (b + 0.5) * block_s >= WARM_UP * at_s[-1]]
        times = np.array([at_s[blocks == b].mean() for b in kept]) / 60
        means = np.array([values[blocks == b].mean() for b in kept])
        if len(kept) < 3:
            return means[0], means[-1], np.nan, -np.inf, np.inf, len(kept)
        fit = stats.linregress(times, means)
        half = fit.stderr * stats.t.ppf((1 + CONFIDENCE) / 2, len(kept) - 2)
        return means[0], means[-1], fit.slope, fit.slope - half, fit.slope + half, len(kept)


class Soak:
    """One run against a server."""

    def __init__(self, bench: Bench, options: argparse.Namespace, process: psutil.Process, control: Connection,
                 client: LoadClient, ledger: Ledger) -> None:  # fmt: skip
        self.bench, self.options, self.process, self.client = bench, options, process, client
        self.ledger = ledger
        self.sent: list[str] = []
        self.faults: list[Fault] = []
        self.swaps: list[tuple[float, float]] = []
        self.refused_swaps: list[str] = []
        self.samples = Samples()
        self.capacity_hz = 0.0
        self.stop = asyncio.Event()
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

    async def resolve(self) -> None:
        """Ask for a re-solve, which is not waited for."""
        await self.client.call("POST", "/edgeplan/resolve", {"time_limit_s": RESOLVE_LIMIT_S})

    async def _sample(self) -> None:
        while True:
            self.samples.take(self.process)
            if not await self.rest(1.0):
                return

    async def _swap(self) -> None:
        """Back and forth between the plan that serves and the one before."""
        await self.order("swap", 1)  # so that there is one
        while await self.rest(self.options.swap_s):
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
        for name, (inject, _) in itertools.cycle(FAULTS.items()):
            if name in self.options.without:
                continue
            until_s = time.monotonic() + self.options.fault_s
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


# ---- the faults ----


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


FAULTS: dict[str, tuple[Callable[[Soak], Awaitable[None]], str]] = {
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


# ---- the report ----


def around(soak: Soak, begin_us: float, end_us: float) -> tuple[int, Counter[str]]:
    """Requests due within a stretch of time: how many, and what became of those that were not answered in time."""
    due = [(status, ok) for _, due_us, _, status, ok in soak.ledger.replies if begin_us <= due_us < end_us]
    bad = Counter({200: "late", 503: "refused"}.get(status, "failed") for status, ok in due if not ok)
    return len(due), bad


def usual(soak: Soak) -> float:
    """Share of requests not answered in time, in the half second in the middle of all."""
    bins: dict[int, list[bool]] = defaultdict(list)
    for _, due_us, _, _, ok in soak.ledger.replies:
        bins[int(due_us // (BIN_S * 1e6))].append(ok)
    return float(np.median([1 - np.mean(oks) for oks in bins.values()]))


def recovered_s(soak: Soak, fault: Fault, until_us: float, disturbed: float) -> float:
    """From the end of a fault to that of the last half second in which more than that share was not in time."""
    bins: dict[int, list[bool]] = defaultdict(list)
    for _, due_us, _, _, ok in soak.ledger.replies:
        if fault.begin_us <= due_us < until_us:
            bins[int((due_us - fault.end_us) // (BIN_S * 1e6))].append(ok)
    numbers = [number for number, oks in bins.items() if 1 - np.mean(oks) > disturbed]
    return max(0.0, (max(numbers, default=-1) + 1) * BIN_S)


def fault_rows(soak: Soak, last_us: float) -> list[str]:
    """One line for each kind of fault."""
    rows = []
    disturbed = usual(soak) + DISTURBED
    begins = [fault.begin_us for fault in soak.faults] + [last_us]
    for name in FAULTS:
        times = [k for k, fault in enumerate(soak.faults) if fault.name == name and fault.end_us < last_us]
        if not times:
            continue
        detected, said, bad, n, recovered = [], [], Counter[str](), 0, []
        for k in times:
            fault, next_us = soak.faults[k], begins[k + 1]
            told = [
                (at_us, words)
                for at_us, words in soak.told
                if 0 <= at_us - fault.begin_us < DETECTED_WITHIN_US
                and FAULTS[name][1]
                and re.match(FAULTS[name][1], words)
            ]
            if told:
                at_us, words = min(told)
                detected.append((at_us - fault.begin_us) / 1e6)
                said.append(words)
            count, each = around(soak, fault.begin_us, next_us)
            n, bad = n + count, bad + each
            recovered.append(recovered_s(soak, fault, next_us, disturbed))
        seen = f"{np.median(detected):.1f}" if detected else "–"
        words = said[0].replace("|", "/")[:160] if said else ""
        rows.append(
            f"| {name} | {len(times)} | {seen} | {words} | {n} | {bad['failed']} | {bad['refused']} | {bad['late']} | "
            f"{max(recovered):.1f} |"
        )
    return rows


def memory_rows(soak: Soak, block_s: float) -> tuple[list[str], list[str]]:
    """One line for each thing that must not grow, and those that did."""
    rows, grown = [], []
    for name in soak.samples.values:
        first, last, slope, low, high, n_blocks = soak.samples.growth(name, block_s)
        rows.append(f"| {name} | {first:.1f} | {last:.1f} | {slope:+.3f} | {low:+.3f} to {high:+.3f} |")
        # What is above zero by chance, or by a trifle, is no growth.
        if n_blocks >= LEAST_BLOCKS and low > 0 and last - first > max(0.02 * first, 2.0):
            grown.append(name)
    return rows, grown


def report(soak: Soak, accounts: Accounts, ended_well: bool, usage: dict[str, float]) -> tuple[str, list[str]]:
    """The page, and what does not hold."""
    options, fingerprint = soak.options, machine_fingerprint()
    offered_us = [due_us for number, due_us, *_ in soak.ledger.replies if not number.startswith("c")]
    first_us, last_us = min(offered_us), max(offered_us)
    n, bad = around(soak, first_us, last_us)
    rows, grown = memory_rows(soak, options.swap_s)
    wrong = {
        "lost": accounts.lost,
        "answered or run twice": accounts.twice,
        "answered other than the server has it": accounts.disagree,
        "wrong answers": soak.ledger.wrong,
        "grown": grown,
        "the server": [] if ended_well else ["did not end by itself"],
        "exchanges of the plan that failed": soak.refused_swaps if soak.swaps else ["all"],
    }
    deadlines = ", ".join(f"{name} {us / 1e3:.0f} ms" for name, us in soak.bench.deadline_us.items())
    swap_ms = [(end - begin) / 1e3 for begin, end in soak.swaps]
    lag_ms = np.quantile(soak.ledger.sent_late_us, [0.5, 0.99]) / 1e3
    swapping = [around(soak, begin - 1e5, end + 1e6) for begin, end in soak.swaps]
    during, bad_then = sum(k for k, _ in swapping), sum((each for _, each in swapping), Counter())
    lines = [
        "# Soak",
        "",
        *(__doc__ or "").strip().splitlines()[2:10],
        "",
        f"- command: `python benchmarks/serving_soak.py --minutes {options.minutes:g} --load {options.load:g} "
        f"--swap-s {options.swap_s:g} --fault-s {options.fault_s:g}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- capacity {soak.capacity_hz:.0f} requests a second, offered {n / (last_us - first_us) * 1e6:.0f}; seed "
        f"{options.seed}; deadlines ({options.deadline_factor:g} × the time on one core): {deadlines}",
        f"- cores taken: client {usage['client']:.2f}, server {usage['server']:.2f}; requests were sent "
        f"{lag_ms[0]:.1f} ms late (median), {lag_ms[1]:.1f} ms (99th percentile)",
        "",
        "## Ids on both sides",
        "",
        "| | answered | refused | failed | no answer |",
        "|---|---|---|---|---|",
        f"| client, of {accounts.sent} sent | "
        + " | ".join(str(accounts.replied[k]) for k in ("answered", "refused", "failed", "no answer"))
        + " |",
        "| server's records | "
        + " | ".join(str(accounts.recorded[k]) for k in ("answered", "refused", "failed"))
        + " | |",
        "",
        *(f"- {what}: {len(which)}{' (' + ', '.join(map(str, which[:5])) + ')' if which else ''}"
          for what, which in wrong.items() if what != "grown"),
        f"- largest difference from the model's own answers: {soak.ledger.largest_difference:.1e} of the largest "
        f"output ({TOLERANCE:g} allowed)",
        f"- not answered in time, of {n} offered: " + ", ".join(f"{bad[k]} {k}" for k in ("late", "refused", "failed")),
        f"- {len(soak.swaps)} exchanges of the plan, {np.median(swap_ms) if swap_ms else 0:.0f} ms each (median); from "
        f"0.1 s before to 1 s after them, of {during} requests: "
        + ", ".join(f"{bad_then[k]} {k}" for k in ("late", "refused", "failed")),
        "",
        "## Why requests were not answered",
        "",
        "| status | words | times |",
        "|---|---|---|",
        *(f"| {status or ''} | {words.replace('|', '/')} | {times} |" for (status, words), times in
          soak.ledger.reasons.most_common(MOST_REASONS)),
        "",
        "## Memory, threads, open files of the server",
        "",
        f"Means over {options.swap_s:g} s, the first {WARM_UP:.0%} of the time left out; the slope's interval is of "
        f"{CONFIDENCE:.0%}. Below {LEAST_BLOCKS} means there is no verdict.",
        "",
        "| | first | last | slope a minute | interval |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "## Faults",
        "",
        "Seconds from when a fault begins to the server's first word of it, and from its end to that of the last half "
        f"second in which more than {usual(soak) + DISTURBED:.0%} of the requests were not answered in time "
        f"({DISTURBED:.0%} more than in the usual one); requests until the next fault.",
        "",
        "| fault | times | detected after, s | first word | requests | failed | refused | late | recovered after, s |",
        "|---|---|---|---|---|---|---|---|---|",
        *fault_rows(soak, last_us),
        "",
    ]  # fmt: skip
    return "\n".join(lines), [f"{what}: {', '.join(map(str, which[:5]))}" for what, which in wrong.items() if which]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=float, default=0.7, help="of the measured capacity")
    parser.add_argument("--models", nargs="+", default=["squeezenet", "shufflenet", "inception_v1"], help="two or more")
    parser.add_argument("--swap-s", type=float, default=60.0, help="between two exchanges of the plan")
    parser.add_argument("--fault-s", type=float, default=60.0, help="between two faults")
    parser.add_argument("--without", nargs="*", default=[], choices=list(FAULTS), help="faults to leave out")
    parser.add_argument("--capacity-s", type=float, default=6.0)
    parser.add_argument("--deadline-factor", type=float, default=10.0, help="of a model's time on one core")
    parser.add_argument("--planner-grace-s", type=float, default=5.0, help="of the planner, beyond its solver's limit")
    parser.add_argument("--memory-mib", type=int, default=2048, help="that another process takes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep models and profile there, and use what is there")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    options = parser.parse_args()

    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench.made(folder, options.models, options.deadline_factor)
    ledger = Ledger()
    context = multiprocessing.get_context("spawn")
    control, theirs = context.Pipe()
    log, log_end = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(theirs, log_end, folder, bench.plans, options.planner_grace_s))
    server.start()
    theirs.close()
    log_end.close()
    reading = threading.Thread(target=ledger.read, args=(log,))
    reading.start()
    process = psutil.Process(server.pid)
    try:
        port = control.recv()

        async def run() -> tuple[Soak, dict[str, float]]:
            async with LoadClient(port) as client:
                soak = Soak(bench, options, process, control, client, ledger)
                began = time.monotonic(), *(sum(p.cpu_times()[:2]) for p in (psutil.Process(), process))
                await soak.run()
                ended = time.monotonic(), *(sum(p.cpu_times()[:2]) for p in (psutil.Process(), process))
                took_s, client_s, server_s = (b - a for a, b in zip(began, ended, strict=True))
                return soak, {"client": client_s / took_s, "server": server_s / took_s}

        soak, usage = uvloop.run(run())
        process.send_signal(signal.SIGINT)
        server.join(60)
        ended_well = server.exitcode == 0
    finally:
        if server.is_alive():
            server.kill()
        reading.join()
    page, failures = report(soak, Accounts.of(soak.sent, ledger), ended_well, usage)
    print(page)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(page)
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
