"""`edgeplan serve` itself, killed and started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.case import Case

from ...conftest import Toys
from .test_app import request_for

pytestmark = pytest.mark.slow

WAIT_S = 60


class Service:
    """A service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._port = port

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", data, {"Content-Type": "application/json", **headers}
        )
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.load(answer)

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        until_s = time.monotonic() + WAIT_S
        while (job := self.ask(f"/edgeplan/jobs/{job['id']}"))["status"] in {"queued", "running"}:
            assert time.monotonic() < until_s
            time.sleep(0.1)
        return job


@contextmanager
def serving(case: Case, *options: str) -> Iterator[Service]:
    command = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", "serve", "scenario.yaml"]
    options = ("--state", "state", "--port", "0", "--no-adapt", "--time-limit", "1", *options)
    with subprocess.Popen(
        [*command, *options], cwd=case.folder, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    yield Service(process, int(found[1]))
                    break
            else:
                pytest.fail("it ended before it listened")
        finally:
            process.kill()


def test_killed_at_any_moment_it_comes_back_with_what_it_served(toys: Toys, case: Case) -> None:
    with serving(case) as service:
        with pytest.raises(urllib.error.HTTPError, match="421"):
            service.ask("/edgeplan/plan", Host="rebound.example")
        plan = service.ask("/edgeplan/plan")["plan"]
        change = {"streams": [{"model": "left", "rate_hz": 11.0}], "time_limit_s": 1}
        assert service.ended(service.ask("/edgeplan/changes", change))["status"] == "done"
        assert service.ask("/v2/models/left/infer", request_for(toys))["model_name"] == "left"
        changed = service.ask("/edgeplan/plan")["plan"]
        service.process.send_signal(signal.SIGKILL)
    with serving(case) as service:
        assert service.ask("/edgeplan/plan")["plan"] == changed
        (left,) = (s for s in service.ask("/edgeplan/scenario")["streams"] if s["model"] == "left")
        assert left["arrival"]["period_us"] == pytest.approx(1e6 / 11)
        origins = [row["origin"] for row in service.ask("/edgeplan/history")["plans"]]
        assert origins == ["start", "change", "start"]
        service.ask("/edgeplan/resolve", {"time_limit_s": 5})
        service.process.send_signal(signal.SIGKILL)  # in the middle of a solve
    with serving(case) as service:
        assert service.ask("/edgeplan/plan")["plan"] == changed
        assert service.ask("/v2/models/right/infer", request_for(toys))["model_name"] == "right"
    (Path(case.folder) / "scenario.yaml").write_text(
        (case.folder / "scenario.yaml").read_text().replace('"toys"', '"other toys"')
    )
    with serving(case) as service:
        assert service.ask("/edgeplan/scenario")["name"] == "other toys"
        assert plan["models"]


def test_a_second_one_on_the_same_state_is_told_of_the_first(case: Case) -> None:
    with serving(case) as service:
        command = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", "serve", "scenario.yaml"]
        second = subprocess.run(
            [*command, "--state", "state", "--port", "0"],
            cwd=case.folder,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert second.returncode != 0
        assert str(service.process.pid) in second.stderr
