"""Plans to choose from: those of most devices, and the own ones of devices that would lose too much by them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import Plan, Scenario, ScenarioModel
from edgeplan.interface.fleet import candidates
from edgeplan.interface.fleet.candidates import candidates_of
from edgeplan.interface.fleet.devices import Device, Variant
from edgeplan.interface.fleet.engine import InProcess
from edgeplan.interface.fleet.jobs import Job, JobResult, Workload
from edgeplan.interface.fleet.transfer import Row
from edgeplan.interface.identity import plan_digest

OBJECTIVES = np.array([[100.0, 103.0, np.inf], [101.0, 100.0, 200.0], [110.0, 104.0, 100.0]])
"""Of three devices under their three own plans."""


@pytest.fixture
def rows(plan: Plan) -> tuple[Row, ...]:
    workload = Workload("any", Scenario(name="any", models=(ScenarioModel(name="small"),), objective="latency"))
    made = []
    for k, count in enumerate((5, 2, 1)):
        parts = tuple(part.model_copy(update={"sha256": f"{k}" * 64}) for part in plan.models)
        device = Device(name=f"d{k}", profile=Path("p.json"), variant=Variant(), count=count)
        result = JobResult(
            digest=str(k),
            status="optimal",
            objective=float(OBJECTIVES[k, k]),
            plan=plan.model_copy(update={"models": parts, "platform_fingerprint": ""}),
        )
        made.append(Row((Job(device, workload, str(k)),), result))
    return tuple(made)


@pytest.mark.parametrize(
    ("max_loss", "tried"),
    [
        (np.inf, [0]),  # its plan serves all, whatever they lose
        (0.10, [0]),
        (0.05, [0, 2]),
        (0.005, [0, 1, 2]),
        (0.0, [0, 1, 2]),
    ],
)
def test_no_device_is_left_with_plans_by_which_it_loses_too_much(
    rows: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch, max_loss: float, tried: list[int]
) -> None:
    digests = [plan_digest(row.result.plan) for row in rows if row.result.plan is not None]

    def scores(fleet: Any, workload: Any, rows: Any, plans: Any, own: Any, asked: list[str], engine: Any) -> Any:
        return OBJECTIVES[:, [digests.index(digest) for digest in asked]]

    monkeypatch.setattr(candidates, "_scores", scores)
    monkeypatch.setattr(candidates, "MAX_CANDIDATES", 1)
    fleet: Any = SimpleNamespace(profiles={})
    plans, loss, distinct = candidates_of(fleet, rows[0].jobs[0].workload, rows, InProcess(), max_loss)
    assert sorted(digests.index(plan_digest(plan)) for plan in plans) == tried
    assert distinct == 3
    assert (loss.min(axis=1) <= max_loss).all()
