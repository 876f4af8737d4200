"""Running OR-Tools CP-SAT: one place for its parameters."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from .claims import SolverBugError
from .stop import Stop

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_WORKERS = 1
"""One worker: the same seed gives the same plan on every machine. Several, interleaved, are no faster here, and
OR-Tools 9.15 aborts the process ("Check failed: heuristics.fixed_search") where one ends a search that others load."""


class HasModel(Protocol):
    """Whatever carries a CP-SAT model."""

    @property
    def cp(self) -> cp_model.CpModel:
        """The model."""
        ...


def run_cp_sat(
    model: HasModel, stop: Stop, seed: int, *, linearization_level: int = 1
) -> tuple[cp_model.CpSolver, str]:
    """Run CP-SAT until done or stopped; 'OPTIMAL', 'FEASIBLE', 'INFEASIBLE' or 'UNKNOWN'.

    `linearization_level` is CP-SAT's own: 2 puts implications into its linear relaxation too.
    """
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    if stop():
        return solver, "UNKNOWN"
    solver.parameters.max_time_in_seconds = stop.remaining_s
    solver.parameters.random_seed = seed
    solver.parameters.num_workers = _WORKERS
    solver.parameters.linearization_level = linearization_level
    # Presolve of OR-Tools 9.15 compares linear constraints with each other and then removes feasible plans: it called
    # 1 in 20 of our small problems infeasible or gave them a worse optimum. No work allowed there, no harm done.
    solver.parameters.presolve_inclusion_work_limit = 0
    ended = threading.Event()

    def watch() -> None:
        # A cancellation is not a time limit, so somebody has to look.
        while not ended.wait(0.1):
            if stop():
                solver.stop_search()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        status = solver.status_name(solver.solve(model.cp))
    finally:
        ended.set()
        watcher.join()
    if status == "MODEL_INVALID":
        raise SolverBugError(f"CP-SAT refuses the model: {model.cp.validate()}")
    return solver, status
