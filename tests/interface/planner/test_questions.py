"""What clients send: one question however it is written, and refusals that say why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from edgeplan.formulation import EdgePlanError
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.questions import profile_of, question_of, scenario_of
from edgeplan.interface.planner.records import Question

from .asked import SMALL, asked_for

LIMITS = PlannerLimits()


def question(asked: dict[str, Any], limits: PlannerLimits = LIMITS, **changed: Any) -> Question:
    how = {"objective": "plan", "method": "auto", "time_limit_s": 5.0, "seed": 0, **changed}
    scenario = scenario_of(asked["scenario"], limits)
    return question_of(
        scenario,
        profile_of(asked["profile"]),
        "p",
        how["objective"],
        how["method"],
        how["time_limit_s"],
        how["seed"],
        limits,
    )


def test_one_question_however_it_is_written() -> None:
    asked = asked_for()
    written = yaml.safe_dump(asked["scenario"], sort_keys=True)
    other_name = {**asked["scenario"], "name": "another"}
    same = [asked["scenario"], written, other_name]
    assert len({question({**asked, "scenario": scenario}).id for scenario in same}) == 1


def test_what_may_change_the_answer_changes_the_question() -> None:
    asked, other = asked_for(), asked_for(seed=1)
    stricter = {**asked["scenario"], "limits": {**asked["scenario"]["limits"], "max_utilisation": 0.5}}
    found = [
        question(asked),
        question(other),
        question({**asked, "scenario": stricter}),
        question(asked, method="cp_sat"),
        question(asked, time_limit_s=6.0),
        question(asked, seed=1),
        question(asked, objective="front"),
    ]
    assert len({each.id for each in found}) == len(found)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (BOMB, "alias"),
        ("a: [", "YAML"),
        ("[" * 5000, "YAML"),
        ("!!python/object/apply:os.system ['true']", "YAML"),
        ("x" * 300_000, "at most"),
        ("just text", "schema"),
        ({"name": "a", "models": []}, "models"),
        ({"name": "a", "models": [{"name": "m0"}], "accelerator": {}}, "accelerator"),
        ({"name": "a", "models": [{"name": "nobody"}]}, "profile"),
        ({"name": "a", "models": [{"name": "m0"}]}, "streams"),
    ],
)
def test_refused_scenarios_say_why(scenario: Any, said: str) -> None:
    with pytest.raises(EdgePlanError, match=said):
        question({**asked_for(), "scenario": scenario})


def test_limits() -> None:
    asked = asked_for()
    for strict, changed, said in (
        (replace(LIMITS, max_models=1), {}, "models"),
        (replace(LIMITS, max_cells=3), {}, "layers"),
        (LIMITS, {"time_limit_s": 1e6}, "time limit"),
        (LIMITS, {"method": "nonsense"}, "method"),
        (LIMITS, {"method": "nsga2"}, "nsga2"),
        (LIMITS, {"method": "cp_sat", "objective": "front"}, "cp_sat"),
    ):
        with pytest.raises(EdgePlanError, match=said):
            question(asked, strict, **changed)
    with pytest.raises(EdgePlanError, match="profile"):
        profile_of({"models": []})


def test_two_models_ask_for_two_fronts() -> None:
    assert question(asked_for(replace(SMALL, models=3)), objective="front").objective == "front"
