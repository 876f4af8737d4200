"""``edgeplan explain`` on a journal of a rehearsed controller: the list, one decision in full, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from edgeplan.formulation.tenancy import Accelerator, Allocation, TenancyProblem, Tenant, TenantAllocation
from edgeplan.interface.cli import app
from edgeplan.runtime_bridge.tenancy import Journal, JournalWriter, TenantWindow, Window, propose, rehearse
from typer.testing import CliRunner


def _allocation(front: str) -> Allocation:
    """One tenant whole on the accelerator, the other on the CPU."""
    return Allocation(
        tenants=tuple(
            TenantAllocation(tenant=name, point=1 if name == front else 0, cores=int(name != front))
            for name in ("camera", "radar")
        )
    )


def _predict(problem: TenancyProblem, allocation: Allocation) -> float:
    """The busier tenant should be in front; 200 requests a second are too many for either."""
    camera, radar = problem.rate_hz
    ahead = camera if allocation.tenants[0].point else radar
    return float("inf") if camera + radar > 200 else 30_000 - 20_000 * float(ahead / (camera + radar))


def _solve(problem: TenancyProblem) -> SimpleNamespace:
    return SimpleNamespace(
        allocation=min((_allocation("camera"), _allocation("radar")), key=lambda a: _predict(problem, a))
    )


@pytest.fixture(scope="module")
def journal() -> Journal:
    """30 s as planned, 30 s the other way round, 30 s of far too much."""
    tenants = [Tenant.create(n, [0, 5e3], [2e4, 0], [0, 1000], points=("none", "all")) for n in ("camera", "radar")]
    device = Accelerator(name="device", weight_capacity_bytes=1000, reload_fixed_us=4000.0)
    problem = TenancyProblem.create(tenants, [40.0, 10.0], device, 1)
    rng = np.random.default_rng(0)
    seen = []
    for k in range(180):
        rates = ((40.0, 10.0), (10.0, 40.0), (200.0, 200.0))[k // 60]
        windows = tuple(TenantWindow(arrivals=int(rng.poisson(rate * 0.5)), service_us=(5000.0,) * 5) for rate in rates)
        seen.append(Window(start_us=k * 5e5, end_us=(k + 1) * 5e5, tenants=windows))
    return rehearse(problem, _allocation("camera"), seen, lambda p, a, b: propose(p, a, b, _solve, _predict))


@pytest.fixture
def path(tmp_path: Path, journal: Journal) -> Path:
    with JournalWriter(journal.header, tmp_path / "journal.jsonl") as writer:
        for event in journal.events[:-1]:
            writer.note(event)
    return tmp_path / "journal.jsonl"


def explain(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_list_has_every_decision_with_its_reason(path: Path, journal: Journal) -> None:
    code, text, _ = explain(path)
    assert code == 0
    assert len(journal.decisions) >= 2
    for considered in journal.decisions:
        assert f"{considered.decision.number}: {considered.decision.reason}" in text
    assert "switched" in text
    assert "every decision is the same" in text


def test_one_decision_says_what_was_seen_assumed_and_predicted(path: Path) -> None:
    code, text, _ = explain(path, "--decision", 1)
    assert code == 0
    for part in ("Why asked", "Observed", "Assumed", "Alternatives", "Why so", "Exchange", "camera 1/0, radar 0/1"):
        assert part in text


def test_json_has_the_same_figures(path: Path, journal: Journal) -> None:
    code, text, _ = explain(path, "--decision", 1, "--format", "json")
    assert code == 0
    data = json.loads(text)
    first = journal.decisions[0]
    assert [d["number"] for d in data["decisions"]] == [c.decision.number for c in journal.decisions]
    assert data["decisions"][0]["reason"] == first.decision.reason
    assert data["decision"]["question"] == json.loads(first.question.model_dump_json())
    assert data["replay"] == {"same": True, "first_difference": None}
    assert data["decisions"][-1]["current_mean_response_us"] is None  # nothing keeps up


def test_a_quiet_journal_says_that_nothing_was_decided(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:20]))
    code, text, _ = explain(path)
    assert code == 0
    assert "No decision" in text
    assert "no end" in text


def test_a_changed_journal_is_noticed(path: Path) -> None:
    path.write_text(path.read_text().replace('"action": "switch"', '"action": "switch" ', 1).replace("saves", "costs"))
    code, text, _ = explain(path)
    assert code == 0
    assert "is another" in text


@pytest.mark.parametrize(
    ("damage", "options", "what"),
    [
        (lambda text: text[:-30], (), "cut off"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2', 1), (), "schema version 1"),
        (lambda text: "", (), "a header"),
        (lambda text: "\n".join(text.splitlines()[1:]) + "\n", (), "line 1"),
        (lambda text: text, ("--decision", 99), "decision 99"),
    ],
)
def test_bad_input_is_refused_with_the_reason(path: Path, damage, options: tuple, what: str) -> None:
    path.write_text(damage(path.read_text()))
    code, _, errors = explain(path, *options)
    assert code == 2
    assert what in errors
    code, text, _ = explain(path, *options, "--format", "json")
    assert code == 2
    assert json.loads(text)["error"]["kind"] == "JournalError"


def test_what_is_whole_of_a_truncated_journal_can_be_read(path: Path) -> None:
    path.write_text(path.read_text()[:-30])
    code, text, _ = explain(path, "--partial")
    assert code == 0
    assert "no end" in text


def test_a_journal_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, _, errors = explain(tmp_path / "nothing.jsonl")
    assert code == 2
    assert "nothing.jsonl" in errors
