"""``edgeplan simulate``: tenants of an accelerator, played request by request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ...formulation import Allocation, WorkloadError, evaluate_tenancy
from ..output import Format, FormatOption, current_output
from ..units import milliseconds
from .options import SeedOption

DURATION_S = 3600.0
"""Seconds of arrivals that are drawn by default."""


def simulate(
    context: typer.Context,
    scenario: Annotated[Path, typer.Argument(help="Scenario with an accelerator (YAML).")],
    plan: Annotated[
        Path | None,
        typer.Option(help="Allocation by `edgeplan plan`. Without one, whole models on the accelerator."),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Requests to play (CSV with the columns time_s and model), all of them.")
    ] = None,
    duration_s: Annotated[
        float | None, typer.Option("--duration", min=0.001, help="Seconds of arrivals: 3600, with a trace its own.")
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Share of requests left out at the front: 0.1, with a trace 0."),
    ] = None,
    allow_unstable: Annotated[
        bool, typer.Option("--allow-unstable", help="Simulate even where queues grow without end.")
    ] = False,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Simulate tenants that share an accelerator: responses, swaps and utilisation."""
    from ...formulation.tenancy.simulation import Requests, simulate_tenancy
    from ..tenancy import load_tenancy, simulation_data, simulation_tables, trace_rates, whole_models

    output = current_output(context)
    case = load_tenancy(scenario)
    if trace is not None:
        if duration_s is not None:
            raise WorkloadError(
                f"trace {trace}",
                expected="no duration beside it, for a trace is played whole",
                got=f"--duration {duration_s:g}",
                remedy="Leave out one of them.",
            )
        requests = Requests.from_csv(trace, case.names)
        problem = case.problem(trace_rates(requests, len(case.names)))
    else:
        requests = None
        problem = case.problem()
    allocation = Allocation.load(plan) if plan is not None else whole_models(problem)
    evaluation = evaluate_tenancy(problem, allocation)
    entries = case.scenario.tenants
    # Batches may serve more than the formulas, which know none, think possible.
    batched = any(entry.batching is not None for entry in entries)
    if trace is None and not batched and not evaluation.stable and not allow_unstable:
        raise WorkloadError(
            f"scenario {scenario}",
            expected="a load that every processor can keep up with",
            got=evaluation.unstable[0],
            remedy="Lower the rates, plan other partition points, or simulate the overload with --allow-unstable.",
        )
    if requests is None:
        arrivals = [entry.arrival for entry in case.scenario.tenants if entry.arrival is not None]
        duration_s = DURATION_S if duration_s is None else duration_s
        requests = Requests.from_arrivals(arrivals, duration_s * 1e6, seed)
        if not len(requests):
            raise WorkloadError(
                f"scenario {scenario}",
                expected="a request within the duration",
                got=f"none in {duration_s:g} s",
                remedy="Simulate longer (`--duration`).",
            )
    simulation = simulate_tenancy(
        problem,
        allocation,
        requests,
        seed=seed,
        warm_up=(0.0 if trace is not None else 0.1) if warm_up is None else warm_up,
        discipline=case.scenario.discipline,
        priority=[entry.priority for entry in entries],
        batching=[entry.batching for entry in entries],
    )
    data = simulation_data(case, simulation)
    data["predicted_mean_us"] = evaluation.mean_response_us if evaluation.stable else np.inf
    data["unstable"] = list(evaluation.unstable)
    told = list(evaluation.unstable) or [
        "The formulas (Poisson arrivals, first come first served, no batches) predict a mean response of "
        f"{milliseconds(evaluation.mean_response_us)} ms."
    ]
    output.result(data, *simulation_tables(case, simulation), *told)
