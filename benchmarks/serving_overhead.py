"""What serving adds to a bare `session.run`: per request in process, per extra segment, and over HTTP.

A small chain of convolutions, whose own time is short, is asked again and again by one caller: through the live runtime
whole and in pieces, and over HTTP on loopback with binary tensors and one kept connection, by a client in a process of
its own and by one in the server's. All ways take turns. In-process figures are over requests, of the response minus the
time inside the sessions (what a bare `session.run` takes); HTTP's are of the client's time minus that from the
submission of the same request in process to its result. Below what HTTP adds stands what the same client waits for the
same bytes from a server that answers at once, without reading what they say: sockets, wake-ups, the client's own part.

    python benchmarks/serving_overhead.py --output docs/results/serving_overhead.md
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import onnx
import uvloop
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Limits,
    Model,
    ModelPlan,
    Plan,
    PlannedSegment,
    Problem,
    SolverStamp,
)
from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.http.server import Server
from edgeplan.profiles import import_onnx, local_platform, machine_fingerprint, model_sha256
from edgeplan.runtime_bridge import RequestRecord
from onnx import TensorProto, helper, numpy_helper

CONFIGURATION = Configuration(backend="onnxruntime-cpu", form="mapped")
DEPTH, CHANNELS, SIDE = 12, 16, 32


def write_model(path: Path) -> None:
    """A chain of convolutions."""
    rng = np.random.default_rng(0)
    shape = [1, CHANNELS, SIDE, SIDE]
    nodes, weights, current = [], [], "image"
    for k in range(DEPTH):
        kernel = (rng.normal(size=(CHANNELS, CHANNELS, 3, 3)) / 12).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{k}"))
        nodes.append(helper.make_node("Conv", [current, f"kernel{k}"], [f"out{k}"], f"conv{k}", pads=[1, 1, 1, 1]))
        current = f"out{k}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT, shape)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def plan_of(model: Model, pieces: int) -> Plan:
    """The model in that many equal pieces on the first core."""
    core = min(os.sched_getaffinity(0))
    bounds = np.linspace(0, model.graph.n_layers, pieces + 1).astype(int)
    segments = tuple(
        PlannedSegment(start=int(a), stop=int(b), configuration=CONFIGURATION, cores=(core,))
        for a, b in pairwise(bounds)
    )
    part = ModelPlan(model=model.name, sha256=model.sha256, segments=segments)
    return Plan(models=(part,), solver=SolverStamp(method="hand", status="feasible"))


class TimedEngine(Engine):
    """Notes how long each request takes from its submission to its result."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.took_us: list[float] = []
        super().__init__(*arguments, **named)

    def submit(self, *arguments: Any, **named: Any) -> Future[dict[str, np.ndarray]]:
        """See `Engine.submit`."""
        began = time.perf_counter()
        future = super().submit(*arguments, **named)
        future.add_done_callback(lambda _: self.took_us.append((time.perf_counter() - began) * 1e6))
        return future


class Asked:
    """An engine, and the record of the request that ended last."""

    def __init__(self, problem: Problem, pieces: int, path: Path, feeds: dict[str, np.ndarray]) -> None:
        self.feeds = feeds
        self.last: RequestRecord | None = None
        settings = EngineSettings(admission=True, adapt=False)
        self.engine = TimedEngine(
            problem, plan_of(problem.models[0], pieces), {"chain": path}, settings, on_record=self._ended
        )
        self.inside_us: list[float] = []
        self.added_us: list[float] = []

    def _ended(self, record: RequestRecord) -> None:
        self.last = record

    def ask(self, count: int) -> None:
        """Ask that many times, one after another."""
        for _ in range(count):
            began = time.perf_counter()
            self.engine.submit("chain", self.feeds).result()
            took_us = (time.perf_counter() - began) * 1e6
            assert self.last is not None
            ran_us = sum(s.finish_us - s.start_us for s in self.last.segments)
            self.inside_us.append(ran_us)
            self.added_us.append(took_us - ran_us)


class Client:
    """Asks over one kept connection, binary tensors in and out; pickled, it asks from another process."""

    def __init__(self, port: int, feeds: dict[str, np.ndarray]) -> None:
        self.port = port
        (name, array), *_ = feeds.items()
        tensor = {
            "name": name,
            "datatype": "FP32",
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        self.body = head + array.tobytes()
        self.headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, count: int) -> list[float]:
        """Ask that many times, one after another; microseconds of each."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took_us = []
        for _ in range(count):
            began = time.perf_counter()
            self._connection.request("POST", "/v2/models/chain/infer", self.body, self.headers)
            response = self._connection.getresponse()
            response.read()
            took_us.append((time.perf_counter() - began) * 1e6)
            if response.status != 200:
                raise SystemExit(f"HTTP {response.status}")
        return took_us


def client_process(client: Client, pipe: Connection) -> None:
    """Ask as often as the pipe says, until it says None."""
    while (count := pipe.recv()) is not None:
        pipe.send(client.ask(count))


@contextmanager
def elsewhere(client: Client) -> Iterator[Callable[[int], list[float]]]:
    """The client's `ask`, in a process of its own."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=client_process, args=(client, there), daemon=True)
    process.start()

    def ask(count: int) -> list[float]:
        here.send(count)
        return here.recv()

    try:
        yield ask
    finally:
        here.send(None)
        process.join()


