"""A server with the toy models in a process of its own, as a client sees it."""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from ...conftest import Toys

_SCRIPT = """
import pickle, sys
from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.http.server import Server

problem, plan, files, limits, settings = pickle.load(open(sys.argv[1], "rb"))
with Engine(problem, plan, files, EngineSettings(admission=False, adapt=False)) as engine:
    app = create_app(engine, settings)
    Server(app, engine, "127.0.0.1", 0, limits, on_listening=lambda port: print(port, flush=True)).run()
"""


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    process: psutil.Process
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    @property
    def resident_mib(self) -> float:
        return self.process.memory_info().rss / 2**20


@contextmanager
def serving(toys: Toys, folder: Path, limits: object = None, settings: object = None) -> Iterator[Served]:
    given = folder / "served.pickle"
    given.write_bytes(pickle.dumps((toys.problem, toys.whole(), toys.files, limits, settings)))
    command = [sys.executable, "-c", _SCRIPT, str(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Served(psutil.Process(process.pid), int(process.stdout.readline()))
        finally:
            process.terminate()
            _, complaints = process.communicate(timeout=60)
    if (process.returncode, complaints) != (-signal.SIGTERM, ""):
        pytest.fail(f"the server ended with {process.returncode} and said: {complaints}")


def request_bytes(toys: Toys, model: str = "left", seed: int = 0, **headers: str) -> bytes:
    """An inference with binary tensors, as it goes over the line."""
    image = toys.feeds(seed)["image"]
    head = (
        b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,8,12,12],"parameters":{"binary_data_size":%d}}],'
        b'"parameters":{"binary_data_output":true}}' % image.nbytes
    )
    return http_request(
        "POST",
        f"/v2/models/{model}/infer",
        head + image.tobytes(),
        **{"Inference-Header-Content-Length": str(len(head)), **headers},
    )


def http_request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, header and body of one answer with a Content-Length; status 0 where the server closed instead."""
    came = b""
    while b"\r\n\r\n" not in came:
        more = _received(connection)
        if not more:
            return 0, {}, came
        came += more
    head, body = came.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers["content-length"])
    while len(body) < length:
        more = _received(connection)
        if not more:
            return 0, headers, body
        body += more
    assert len(body) == length, "more came than one answer"
    return int(first.split()[1]), headers, body


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(2**16)
    except ConnectionResetError:
        return b""


def tensor_of(toys: Toys, answer: tuple[int, dict[str, str], bytes]) -> np.ndarray:
    """The output of an answer in bytes."""
    status, headers, body = answer
    assert status == 200, body
    return np.frombuffer(body[int(headers["inference-header-content-length"]) :], np.float32).reshape(1, 8, 12, 12)
