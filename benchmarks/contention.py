"""Co-run slowdown: measured beside a few probes, fitted, and checked on pairs and triples that were not in the fit.

Four light models under every backend, on one thread and on all cores, run in closed loops side by side. The error of
predicted throughput stands beside those of two rivals on the same co-runs: fair shares of the cores and nothing else;
and fitted contention with fair shares. The last table is throughput by batch size and number of concurrent instances.

    python benchmarks/contention.py --output docs/results/contention.md
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from edgeplan.formulation import co_run_slowdowns
from edgeplan.interface.co_run_summary import activities_table, errors_table, throughput_table
from edgeplan.interface.table import Cell, Table
from edgeplan.profiles import local_platform
from edgeplan.profiles.contention import ContentionSettings, MeasuredContention, measure_contention

MODELS = ("squeezenet", "shufflenet", "inception_v1", "resnet50")
COMMAND = "python benchmarks/contention.py"


def markdown(table: Table) -> list[str]:
    """A table of the command line as Markdown."""
    rule = "|".join("---:" if column.startswith(">") else "---" for column in table.columns)
    rows = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]
    for before, row in zip([[""] * len(table.columns), *rows], rows, strict=False):
        row[0] = row[0] or before[0]
    return [
        f"| {' | '.join(column.lstrip('>') for column in table.columns)} |",
        f"|{rule}|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        table.note.replace("* every", "\\* every"),
        "",
    ]


def held_out_rows(measured: MeasuredContention) -> list[str]:
    """Every co-run that was held out: measured slowdowns, predicted ones with their intervals, and fair shares."""
    activities = measured.contention.activities
    cores = len(measured.platform.processors[0].cores)
    rows = []
    for run in measured.held_out:
        company = [activities[i] for i in run.members]
        fair = co_run_slowdowns(
            [a.model_copy(update={"sensitivity": 0.0, "oversubscription": 1.0, "claim": 1.0}) for a in company], cores
        )
        names = [f"{a.model} {a.configuration.rsplit('/', 2)[0]}" for a in company]
        seen = [f"{slowdown:.2f}" for slowdown in np.exp(run.log_slowdown)]
        predicted = [f"{p.slowdown:.2f} ({p.low:.2f} – {p.high:.2f})" for p in measured.predict(company)]
        columns = ["; ".join(names), "; ".join(seen), "; ".join(predicted), "; ".join(f"{x:.2f}" for x in fair)]
        rows.append(f"| {' | '.join(columns)} | {run.foreign_share:.0%} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="co-runs have the first of them")
    parser.add_argument("--probes", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=8, help="pairs, and as many triples")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--window-s", type=float, default=0.6)
    parser.add_argument("--budget-s", type=float, default=215.0, help="windows shrink to fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    settings = ContentionSettings(
        batches=tuple(arguments.batches),
        co_run_batches=tuple(arguments.batches[:1]),
        probes=arguments.probes,
        held_out_pairs=arguments.held_out,
        held_out_triples=arguments.held_out,
        rounds=arguments.rounds,
        window_s=arguments.window_s,
        budget_s=arguments.budget_s,
        seed=arguments.seed,
    )
    began = time.monotonic()
    measured = measure_contention({name: name for name in arguments.models}, local_platform(), settings)
    took_s = time.monotonic() - began

    fingerprint = measured.fingerprint
    shares = [run.foreign_share for run in (*measured.fitted, *measured.held_out)]
    lines = [
        "# Contention",
        "",
        *(__doc__ or "").strip().splitlines()[2:5],
        "",
        f"- command: `{COMMAND}`",
        f"- models: {', '.join(arguments.models)} (real architectures, seeded random weights)",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- settings: {settings.model_dump_json(exclude_none=True)}",
        f"- measured: {len(measured.fitted)} co-runs for the fit of {len(measured.contention.activities)} activities, "
        f"{len(measured.held_out)} held out, {len(measured.throughput)} cells of throughput, in {took_s:.0f} s; others "
        f"took {np.median(shares):.1%} of the machine in the middle co-run, {max(shares):.1%} in the worst",
        "",
        "## Error of predicted throughput",
        "",
        *markdown(errors_table(measured)),
        "## Activities",
        "",
        *markdown(activities_table(measured)),
        "## Co-runs that were held out",
        "",
        "Slowdowns of the members in their order.",
        "",
        "| side by side | measured | predicted (95 % interval) | fair share | others took |",
        "|---|---|---|---|---:|",
        *held_out_rows(measured),
        "",
        "## Throughput by batch and number of instances",
        "",
        *markdown(throughput_table(measured)),
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
