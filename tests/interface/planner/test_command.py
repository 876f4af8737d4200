"""`edgeplan planner` and its workers as processes of their own, killed at random moments."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from .asked import asked_for

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", "planner"]
WAIT_S = 120
LOSSES = 2
"""That a job survives: it is begun three times."""


class Process:
    """A process that is started again after it was killed."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._command = [*COMMAND, *options]
        self._folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, cwd=self._folder, stderr=subprocess.PIPE, text=True)

    def kill(self) -> list[psutil.Process]:
        """Kill it without warning. Returns what it had started."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.communicate()
        return children

    def line(self, pattern: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(pattern, line):
                return found[1]
        pytest.fail("it ended too soon")


def call(port: int, path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text


def test_killed_at_random_moments_every_job_ends_exactly_once(where: str, tmp_path: Path) -> None:
    """Server and worker are killed and started again while jobs run; what was accepted is answered once."""
    rng = np.random.default_rng(7)
    options = ("--store", where, "--lease", "1", "--log-format", "text")
    server = Process(tmp_path, *options, "--port", "0", "--workers", "1")
    helper = Process(tmp_path, "worker", *options, "--workers", "1")
    orphans: list[psutil.Process] = []
    try:
        port = int(server.line(r"http://127\.0\.0\.1:(\d+)"))
        asked = [asked_for(seed=k, method="cp_sat", time_limit_s=2.0) for k in range(4)]
        accepted = [call(port, "/jobs", each)["id"] for each in asked]
        for victim in (server, helper):
            time.sleep(float(rng.uniform(0.5, 6.0)))
            orphans += victim.kill()
            victim.start()
            if victim is server:
                port = int(server.line(r"http://127\.0\.0\.1:(\d+)"))
        until_s = time.monotonic() + WAIT_S
        while {(job := call(port, f"/jobs/{each}"))["status"] for each in accepted} != {"done"}:
            assert job["status"] != "failed", job
            assert time.monotonic() < until_s, [call(port, f"/jobs/{each}") for each in accepted]
            time.sleep(0.2)
        for each, job_id in zip(asked, accepted, strict=True):
            assert call(port, f"/jobs/{job_id}/result")["plan"]
            assert call(port, "/jobs", each)["status"] == "done"
            ends = Counter(re.findall(r'"status": "(done|failed|cancelled)"', call(port, f"/jobs/{job_id}/events")))
            assert ends == {"done": 1}
            assert call(port, f"/jobs/{job_id}")["attempt"] <= 1 + LOSSES
        _, alive = psutil.wait_procs(orphans, timeout=10)
        assert not alive
    finally:
        for process in (server, helper):
            process.kill()


def test_stopped_in_order_a_job_goes_on_with_the_next_start(tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "planner.db"), "--port", "0")
    server = Process(tmp_path, *options)
    try:
        port = int(server.line(r"http://127\.0\.0\.1:(\d+)"))
        with pytest.raises(urllib.error.HTTPError, match="421"):
            call(port, "/jobs", Host="rebound.example")
        job = call(port, "/jobs", asked_for(method="cp_sat", time_limit_s=3.0))["id"]
        while call(port, f"/jobs/{job}")["status"] == "queued":
            time.sleep(0.1)
        server.process.terminate()
        _, said = server.process.communicate(timeout=60)
        assert "Traceback" not in said
        server.start()
        port = int(server.line(r"http://127\.0\.0\.1:(\d+)"))
        until_s = time.monotonic() + WAIT_S
        while (view := call(port, f"/jobs/{job}"))["status"] != "done":
            assert time.monotonic() < until_s
            time.sleep(0.2)
        assert view["attempt"] == 1
    finally:
        server.kill()
