"""``edgeplan sweep``: files, exit codes and what it refuses before it begins."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.whatif import Reply, sweeps
from typer.testing import CliRunner

if TYPE_CHECKING:
    from ..conftest import Files


def sweep(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments), "--requests", "200"])


def test_a_sweep_writes_page_table_and_answers_and_goes_on_from_them(files: Files) -> None:
    folder = files.folder / "out"
    result = sweep(files.scenario(), "--vary", "memory.ram=24MiB,64MiB", "-o", folder)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "Page written to" in result.stdout
    assert {path.name for path in folder.iterdir()} == {".lock", "points", "sweep.csv", "sweep.html", "sweep.json"}
    assert len(list((folder / "points").iterdir())) == 2
    again = sweep(files.scenario(), "--vary", "memory.ram=24MiB,64MiB", "-o", folder, "--format", "json")
    data = json.loads(again.stdout)
    assert data["status"] == "done"
    assert all(point["kept"] for point in data["points"])
    assert json.loads((folder / "sweep.json").read_text())["points"] == data["points"]


def test_a_page_alone_can_be_asked_for(files: Files) -> None:
    page = files.folder / "alone.html"
    assert sweep(files.scenario(), "--vary", "cores=1,2", "-o", page).exit_code == ExitCode.DONE
    assert page.read_text().startswith("<!doctype html>")
    assert not (files.folder / "points").exists()


def test_no_plan_anywhere_has_its_own_exit_code(files: Files) -> None:
    result = sweep(files.scenario(), "--vary", "memory.ram=1MiB,2MiB", "-o", files.folder / "out")
    assert result.exit_code == ExitCode.INFEASIBLE, result.output


@pytest.mark.parametrize(
    ("vary", "what"),
    [("colour=1,2", "memory.ram"), ("memory.ram", "NAME=VALUES"), ("rate.small=1x,20", "not both")],
)
def test_a_bad_axis_is_refused_with_what_can_vary(files: Files, vary: str, what: str) -> None:
    result = sweep(files.scenario(), "--vary", vary, "-o", files.folder / "out")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert what in result.stderr
    assert not (files.folder / "out").exists()


def test_a_place_that_cannot_be_written_to_is_refused_first(files: Files) -> None:
    taken = files.folder / "taken"
    taken.write_text("")
    for place in (taken, files.folder / "nowhere" / "out", files.folder / "nowhere" / "page.html"):
        result = sweep(files.scenario(), "--vary", "cores=1,2", "-o", place)
        assert result.exit_code == ExitCode.BAD_INPUT, result.output


def test_tenants_of_an_accelerator_are_refused(files: Files) -> None:
    scenario = files.folder / "tenants.yaml"
    scenario.write_text("accelerator: x\ntenants: []\n")
    result = sweep(scenario, "--vary", "cores=1,2", "-o", files.folder / "out")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "accelerator" in result.stderr


def test_the_whole_report_is_printed_on_request(files: Files) -> None:
    asked = [files.scenario(), "--vary", "cores=1,2", "-o", files.folder / "out"]
    table, whole = sweep(*asked), sweep(*asked, "--terminal")
    assert table.exit_code == whole.exit_code == ExitCode.DONE, table.output + whole.output
    assert "How it was made" not in table.stdout
    assert "How it was made" in whole.stdout


def test_running_out_of_time_is_told_from_what_is_infeasible(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "answer", lambda *asked: Reply("timeout"))
    result = sweep(files.scenario(), "--vary", "cores=1,2", "-o", files.folder / "out", "--format", "json")
    assert result.exit_code == ExitCode.OUT_OF_TIME, result.output
    assert json.loads(result.stdout)["status"] == "timeout"


def test_a_disk_that_is_full_is_told_in_words_and_leaves_no_halves(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files.folder / "out"
    write = Path.write_text

    def full(path: Path, text: str, *settings: Any, **more: Any) -> int:
        if path.parent.name != "points":
            return write(path, text, *settings, **more)
        write(path, text[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = sweep(files.scenario(), "--vary", "cores=1,2", "-o", folder)
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert "No space left" in result.stderr
    assert list((folder / "points").iterdir()) == []
