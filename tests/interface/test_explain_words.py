"""What explanations say: figures that suffice when set, doubt where time ran out, files called by their kind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.explanations.kinds import ExplainError, kind_of
from edgeplan.interface.explanations.plan import explained_infeasible, rescue_sentence
from edgeplan.interface.whatif import Knob, Reply, Rescue
from edgeplan.interface.whatif.knobs import KnobKind
from edgeplan.solvers import Clash, Limit, Solution
from hypothesis import given
from hypothesis import strategies as st

from .tenants import SCENARIO
from .test_cli import answer, edgeplan

MIB = 2**20
UNITS: dict[KnobKind, float] = {"memory": MIB, "deadline": 1e3, "rate": 1.0, "max_utilisation": 1.0}


@pytest.mark.parametrize("kind", UNITS)
@given(share=st.floats(0.1, 0.999))
def test_whoever_sets_what_is_said_to_be_needed_has_enough(kind: KnobKind, share: float) -> None:
    knob = Knob(kind, "" if kind == "max_utilisation" else "ram")
    needs = share * (1.0 if kind == "max_utilisation" else 1000 * UNITS[kind])
    needs = float(round(needs)) if kind == "memory" else needs
    said = rescue_sentence([Rescue(knob, 1.0, needs, 1.0, True, Reply("feasible"))])
    found = re.search(r" to ([\d.]+)", said)
    assert found
    printed = float(found[1].rstrip(".")) * UNITS[kind]
    wrong = (needs - printed) * knob.looser
    assert wrong <= 1e-7 * needs, "less than the evaluator lets pass"
    assert abs(printed - needs) <= 1e-2 * needs


def clash(best: float | None) -> Clash:
    return Clash(Limit("memory", "ram"), 8.0 * MIB, best, "memory of ram: 8 MiB is below its smallest possible use")


@pytest.mark.parametrize("best", [None, 9.0 * MIB])
def test_limits_that_time_did_not_let_narrow_down_are_said_to_be_so(best: float | None) -> None:
    explained = explained_infeasible(Solution("infeasible", "cp_sat", clashes=(clash(best),)), ())
    assert explained.data["narrowed"] == (best is not None)
    said = [item if isinstance(item, str) else item.note for item in explained.items]
    assert sum("Time ran out" in text for text in said) == (best is None)


def test_scenarios_with_an_accelerator_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "tenants.json"
    path.write_text(json.dumps({"name": "two", "accelerator": {"name": "usb"}, "tenants": []}))
    assert kind_of(path) == "tenancy"


@pytest.mark.parametrize(
    ("data", "called"),
    [
        ({"schema_version": 1, "services": [], "solver": {}}, "edgeplan capacity"),
        ({"schema_version": 1, "kind": "lock", "inputs": {}}, "a lock"),
        ({"schema_version": 1, "scenario": "x", "setups": []}, "record of a run"),
        ({"schema_version": 1, "models": [], "platform": {}, "fingerprint": {}}, "a profile"),
    ],
)
def test_what_cannot_be_explained_is_called_by_its_name(tmp_path: Path, data: dict[str, object], called: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(data, indent=2))
    with pytest.raises(ExplainError, match=called):
        kind_of(path)


def test_an_allocation_that_cannot_keep_up_is_not_called_feasible(tmp_path: Path) -> None:
    scenario, made = tmp_path / "tenants.yaml", tmp_path / "allocation.json"
    scenario.write_text(yaml.safe_dump(SCENARIO))
    assert edgeplan("plan", scenario, "-o", made).exit_code == ExitCode.DONE
    kept = answer("explain", made, "--scenario", scenario, "--no-relax")
    text = edgeplan("explain", made, "--scenario", scenario, "--no-relax").stdout
    assert kept["says"]
    assert all(sentence in text for sentence in kept["says"])
    busy = [{**tenant, "arrival": {"kind": "poisson", "rate_hz": 900}} for tenant in SCENARIO["tenants"]]
    scenario.write_text(yaml.safe_dump({**SCENARIO, "tenants": busy}))
    said = answer("explain", made, "--scenario", scenario, "--no-relax", code=ExitCode.CHECK_FAILED)
    assert said["status"] == "violated"
    assert "Feasible" not in edgeplan("explain", made, "--scenario", scenario, "--no-relax").stdout
