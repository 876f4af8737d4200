"""Plans on other devices: scores by one factor are those of the evaluator on the scaled device."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edgeplan.formulation import Limits, Plan, Problem, Provenance, Scenario, evaluate
from edgeplan.interface.fleet.candidates import losses
from edgeplan.interface.fleet.devices import Variant, devices_of, problem_on
from edgeplan.interface.fleet.spec import FleetSpec
from edgeplan.interface.fleet.transfer import Member, for_any_device, member_of, objectives_of
from edgeplan.solvers.testing import ProblemKind, random_plan, random_problem
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from edgeplan.profiles import Profile

    from ..conftest import Files


def slower(problem: Problem, factor: float) -> Problem:
    models = tuple(replace(m, costs=m.costs.corrected(factor, Provenance())) for m in problem.models)
    return problem.replace(models=models)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 5000),
    factor=st.floats(0.2, 5.0),
    share=st.floats(0.5, 1.5),
    objective=st.sampled_from(["response", "latency"]),
)
def test_a_score_within_a_family_is_the_evaluators(seed: int, factor: float, share: float, objective: str) -> None:
    kind = ProblemKind(objective=objective, models=3, layers=4, streams=True, deadline_slack=2.0, memory_slack=None)
    problem = random_problem(kind, seed)
    plan = random_plan(problem, np.random.default_rng(seed + 1))
    needed = evaluate(problem, plan).memory_bytes["host"]
    limits = {"host": max(1, int(needed * share))}
    (found,) = objectives_of(problem, plan, [Member(Variant(), factor, limits)])
    truth = evaluate(slower(problem, factor).replace(limits=Limits(memory_bytes=limits)), plan)
    if truth.feasible:
        assert found == pytest.approx(truth.objective)
    else:
        # At the very limit the two may differ by the rounding of a product.
        assert found == np.inf or all(v.value <= v.limit * (1 + 3e-6) for v in truth.violations)


ANY = Member(Variant(), 1.0, {"ram": 2**40})


def test_a_plan_for_another_model_cannot_be_taken(problem: Problem, plan: Plan) -> None:
    other = plan.models[0].model_copy(update={"sha256": "0" * 64})
    foreign = plan.model_copy(update={"models": (other, *plan.models[1:])})
    assert objectives_of(problem, foreign, [ANY, ANY]).tolist() == [np.inf, np.inf]
    assert np.isfinite(objectives_of(problem, plan, [ANY])).all()


def test_a_plan_on_cores_that_a_device_lacks_cannot_be_taken(files: "Files", profile: "Profile", plan: Plan) -> None:
    scenario = Scenario.load(files.scenario())
    for cores, possible in ((1, False), (2, True)):
        member = member_of(Variant(cores={"cpu": cores}), scenario, profile)
        (found,) = objectives_of(problem_on(profile, member.family, scenario), plan, [member])
        assert np.isfinite(found) == possible


def test_devices_that_only_differ_in_speed_and_memory_are_one_family(files: "Files", profile: "Profile") -> None:
    scenario = Scenario.load(files.scenario())
    first, second, third = (
        member_of(Variant(time_factor={"cpu": f}, memory_bytes={"ram": size * 2**20}, cores=cores), scenario, profile)
        for f, size, cores in ((1.5, 100, {}), (0.5, 200, {}), (1.5, 100, {"cpu": 1}))
    )
    assert first.family == second.family != third.family
    assert (first.factor, second.factor) == (1.5, 0.5)
    # The scenario allows 128 MiB.
    assert [m.limit_bytes["ram"] / 2**20 for m in (first, second)] == [100, 128]


def test_a_varied_device_is_what_it_says(files: "Files", profile: "Profile") -> None:
    scenario = Scenario.load(files.scenario())
    measured = problem_on(profile, Variant(), scenario)
    varied = problem_on(
        profile, Variant(time_factor={"cpu": 2.0}, memory_bytes={"ram": 2**26}, cores={"cpu": 3}), scenario
    )
    assert measured.platform == profile.platform
    assert varied.platform.fingerprint == ""
    assert varied.platform.processor_by_name["cpu"].cores == (0, 1, 2)
    assert varied.memory_limit["ram"] == 2**26
    for ours, theirs in zip(varied.models, measured.models, strict=True):
        assert ours.costs.segment_us(0, 4) == pytest.approx(2 * theirs.costs.segment_us(0, 4))
        assert ours.costs.provenance.kind == "estimated"


def test_losses_are_shares_above_the_best_known() -> None:
    objectives = np.array([[100.0, 110.0], [np.inf, 50.0], [90.0, np.inf]])
    found = losses(objectives, np.array([100.0, 50.0, 100.0]))
    assert found[0] == pytest.approx([0.0, 0.1])
    assert found[1].tolist() == [np.inf, 0.0]
    # A plan of somebody else is better than the own one, whose search was cut short: it is the measure then.
    assert found[2].tolist() == [0.0, np.inf]


def test_a_plan_for_any_device_names_no_machine(plan: Plan) -> None:
    bound = plan.model_copy(update={"platform_fingerprint": "f" * 64})
    assert for_any_device(bound).platform_fingerprint == ""


@pytest.mark.parametrize("sigma", [0.01, 2.0])
def test_no_two_devices_of_a_spread_are_equally_fast(tmp_path: Path, sigma: float) -> None:
    variants = {"time_factor": {"cpu": [0.001]}, "spread": {"cpu": sigma}, "copies": 3000}
    spec = FleetSpec.model_validate(
        {
            "name": "many",
            "devices": [{"name": "d", "profile": "p.json", "variants": variants}],
            "workloads": [{"scenario": "s.yaml"}],
        }
    )
    factors = [device.variant.time_factor["cpu"] for device in devices_of(spec, tmp_path)]
    assert len(set(factors)) == 3000
    assert min(factors) > 0
