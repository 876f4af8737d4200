"""The file that `edgeplan co-run` writes: what docs/contention.md reads from it, and that it fits its schema."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from edgeplan.formulation import Activity, ContentionModel
from edgeplan.interface.throughput import load_contention
from edgeplan.profiles import local_platform, machine_fingerprint
from edgeplan.profiles.contention import ContentionSettings, MeasuredContention, MeasuredCoRun
from edgeplan.profiles.contention.contention_file import ContendedModel

from .test_cli import answer
from .test_documentation import blocks, page_of


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeasuredContention:
    """Three models that slow each other down by 10 to 30 %, written to `contention.json` in the working folder."""
    activities = tuple(
        Activity(model=name, configuration="b/t1/b1/default", sensitivity=0.2, pressure=1.0) for name in ("a", "b", "c")
    )
    rng = np.random.default_rng(0)
    made = MeasuredContention(
        platform=local_platform(),
        fingerprint=machine_fingerprint(),
        settings=ContentionSettings(),
        created="2026-01-01T12:00:00Z",
        models=tuple(ContendedModel(name=a.model, file=f"{a.model}.onnx", sha256="0" * 64) for a in activities),
        contention=ContentionModel(activities=activities),
        probes=(0,),
        fitted=tuple(
            MeasuredCoRun(
                members=pair,
                crowded=False,
                alone_hz=((9.0, 9.0),) * 3,
                together_hz=tuple(tuple(float(hz) for hz in 9 / rng.uniform(1.1, 1.3, 2)) for _ in range(3)),
            )
            for pair in combinations(range(3), 2)
        ),
    )
    monkeypatch.chdir(tmp_path)
    made.save("contention.json")
    return made


def test_the_page_reads_it(measured: MeasuredContention, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(page_of("contention.md"), "python")
    exec(compile(example.text, "contention.md", "exec"), {})
    assumed, *predicted = capsys.readouterr().out.splitlines()
    assert "1.2" in assumed
    assert len(predicted) == 2
    for line in predicted:
        slowdown, low, high = map(float, line.split())
        assert low <= slowdown <= high


def test_it_fits_its_schema(measured: MeasuredContention) -> None:
    data = json.loads(Path("contention.json").read_text())
    assert load_contention(Path("contention.json")) == measured.contention
    schema = answer("schema", "contention")
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "colour": "red"}, schema)
