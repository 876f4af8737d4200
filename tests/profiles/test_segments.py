"""Segments: cut right, kept in the cache, and made again where the cache is damaged."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeplan.formulation import Configuration, LayerGraph, ModelError, StalePlanError, UnsupportedError
from edgeplan.profiles import SegmentStore, import_onnx, open_backend, sample_inputs
from edgeplan.profiles.artefacts import is_current

ORT = Configuration(backend="onnxruntime-cpu", form="mapped")


def run_chain(store: SegmentStore, positions: list[int], batch: int = 1) -> dict[str, np.ndarray]:
    tensors = sample_inputs(store.path, batch=batch)
    for start, stop in itertools.pairwise(positions):
        session = open_backend("onnxruntime-cpu").open(store.segment(start, stop, batch), ORT, ())
        tensors |= session.run({name: tensors[name] for name in session.input_names})
        session.close()
    return tensors


@pytest.fixture
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, branching_path: Path, branching: LayerGraph):
    """A store in an empty cache."""
    monkeypatch.setenv("EDGEPLAN_CACHE", str(tmp_path))
    return SegmentStore(branching_path, branching)


def test_a_segment_reads_and_writes_only_what_it_must(store: SegmentStore, branching: LayerGraph) -> None:
    index = {layer.name: k for k, layer in enumerate(branching.layers)}
    segment = store.segment(index["conv1"], index["conv2"])
    assert segment.input_names == ("r0",)
    assert segment.output_names == ("p", "d")
    assert store.segment(index["offset"], branching.n_layers).input_names == ("bias", "g")
    assert store.segment(0, branching.n_layers).output_names == ("scores", "gates")


def test_segments_share_the_files_of_their_weights(store: SegmentStore, branching: LayerGraph) -> None:
    n = branching.n_layers
    parts = [store.segment(0, n), store.segment(0, 3), store.segment(3, n)]
    blobs = [
        {
            entry.value
            for t in onnx.load(p.source, load_external_data=False).graph.initializer
            for entry in t.external_data
        }
        for p in parts
    ]
    assert blobs[1] | blobs[2] == blobs[0]
    assert len({part.source.parent for part in parts}) == 1


def test_every_pair_of_cuts_gives_the_unsplit_outputs(store: SegmentStore, branching: LayerGraph) -> None:
    n = branching.n_layers
    whole = run_chain(store, [0, n])
    for cut in range(1, n):
        split = run_chain(store, [0, cut, n])
        for name in branching.outputs:
            assert np.allclose(split[name], whole[name], rtol=1e-4, atol=1e-6), (cut, name)


def test_a_batch_is_that_many_samples(store: SegmentStore, branching: LayerGraph) -> None:
    n = branching.n_layers
    assert run_chain(store, [0, 7, n], batch=3)["scores"].shape == (3, 10)


def test_a_fixed_batch_stays(fixed_batch_path: Path) -> None:
    store = SegmentStore(fixed_batch_path, import_onnx(fixed_batch_path))
    with pytest.raises(UnsupportedError, match="batch 4"):
        store.segment(0, 3, batch=4)


@pytest.mark.parametrize("segment", [(0, 99), (-1, 3), (5, 5), (6, 2)])
def test_layers_that_are_not_there_are_refused(store: SegmentStore, segment: tuple[int, int]) -> None:
    with pytest.raises(StalePlanError):
        store.segment(*segment)


def test_the_graph_of_another_model_is_refused(branching_path: Path) -> None:
    foreign = LayerGraph.chain("foreign", [("a", "Relu", 0, 4), ("b", "Relu", 0, 4)], 4)
    with pytest.raises(ModelError, match="the layers of the profile"):
        SegmentStore(branching_path, foreign).segment(0, 2)


def test_a_file_with_external_data_is_cut_alike(tmp_path: Path, branching_path: Path, branching: LayerGraph) -> None:
    path = tmp_path / "external.onnx"
    onnx.save(onnx.load(branching_path), path, save_as_external_data=True, location="data.bin", size_threshold=100)
    n = branching.n_layers
    here = run_chain(SegmentStore(path, import_onnx(path)), [0, 4, n])
    there = run_chain(SegmentStore(branching_path, branching), [0, 4, n])
    assert np.array_equal(here["scores"], there["scores"])


def test_what_is_whole_is_not_made_again(own_store: SegmentStore) -> None:
    source = own_store.segment(0, 5).source
    stamp = source.stat().st_mtime_ns
    assert own_store.segment(0, 5).source.stat().st_mtime_ns == stamp


def _damage(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "flipped":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing"])
@pytest.mark.parametrize("backend", ["onnxruntime-cpu", "openvino-cpu"])
def test_damage_is_noticed_and_mended(
    own_store: SegmentStore, branching: LayerGraph, tmp_path: Path, backend: str, how: str
) -> None:
    configuration = Configuration(backend=backend, form="mapped" if backend == "onnxruntime-cpu" else "default")
    feeds = sample_inputs(own_store.path)

    def scores() -> np.ndarray:
        session = open_backend(backend).open(own_store.segment(0, branching.n_layers), configuration, ())
        result = session.run(feeds)["scores"].copy()
        session.close()
        return result

    before = scores()
    manifests = list(tmp_path.rglob("*.json"))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".lock", "model.onnx")]
    for path in files:
        _damage(path, how)
        assert np.array_equal(scores(), before), path.name
        for manifest in manifests:
            # What the model is cut from is only looked at when something is cut.
            assert is_current(manifest.parent, manifest.stem) or manifest.stem == "model.onnx", path.name


def test_two_processes_may_build_at_once(tmp_path: Path, branching_path: Path) -> None:
    script = (
        "import sys; from edgeplan.profiles import *; from edgeplan.formulation import Configuration\n"
        "store = SegmentStore(sys.argv[1], import_onnx(sys.argv[1])); backend = open_backend('onnxruntime-cpu')\n"
        "for cut in range(1, 9):\n"
        "    files = store.segment(0, cut)\n"
        "    session = backend.open(files, Configuration(backend=backend.name, form='mapped'), ())\n"
        "    session.run({k: v for k, v in sample_inputs(store.path).items() if k in session.input_names})\n"
    )
    environment = {**os.environ, "EDGEPLAN_CACHE": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", script, str(branching_path)], env=environment) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
