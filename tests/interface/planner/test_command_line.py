"""Options of `edgeplan planner`."""

from __future__ import annotations

from edgeplan.interface.cli import app
from typer.testing import CliRunner


def test_options_of_the_server_are_not_taken_for_the_worker_s() -> None:
    refused = CliRunner().invoke(app, ["planner", "--lease", "5", "--workers", "2", "worker", "--store", "none.db"])
    assert refused.exit_code == 2
    assert "--lease" in refused.output
    assert "planner worker" in refused.output
