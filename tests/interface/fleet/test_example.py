"""The example of the documentation is made from the repository alone."""

import json
import runpy
from pathlib import Path

import jsonschema
import yaml
from edgeplan.profiles import Profile

from ..test_cli import answer

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "fleet"


def test_its_file_keeps_to_the_schema() -> None:
    jsonschema.validate(yaml.safe_load((EXAMPLE / "fleet.yaml").read_text()), answer("schema", "fleet"))


def test_its_profile_is_what_the_script_writes(tmp_path: Path) -> None:
    write = runpy.run_path(str(EXAMPLE / "write_profile.py"))["write_profile"]
    write(tmp_path / "board.json")
    assert json.loads((tmp_path / "board.json").read_text()) == json.loads((EXAMPLE / "board.json").read_text())
    Profile.load(EXAMPLE / "board.json")
