"""``edgeplan co-run``: what models cost each other side by side on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output import Format, FormatOption, current_output
from .options import SeedOption, output_option
from .profile import named, parse_shapes


def co_run(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="ONNX files, or names of light models of the onnx package.")],
    output_path: Annotated[Path, output_option("Where to write the contention file.")],
    shape: Annotated[
        list[str] | None, typer.Option(help="Size of a dynamic input: NAME=1,3,224,224; may be given several times.")
    ] = None,
    backend: Annotated[list[str] | None, typer.Option(help="Backends; all that load where left out.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Thread counts; 1 and all cores if left out.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes; 1 where left out.")] = None,
    co_run_batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch sizes beside other models; all of them if left out.")
    ] = None,
    form: Annotated[list[str] | None, typer.Option(help="Session forms; each backend's first if left out.")] = None,
    instances: Annotated[
        list[int] | None, typer.Option(min=1, help="Concurrent instances; powers of two if left out.")
    ] = None,
    probes: Annotated[int, typer.Option(min=1, help="Activities that every other one is measured beside.")] = 3,
    held_out: Annotated[int, typer.Option(min=0, help="Pairs, and as many triples, that only check the fit.")] = 10,
    window_s: Annotated[float, typer.Option("--window", min=0.05, help="Seconds side by side in one round.")] = 0.6,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each measurement.")] = 3,
    budget_s: Annotated[
        float | None, typer.Option("--budget", min=1, help="Seconds for everything; windows shrink to fit.")
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Measure how much models slow each other down, and what batches and instances gain. Resumes if interrupted."""
    from ...profiles import local_platform
    from ...profiles.contention import ContentionSettings, measure_contention
    from ..co_run_summary import activities_table, co_run_data, errors_table, throughput_table

    output = current_output(context)
    settings = ContentionSettings(
        backends=tuple(backend) if backend else None,
        threads=tuple(threads) if threads else None,
        forms=tuple(form) if form else None,
        batches=tuple(batch) if batch else (1,),
        co_run_batches=tuple(co_run_batch) if co_run_batch else None,
        instances=tuple(instances) if instances else None,
        probes=probes,
        held_out_pairs=held_out,
        held_out_triples=held_out,
        window_s=window_s,
        rounds=rounds,
        budget_s=budget_s,
        seed=seed,
    )
    with output.progress("co-run") as progress:
        measured = measure_contention(
            named(models), local_platform(), settings, output_path, progress, shapes=parse_shapes(shape or ())
        )
    output.result(
        {"status": "done", "output": output_path, **co_run_data(measured)},
        activities_table(measured),
        errors_table(measured),
        throughput_table(measured),
        f"Contention written to {output_path}",
    )
