"""The command line: one command a module under `commands`, errors handled here and nowhere else."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..formulation import EdgePlanError
from .commands.capacity import capacity
from .commands.check import check
from .commands.co_run import co_run
from .commands.demo import demo
from .commands.diff import diff
from .commands.explain import explain
from .commands.export import export
from .commands.fleet import fleet
from .commands.import_file import import_file
from .commands.pareto import pareto
from .commands.plan import plan
from .commands.planner import planner
from .commands.profile import profile
from .commands.report import report
from .commands.run import run
from .commands.schema import schema
from .commands.serve import serve
from .commands.simulate import simulate
from .commands.solve import solve
from .commands.sweep import sweep
from .exits import ExitCode
from .output import current_output


class _Group(TyperGroup):
    """Turns what commands raise into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EdgePlanError as error:
            current_output(ctx).failure("bad_input", error)
            raise typer.Exit(ExitCode.BAD_INPUT) from error
        except KeyboardInterrupt as error:
            current_output(ctx).note("edgeplan: interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from error


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Plan how several neural networks share one device, run the plan, and keep it right while it runs.",
    epilog="Exit codes: 0 done · 1 a check failed · 2 bad input · 3 infeasible · 4 time ran out with nothing found.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeplan {metadata.version('edgeplan')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for _command in (
    demo,
    profile,
    pareto,
    plan,
    capacity,
    check,
    diff,
    run,
    serve,
    explain,
    sweep,
    report,
    solve,
    simulate,
    schema,
):
    app.command()(_command)
app.command("co-run")(co_run)
app.command("import")(import_file)
app.command()(export)
app.add_typer(planner, name="planner")
app.command()(fleet)


def main() -> None:
    """Run the command line."""
    app()
