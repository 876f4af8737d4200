"""The examples of docs/serve.md run as they stand, against `edgeplan serve` as the page starts it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")
pytest.importorskip("tritonclient", reason="the page's client is a package of its own")

from edgeplan.formulation import CostTable, cut_chain
from edgeplan.profiles import (
    ModelProfile,
    Profile,
    ProfileSettings,
    import_onnx,
    local_platform,
    machine_fingerprint,
    model_sha256,
    resolve_model,
)
from edgeplan.profiles.profile import CostData

from ...conftest import ORT
from ..test_cli import edgeplan
from ..test_documentation import blocks, page_of

EXAMPLES = [block for block in blocks(page_of("serve.md"), "sh", "python") if not block.not_run]
START, *ASKED = EXAMPLES
WAIT_S = 100
SCENARIO = """\
name: two networks
models: [{name: squeezenet}, {name: shufflenet}]
streams:
  - {model: squeezenet, arrival: {kind: poisson, rate_hz: 8}, deadline_us: 60000}
  - {model: shufflenet, arrival: {kind: periodic, period_us: 100000}, deadline_us: 80000}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page's command names: made-up costs of real networks, one that comes later among them."""
    models = []
    for name in ("squeezenet", "shufflenet", "inception_v1"):
        path = resolve_model(name)
        graph = import_onnx(path)
        costs = CostTable.create([ORT], np.full((graph.n_layers, 1), 60.0), fixed_us=20.0)
        cuts = cut_chain(graph).positions
        models.append(
            ModelProfile(
                name=name,
                file=path.name,
                sha256=model_sha256(path),
                graph=graph.to_dict(),
                cuts=(cuts[0], cuts[-1]),
                costs=CostData.of(costs),
            )
        )
    platform = local_platform()
    Profile(
        models=tuple(models),
        platform=platform,
        fingerprint=machine_fingerprint(platform.processors[0].cores),
        settings=ProfileSettings(quick=True, backends=("onnxruntime-cpu",), threads=(1,)),
        created="2026-01-01T00:00:00+00:00",
    ).save(tmp_path / "profile.json")
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    given = (tmp_path / "scenario.yaml", "--profile", tmp_path / "profile.json", "-o", tmp_path / "plan.json")
    planned = edgeplan("plan", *given, "--time-limit", 4)
    assert planned.exit_code == 0, planned.output
    return tmp_path


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The page's command on a free port, without re-planning in between."""
    command = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", *shlex.split(START.text)[1:]]
    with subprocess.Popen(
        [*command, "--port", "0", "--no-adapt"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    yield int(found[1])
                    break
            else:
                pytest.fail(f"it ended before it listened: {''.join(said)}")
        finally:
            process.kill()


def run(text: str, language: str, folder: Path, port: int) -> str:
    """What an example prints that asks this port."""
    here = re.sub(r"\b(localhost|127\.0\.0\.1):8000\b", rf"\g<1>:{port}", text)
    command = [sys.executable, "-c", here] if language == "python" else ["bash", "-euc", here]
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=tools, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answer(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as told:
        return json.load(told)


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl"))), reason="the examples are for bash with curl")
def test_the_examples_run(folder: Path) -> None:
    assert START.text.startswith("edgeplan serve ")
    assert [block.language for block in ASKED] == ["python", "sh", "sh"]
    with served(folder) as port:
        client, asked, change = (run(block.text, block.language, folder, port) for block in ASKED)
        assert re.match(r"squeezenet \(1, 1000\b", client)
        assert '"data_0"' in asked
        assert re.search(r'"model_name":\s*"squeezenet"', asked)
        job = json.loads(change)
        until_s = time.monotonic() + WAIT_S
        while (job := answer(port, f"/edgeplan/jobs/{job['id']}"))["status"] in ("queued", "running"):
            assert time.monotonic() < until_s, job
            time.sleep(0.2)
        assert job["status"] == "done", job
        scenario = answer(port, "/edgeplan/scenario")
    assert [model["name"] for model in scenario["models"]] == ["squeezenet", "inception_v1"]
    assert {stream["model"]: stream["deadline_us"] for stream in scenario["streams"]}["squeezenet"] == 80_000
