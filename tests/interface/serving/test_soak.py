"""A service under load whose plan is exchanged and that is broken: nothing lost, nothing twice, nothing grows."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import Poisson, Stream
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.load_client import LoadClient, Question, Reply
from edgeplan.runtime_bridge import Arrivals, RequestRecord
from edgeplan.runtime_bridge.pipeline import Pipeline

from ...conftest import Toys
from .loopback import served

ROOT = Path(__file__).resolve().parents[3]
VARIANTS = 3


def test_nothing_is_lost_or_twice_while_plans_are_exchanged_and_sessions_fail(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_step, broken = Pipeline.run_step, threading.Event()

    def breaking(pipeline: Pipeline, *arguments: Any) -> None:
        if broken.is_set() and pipeline.model == "left":
            raise RuntimeError("the device has gone")
        run_step(pipeline, *arguments)

    monkeypatch.setattr(Pipeline, "run_step", breaking)
    questions = {name: [Question.of(name, toys.feeds(seed)) for seed in range(VARIANTS)] for name in toys.files}
    streams = [Stream(model=name, arrival=Poisson(rate_hz=40)) for name in toys.files]
    arrivals = Arrivals.of(streams, 3e6, 0)
    replies: list[Reply] = []
    records: list[RequestRecord] = []
    exchanged: list[str] = []

    async def exchange(client: LoadClient) -> None:
        for _ in range(6):
            await asyncio.sleep(0.35)
            status, job = await client.call("POST", "/edgeplan/rollback")
            while status in (200, 202) and job["status"] in ("queued", "running"):
                await asyncio.sleep(0.02)
                status, job = await client.call("GET", f"/edgeplan/jobs/{job['id']}")
            exchanged.append(job["result"]["action"])

    async def sabotage() -> None:
        await asyncio.sleep(0.5)
        broken.set()
        await asyncio.sleep(0.3)
        broken.clear()

    async def run(port: int) -> None:
        async with LoadClient(port) as client:
            acting = asyncio.gather(exchange(client), sabotage())
            await client.offer(
                arrivals, lambda k, model: (questions[model][k % VARIANTS], f"{k}/{k % VARIANTS}"), replies.append
            )
            await acting

    settings = EngineSettings(admission=False, adapt=False)
    with Engine(toys.problem, toys.whole(), toys.files, settings, records.append) as engine:
        engine.runtime.swap(toys.problem, toys.halved())
        open_before = set(engine.runtime._pool._open)
        with served(engine) as port:
            asyncio.run(run(port))
            assert exchanged == ["switched"] * 6
            assert engine.runtime.in_flight == 0
            assert set(engine.runtime._pool._open) == open_before, "sessions of plans that are gone were left open"

    number = len(arrivals.models)
    assert sorted(int(reply.request_id.split("/")[0]) for reply in replies) == list(range(number))
    labelled = [record for record in records if record.label]
    assert Counter(record.label for record in labelled) == Counter(reply.request_id for reply in replies)
    for record in labelled:
        ran = [segment.segment for segment in record.segments]
        assert len(ran) == len(set(ran)), "a segment ran twice"
    by_label = {record.label: record for record in labelled}
    for reply in replies:
        assert (reply.status == 200) == (not by_label[reply.request_id].error)
        if reply.status == 200:
            seed = int(reply.request_id.split("/")[1])
            for name, expected in toys.unsplit(reply.model, toys.feeds(seed)).items():
                np.testing.assert_allclose(reply.outputs[name], expected, rtol=1e-4, atol=1e-5)
    failed = [reply for reply in replies if reply.status != 200]
    assert failed, "the fault was injected"
    assert {reply.model for reply in failed} == {"left"}, "a fault of one model stays with it"
    assert len({record.plan_version for record in labelled}) > 3


@pytest.mark.parametrize("leak_a_minute", [0.0, 2.0])
def test_what_grows_is_told_from_plans_that_take_more(leak_a_minute: float) -> None:
    samples = runpy.run_path(str(ROOT / "benchmarks" / "soak" / "samples.py"))["Samples"]()
    rng = np.random.default_rng(0)
    for second in range(1800):  # two plans in turns, and from the middle on a third that takes more
        plan = (second // 60) % 2 + (second > 900)
        samples.at_s.append(float(second))
        samples.plans.append(str(plan))
        samples.values["MiB"].append(100.0 + 30.0 * plan + leak_a_minute * second / 60 + rng.normal())
    seen = samples.growth("MiB", 60.0)
    assert seen.slope == pytest.approx(leak_a_minute, abs=0.1)
    assert seen.low <= leak_a_minute <= seen.high
    assert (seen.low > 0) == (leak_a_minute > 0)


@pytest.mark.slow
def test_a_minute_with_all_faults(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "serving_soak.py"),
        "--minutes",
        "1",
        "--swap-s",
        "10",
        "--fault-s",
        "5.5",
        "--capacity-s",
        "3",
        "--models",
        "squeezenet",
        "shufflenet",
        "--memory-mib",
        "512",
        "--output",
        str(tmp_path / "soak.md"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    page = (tmp_path / "soak.md").read_text() if (tmp_path / "soak.md").exists() else ""
    assert done.returncode == 0, f"{page}\n{done.stderr[-3000:]}"
    for words in ("lost: 0", "answered or run twice: 0", "wrong answers: 0"):
        assert words in page
