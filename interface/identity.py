"""What a plan is made from, as digests: who asks the same question gets the same digest, on any machine."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from pydantic import BaseModel

from ..formulation import ModelPlan, Plan, Problem, Scenario
from ..profiles import Profile
from .case import Case

PLANNED_WITH = ("edgeplan", "numba", "numpy", "ortools", "pymoo", "scipy")
"""Distributions whose version may change what a solver finds."""


def digest_of(value: Any) -> str:
    """SHA-256 of plain data, in hexadecimal. The order of keys does not count; 1 and 1.0 are told apart."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def planned_with(method: str = "auto") -> dict[str, str]:
    """Versions of what plans here; of what is not installed, none.

    Parameters
    ----------
    method : str
        Where another distribution provides it, that one is among them.
    """
    found = {}
    for name in PLANNED_WITH:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | _provider(method)


def _provider(method: str) -> dict[str, str]:
    """Name and version of another distribution that a method comes from."""
    from ..solvers.problem_classes import class_of

    known = class_of(Problem)
    if method == "auto" or method in known.built_in:
        return {}
    provided = entry_points(group=known.entry_point_group, name=method)
    return {entry.dist.name: entry.dist.version for entry in provided if entry.dist is not None}


def scenario_digest(scenario: Scenario) -> str:
    """Of what a scenario asks: neither its name nor where its profile and its models lie changes a plan."""
    places = {"name": True, "profile": True, "models": {"__all__": {"path"}}}
    return digest_of(scenario.model_dump(mode="json", exclude=places))


def profile_digest(profile: Profile) -> str:
    """Of all that a profile measured."""
    return digest_of(profile.model_dump(mode="json"))


def plan_digest(plan: Plan) -> str:
    """Of what a plan says to do, whoever made it and however long that took."""
    return digest_of(plan.model_dump(mode="json", exclude={"solver", "provenance"}))


def part_digest(part: ModelPlan) -> str:
    """Of what a plan says to do with one model."""
    return digest_of(part.model_dump(mode="json"))


def question_digest(case: Case, method: str, time_limit_s: float, seed: int) -> str:
    """Of all that an answer may depend on: scenario, profile, solver, its settings and versions."""
    return digest_of(
        {
            "scenario": scenario_digest(case.scenario),
            "profile": profile_digest(case.profile),
            "method": method,
            "time_limit_s": float(time_limit_s),
            "seed": seed,
            "versions": planned_with(method),
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"no plain data: {type(value).__name__}")
