"""Lines on stderr: one an event, bounded, without secrets, and not many of one kind."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from edgeplan.interface import logs
from edgeplan.interface.logs import LogFormat, LogLevel, event, logging_to_stderr
from edgeplan.runtime_bridge import Decision, Drift
from edgeplan.runtime_bridge.supervisor import Fault
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import Toys

pytest.importorskip("starlette", reason="the server's packages are an extra")

from edgeplan.interface.serving.http.refusal_log import RefusalLog


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with logging_to_stderr(LogFormat.JSON, LogLevel.INFO, ["hunter2"], stream):
        yield stream


def test_an_event_is_one_object_with_its_fields(stream: io.StringIO) -> None:
    event(logging.INFO, "start", "Starting.", models=["a"], limits={"max_in_flight": 3}, ratio=float("nan"))
    (line,) = lines(stream)
    assert line["time"].endswith("Z")
    assert {key: line[key] for key in line if key != "time"} == {
        "level": "info",
        "event": "start",
        "message": "Starting.",
        "logger": "edgeplan",
        "models": ["a"],
        "limits": {"max_in_flight": 3},
        "ratio": None,
    }


def test_decisions_and_faults_come_with_their_reason(stream: io.StringIO) -> None:
    drift = Drift("rate", "left", 10.0, 20.0)
    logs.decided(Decision(0.0, (drift,), "switched", "fewer late", 3, 0.5, 0.1))
    logs.decided(Decision(0.0, (), "failed", "the solver died", 3, 0.5, 0.0))
    fault = Fault("hang", "left", "no end after 5 s", 0.0)
    logs.faulty(fault, ended=False)
    logs.faulty(fault, ended=True)
    switched, failed, began, over = lines(stream)
    assert (switched["event"], switched["action"], switched["reason"]) == ("decision", "switched", "fewer late")
    assert switched["drifts"] == [str(drift)]
    assert (switched["plan_version"], switched["level"], failed["level"]) == (3, "info", "warning")
    assert (began["event"], began["level"], began["model"]) == ("fault", "error", "left")
    assert "no end after 5 s" in began["message"]
    assert (over["event"], over["level"], over["kind"]) == ("recovery", "info", "hang")


def test_secrets_and_tensors_never_come_out(stream: io.StringIO) -> None:
    tensor = np.arange(7.0) + 4711
    event(logging.INFO, "odd", "token hunter2", header="Bearer hunter2", nested={"hunter2": ["hunter2", tensor]})
    logging.getLogger("uvicorn.error").error("path %s", "/?token=hunter2")
    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("asyncio").exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert "4711" not in stream.getvalue()
    assert lines(stream)[0]["nested"] == {"•••": ["•••", "<ndarray>"]}
    assert "ValueError" in lines(stream)[2]["exception"]


def test_what_other_packages_log_comes_out_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    warnings.warn("deprecated", UserWarning, stacklevel=1)
    logging.getLogger("asyncio").debug("not this")
    assert [(line["logger"], line["level"]) for line in lines(stream)] == [
        ("uvicorn.error", "warning"),
        ("py.warnings", "warning"),
    ]


def test_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "level", logging.WARNING)  # as a running server sets it
    stream = io.StringIO()
    with logging_to_stderr(LogFormat.JSON, LogLevel.ERROR, stream=stream):
        event(logging.WARNING, "a", "no")
        logging.getLogger("uvicorn.error").warning("no")
        event(logging.ERROR, "b", "yes")
    assert [line["event"] for line in lines(stream)] == ["b"]


def test_the_way_of_before_comes_back() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("edgeplan").level
    with logging_to_stderr(LogFormat.TEXT, LogLevel.DEBUG, stream=io.StringIO()):
        assert root.handlers != before[0]
    assert (root.handlers, root.level, logging.getLogger("edgeplan").level) == before


def test_a_real_fault_is_logged_and_counted_and_so_is_its_end(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    """One model's segments fail for a while."""
    from edgeplan.interface.serving.engine import Engine, EngineSettings
    from edgeplan.runtime_bridge.pipeline import Pipeline

    works = Pipeline.run_step

    def fails(pipeline: Pipeline, *arguments: Any) -> None:
        if pipeline.model == "left":
            raise RuntimeError("the backend is broken")
        works(pipeline, *arguments)

    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(adapt=False)) as engine:

        def told(kind: str) -> list[dict[str, Any]]:
            return [line for line in lines(stream) if line["event"] == kind]

        def ask_until(kind: str) -> dict[str, Any]:
            end = time.monotonic() + 20
            while not told(kind):
                assert time.monotonic() < end, f"no {kind}"
                for model in toys.files:
                    engine.submit(model, toys.feeds()).exception()
                time.sleep(0.02)
            return told(kind)[0]

        def lasting() -> float | None:
            labels = {"kind": "failing", "model": "left"}
            return engine.statistics.registry.get_sample_value("edgeplan_faults_lasting", labels)

        monkeypatch.setattr(Pipeline, "run_step", fails)
        fault = ask_until("fault")
        assert (fault["kind"], fault["model"], fault["level"]) == ("failing", "left", "error")
        assert "the backend is broken" in fault["reason"]
        assert engine.statistics.registry.get_sample_value("edgeplan_faults_total", {"kind": "failing"}) == 1
        assert lasting() == 1
        monkeypatch.setattr(Pipeline, "run_step", works)
        assert ask_until("recovery")["model"] == "left"
        assert lasting() is None
        assert len(told("fault")) == len(told("recovery")) == 1


