"""Slow, silent and many clients on a real server: each is closed with a reason, and none takes another's place."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.serving.http.front import AppSettings
from edgeplan.interface.serving.http.places import ConnectionLimits

from ...conftest import Toys
from .process import Served, http_request, read_answer, request_bytes, serving, tensor_of

QUICK = ConnectionLimits(max_connections=40, header_s=0.5, body_s=0.5, read_s=0.5, idle_s=1.2, max_body_bytes=2**20)
LIVE = http_request("GET", "/v2/health/live")


@pytest.fixture(scope="module")
def served(toys: Toys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(toys, tmp_path_factory.mktemp("served"), QUICK, AppSettings(max_request_bytes=2**20)) as served:
        yield served


def ask(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    return read_answer(connection)[0]


def until_closed(connection: socket.socket) -> bytes:
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(2**16):
            came += more
    return came


INFER = b"POST /v2/models/left/infer HTTP/1.1\r\n"
TRICKLERS = [  # what comes at once, what comes again and again, what is said about it
    (b"", b"", "whole header"),
    (b"GET /v2 HTTP/1.1\r\n", b"A: b\r\n", "whole header"),
    (b"", b"\r\n", "whole header"),
    (INFER + b"Content-Length: 1000\r\n\r\n", b"{", "whole body"),
    (INFER + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "whole body"),
    (INFER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n", "whole body"),
    (b"POST /v2/nothing HTTP/1.1\r\nContent-Length: 1000\r\n\r\n", b"{", "whole body"),
]


@pytest.mark.slow
def test_who_sends_too_slowly_is_told_so(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        left = {}
        for first, piece, said in TRICKLERS:
            connection = stack.enter_context(served.connect())
            connection.sendall(first)
            connection.setblocking(False)
            left[connection] = piece, said
        end_s = time.monotonic() + 6.0
        while left and time.monotonic() < end_s:
            time.sleep(0.1)
            for connection, (piece, said) in list(left.items()):
                try:
                    came = connection.recv(2**16)
                except BlockingIOError:
                    connection.sendall(piece)
                    continue
                head, body = came.split(b"\r\n\r\n", 1)
                assert b"connection: close" in head
                assert (head.split()[1], said in json.loads(body)["error"]) == (b"408", True)
                del left[connection]
        assert not left, "the server goes on waiting"


@pytest.mark.slow
def test_who_does_not_read_is_closed(toys: Toys, served: Served) -> None:
    request = request_bytes(toys)
    with served.connect() as connection:
        connection.settimeout(0.3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:  # until neither side takes more
                connection.sendall(request)
        end_s = time.monotonic() + 10.0
        while connection.getsockname() in [c.raddr for c in served.process.net_connections() if c.raddr]:
            assert time.monotonic() < end_s, "the server goes on waiting"
            time.sleep(0.1)
    with served.connect() as connection:
        assert ask(connection, request) == 200


@pytest.mark.slow
def test_a_kept_connection_is_closed_when_it_is_idle_too_long(served: Served) -> None:
    with served.connect() as connection:
        assert ask(connection, LIVE) == 200
        time.sleep(0.8)  # longer than a header may take
        assert ask(connection, LIVE) == 200
        assert until_closed(connection) == b""


def test_who_waits_longest_makes_room_for_others(toys: Toys, served: Served) -> None:
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(served.connect())
        for _ in range(8):
            idle = [stack.enter_context(served.connect()) for _ in range(QUICK.max_connections // 2 - 2)]
            assert ask(kept, request_bytes(toys)) == 200
        with served.connect() as newcomer:
            assert ask(newcomer, LIVE) == 200
        assert ask(kept, request_bytes(toys)) == 200
        assert len(idle) > 0
        assert len(served.process.net_connections()) < QUICK.max_connections + 5


@pytest.mark.parametrize(
    ("many", "places"),
    [
        (1500, 300),
        pytest.param(10_000, 1000, marks=pytest.mark.slow),
        pytest.param(10_000, 10_200, marks=pytest.mark.slow),
    ],
)
def test_many_silent_connections_harm_nobody(toys: Toys, tmp_path: Path, many: int, places: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < many + 500:
        pytest.skip(f"this process may have {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    expected = toys.unsplit("left", toys.feeds())
    limits = ConnectionLimits(max_connections=places, header_s=30.0)
    try:
        with serving(toys, tmp_path, limits) as served, served.connect() as kept:
            assert ask(kept, request_bytes(toys)) == 200
            before_mib, before_files = served.resident_mib, served.process.num_fds()
            with contextlib.ExitStack() as stack:
                for number in range(many):
                    silent = stack.enter_context(served.connect())
                    if number % 2:
                        silent.sendall(b"GET /v2 HTTP/1.1\r\n")
                    if number % 200 == 0:
                        kept.sendall(request_bytes(toys))
                        answer = tensor_of(toys, read_answer(kept))
                        np.testing.assert_allclose(answer, *expected.values(), rtol=1e-4, atol=1e-5)
                with served.connect() as newcomer:
                    assert ask(newcomer, LIVE) in (200, 503)
                assert ask(kept, request_bytes(toys)) == 200
                assert served.process.num_fds() <= before_files + places + 10
                assert served.resident_mib < before_mib + 0.04 * places + 20
            end_s = time.monotonic() + 10
            while served.process.num_fds() > before_files + 2 and time.monotonic() < end_s:
                time.sleep(0.1)
            assert served.process.num_fds() <= before_files + 2
            assert ask(kept, request_bytes(toys)) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_a_server_that_ends_waits_for_no_half_request(toys: Toys, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack, serving(toys, tmp_path) as served:
        idle, half = (stack.enter_context(served.connect()) for _ in range(2))
        assert ask(idle, LIVE) == 200
        half.sendall(INFER + b"Content-Length: 1000\r\n\r\n{")
        served.process.terminate()
        status, _, body = read_answer(half)
        assert (status, "a server that goes on" in json.loads(body)["error"]) == (503, True)
        assert until_closed(idle) == b""
