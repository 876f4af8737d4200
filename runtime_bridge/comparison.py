"""Set-ups measured beside each other: each in a process of its own, in turns, under the very same requests."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ..formulation import Plan, Problem
from ..profiles import sample_inputs
from .baselines import ThreadPerModel
from .cores import CoreSample, foreign_share
from .footprint import forget_peak, peak_bytes, resident_bytes
from .load import Arrivals, offer
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
        Served by the live runtime; where there is none, one session and one thread a model.
    intra_op_threads : int
        Threads of each session without a plan; 0 for ONNX Runtime's default.
    """

    name: str
    description: str
    plan: Plan | None = None
    intra_op_threads: int = 0


DEFAULT_SESSIONS = SetUp(
    "default sessions",
    "ONNX Runtime's default session options, one session and one serving thread a model, requests as they come",
)
ONE_THREAD_SESSIONS = SetUp(
    "one thread a model",
    "as default sessions, but intra_op_num_threads = 1; the operating system time-slices the models",
    intra_op_threads=1,
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
    """

    set_up: SetUp
    records: list[RequestRecord] = field(default_factory=list)
    duration_s: float = 0.0
    peak_bytes: int = 0
    round_miss_ratios: list[float] = field(default_factory=list)

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
            server = context.Process(target=_serve, args=(theirs, set_up, problem, dict(files)), daemon=True)
            server.start()
            theirs.close()
            servers.append((server, ours))
        for _, connection in servers:
            _receive(connection)
        pids = [multiprocessing.current_process().pid, *(server.pid for server, _ in servers)]
        own = [pid for pid in pids if pid is not None]
        for number in range(rounds):
            for turn in range(len(set_ups)):
                k = (turn + number) % len(set_ups)
                if progress is not None:
                    progress(number * len(set_ups) + turn, rounds * len(set_ups), set_ups[k].name)
                before = CoreSample.take(own)
                servers[k][1].send((problem.streams, round_s, seed + number))
                records, peak = _receive(servers[k][1])
                share = foreign_share(before, CoreSample.take(own))
                foreign = max(foreign, sum(share.values()) / len(share))
                results[k].records += records
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


def _receive(connection: Connection) -> tuple[list[RequestRecord], int]:
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
        with _open(set_up, problem, files) as server:
            warm_up = Arrivals(tuple(files) * 2, np.arange(2 * len(files)) * 1e3)
            _round(server, warm_up, feeds)
            connection.send(([], 0))
            while True:
                streams, round_s, seed = connection.recv()
                arrivals = Arrivals.of(streams, round_s * 1e6, seed)
                connection.send((_round(server, arrivals, feeds), peak_bytes() - base))
    except EOFError:
        pass  # the other end has all it wants
    except Exception as error:
        connection.send(error)


def _open(set_up: SetUp, problem: Problem, files: Mapping[str, Path]) -> LiveRuntime | ThreadPerModel:
    if set_up.plan is not None:
        return LiveRuntime(problem, set_up.plan, files, max_in_flight=100_000)
    deadlines_us = {s.model: s.deadline_us or float("inf") for s in problem.streams}
    return ThreadPerModel(files, deadlines_us, set_up.intra_op_threads)


def _round(server: LiveRuntime | ThreadPerModel, arrivals: Arrivals, feeds: Mapping[str, Feeds]) -> list[RequestRecord]:
    """Offer the requests, wait for the last answer, and return what was written down since the last round."""
    first = len(server.records)
    offer(arrivals, lambda model, due_us: server.submit(model, feeds[model], due_us))
    server.drain()
    return server.records[first:]
