"""Running OR-Tools CP-SAT: one place for its parameters, and for what is heard of it while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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


class Values(Protocol):
    """Values of variables: the solver's after its end, a callback's in between."""

    def boolean_value(self, literal: Any, /) -> bool:
        """Whether a literal is true."""
        ...


@dataclass(frozen=True)
class Listener:
    """What to do as CP-SAT comes on, called while it waits.

    Attributes
    ----------
    on_solution : callable
        Takes the values of a solution that is better than those before.
    on_bound : callable
        Takes a bound on the objective, in the model's integers.
    """

    on_solution: Callable[[Values], object]
    on_bound: Callable[[float], object]


def run_cp_sat(
    model: HasModel, stop: Stop, seed: int, listener: Listener | None = None, *, linearization_level: int = 1
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
    heard = None if listener is None else _Heard(solver, listener)

    def watch() -> None:
        # A cancellation is not a time limit, so somebody has to look.
        while not ended.wait(0.1):
            if stop():
                solver.stop_search()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        status = solver.status_name(solver.solve(model.cp, None if heard is None else heard.callback()))
    finally:
        ended.set()
        watcher.join()
    if heard is not None and heard.raised is not None:
        raise heard.raised
    if status == "MODEL_INVALID":
        raise SolverBugError(f"CP-SAT refuses the model: {model.cp.validate()}")
    return solver, status


class _Heard:
    """Calls a listener from within the library, through which no exception may pass: the first one is kept."""

    def __init__(self, solver: cp_model.CpSolver, listener: Listener) -> None:
        self.raised: BaseException | None = None
        self._solver = solver
        self._listener = listener
        solver.best_bound_callback = lambda bound: self._call(listener.on_bound, bound)

    def callback(self) -> cp_model.CpSolverSolutionCallback:
        from ortools.sat.python import cp_model

        heard = self

        class Solutions(cp_model.CpSolverSolutionCallback):
            def on_solution_callback(self) -> None:
                heard._call(heard._listener.on_solution, self)

        return Solutions()

    def _call(self, function: Callable[[Any], object], news: Any) -> None:
        if self.raised is not None:
            return
        try:
            function(news)
        except BaseException as error:
            self.raised = error
            self._solver.stop_search()
