"""Options of commands that hold conditions against plans."""

from __future__ import annotations

from typing import Annotated

import typer

from ..figures import Simulation

FailOnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="EXPR",
        help="Exit 1 where this holds, such as p99_us>20ms, camera.miss_ratio>1%, memory.ram>200MiB; may be repeated.",
    ),
]
RequestsOption = Annotated[
    int | None,
    typer.Option(min=20, help="Requests to simulate, of all models together: 10,000, as plans are chosen by."),
]


def simulation(requests: int | None, seed: int) -> Simulation:
    """What is to be simulated: by default as many requests as the planner itself judges plans by."""
    from ...solvers.policies import SIMULATED_REQUESTS

    return Simulation(SIMULATED_REQUESTS if requests is None else requests, seed)
