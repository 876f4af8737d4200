"""Questions to ask: random problems as a scenario and a profile."""

from __future__ import annotations

from typing import Any

from edgeplan.formulation import Problem
from edgeplan.interface.identity import profile_digest
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.questions import profile_of, question_of, scenario_of
from edgeplan.interface.planner.records import Question
from edgeplan.profiles import Fingerprint, ModelProfile, Profile, ProfileSettings
from edgeplan.profiles.profile import CostData
from edgeplan.solvers.testing import ProblemKind, random_problem

SMALL = ProblemKind(objective="response", models=2, layers=4, streams=True, deadline_slack=1.5)
# Far more than can be searched within any test.
LARGE = ProblemKind(objective="response", models=5, layers=60, cores=4, streams=True, memory_slack=1.05)


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
