"""What clients send, checked: a scenario and a profile become a question with a digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ...formulation import Problem, ProfileError, Scenario, ScenarioError, UnsupportedError, capped
from ...formulation.files import fitting
from ...profiles import Profile
from ..case import Case
from ..fronts import front_problem
from ..identity import digest_of, question_digest
from .limits import PlannerLimits
from .records import Asked, Question

_NOWHERE = Path()
"""Folder of scenarios that came over the network: a plan needs no model file."""


_MOST_NESTED = 50


class _PlainLoader(yaml.SafeLoader):
    """YAML without what costs more than its length: aliases let a few bytes stand for gigabytes, and the scanner looks
    at all open brackets for each that follows."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level >= _MOST_NESTED:
            raise yaml.YAMLError(f"more than {_MOST_NESTED} brackets within each other")
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*), which is not taken here")
        return super().compose_node(parent, index)


def scenario_of(given: str | dict[str, Any], limits: PlannerLimits) -> Scenario:
    """A scenario from YAML or plain data.

    Raises
    ------
    ScenarioError
        It is too long, is no YAML, does not fit the schema, or is one with an accelerator.
    """
    text = given if isinstance(given, str) else json.dumps(given)
    if (n_bytes := len(text.encode(errors="replace"))) > limits.max_scenario_bytes:
        raise ScenarioError(
            "scenario",
            expected=f"at most {limits.max_scenario_bytes} bytes",
            got=f"{n_bytes}",
            remedy="Leave out what is not needed.",
        )
    if isinstance(given, str):
        try:
            # Derived from the safe loader: it makes plain data only.
            given = yaml.load(given, Loader=_PlainLoader)
        except Exception as error:  # its constructors raise whatever Python does over what they cannot make
            got = " ".join(str(error).split())[:300] or type(error).__name__
            raise ScenarioError("scenario", expected="YAML", got=got, remedy="Correct the syntax.") from error
    if isinstance(given, dict) and "accelerator" in given:
        raise ScenarioError(
            "scenario",
            expected="one without an accelerator",
            got="one with an accelerator",
            remedy="Scenarios with one are for `edgeplan plan`.",
        )
    expected = "what `edgeplan schema scenario` describes"
    with fitting("scenario", ScenarioError, expected=expected, remedy="Correct this key."):
        return Scenario.model_validate(given)


def profile_of(given: dict[str, Any]) -> Profile:
    """A profile from plain data.

    Raises
    ------
    ProfileError
        It does not fit the schema.
    """
    expected = "what `edgeplan schema profile` describes"
    with fitting("profile", ProfileError, expected=expected, remedy="Make it with `edgeplan profile`."):
        return Profile.model_validate(given)


def question_of(
    scenario: Scenario,
    profile: Profile,
    profile_id: str,
    objective: Asked,
    method: str,
    time_limit_s: float,
    seed: int,
    limits: PlannerLimits,
) -> Question:
    """A question that can be asked within the limits.

    Raises
    ------
    UnsupportedError
        It is too large, or asks for a method that is not there or does not do what is asked.
    EdgePlanError
        Scenario and profile do not make a problem.
    """
    if time_limit_s > limits.max_time_limit_s:
        raise UnsupportedError(
            "time limit",
            expected=f"at most {limits.max_time_limit_s:g} s",
            got=f"{time_limit_s:g} s",
            remedy="Allow less; what is best by then is returned.",
        )
    _refuse_large(scenario, profile, limits)
    case = Case.of(scenario, profile, _NOWHERE)
    if objective == "plan" and not scenario.streams and case.problem.objective == "response":
        raise ScenarioError(
            "scenario",
            expected="streams, for objective response",
            got="none",
            remedy="Say how each model is asked, or set `objective: latency`.",
        )
    for problem in problems_of(case, objective):
        _refuse_unsupported(problem, method)
    digest = question_digest(case, method, time_limit_s, seed)
    if objective != "plan":
        digest = digest_of({"question": digest, "objective": objective})
    text = scenario.model_dump_json()
    name = scenario.name.replace("\0", "")[:200]  # PostgreSQL keeps no text with it
    return Question(digest, name, objective, method, time_limit_s, seed, text, profile_id)


def problems_of(case: Case, objective: Asked) -> list[Problem]:
    """What is solved: the scenario's problem, or the front of each model alone under the same memory limits."""
    if objective == "plan":
        return [case.problem]
    problem = case.problem
    return [front_problem(model, problem.platform, problem.limits) for model in problem.models]


def _refuse_large(scenario: Scenario, profile: Profile, limits: PlannerLimits) -> None:
    named = {model.name for model in scenario.models}
    cells = sum(
        len(model.costs.layer_us) * len(model.costs.configurations) for model in profile.models if model.name in named
    )
    for what, most, found in (
        ("models", limits.max_models, len(scenario.models)),
        ("layers times configurations", limits.max_cells, cells),
    ):
        if found > most:
            raise UnsupportedError(
                "scenario",
                expected=f"at most {most} {what}",
                got=f"{found}",
                remedy="Plan it by `edgeplan plan` on a machine of your own.",
            )


def _refuse_unsupported(problem: Problem, method: str) -> None:
    from ...solvers import available_methods, solver

    if method == "auto":
        return
    lack = solver(method).features.unsupported(problem)
    if lack is not None:
        others = [name for name in available_methods() if solver(name).features.unsupported(problem) is None]
        raise UnsupportedError(
            f"method {method!r}",
            expected="a problem that it supports",
            got=lack,
            remedy=f"Use auto or {capped(others)}." if others else "Use auto.",
        )
