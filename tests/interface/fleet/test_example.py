"""The example of the documentation runs from the repository alone."""

import json
import runpy
import shutil
from pathlib import Path

import jsonschema
import yaml
from edgeplan.profiles import Profile

from ..test_cli import answer

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "fleet"


def test_the_example_is_planned(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, folder)
    jsonschema.validate(yaml.safe_load((folder / "fleet.yaml").read_text()), answer("schema", "fleet"))
    said = answer("fleet", folder / "fleet.yaml", "-o", tmp_path / "out", "--max-loss", "10%")
    assert said["status"] == "done"
    kept = sum(len(workload["plans"]) for workload in said["workloads"])
    assert kept < sum(workload["distinct_plans"] for workload in said["workloads"])


def test_its_profile_is_what_the_script_writes(tmp_path: Path) -> None:
    write = runpy.run_path(str(EXAMPLE / "write_profile.py"))["write_profile"]
    write(tmp_path / "board.json")
    assert json.loads((tmp_path / "board.json").read_text()) == json.loads((EXAMPLE / "board.json").read_text())
    Profile.load(EXAMPLE / "board.json")