@given(st.text(max_size=60), st.sampled_from(list(LogFormat)))
@settings(max_examples=150, deadline=None)
def test_any_text_makes_one_line(text: str, format: LogFormat) -> None:
    stream = io.StringIO()
    with logging_to_stderr(format, LogLevel.INFO, stream=stream):
        event(logging.INFO, "odd", text, field=text, message=text)
    assert stream.getvalue().count("\n") == 1
    assert len(stream.getvalue().splitlines()) == 1
    if format is LogFormat.JSON:
        (line,) = lines(stream)
        assert line["message"] == line["field"] == text


def test_a_line_is_bounded(stream: io.StringIO) -> None:
    event(logging.INFO, "long", "x" * 10**6)
    assert len(stream.getvalue()) < 5000


@pytest.mark.parametrize(
    "log", [lambda k: logs.refused(503, f"{k} wait"), lambda k: logging.getLogger("uvicorn.error").warning("Exceeded")]
)
def test_a_flood_becomes_a_line_a_second_with_the_count(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "EVERY_S", 0.1)
    stream = io.StringIO()
    sent, began = 0, time.monotonic()
    with logging_to_stderr(LogFormat.JSON, LogLevel.INFO, stream=stream):
        while time.monotonic() - began < 0.45:
            log(sent)
            sent += 1
    written = lines(stream)
    assert 2 <= len(written) <= (time.monotonic() - began) / 0.1 + 2
    assert sum(line.get("count", 1) for line in written) == sent, "some were not counted"
    assert sent > 50 * len(written)


def test_classes_do_not_hide_each_other(stream: io.StringIO) -> None:
    for status in (400, 401, 503, 400, 401, 503):
        logs.refused(status, "no")
    assert [line["status"] for line in lines(stream)] == [400, 401, 503]


def test_many_classes_stay_bounded(stream: io.StringIO) -> None:
    before = threading.active_count()
    for number in range(2000):
        logging.getLogger("other").warning(f"odd {number}")  # a class each: the text is no template
    assert len(lines(stream)) < 300
    assert threading.active_count() - before < 300


def test_a_line_that_was_held_back_comes_when_it_is_over() -> None:
    stream = io.StringIO()
    with logging_to_stderr(LogFormat.TEXT, LogLevel.INFO, stream=stream):
        for number in range(5):
            logs.refused(503, f"{number} wait")
    first, last = stream.getvalue().splitlines()
    assert first.endswith("warning Refused with 503: 0 wait")
    assert last.endswith("Refused with 503: 4 wait (4 times)")


def test_answers_that_refuse_are_logged_with_their_reason(stream: io.StringIO) -> None:
    answers = iter([(200, b"{}"), (503, b'{"error": "too many wait"}'), (404, b"not JSON \xff"), (400, b"[1]")])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, body = next(answers)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        for _ in range(4):
            await RefusalLog(app)({"type": "http"}, None, send)

    asyncio.run(ask())
    assert [message["status"] for message in sent if "status" in message] == [200, 503, 404, 400]
    assert [(line["status"], line["reason"]) for line in lines(stream)] == [
        (503, "too many wait"),
        (404, "not JSON �"),
        (400, "[1]"),
    ]
