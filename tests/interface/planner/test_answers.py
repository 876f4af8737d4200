"""Answers as plain data: however long a front is, some of its points are kept, and the plans of some of these."""

from __future__ import annotations

import subprocess
import sys

import pytest
from edgeplan.formulation import Plan
from edgeplan.interface.planner import answers
from edgeplan.solvers import FrontPoint, Solution


def test_a_long_front_keeps_some_points_and_plans_its_ends_among_them(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = tuple(FrontPoint(float(k), 7000.0 - k, plan) for k in range(7000))
    solution = Solution("feasible", "none", front=points)
    data = answers._front_data("m0", solution)
    planned = [k for k, point in enumerate(data["points"]) if point["plan"] is not None]
    assert data["n_points"] == len(points)
    assert len(data["points"]) == answers._KEPT_POINTS
    assert len(planned) == answers._PLANNED_POINTS
    assert [data["points"][k]["latency_us"] for k in (planned[0], planned[-1])] == [0.0, 6999.0]

    n_segments = sum(len(model.segments) for model in plan.models)
    monkeypatch.setattr(answers, "_PLANNED_SEGMENTS", 3 * n_segments)
    points_of_large_models = answers._front_data("m0", solution)["points"]
    assert sum(point["plan"] is not None for point in points_of_large_models) == 3


def test_a_process_that_solves_loads_no_database_and_no_web_server() -> None:
    code = "import sys, edgeplan.interface.planner.solving, edgeplan.interface.planner.answers; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "fastapi", "uvicorn"} & set(ran.stdout.split())
