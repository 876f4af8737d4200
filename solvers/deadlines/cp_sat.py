"""CP-SAT on job problems: any cuts of DAGs over any processors, with memory and contention; proven, or with a bound."""

from __future__ import annotations

from collections.abc import Collection

from ...formulation import JobProblem, JobSchedule
from ..cp_run import run_cp_sat
from ..stop import Share, Stop
from .answers import answer, improved, lower_bound
from .clashes import JobLimit, clashing, limits_of, relaxed
from .cp_model_builder import JobModel, Rounding, tick_us
from .dynamic_program import DynamicProgram
from .features import JobFeatures
from .heft import Heft
from .policies import Fifo, LatencyOptimalCut, LeastSlack
from .solution import JobSolution
from .timing import FlatJobs

_START_SHARE = 0.1
"""Share of the time that the heuristics may take that give the search its start."""
_BOUND_SHARE = 0.3
"""Share of what is left then for a bound, where rounded times or contention keep the main search from proving one."""


class CpSat:
    """Weighted misses first and then tardiness, or the makespan.

    Where all times are multiples of a tick (`cp_model_builder.TICKS_US`) and nothing slows down anything else, the
    model is the problem and its proofs hold. Otherwise schedules come from a model that is rounded to the safe side and
    bounds from one that is rounded to the other side and has no contention; if they meet, the schedule is optimal.
    """

    name = "cp_sat"

    def __init__(self) -> None:
        self.features = JobFeatures(exact=True)

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Solve until done or stopped."""
        start = _start(problem, Share(stop, _START_SHARE))
        first = answer(problem, start, self.name)
        if first.status == "optimal":
            return first
        flat, (tick, whole) = FlatJobs.of(problem), tick_us(problem)
        exact = whole and not problem.contended
        bound = lower_bound(problem)
        if not exact:
            below, status = _bound(problem, flat, tick, Share(stop, _BOUND_SHARE), seed)
            bound = max(bound, below)
            if status == "INFEASIBLE":
                return self._infeasible(problem, flat, tick, stop, seed)
        model = JobModel(problem, flat, tick, "up")
        if start is not None:
            model.hint(start)
        goal = model.makespan() if problem.objective == "makespan" else model.misses
        model.cp.minimize(goal)
        solver, status = run_cp_sat(model, stop, seed)
        if status == "INFEASIBLE":
            return self._infeasible(problem, flat, tick, stop, seed) if exact else first
        unit = tick if problem.objective == "makespan" else model.weight_unit
        if exact and status in ("OPTIMAL", "FEASIBLE", "UNKNOWN"):
            bound = max(bound, solver.best_objective_bound * unit if status != "UNKNOWN" else 0.0)
        found = [] if status == "UNKNOWN" else [model.schedule(solver)]
        proven = exact and status == "OPTIMAL"
        if found and problem.objective == "deadlines" and not isinstance(model.tardiness, int):
            model.cp.add(goal <= round(solver.objective_value))
            model.cp.clear_hints()
            model.hint(found[0])
            model.cp.minimize(model.tardiness)
            solver, status = run_cp_sat(model, stop, seed)
            proven = proven and status == "OPTIMAL"
            found += [model.schedule(solver)] if status in ("OPTIMAL", "FEASIBLE") else []
        best = _best(problem, flat, [*found, *([] if start is None else [start])])
        solution = answer(problem, best, self.name, bound)
        if proven and solution.schedule is not None and solution.status == "feasible":
            return JobSolution("optimal", self.name, solution.objective, solution.objective, schedule=solution.schedule)
        return solution

    def _infeasible(self, problem: JobProblem, flat: FlatJobs, tick: float, stop: Stop, seed: int) -> JobSolution:
        def feasible(kept: Collection[JobLimit]) -> bool | None:
            status = run_cp_sat(JobModel(relaxed(problem, kept), flat, tick, "down"), stop, seed)[1]
            return None if status == "UNKNOWN" else status != "INFEASIBLE"

        found = clashing(limits_of(problem), feasible)
        return JobSolution("infeasible", self.name, clashes=tuple(str(limit) for limit in found))


def _start(problem: JobProblem, stop: Stop) -> JobSchedule | None:
    """The best that the heuristics know."""
    dynamic, found = DynamicProgram(), []
    if dynamic.features.unsupported(problem) is None:
        found.append(dynamic.plan(problem, stop))
    for policy in (LeastSlack(), Fifo(), LatencyOptimalCut()):
        if not stop():
            found.append(policy.plan(problem))
    found.append(Heft().plan(problem, stop))
    return _best(problem, FlatJobs.of(problem), [schedule for schedule in found if schedule is not None])


def _best(problem: JobProblem, flat: FlatJobs, schedules: Collection[JobSchedule]) -> JobSchedule | None:
    """The cheapest feasible one."""
    scored = [improved(problem, schedule) for schedule in schedules]
    kept = [(schedule, evaluation) for schedule, evaluation in scored if evaluation.feasible]
    return min(kept, key=lambda pair: pair[1].cost)[0] if kept else None


def _bound(problem: JobProblem, flat: FlatJobs, tick: float, stop: Stop, seed: int) -> tuple[float, str]:
    rounding: Rounding = "down"
    model = JobModel(problem, flat, tick, rounding)
    model.cp.minimize(model.makespan() if problem.objective == "makespan" else model.misses)
    solver, status = run_cp_sat(model, stop, seed)
    if status not in ("OPTIMAL", "FEASIBLE"):
        return 0.0, status
    unit = tick if problem.objective == "makespan" else model.weight_unit
    return solver.best_objective_bound * unit, status
