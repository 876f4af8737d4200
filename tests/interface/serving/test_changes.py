"""Changes of the scenario: what fits is planned and served, what does not is refused and changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import AdmissionError, InferenceError, PlannerCancelled, PlannerError, PlannerTimeout
from edgeplan.interface.case import Case
from edgeplan.interface.serving import changes
from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.beside import run_beside
from edgeplan.interface.serving.changes import (
    AddedModel,
    ScenarioChange,
    changed_case,
    changed_scenario,
    refuse_outside,
)
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.http.refusal import Refusal
from fastapi.testclient import TestClient

from ...conftest import Toys, write_model
from .conftest import profile_of
from .test_app import request_for
from .test_steering import ended

LEFT = {"model": "left"}


def change(**parts: Any) -> ScenarioChange:
    return ScenarioChange.model_validate(parts)


def test_rates_and_deadlines_change_and_the_rest_stays(case: Case) -> None:
    before = {stream.model: stream for stream in case.scenario.streams}
    asked = change(streams=[{**LEFT, "rate_hz": 7.5}, {"model": "right", "deadline_us": None}])
    after = {stream.model: stream for stream in changed_scenario(case.scenario, asked).streams}
    assert after["left"].rate_hz == pytest.approx(7.5)
    assert after["left"].deadline_us == before["left"].deadline_us
    assert after["right"].deadline_us is None
    assert after["right"].rate_hz == before["right"].rate_hz
    assert asked.words == "left at 7.5 Hz, right without a deadline"


def test_models_come_and_go(case: Case) -> None:
    stream = {"model": "new", "arrival": {"kind": "poisson", "rate_hz": 3.0}}
    for name in ("a b", "a/b", "..", "", ".hidden"):
        with pytest.raises(ValueError, match="pattern"):
            change(add=[{"name": name}])
    asked = change(add=[{"name": "new", "path": "left.onnx", "stream": stream}], remove=["left"])
    scenario = changed_scenario(case.scenario, asked)
    assert [model.name for model in scenario.models] == ["right", "new"]
    assert [stream.model for stream in scenario.streams] == ["right", "new"]
    assert asked.words == "new comes, left goes"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"remove": ["nobody"]}, "models to remove among left, right"),
        ({"remove": ["left", "left"]}, "models to remove among right"),
        ({"remove": ["left", "right"]}, "at least one model"),
        ({"add": [{"name": "left"}]}, "models to add that are not there"),
        ({"streams": [{"model": "nobody", "rate_hz": 1}]}, "streams among left, right"),
        ({"add": [{"name": "new"}]}, "a stream for every model, got none for new"),
        ({}, "something that changes"),
        ({"streams": [LEFT]}, "something that changes"),
        ({"add": [{"name": "new", "stream": {**LEFT, "arrival": {"kind": "poisson", "rate_hz": 1}}}]}, "a stream for"),
    ],
)
def test_what_does_not_fit_is_refused(case: Case, parts: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        changed_scenario(case.scenario, change(**parts))
    assert refused.value.status == 400


@pytest.mark.parametrize("path", ["../secret.onnx", "/etc/passwd", "a/../../secret.onnx", "link.onnx", "nul\0l.onnx"])
def test_no_file_outside_the_folder_is_looked_at(case: Case, path: str) -> None:
    (case.folder / "link.onnx").symlink_to("/etc/passwd")
    with pytest.raises(Refusal, match="within the scenario's folder"):
        refuse_outside(case.folder, change(add=[{"name": "new", "path": path}]))
    with pytest.raises(Refusal, match="within the scenario's folder"):
        refuse_outside(case.folder, change(add=[{"name": "secret", "path": "../secret"}]))
    refuse_outside(case.folder, change(add=[{"name": "new", "path": "left.onnx"}, {"name": "squeezenet"}]))


@pytest.fixture
def served(toys: Toys, case: Case) -> Iterator[tuple[Engine, TestClient]]:
    settings = EngineSettings(admission=False, adapt=False)
    with (
        Engine(case.problem, toys.halved(), case.files, settings, case=case) as engine,
        TestClient(create_app(engine)) as client,
    ):
        yield engine, client


@pytest.mark.slow
def test_a_model_goes_and_comes_again_while_the_other_serves(toys: Toys, served: tuple[Engine, TestClient]) -> None:
    _, client = served
    job = ended(client, client.post("/edgeplan/changes", json={"remove": ["right"], "time_limit_s": 0.5}))
    assert job["status"] == "done", job["error"]
    assert client.get("/v2/models/right").status_code == 404
    assert client.post("/v2/models/right/infer", json=request_for(toys)).status_code == 404
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200
    assert [model["name"] for model in client.get("/edgeplan/scenario").json()["models"]] == ["left"]
    stream = {"model": "right", "arrival": {"kind": "poisson", "rate_hz": 5.0}, "deadline_us": 500_000.0}
    again = {"add": [{"name": "right", "path": "right.onnx", "stream": stream}], "time_limit_s": 0.5}
    job = ended(client, client.post("/edgeplan/changes", json=again))
    assert job["status"] == "done", job["error"]
    for model in ("left", "right"):
        assert client.post(f"/v2/models/{model}/infer", json=request_for(toys)).status_code == 200
        assert client.get(f"/v2/models/{model}/stats").status_code == 200


@pytest.mark.slow
def test_a_change_that_cannot_be_planned_changes_nothing(toys: Toys, served: tuple[Engine, TestClient]) -> None:
    _, client = served
    before = client.get("/edgeplan/scenario").json()
    nowhere = {"model": "nowhere", "arrival": {"kind": "poisson", "rate_hz": 1.0}}
    for asked, status in (
        ({"add": [{"name": "x", "path": "../x.onnx"}]}, 400),
        ({"remove": ["nobody"]}, 400),
        ({"remove": 3}, 422),
        ({"surprise": 1}, 422),
    ):
        assert client.post("/edgeplan/changes", json=asked).status_code in {status, 400}
    for asked in (
        {"streams": [{**LEFT, "deadline_us": 1.0}], "time_limit_s": 0.5},
        {"add": [{"name": "nowhere", "path": "nowhere.onnx", "stream": nowhere}]},
    ):
        job = ended(client, client.post("/edgeplan/changes", json=asked))
        assert job["status"] == "failed"
        assert job["error"]
    assert client.get("/edgeplan/scenario").json() == before
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200


def test_a_new_model_that_is_refused_for_what_else_is_asked_is_asked_again(
    toys: Toys, served: tuple[Engine, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = served
    submit, left = engine.runtime.submit, [2]

    def busy(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise AdmissionError("request", expected="fewer in flight", got="as many", remedy="Ask again.")
        return submit(*arguments, **more)

    monkeypatch.setattr(engine.runtime, "submit", busy)
    engine.models = {}
    engine._describe()
    assert set(engine.models) == {"left", "right"}
    assert left == [-2]


@pytest.mark.slow
def test_a_new_model_that_does_not_answer_goes_again(
    toys: Toys, served: tuple[Engine, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, client = served
    gone = ended(client, client.post("/edgeplan/changes", json={"remove": ["right"], "time_limit_s": 0.5}))
    assert gone["status"] == "done", gone["error"]
    before = client.get("/edgeplan/scenario").json()

    def silent() -> None:
        raise InferenceError("request for model 'right'", expected="an answer", got="none", remedy="Look at it.")

    stream = {"model": "right", "arrival": {"kind": "poisson", "rate_hz": 5.0}, "deadline_us": 500_000.0}
    asked = {"add": [{"name": "right", "path": "right.onnx", "stream": stream}], "time_limit_s": 0.5}
    with monkeypatch.context() as broken:
        broken.setattr(engine, "_describe", silent)
        job = ended(client, client.post("/edgeplan/changes", json=asked))
    assert job["status"] == "failed"
    assert "expected an answer" in job["error"]
    assert client.get("/edgeplan/scenario").json() == before
    assert set(engine.runtime.files) == {"left"}
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200
    assert ended(client, client.post("/edgeplan/changes", json=asked))["status"] == "done"


@pytest.mark.slow
def test_a_model_that_was_never_profiled_is_measured_beside_the_service(
    toys: Toys, served: tuple[Engine, TestClient]
) -> None:
    engine, client = served
    assert engine.case is not None
    write_model(engine.case.folder / "third.onnx", seed=3)
    stream = {"model": "third", "arrival": {"kind": "poisson", "rate_hz": 5.0}, "deadline_us": 500_000.0}
    job = ended(
        client,
        client.post("/edgeplan/changes", json={"add": [{"name": "third", "path": "third.onnx", "stream": stream}]}),
    )
    assert job["status"] == "done", job["error"]
    assert client.post("/v2/models/third/infer", json=request_for(toys)).status_code == 200
    assert {model.name for model in engine.case.profile.models} == {"left", "right", "third"}


def test_models_are_measured_each_with_its_own_sizes(toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, tuple[int, ...]]]] = []

    def beside(_: object, model: AddedModel, *__: object, **___: object) -> str:
        asked.append((model.name, model.shapes))
        found = profile_of(toys)
        return found.model_copy(
            update={"models": (found.models[0].model_copy(update={"name": model.name}),)}
        ).model_dump_json()

    monkeypatch.setattr(changes, "run_beside", beside)
    monkeypatch.setattr(changes, "_sha256", lambda *_: "another")
    sizes = {"one": (1, 8, 12, 12), "two": (1, 8, 24, 24)}
    added = [
        {
            "name": name,
            "path": "left.onnx",
            "shapes": {"image": size},
            "stream": {"model": name, "arrival": {"kind": "poisson", "rate_hz": 1.0}},
        }
        for name, size in sizes.items()
    ]
    found = changed_case(case, change(add=added), threading.Event())
    assert asked == [(name, {"image": size}) for name, size in sizes.items()]
    assert [model.name for model in found.problem.models] == ["left", "right", "one", "two"]


@pytest.mark.slow
def test_work_beside_is_ended_when_it_is_not_wanted(tmp_path: Path) -> None:
    cancelled = threading.Event()
    assert run_beside(sum, [1, 2], cancelled=cancelled, limit_s=30.0, what="sum") == 3
    with pytest.raises(PlannerTimeout, match=r"an end within 0\.5 s"):
        run_beside(time.sleep, 60, cancelled=cancelled, limit_s=0.5, what="nap")
    with pytest.raises(PlannerError, match="ZeroDivisionError"):
        run_beside(divmod, 1, 0, cancelled=cancelled, limit_s=30.0, what="division")
    own_pids, seen = {1}, set[int]()
    watcher = threading.Timer(0.2, lambda: (seen.update(own_pids), cancelled.set()))
    watcher.start()
    with pytest.raises(PlannerCancelled):
        run_beside(time.sleep, 60, cancelled=cancelled, limit_s=60.0, what="nap", own_pids=own_pids)
    assert len(seen) == 2, "its core time counts as the service's own"
    assert own_pids == {1}
