"""Profiles from end to end, and going on after an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeplan.formulation import GraphError, LatencySummary, ModelError, StalePlanError, UnsupportedError
from edgeplan.profiles import (
    Profile,
    ProfileSettings,
    Session,
    find_backends,
    local_platform,
    model_profiler,
    model_sha256,
    profile_models,
)
from edgeplan.profiles.journal import Journal
from edgeplan.profiles.measure import StopRule
from onnx import TensorProto, helper, numpy_helper

SETTINGS = ProfileSettings(quick=True, threads=(1,), forms=("mapped",), backends=("onnxruntime-cpu",), max_units=4)


Counted = Callable[[int | None], list[int]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts timings from now on; the one after the given number is interrupted as by Ctrl-C."""
    real = model_profiler.time_session

    def count(interrupt_after: int | None) -> list[int]:
        calls: list[int] = []

        def timing(session: Session, feeds: Mapping[str, np.ndarray], rule: StopRule) -> LatencySummary:
            if len(calls) == interrupt_after:
                raise KeyboardInterrupt
            calls.append(1)
            return real(session, feeds, rule)

        monkeypatch.setattr(model_profiler, "time_session", timing)
        return calls

    return count


def test_a_profile_describes_its_model(chain_path: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    output = tmp_path / "profile.json"
    usable = [backend for backend in find_backends() if backend.usable]
    settings = ProfileSettings(quick=True, max_units=4)
    profile = profile_models(
        {"toy": chain_path}, local_platform(), settings, output, lambda done, total, _: steps.append((done, total))
    )
    assert Profile.load(output) == profile
    assert not output.with_name("profile.json.partial.jsonl").exists()
    assert steps[-1][0] == steps[-1][1]
    (model,), (part,) = profile.to_models(), profile.models
    assert model.sha256 == model_sha256(chain_path)
    assert part.file == "chain.onnx"
    assert {c.backend for c in model.costs.configurations} == {backend.name for backend in usable}
    assert np.all(model.costs.layer_us >= 0)
    assert len(part.errors) == len(model.costs.configurations)
    assert all(error.held_out_mape is not None and error.memory_error is not None for error in part.errors)
    fitted = {(m.start, m.stop) for m in model.costs.measured}
    assert not fitted & {(m.start, m.stop) for m in part.held_out}
    assert {(0, model.graph.n_layers), *zip(model.cuts.positions, model.cuts.positions[1:], strict=False)} <= fitted
    assert all(m.memory.resident_bytes > 0 for m in part.memory)


@pytest.mark.slow
def test_an_interrupted_profile_goes_on(
    chain_path: Path, branching_path: Path, tmp_path: Path, counted: Counted
) -> None:
    models = {"one": chain_path, "two": branching_path}
    output = tmp_path / "profile.json"
    journal = tmp_path / "profile.json.partial.jsonl"
    first = counted(7)
    with pytest.raises(KeyboardInterrupt):
        profile_models(models, local_platform(), SETTINGS, output)
    assert len(first) == 7
    assert not output.exists()
    with journal.open("a") as file:
        file.write('["half a li')
    rest = counted(None)
    profile = profile_models(models, local_platform(), SETTINGS, output)
    in_all = sum(len(m.costs.measured) + len(m.held_out) for m in profile.models)
    assert len(first) + len(rest) == in_all
    assert not journal.exists()
    again = counted(None)
    profile_models(models, local_platform(), SETTINGS, output)
    assert len(again) == in_all


@pytest.mark.slow
def test_other_settings_start_anew(chain_path: Path, tmp_path: Path, counted: Counted) -> None:
    output = tmp_path / "profile.json"
    counted(5)
    with pytest.raises(KeyboardInterrupt):
        profile_models({"toy": chain_path}, local_platform(), SETTINGS, output)
    rest = counted(None)
    settings = SETTINGS.model_copy(update={"relative_interval": 0.2})
    profile = profile_models({"toy": chain_path}, local_platform(), settings, output)
    assert len(rest) == len(profile.models[0].costs.measured) + len(profile.models[0].held_out)


def test_a_signal_leaves_the_journal(tmp_path: Path) -> None:
    output = tmp_path / "profile.json"
    script = (
        "import signal, sys; from edgeplan.profiles import *\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored in the background of a shell\n"
        "settings = ProfileSettings(threads=(1,), backends=('onnxruntime-cpu',))\n"
        "profile_models({'squeezenet': 'squeezenet'}, local_platform(), settings, sys.argv[1])\n"
    )
    journal = tmp_path / "profile.json.partial.jsonl"
    process = subprocess.Popen([sys.executable, "-c", script, str(output)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (journal.exists() and len(journal.read_text().splitlines()) > 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    assert len(journal.read_text().splitlines()) > 3
    assert not output.exists()


@pytest.mark.slow
def test_batches_are_measured_as_such(chain_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batches": (1, 4)})
    (model,) = profile_models({"toy": chain_path}, local_platform(), settings).to_models()
    assert [c.batch for c in model.costs.configurations] == [1, 4]


@pytest.mark.slow
def test_a_budget_limits_repeats(chain_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"budget_s": 1e-6, "relative_interval": 1e-9})
    profile = profile_models({"toy": chain_path}, local_platform(), settings)
    assert {m.latency.repeats for m in profile.models[0].costs.measured} == {5}


def test_bad_models_are_refused_before_anything_is_measured(chain_path: Path, tmp_path: Path, counted: Counted) -> None:
    calls = counted(None)
    bad = tmp_path / "bad.onnx"
    bad.write_text("not a model")
    with pytest.raises(ModelError, match="an ONNX model"):
        profile_models({"good": chain_path, "bad": bad}, local_platform(), SETTINGS)
    with pytest.raises(ModelError, match="nonsense"):
        profile_models({"good": chain_path}, local_platform(), SETTINGS, shapes={"nonsense": (1,)})
    assert not calls


def test_a_batch_of_a_model_with_a_fixed_one_is_refused(fixed_batch_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batches": (4,)})
    with pytest.raises(UnsupportedError, match="batch 4"):
        profile_models({"toy": fixed_batch_path}, local_platform(), settings)


def test_a_batch_that_a_layer_inside_does_not_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inner.onnx"
    weights = numpy_helper.from_array(np.eye(8, dtype=np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 8], np.int64), "shape")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Reshape", ["a", "shape"], ["y"])],
        "inner",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [weights, shape],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ModelError, match=r"in batches of 2.*Leave this batch size out"):
        profile_models({"m": path}, local_platform(), SETTINGS.model_copy(update={"batches": (1, 2)}))


def test_another_machine_is_refused(chain_path: Path) -> None:
    elsewhere = local_platform().model_copy(update={"fingerprint": "elsewhere"})
    with pytest.raises(StalePlanError, match="this machine"):
        profile_models({"toy": chain_path}, elsewhere, SETTINGS)


def test_a_journal_keeps_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "purpose")
    journal.note("a", [1, 2])
    journal.note("b", None)
    journal.close()
    path.write_text(path.read_text() + '["c", 3')
    again = Journal(path, "purpose")
    assert again["a"] == [1, 2]
    assert "b" in again
    assert again["b"] is None
    assert "c" not in again
    again.close()
    other = Journal(path, "another purpose")
    assert "a" not in other
    other.remove()
    assert not path.exists()


def test_importing_the_package_loads_no_runtime() -> None:
    script = "import sys, edgeplan.profiles; print(*{'onnx', 'onnxruntime', 'openvino', 'scipy'} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert loaded.stdout.split() == []


def test_a_cyclic_model_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "b")]
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "cycle.onnx")
    with pytest.raises(GraphError, match="cycle"):
        profile_models({"cycle": tmp_path / "cycle.onnx"}, local_platform(), SETTINGS)
