"""Profile files: what is read is what was written; anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import Configuration, CostError, CostTable, LayerGraph, ProfileError, Provenance
from edgeplan.profiles import ModelProfile, Profile, ProfileSettings, local_platform, machine_fingerprint
from edgeplan.profiles.profile import CostData


@pytest.fixture(scope="module")
def profile() -> Profile:
    graph = LayerGraph.chain("toy", [("a", "Conv", 100, 200), ("b", "Relu", 0, 300)], 50)
    table = CostTable.create(
        [Configuration(backend="onnxruntime-cpu", form="mapped"), Configuration(backend="openvino-cpu")],
        [[10.123, np.nan], [20.0, 30.0]],
        fixed_us=[5, 6],
        workspace_bytes=100,
        holds_workspace=True,
    )
    model = ModelProfile(
        name="toy", file="toy.onnx", sha256="0" * 64, graph=graph.to_dict(), cuts=(0, 1, 2), costs=CostData.of(table)
    )
    return Profile(
        models=(model,),
        platform=local_platform(),
        fingerprint=machine_fingerprint(),
        settings=ProfileSettings(),
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def path(profile: Profile, tmp_path: Path) -> Path:
    profile.save(tmp_path / "profile.json")
    return tmp_path / "profile.json"


def test_what_is_written_is_read(profile: Profile, path: Path) -> None:
    assert Profile.load(path) == profile
    assert "NaN" not in path.read_text()
    (model,) = Profile.load(path).to_models()
    assert np.isnan(model.costs.layer_us[0, 1])
    assert model.costs.layer_us[0, 0] == 10.123
    assert model.cuts.positions == (0, 1, 2)
    assert model.sha256 == "0" * 64
    assert model.costs.provenance == Provenance(
        kind="measured",
        source="profile of 2026-01-01T00:00:00+00:00",
        fingerprint=local_platform().fingerprint,
    )


def test_no_path_and_no_host_name_gets_in(profile: Profile) -> None:
    import platform

    text = profile.model_dump_json()
    assert platform.node() not in text or not platform.node()
    assert str(Path.home()) not in text


@pytest.mark.parametrize("keep", [0, 1, 0.3, 0.99])
def test_a_truncated_profile_is_refused(path: Path, keep: float) -> None:
    text = path.read_text()
    path.write_text(text[: int(len(text) * keep)] if keep != 1 else text[:-3])
    with pytest.raises(ProfileError, match=r"whole JSON.*Make it again"):
        Profile.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema version 1, got 99"),
        ({"schema_version": None}, "schema version 1, got none"),
        ({"colour": "red"}, "colour"),
        ({"models": []}, "models"),
        ({"platform": {}}, "platform"),
    ],
)
def test_foreign_content_is_refused(path: Path, change: dict, message: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ProfileError, match=message):
        Profile.load(path)


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "{}"])
def test_json_that_is_no_profile_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ProfileError, match="schema version"):
        Profile.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        Profile.load(tmp_path / "none.json")


def test_negative_costs_are_refused(path: Path) -> None:
    data = json.loads(path.read_text())
    data["models"][0]["costs"]["layer_us"][1][0] = -1
    path.write_text(json.dumps(data))
    with pytest.raises(CostError, match="-1"):
        Profile.load(path).to_models()


def test_the_fingerprint_changes_with_what_decides_costs() -> None:
    here = machine_fingerprint()
    assert here.digest == machine_fingerprint().digest == local_platform().fingerprint
    assert here.model_copy(update={"kernel": "other", "python": "other"}).digest == here.digest
    for change in ({"cpu": "other"}, {"cpu_key": "other"}, {"cores": (7,)}, {"versions": {"onnxruntime": "0"}}):
        assert here.model_copy(update=change).digest != here.digest