class Http:
    """What HTTP adds to the responses of an engine."""

    def __init__(self, asked: Asked, ask: Callable[[int], list[float]]) -> None:
        self.asked = asked
        self._ask = ask
        self.added_us: list[float] = []

    def ask(self, count: int) -> None:
        """Ask that many times, one after another."""
        inside_us = self.asked.engine.took_us
        inside_us.clear()
        took_us = self._ask(count)
        self.added_us += [took - inside for took, inside in zip(took_us, inside_us, strict=True)]


class Echo(asyncio.Protocol):
    """Answers each body with as many bytes, once it has come."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.came = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came += data
        end = self.came.find(b"\r\n\r\n")
        if 0 <= end <= len(self.came) - 4 - self.n_bytes:
            self.came.clear()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.n_bytes
            self.transport.write(head + bytes(self.n_bytes))


@contextmanager
def echoing(n_bytes: int) -> Iterator[int]:
    """A server on a free port of loopback that only sends as many bytes back."""
    loop = uvloop.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: Echo(n_bytes), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def served(engine: Engine) -> Iterator[int]:
    """The engine behind a server on a free port of loopback, in this process."""
    ports: SimpleQueue[int] = SimpleQueue()
    server = Server(create_app(engine), engine, "127.0.0.1", 0, on_listening=ports.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield ports.get()
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="of each way, in each round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pieces", type=int, nargs="+", default=[1, 2, 4, 8, 12])
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    path = Path(tempfile.mkdtemp()) / "chain.onnx"
    write_model(path)
    graph = import_onnx(path)
    costs = CostTable.create([CONFIGURATION], np.full((graph.n_layers, 1), 50.0))
    problem = Problem((Model("chain", graph, costs, model_sha256(path)),), local_platform(), (), Limits(), "latency")
    feeds = {"image": np.random.default_rng(1).normal(size=(1, CHANNELS, SIDE, SIDE)).astype(np.float32)}
    ways = {n: Asked(problem, n, path, feeds) for n in arguments.pieces}
    first = ways[arguments.pieces[0]]
    echo_us: list[float] = []
    with ExitStack() as stack:
        client = Client(stack.enter_context(served(first.engine)), feeds)
        echoed = Client(stack.enter_context(echoing(len(client.body))), feeds)
        over_http = {
            "HTTP, on top of that": Http(first, stack.enter_context(elsewhere(client))),
            "HTTP, client in the same process": Http(first, client.ask),
        }
        ask_echo = stack.enter_context(elsewhere(echoed))
        for number in range(arguments.rounds + 1):
            for way in (*ways.values(), *over_http.values()):
                way.ask(arguments.requests)
                if number == 0:  # warm-up
                    way.added_us.clear()
            took_us = ask_echo(arguments.requests)
            echo_us += took_us if number else []
    for way in ways.values():
        way.engine.close()

    whole = np.median(first.added_us)
    rows = [
        f"| in process, {n} segment{'s' if n > 1 else ''} | {np.median(way.added_us):.0f} | "
        f"{np.quantile(way.added_us, 0.99):.0f} | "
        f"{(np.median(way.added_us) - whole) / (n - 1):.0f} |"
        if n > 1
        else f"| in process, whole | {whole:.0f} | {np.quantile(way.added_us, 0.99):.0f} | |"
        for n, way in ways.items()
    ]
    added_us = {name: way.added_us for name, way in over_http.items()}
    for name, values in {**added_us, "of which sockets and client": echo_us}.items():
        median_us, tail_us = np.quantile(values, [0.5, 0.99])
        rows.append(f"| {name} | {median_us:.0f} | {tail_us:.0f} | |")
    fingerprint = machine_fingerprint()
    lines = [
        "# What serving adds",
        "",
        *(__doc__ or "").strip().splitlines()[2:8],
        "",
        "- command: `python benchmarks/serving_overhead.py`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- {arguments.rounds} rounds of {arguments.requests} requests; tensors of "
        f"{feeds['image'].nbytes // 1024} KiB; inside the session, whole: {np.median(first.inside_us):.0f} µs",
        "",
        "| way | median µs added | 99th percentile | median a further segment |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    print("\n".join(lines))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
