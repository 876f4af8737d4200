"""Circuit breakers: a broken model is refused and comes back, others go on, and a lost backend is told apart."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from edgeplan.runtime_bridge.faults.health import BreakerSettings, Health
from hypothesis import given
from hypothesis import strategies as st

from ...conftest import write_model

SETTINGS = BreakerSettings(failures=3, successes=2, first_wait_us=100.0, longest_wait_us=350.0, probe_timeout_us=1000.0)


def broken(health: Health, model: str = "a", backend: str = "cpu", at_us: float = 0.0) -> None:
    for k in range(SETTINGS.failures):
        health.ended(model, [backend], at_us + k, failed_on=backend, reason="no luck")


def test_failures_in_a_row_open_it_and_others_go_on() -> None:
    health = Health(SETTINGS)
    health.ended("a", ["cpu"], 0.0, failed_on="cpu", reason="no luck")
    health.ended("a", ["cpu"], 1.0, failed_on="cpu", reason="no luck")
    health.ended("a", ["cpu"], 2.0)
    health.ended("a", ["cpu"], 3.0, failed_on="cpu", reason="no luck")
    health.ended("a", ["cpu"], 4.0, failed_on="cpu", reason="no luck")
    assert health.refusal("a", ["cpu"], 5.0) == ""
    health.ended("a", ["cpu"], 5.0, failed_on="cpu", reason="out of luck")
    assert "out of luck" in health.refusal("a", ["cpu"], 6.0)
    assert health.refusal("a", ["npu"], 6.0) == "", "a plan that goes without that backend"
    assert health.refusal("b", ["cpu"], 6.0) == ""
    (quarantine,) = health.check(6.0).quarantined
    assert (quarantine.model, quarantine.backend, quarantine.since_us, quarantine.state) == ("a", "cpu", 3.0, "open")
    assert health.check(6.0).gone == ()


def test_a_segment_that_works_does_not_hide_one_on_the_same_backend_that_never_does() -> None:
    health = Health(SETTINGS)
    for k in range(SETTINGS.failures):
        health.ended("a", ["npu", "cpu"], float(k), failed_on="cpu", reason="the second segment")
    assert health.refusal("a", ["npu", "cpu"], 5.0)
    assert health.refusal("a", ["npu"], 5.0) == ""


def test_it_is_probed_one_request_at_a_time_and_closed_after_successes() -> None:
    health = Health(SETTINGS)
    broken(health)
    assert health.refusal("a", ["cpu"], 101.0)
    assert health.check(102.0).quarantined[0].state == "half-open"
    assert health.refusal("a", ["cpu"], 102.0) == ""
    assert "probe" in health.refusal("a", ["cpu"], 103.0)
    health.ended("a", ["cpu"], 104.0)
    assert health.refusal("a", ["cpu"], 105.0) == "", "the second probe"
    health.ended("a", ["cpu"], 106.0)
    assert health.check(107.0).quarantined == ()
    assert health.refusal("a", ["cpu"], 107.0) == ""


def test_the_wait_doubles_up_to_the_longest() -> None:
    health = Health(SETTINGS)
    broken(health)
    at_us, waits = 2.0, []
    for _ in range(4):
        (quarantine,) = health.check(at_us).quarantined
        waits.append(quarantine.probe_us - at_us)
        at_us = quarantine.probe_us
        assert health.refusal("a", ["cpu"], at_us - 0.1)
        assert health.refusal("a", ["cpu"], at_us) == ""
        health.ended("a", ["cpu"], at_us, failed_on="cpu", reason="no luck")
    assert waits == [100.0, 200.0, 350.0, 350.0]


def test_a_model_that_hangs_is_refused_at_once_and_probed_ever_more_seldom() -> None:
    health, at_us, waits = Health(), 1.0, []
    for _ in range(15):
        health.hung("a", "cpu", at_us, "no end")
        (quarantine,) = health.check(at_us).quarantined
        assert health.refusal("a", ["cpu"], at_us + 1)
        waits.append(quarantine.probe_us - at_us)
        at_us = quarantine.probe_us
        assert health.refusal("a", ["cpu"], at_us) == ""
    assert waits[:3] == [1e6, 2e6, 4e6]
    assert waits[-1] == 3600e6


def test_what_began_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    health = Health(SETTINGS)
    broken(health)
    probe_us = health.check(3.0).quarantined[0].probe_us
    health.ended("a", ["cpu"], 50.0, failed_on="cpu", reason="no luck")
    health.ended("a", ["cpu"], 51.0)
    health.ended("a", ["cpu"], 52.0)
    assert health.check(53.0).quarantined[0].probe_us == probe_us


def test_a_probe_that_never_ends_or_never_ran_makes_room_for_another() -> None:
    health = Health(SETTINGS)
    broken(health)
    assert health.refusal("a", ["cpu"], 200.0) == ""
    assert health.refusal("a", ["cpu"], 1100.0)
    assert health.refusal("a", ["cpu"], 1200.0) == ""
    assert health.refusal("a", ["cpu"], 1201.0)
    health.released("a")
    assert health.refusal("a", ["cpu"], 1202.0) == ""


def test_a_probe_that_goes_another_way_counts() -> None:
    health = Health(SETTINGS)
    broken(health)
    for at_us in (200.0, 300.0):
        assert health.refusal("a", ["cpu", "npu"], at_us) == ""
        assert health.refusal("a", ["cpu", "npu"], at_us + 1)
        health.ended("a", ["npu"], at_us + 2, failed_on="npu", reason="no luck")
        assert health.refusal("a", ["cpu", "npu"], at_us + 3) == "", "it has ended, whatever it says"
        health.ended("a", ["npu"], at_us + 4)
    assert health.check(400.0).quarantined == ()


def test_a_lost_backend_is_told_from_a_broken_model() -> None:
    health = Health(SETTINGS)
    for model in "abc":
        health.ended(model, ["npu"], 0.0)
    broken(health, "a", "npu", 10.0)
    assert health.check(20.0).gone == (), "one model alone"
    health.ended("c", ["npu"], 25.0)
    broken(health, "b", "npu", 30.0)
    health.ended("a", ["cpu"], 35.0)
    (gone,) = health.check(40.0).gone
    assert (gone.backend, gone.since_us, gone.models) == ("npu", 30.0, ("a", "b"))
    health.ended("c", ["npu"], 50.0)
    assert health.check(50.0).gone == (), "two broken models beside one that works"
    assert len(health.check(50.0).quarantined) == 2


def test_a_model_that_goes_is_forgotten_and_taken_in_at_once_when_it_comes_again() -> None:
    health = Health(SETTINGS)
    broken(health, "a")
    broken(health, "b")
    health.keep(["b", "c"])
    assert health.refusal("a", ["cpu"], 5.0) == ""
    assert health.refusal("b", ["cpu"], 5.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 400.0)), max_size=60))
def test_a_model_is_always_asked_again_and_never_more_than_once_at_a_time(history: list[tuple[bool, float]]) -> None:
    health, at_us, opened = Health(SETTINGS), 0.0, False
    for works, step_us in history:
        at_us += step_us
        if health.refusal("a", ["cpu"], at_us):
            assert opened
            (quarantine,) = health.check(at_us).quarantined
            assert at_us < quarantine.probe_us <= at_us + SETTINGS.longest_wait_us
            continue
        if opened:
            assert health.refusal("a", ["cpu"], at_us), "only one probe"
        if works:
            health.ended("a", ["cpu"], at_us)
        else:
            health.ended("a", ["cpu"], at_us, failed_on="cpu", reason="no luck")
        opened = bool(health.check(at_us).quarantined)


def test_many_threads_see_one_probe() -> None:
    health = Health(SETTINGS)
    broken(health)
    barrier, let_through = threading.Barrier(8), []

    def ask() -> None:
        barrier.wait()
        let_through.extend(1 for k in range(200) if not health.refusal("a", ["cpu"], 500.0 + k / 1000))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_through) == 1


def test_a_real_session_that_fails_is_quarantined_and_its_neighbour_is_not(tmp_path: Path) -> None:
    good = write_model(tmp_path / "good.onnx", 0)
    model = onnx.load(str(good))
    # A reshape that the declared sizes allow and the values do not: it fails in the middle of the run.
    node = onnx.helper.make_node("Reshape", [model.graph.output[0].name, "shape"], ["reshaped"])
    model.graph.node.append(node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7], np.int64), "shape"))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("reshaped", onnx.TensorProto.FLOAT, None))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "bad.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    sessions = {
        name: onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), options, ["CPUExecutionProvider"])
        for name in ("good", "bad")
    }
    health, feeds, refused = Health(), {"image": np.zeros((1, 8, 12, 12), np.float32)}, {"good": 0, "bad": 0}
    for at_us in range(50):
        for name, session in sessions.items():
            if health.refusal(name, ["cpu"], float(at_us)):
                refused[name] += 1
                continue
            try:
                session.run(None, feeds)
            except Exception as error:
                health.ended(name, ["cpu"], float(at_us), failed_on="cpu", reason=str(error))
            else:
                health.ended(name, ["cpu"], float(at_us))
    assert refused == {"good": 0, "bad": 45}
    (quarantine,) = health.check(50.0).quarantined
    assert "Reshape" in quarantine.reason
