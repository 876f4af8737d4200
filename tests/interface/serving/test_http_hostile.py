"""Requests that are not HTTP, too long, contradictory or broken off: a reason comes back, and nothing is left over."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.serving.http.front import AppSettings
from edgeplan.interface.serving.http.places import ConnectionLimits

from ...conftest import Toys
from .process import Served, http_request, read_answer, request_bytes, serving, tensor_of

MOST = 2**20
LIVE = http_request("GET", "/v2/health/live")
INFER = "/v2/models/left/infer"


@pytest.fixture(scope="module")
def served(toys: Toys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = ConnectionLimits(header_s=2.0, body_s=2.0, max_body_bytes=MOST)
    settings = AppSettings(max_request_bytes=MOST, max_held_bytes=3 * MOST)
    with serving(toys, tmp_path_factory.mktemp("served"), limits, settings) as served:
        yield served


def answers(served: Served, sent: bytes, count: int = 1) -> list[tuple[int, dict[str, str], bytes]]:
    """What comes back for bytes that are sent at once."""
    with served.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        return [read_one(connection) for _ in range(count)]


def read_one(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer and not a byte more, for another may follow."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        try:
            byte = connection.recv(1)
        except ConnectionResetError:
            byte = b""
        if not byte:
            return 0, {}, head
        head += byte
    first, *lines = head[:-4].decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body))
    return int(first.split()[1]), headers, body


def in_flight(served: Served) -> int:
    (_, _, body), *_ = answers(served, http_request("GET", "/edgeplan/live"))
    return json.loads(body)["in_flight"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /v2\r\n\r\n", 200),  # HTTP/0.9
        (b"GET /v2 HTTP/1.1\r\nA b\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nA: b\x00c\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT edge:1 HTTP/1.1\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\n\r\n", 404),
        (http_request("POST", INFER, b"{}", Content_Length="-1"), 400),
        (http_request("POST", INFER, b"{}", Content_Length="2x"), 400),
        (http_request("POST", INFER, b"{}", Content_Length="9" * 40), 400),
        (http_request("POST", INFER, b"{}", Content_Length=str(2**62)), 413),
        (http_request("POST", INFER, b"{}", Content_Length="2\r\nContent-Length: 3"), 400),
        (http_request("POST", INFER, b"2\r\n{}\r\n0\r\n\r\n", Content_Length="2", Transfer_Encoding="chunked"), 400),
        (http_request("POST", INFER, b"{}", Transfer_Encoding="gzip"), 400),
        (http_request("POST", INFER, b"zz\r\n{}\r\n", Transfer_Encoding="chunked", Content_Length=""), 400),
        (b"POST /v2/models/left/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\nA: " + b"b" * 5_000_000, 431),
        (b"GET /v2 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    ],
)
def test_what_is_not_http_is_answered_with_a_reason(served: Served, sent: bytes, status: int) -> None:
    ((got, headers, body),) = answers(served, sent)
    assert got == status
    assert headers["content-type"] == "application/json"
    assert status == 200 or json.loads(body)["error"]
    ((live, _, _),) = answers(served, LIVE)
    assert live == 200


def test_a_body_beyond_the_limit_is_refused_however_it_comes(served: Served) -> None:
    head = f"POST {INFER} HTTP/1.1\r\n".encode()
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    for sent in (
        head + b"Content-Length: %d\r\n\r\n" % (MOST + 1) + bytes(MOST + 1),
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n",
    ):
        (refused, live) = answers(served, sent + LIVE, 2)
        assert (refused[0], live[0]) == (413, 200), "the connection goes on"
        assert "at most 1048576 bytes" in json.loads(refused[2])["error"]
    for endless in (chunk * 100, b"1;" + b"a" * 2**22 + b"\r\n", b"0\r\n" + b"A: b\r\n" * 2**20):
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n" + endless
        ((status, _, _),) = answers(served, sent)
        assert status in (413, 0)
    assert served.resident_mib < 500


def test_too_many_bytes_at_once_are_refused_for_now(toys: Toys, served: Served) -> None:
    length = MOST - 1000
    part = f"POST {INFER} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode() + b" " * (length - 10)
    with contextlib.ExitStack() as stack:
        holding = [stack.enter_context(served.connect()) for _ in range(3)]
        for connection in holding:
            connection.sendall(part)
        time.sleep(0.5)
        ((status, headers, body),) = answers(served, request_bytes(toys))
        assert (status, headers["retry-after"]) == (503, "1")
        assert "of all requests at once" in json.loads(body)["error"]
        for connection in holding:
            connection.sendall(b" " * 10)
            assert read_answer(connection)[0] == 400
    ((status, _, _),) = answers(served, request_bytes(toys))
    assert status == 200


def test_requests_in_one_packet_are_answered_in_their_order(toys: Toys, served: Served) -> None:
    sent = b"".join(request_bytes(toys, seed=seed) + LIVE for seed in range(5))
    came = answers(served, sent + b"garbage\r\n\r\n", 11)
    for seed in range(5):
        (expected,) = toys.unsplit("left", toys.feeds(seed)).values()
        np.testing.assert_allclose(tensor_of(toys, came[2 * seed]), expected, rtol=1e-4, atol=1e-5)
        assert json.loads(came[2 * seed + 1][2]) == {"live": True}
    assert came[10][0] in (0, 400)


def test_the_first_version_of_http_is_answered_and_closed(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        status, headers, _ = read_one(connection)
        assert (status, headers["connection"], connection.recv(1)) == (200, "close", b"")


def test_a_client_that_is_told_to_go_on_goes_on(toys: Toys, served: Served) -> None:
    head, body = request_bytes(toys, Expect="100-continue").split(b"\r\n\r\n", 1)
    with served.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(2**16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_answer(connection)[0] == 200


def test_clients_that_break_off_leave_nothing_behind(toys: Toys, served: Served) -> None:
    request = request_bytes(toys)
    answers(served, request)

    def ended() -> int:
        ((_, _, body),) = answers(served, http_request("GET", "/v2/models/left/stats"))
        return json.loads(body)["model_stats"][0]["inference_stats"]["success"]["count"]

    before, files = ended(), served.process.num_fds()
    for number in range(200):
        with served.connect() as connection:
            if number % 3 == 0:  # with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request if number % 2 else request[: 100 + 20 * number])
            if number % 2:
                time.sleep(0.002)
    end_s = time.monotonic() + 5
    while (in_flight(served) or served.process.num_fds() > files + 1) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert in_flight(served) == 0
    assert served.process.num_fds() <= files + 1
    assert ended() > before + 50, "whole requests ended, though nobody waited"
    ((status, _, _),) = answers(served, request)
    assert status == 200
