"""Set-ups measured beside each other: each in a process of its own, in turns, under the very same requests."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ..formulation import Plan, Problem
from ..profiles import sample_inputs
from .baselines import Baseline, HasProcesses, ModelThreads, Server, SessionOptions
from .cores import CoreSample, foreign_share
from .footprint import forget_peak, peak_bytes, resident_bytes
from .load import Arrivals, ask_in_turn, offer
from .records import RequestRecord, ResponseSummary, summaries
from .runtime import LiveRuntime
from .sessions import prepare_plan

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SetUp:
    """One way to serve the models.

    Attributes
    ----------
    name, description : str
    plan : Plan, optional
        Served by the live runtime.
    baseline : Baseline
        What serves where there is no plan.
    """

    name: str
    description: str
    plan: Plan | None = None
    baseline: Baseline = field(default_factory=ModelThreads)

    def open(self, problem: Problem, files: Mapping[str, Path]) -> Server:
        """Start serving."""
        if self.plan is not None:
            return LiveRuntime(problem, self.plan, files, max_in_flight=100_000)
        return self.baseline.open(problem, files)


DEFAULT_SESSIONS = SetUp(
    "default sessions",
    "ONNX Runtime's default session options, one session and one serving thread a model, requests as they come",
)
ONE_THREAD_SESSIONS = SetUp(
    "one thread a model",
    "as default sessions, but intra_op_num_threads = 1; the operating system time-slices the models",
    baseline=ModelThreads(SessionOptions(threads=1)),
)


@dataclass
class SetUpResult:
    """What was measured of one set-up.

    Attributes
    ----------
    set_up : SetUp
    records : list of RequestRecord
        Of all rounds.
    duration_s : float
        Time over which requests were offered, all rounds together.
    peak_bytes : int
        Largest resident memory of its process above that before any session was open.
    round_miss_ratios : list of float
        One a round, for the spread.
    rounds : list of list of RequestRecord
        The records, round by round.
    """

    set_up: SetUp
    records: list[RequestRecord] = field(default_factory=list)
    duration_s: float = 0.0
    peak_bytes: int = 0
    round_miss_ratios: list[float] = field(default_factory=list)
    rounds: list[list[RequestRecord]] = field(default_factory=list)

    @property
    def summaries(self) -> list[ResponseSummary]:
        """Figures by model, then of all."""
        return summaries(self.records, self.duration_s)


@dataclass(frozen=True)
class Comparison:
    """Set-ups under the same requests.

    Attributes
    ----------
    results : tuple of SetUpResult
    foreign_share : float
        Largest share of the machine's core time that went to processes outside the comparison in any turn. Much more
        than a few per cent makes the figures doubtful.
    rounds, round_s, seed
        How it was done.
    """

    results: tuple[SetUpResult, ...]
    foreign_share: float
    rounds: int
    round_s: float
    seed: int


def compare(
    set_ups: Sequence[SetUp],
    problem: Problem,
    files: Mapping[str, Path],
    *,
    rounds: int = 3,
    round_s: float = 4.0,
    seed: int = 0,
    closed_loop: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Offer the problem's streams to each set-up in turn, several rounds.

    In a round every set-up gets the same requests at the same offsets; the order of the set-ups rotates from round to
    round. A set-up whose turn it is not holds its sessions open but has nothing to do.

    Parameters
    ----------
    set_ups : sequence of SetUp
    problem : Problem
    files : mapping of str to Path
    rounds : int
    round_s : float
    seed : int
    closed_loop : bool
        Instead of the streams' arrivals one caller a model, who asks again as soon as he has an answer.
    progress : callable, optional
        Called with turns done, turns in all, and a label.
    """
    for set_up in set_ups:
        if set_up.plan is not None:
            prepare_plan(problem, set_up.plan, files)
    context = multiprocessing.get_context("spawn")
    results = [SetUpResult(set_up) for set_up in set_ups]
    servers = []
    foreign = 0.0
    try:
        for set_up in set_ups:
            ours, theirs = context.Pipe()
            # Not daemonic, for a set-up may have processes of its own; it ends as its connection closes.
            server = context.Process(target=_serve, args=(theirs, set_up, problem, dict(files)))
            server.start()
            theirs.close()
            servers.append((server, ours))
        own = [os.getpid(), *(server.pid for server, _ in servers if server.pid is not None)]
        for _, connection in servers:
            own += _receive(connection)
        for number in range(rounds):
            for turn in range(len(set_ups)):
                k = (turn + number) % len(set_ups)
                if progress is not None:
                    progress(number * len(set_ups) + turn, rounds * len(set_ups), set_ups[k].name)
                before = CoreSample.take(own)
                servers[k][1].send((() if closed_loop else problem.streams, round_s, seed + number))
                records, peak = _receive(servers[k][1])
                share = foreign_share(before, CoreSample.take(own))
                foreign = max(foreign, sum(share.values()) / len(share))
                results[k].records += records
                results[k].rounds.append(records)
                results[k].duration_s += round_s
                results[k].peak_bytes = max(results[k].peak_bytes, peak)
                results[k].round_miss_ratios.append(sum(r.missed for r in records) / max(1, len(records)))
    finally:
        for server, connection in servers:
            connection.close()
            server.join(5)
            if server.is_alive():
                server.terminate()
    return Comparison(tuple(results), foreign, rounds, round_s, seed)


def _receive(connection: Connection) -> Any:
    answer = connection.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _serve(connection: Connection, set_up: SetUp, problem: Problem, files: Mapping[str, Path]) -> None:
    """Body of a set-up's process: open the sessions, then serve a round a message until the other end closes."""
    import_module("onnxruntime")  # loaded first, so that its own size does not count as the sessions'

    try:
        feeds = {name: sample_inputs(path) for name, path in files.items()}
        forget_peak()
        base = resident_bytes()
        with set_up.open(problem, files) as server:
            warm_up = Arrivals(tuple(files) * 2, np.arange(2 * len(files)) * 1e3)
            _open_loop(server, warm_up, feeds)
            connection.send(list(server.pids) if isinstance(server, HasProcesses) else [])
            while True:
                streams, round_s, seed = connection.recv()
                first = len(server.records)
                if streams:
                    _open_loop(server, Arrivals.of(streams, round_s * 1e6, seed), feeds)
                else:
                    ask_in_turn(server.submit, feeds, round_s * 1e6)
                    server.drain()
                peak = peak_bytes() - base
                if isinstance(server, HasProcesses):
                    peak += server.peak_bytes()
                connection.send((server.records[first:], peak))
    except EOFError:
        pass  # the other end has all it wants
    except Exception as error:
        connection.send(error)


def _open_loop(server: Server, arrivals: Arrivals, feeds: Mapping[str, Feeds]) -> None:
    """Offer the requests and wait for the last answer."""
    offer(arrivals, lambda model, due_us: server.submit(model, feeds[model], due_us))
    server.drain()
