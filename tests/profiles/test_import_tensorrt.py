"""TensorRT's layer profiles: as a chain, and matched to the layers of a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import ProfileError
from edgeplan.profiles.imports import import_tensorrt, read_tensorrt_profile
from edgeplan.profiles.imports.tensorrt import fused_names


def entry(name: str, average_ms: float, median_ms: float | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "timeMs": 100 * average_ms, "averageMs": average_ms, "percentage": 10.0}
    return made if median_ms is None else made | {"medianMs": median_ms}


ENGINE = [
    {"count": 100},
    entry("conv0 + relu0", 0.30, 0.25),
    entry("Reformatting CopyNode for Input Tensor 0 to conv1", 0.02, 0.01),
    entry("conv1 + norm1 + add1 + relu1", 0.5, 0.4),
    entry("pool", 0.1, 0.08),
    entry("conv2", 0.05, 0.05),
    entry("{ForeignNode[concat...gemm]}", 0.9, 0.8),
    entry("PWN(offset)", 0.01, 0.01),
    entry("softmax", 0.02, 0.02),
    entry("PWN(sigmoid)", 0.03, 0.03),
    entry("Reformatting CopyNode for Output Tensor 0 to sigmoid", 0.02, 0.01),
]


def written(folder: Path, data: object) -> Path:
    path = folder / "engine.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_medians_are_taken_where_there_are_some(tmp_path: Path) -> None:
    profile = read_tensorrt_profile(written(tmp_path, ENGINE))
    assert profile.count == 100
    assert profile.medians
    assert profile.layers[0].name == "conv0 + relu0"
    assert profile.layers[0].time_us == pytest.approx(250)
    older = [ENGINE[0], entry("a", 0.3), entry("b", 0.2)]
    profile = read_tensorrt_profile(written(tmp_path, older))
    assert not profile.medians
    assert [layer.time_us for layer in profile.layers] == pytest.approx([300, 200])


def test_without_a_model_the_layers_are_a_chain(tmp_path: Path) -> None:
    profile = import_tensorrt(written(tmp_path, ENGINE))
    (model,) = profile.to_models()
    assert model.costs.provenance.kind == "imported"
    assert "medians of 100 runs" in model.costs.provenance.source
    assert [layer.name for layer in model.graph.layers] == [item["name"] for item in ENGINE[1:]]
    assert model.costs.segment_us(0, 10).tolist() == pytest.approx([1000 * sum(e["medianMs"] for e in ENGINE[1:])])
    assert any("memory" in warning for warning in profile.warnings)


def test_fused_layers_of_a_model_share_their_time_and_stay_whole(tmp_path: Path, branching_path: Path) -> None:
    profile = import_tensorrt(written(tmp_path, ENGINE), branching_path)
    (model,) = profile.to_models()
    index = {layer.name: i for i, layer in enumerate(model.graph.layers)}
    us = model.costs.layer_us[:, 0]
    assert us.sum() == pytest.approx(1000 * sum(e["medianMs"] for e in ENGINE[1:]))
    assert us[index["conv0"]] == pytest.approx(250)
    assert us[index["relu0"]] == 0
    assert us[index["conv1"]] == pytest.approx(410)  # with the copy into its layout
    assert us[index["sigmoid"]] == pytest.approx(40)  # with the copy after it
    assert any("dropout" in warning for warning in profile.warnings)
    for first, last in (("conv0", "relu0"), ("conv1", "relu1"), ("pool", "dropout"), ("concat", "gemm")):
        assert not set(model.cuts.positions) & set(range(index[first] + 1, index[last] + 1))
    assert np.isfinite(us).all()


def test_layers_of_another_model_are_named(tmp_path: Path, branching_path: Path) -> None:
    path = written(tmp_path, [{"count": 3}, entry("conv0", 1), entry("attention", 1)])
    with pytest.raises(ProfileError, match="attention"):
        import_tensorrt(path, branching_path)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("conv1", ("conv1",)),
        ("conv1 + relu1", ("conv1", "relu1")),
        ("a || b + c", ("a", "b", "c")),
        ("PWN(sigmoid)", ("sigmoid",)),
        ("PWN(PWN(sigmoid), mul)", ("sigmoid", "mul")),
        ("conv + PWN(relu)", ("conv", "relu")),
        ("{ForeignNode[/a/MatMul.../b/Add]}", ("/a/MatMul", "/b/Add")),
    ],
)
def test_names_of_fused_layers_are_taken_apart(name: str, parts: tuple[str, ...]) -> None:
    assert fused_names(name) == parts


BAD: dict[str, tuple[object, str]] = {
    "empty": ("", "empty file"),
    "truncated": (json.dumps(ENGINE)[:100], "whole JSON"),
    "an object": ({}, "a list"),
    "no entry": ([], "'count'"),
    "no count": (ENGINE[1:], "'count'"),
    "no layer": ([{"count": 3}], "at least one layer"),
    "no run": ([{"count": 0}, entry("a", 1)], "0 runs"),
    "entry is text": ([{"count": 3}, "a"], "[1]"),
    "no name": ([{"count": 3}, {"averageMs": 1}], "'name'"),
    "no time": ([{"count": 3}, {"name": "a"}], "'averageMs'"),
    "time is text": ([{"count": 3}, entry("a", 1) | {"averageMs": "1"}], "got text"),
    "negative": ([{"count": 3}, entry("a", -1)], "got -1"),
    "NaN": ('[{"count": 3}, {"name": "a", "averageMs": NaN}]', "NaN"),
    "nan as C++ writes it": ('[{"count": 3}, {"name": "a", "averageMs": nan}]', "whole JSON"),
    "huge": ([{"count": 3}, entry("a", 1e300)], "got 1e+300"),
    "layer twice": ([{"count": 3}, entry("a", 1), entry("a", 2)], "a twice"),
}


def test_files_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeplan.profiles.imports.files.MAX_IMPORT_BYTES", 100)
    with pytest.raises(ProfileError, match="at most 100 bytes"):
        read_tensorrt_profile(written(tmp_path, ENGINE))


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    with pytest.raises(ProfileError) as refusal:
        read_tensorrt_profile(written(tmp_path, data))
    assert said in str(refusal.value)
