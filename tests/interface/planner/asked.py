"""Questions to ask, random problems as a scenario and a profile; and waiting for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from edgeplan.formulation import Problem
from edgeplan.interface.identity import profile_digest
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.questions import profile_of, question_of, scenario_of
from edgeplan.interface.planner.records import JobRecord, Question
from edgeplan.interface.planner.store import JobStore
from edgeplan.profiles import Fingerprint, ModelProfile, Profile, ProfileSettings
from edgeplan.profiles.profile import CostData
from edgeplan.solvers.testing import ProblemKind, random_problem

SMALL = ProblemKind(objective="response", models=2, layers=4, streams=True, deadline_slack=1.5)
# Far more than can be searched within any test.
LARGE = ProblemKind(objective="response", models=5, layers=60, cores=4, streams=True, memory_slack=1.05)
NO_PROFILE = "a" * 64
WAIT_S = 60


def asked_for(kind: ProblemKind = SMALL, seed: int = 0, **others: Any) -> dict[str, Any]:
    """A job as a client asks for it."""
    problem = random_problem(kind, seed)
    return {"scenario": scenario_data(problem, seed), "profile": profile_data(problem), **others}


def scenario_data(problem: Problem, seed: int = 0) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": f"random {seed}",
        "models": [{"name": model.name} for model in problem.models],
        "streams": [stream.model_dump(mode="json") for stream in problem.streams],
        "limits": problem.limits.model_dump(mode="json"),
        "objective": problem.objective,
    }


def profile_data(problem: Problem) -> dict[str, Any]:
    profile = Profile(
        models=tuple(
            ModelProfile(
                name=model.name,
                file=f"{model.name}.onnx",
                sha256=model.sha256,
                graph=model.graph.to_dict(),
                cuts=model.cuts.positions,
                costs=CostData.of(model.costs),
            )
            for model in problem.models
        ),
        platform=problem.platform,
        fingerprint=Fingerprint(cpu="none", cpu_key="", cores=(0,), versions={}),
        settings=ProfileSettings(),
        created="2026-01-01T00:00:00+00:00",
    )
    return profile.model_dump(mode="json")


def question(kind: ProblemKind = SMALL, seed: int = 0, time_limit_s: float = 5.0) -> tuple[Question, str]:
    """A checked question, and its profile as JSON."""
    asked = asked_for(kind, seed)
    limits = PlannerLimits()
    profile = profile_of(asked["profile"])
    scenario = scenario_of(asked["scenario"], limits)
    found = question_of(scenario, profile, profile_digest(profile), "plan", "auto", time_limit_s, seed, limits)
    return found, profile.model_dump_json()


def until(jobs: JobStore, job_id: str, holds: Callable[[JobRecord], bool]) -> JobRecord:
    """A job as soon as something holds of it."""
    for _ in range(WAIT_S * 20):
        job = jobs.get(job_id)
        assert job is not None
        if holds(job):
            return job
        assert job.status != "failed", job.error
        time.sleep(0.05)
    pytest.fail(f"waited in vain: {job}")


def submitted(jobs: JobStore, number: int = 0, name: str = "asked") -> str:
    """A job of which only the store has to know anything."""
    jobs.add_profile(NO_PROFILE, ("m0",), "{}")
    return jobs.submit(Question(f"{number:064x}", name, "plan", "auto", 60.0, 0, "{}", NO_PROFILE)).id
