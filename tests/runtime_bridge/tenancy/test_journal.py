"""The journal: what is read is what was written, and what is no journal is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation.tenancy import Accelerator, LruResidency, TenancyProblem, Tenant
from edgeplan.runtime_bridge.tenancy import (
    ControllerSettings,
    Header,
    Journal,
    JournalError,
    JournalWriter,
    rehearse,
    replay,
)
from edgeplan.runtime_bridge.tenancy.problem_data import ProblemData

from .controlled import brute_force, proposals, two_tenants, windows


@pytest.fixture(scope="module")
def journal() -> Journal:
    problem = two_tenants()
    allocation = brute_force(problem).allocation
    seen = windows(problem, allocation, lambda t: (20.0, 2.0) if t < 10 else (2.0, 20.0), 25)
    return rehearse(problem, allocation, seen, proposals)


@pytest.fixture
def path(tmp_path: Path, journal: Journal) -> Path:
    with JournalWriter(journal.header, tmp_path / "journal.jsonl") as writer:
        for event in journal.events[:-1]:
            writer.note(event)
    return tmp_path / "journal.jsonl"


def test_a_journal_survives_its_file_bit_by_bit(journal: Journal, path: Path) -> None:
    assert Journal.load(path) == journal
    assert replay(Journal.load(path), proposals).difference is None
    assert next(iter(journal.decisions)).decision.action == "switch"


def test_every_line_is_json_without_names_for_what_is_not_finite(path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_a_problem_survives_as_data() -> None:
    tenant = Tenant.create(
        "a",
        [0, np.inf, 5.0],
        [np.inf, 3.0, 0],
        [0, 10, 20],
        reload_us=[0.0, np.nan, 7.0],
        streaming_us=[np.nan, 1.0, np.nan],
        resident_bytes=[0, 8, 9],
        speedup=(1.0, 1.7),
        accelerator_scv=0.1,
        basis="estimated",
        source="a book",
    )
    device = Accelerator(name="d", weight_capacity_bytes=15, residency=LruResidency(), streaming_us_per_byte=0.5)
    problem = TenancyProblem.create([tenant], [3.5], device, 2)
    data = ProblemData.model_validate_json(ProblemData.of(problem).model_dump_json())
    assert data == ProblemData.of(data.to_problem())
    again = data.to_problem().tenants[0]
    for name in ("accelerator_us", "cpu_us", "weight_bytes", "reload_us", "streaming_us", "resident_bytes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tenant, name))


def test_a_journal_without_an_end_is_read_and_says_so(path: Path, journal: Journal) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    read = Journal.load(path)
    assert not read.complete
    assert read.events == journal.events[:-1]


def test_a_truncated_journal_is_refused_and_read_on_demand(path: Path, journal: Journal) -> None:
    text = path.read_text()
    path.write_text(text[: len(text) - 200])
    with pytest.raises(JournalError, match="cut off"):
        Journal.load(path)
    read = Journal.load(path, partial=True)
    assert not read.complete
    assert read.events == journal.events[: len(read.events)]


def test_a_decision_that_was_cut_off_half_way_is_left_out(path: Path, journal: Journal) -> None:
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"kind": "decision"' in line)
    path.write_text("".join(lines[:at]))
    assert Journal.load(path).decisions == ()
    path.write_text("".join(lines[: at + 1]))
    (cut,) = Journal.load(path).decisions
    assert cut.outcome is None
    assert replay(Journal.load(path)).difference is None


def _other_version(text: str) -> str:
    return text.replace('"schema_version": 1', '"schema_version": 7', 1)


def _broken_middle(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:5], lines[5][:40] + "\n", *lines[6:]])


def _no_header(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[1:])


def _lost_answer(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if '"kind": "answer"' not in line)


def _other_tenants(text: str) -> str:
    lines = text.splitlines(keepends=True)
    window = json.loads(lines[1])
    window["tenants"].pop()
    return "".join([lines[0], json.dumps(window) + "\n", *lines[2:]])


def _other_choice(text: str) -> str:
    return text.replace('"chosen": 1', '"chosen": 9')


def _short_belief(text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"kind": "question"' in line)
    question = json.loads(lines[at])
    question["after"]["rate_hz"].pop()
    return "".join([*lines[:at], json.dumps(question) + "\n", *lines[at + 1 :]])


def _lost_outcome(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if '"kind": "outcome"' not in line)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_other_choice, "a choice of candidates"),
        (_short_belief, "figures of 2 tenants"),
        (_lost_outcome, "after 'switch'"),
        (_other_version, "schema version 1"),
        (_broken_middle, "line 6"),
        (_no_header, "line 1"),
        (_lost_answer, "after 'question'"),
        (_other_tenants, "figures of 2 tenants"),
        (lambda _: "", "a header"),
        (lambda _: "not json\n", "line 1"),
        (lambda _: "\0\n", "line 1"),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, damage, what: str) -> None:
    path.write_text(damage(path.read_text()))
    with pytest.raises(JournalError, match=what):
        Journal.load(path)


def test_a_journal_that_cannot_be_read_or_written_is_refused(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(JournalError, match="nowhere"):
        Journal.load(tmp_path / "nowhere.jsonl")
    with pytest.raises(JournalError, match="nowhere"):
        JournalWriter(journal.header, tmp_path / "nowhere" / "journal.jsonl")
    assert isinstance(journal.header, Header)


def test_names_may_hold_what_unicode_calls_a_line_separator(tmp_path: Path) -> None:
    problem = two_tenants()
    renamed = problem.replace(tenants=(problem.tenants[0].replace(name="a\u2028b\x85c"), problem.tenants[1]))
    header = Header.of(renamed, brute_force(renamed).allocation, ControllerSettings())
    with JournalWriter(header, tmp_path / "journal.jsonl"):
        pass
    assert Journal.load(tmp_path / "journal.jsonl").header == header
