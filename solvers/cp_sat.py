"""CP-SAT for several models together: cuts, configurations and core sets at once, with a proven gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..formulation import Evaluation, Plan, Problem, capped, evaluate
from .assemble import plan_of
from .claims import SolverBugError
from .cp_clashes import cp_clashes
from .cp_combinations import Combination, Combinations
from .cp_model_builder import CpProblem
from .cp_run import Listener, Values, run_cp_sat
from .cp_setting import Setting
from .cp_start import Incumbent, model_plan_of, shortest_paths
from .features import Features
from .greedy import greedy_plan
from .limits import Limit, limits_of
from .progress import Reporter
from .solution import Solution
from .stop import Share, Stop

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_STATED_COMBINATIONS = 2_000
"""Most combinations whose bounds are stated to CP-SAT."""

_PRICED_STARTS = 5
"""Combinations tried as plans at each step of pricing memory."""

_PRICING_STEPS = 20
_PRICING_SHARE = 0.25
"""Steps of pricing memory, and the share of the time that they may take."""

_GREEDY_SHARE = 0.2
"""Share of the time that the greedy start may take."""


class CpSat:
    """OR-Tools CP-SAT (Perron, Didier, Gay 2023, doi 10.4230/LIPIcs.CP.2023.3) over segments and placements.

    Bounds of combinations of placements come first (`cp_combinations`); they leave CP-SAT the few arcs that can be in
    a better plan than the one in hand. ``optimal`` holds up to the rounding of durations to nanoseconds, which the
    bound accounts for, and for plans in which a model keeps to one core set of each processor.
    """

    name = "cp_sat"
    features = Features(
        objectives=frozenset({"latency", "response"}),
        exact=True,
        several_models=True,
        several_memories=True,
        overlapping_segments=False,
    )

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; start from the shortest paths of the best combinations, or where they break limits, greedily."""
        limits = frozenset(limits_of(problem))
        setting = Setting.of(problem, limits)
        combinations, found, best = self._start(setting, limits, stop)
        if best is None and found != ():
            greedy = greedy_plan(problem, Share(stop, _GREEDY_SHARE))
            best = Incumbent(*greedy) if greedy is not None and greedy[1].feasible else None
        bound = combinations.floor()
        if found is not None:
            found = tuple(c for c in found if c.bound <= _most(setting, best))
            if not found:
                return self._without_better(setting, best, stop, seed)
            bound = found[0].bound
            setting = replace(setting, choices=combinations.pruned(found, _most(setting, best)))
        _tell(setting, best, bound, stop.reporter)
        if stop():
            return self._answer(setting, best, bound, optimal=False)
        thinned = setting.thinned()
        complete, setting = thinned is setting, thinned
        model = CpProblem(problem, setting.choices, setting.parts)
        model.keep(limits, limits_of(problem))
        model.cp.minimize(_objective(model, setting, found, _most(setting, best)))
        if best is not None:
            _hint(model, best.plan)
        heard = _listener(model, setting, bound, complete, stop.reporter) if stop.reporter.is_heard else None
        solver, status = run_cp_sat(model, stop, seed, heard)
        if status == "INFEASIBLE" and complete and best is None:
            return self._without_better(setting, best, stop, seed)
        if status in ("OPTIMAL", "FEASIBLE"):
            other = _extracted(model, solver)
            _refuse_disagreement(setting, solver.objective_value, other.evaluation, status)
            best = other if best is None else min(best, other, key=lambda each: each.evaluation.objective)
        if complete and status in ("OPTIMAL", "FEASIBLE"):
            bound = max(bound, solver.best_objective_bound)
        return self._answer(setting, best, bound, optimal=complete and status == "OPTIMAL")

    def _answer(self, setting: Setting, best: Incumbent | None, bound: float, optimal: bool) -> Solution:
        if best is None:
            return Solution("timeout", self.name)
        objective = best.evaluation.objective
        true_bound = min(objective, setting.true_bound(bound, objective))
        status = "optimal" if optimal else "feasible"
        return Solution(status, self.name, plan=best.plan, objective=objective, bound=true_bound)

    def _without_better(self, setting: Setting, best: Incumbent | None, stop: Stop, seed: int) -> Solution:
        """Nothing is left that could be better than the plan in hand, or that could be a plan at all."""
        if best is not None:
            return self._answer(setting, best, _most(setting, best), optimal=True)
        return Solution("infeasible", self.name, clashes=cp_clashes(setting.problem, stop, seed))

    def _start(
        self, setting: Setting, limits: frozenset[Limit], stop: Stop
    ) -> tuple[Combinations, tuple[Combination, ...] | None, Incumbent | None]:
        """Combinations with the best bounds found, and the best plan among their shortest paths.

        Where these exceed a limit on memory, memory is priced, in steps towards the limit whose length is the distance
        to the best objective known over the square of the excess (Polyak 1969, doi 10.1016/0041-5553(69)90061-5).
        """
        free = Combinations(setting.problem, setting.choices, setting.weights, setting.parts)
        found = free.within(math.inf, limits, stop) if free.memory_can_do(limits) else ()
        best = self._started(setting, free, found or (), None)
        tightest, bounds, priced, prices = free, found, free, dict.fromkeys(setting.problem.memory_limit, 0.0)
        part = Share(stop, _PRICING_SHARE)
        for step in range(_PRICING_STEPS):
            if not found or part():
                break
            excess = priced.memory_excess(found[0])
            active = {name: units for name, units in excess.items() if units > 0 or prices[name] > 0}
            square = sum(float(units) ** 2 for units in active.values())
            target = _most(setting, best) if best is not None else 1.2 * found[0].bound
            if not square or target <= found[0].bound:
                break
            length = (target - found[0].bound) / square * 0.9**step
            prices |= {name: max(0.0, prices[name] + length * units) for name, units in active.items()}
            priced = free.with_memory_prices(prices)
            found = priced.within(math.inf, limits, part)
            best = self._started(setting, priced, (found or ())[:_PRICED_STARTS], best)
            if found and bounds and found[0].bound > bounds[0].bound:
                tightest, bounds = priced, found
        return tightest, bounds, best

    def _started(
        self,
        setting: Setting,
        combinations: Combinations,
        found: Sequence[Combination],
        best: Incumbent | None,
    ) -> Incumbent | None:
        """The best of a plan in hand and the shortest paths of the combinations with the best bounds."""
        for other in shortest_paths(setting, combinations, found):
            feasible = other.evaluation.feasible
            if feasible and (best is None or other.evaluation.objective < best.evaluation.objective):
                best = other
        return best


def _most(setting: Setting, best: Incumbent | None) -> float:
    return math.inf if best is None else setting.most(best.evaluation.objective)


def _objective(
    model: CpProblem, setting: Setting, found: Sequence[Combination] | None, most: float
) -> cp_model.LinearExpr | cp_model.IntVar | int:
    """The objective, with the bounds of combinations of placements stated where they were listed."""
    total = model.objective(setting.weights)
    if found is None or len(found) > _STATED_COMBINATIONS:
        return total
    cp = model.cp
    chosen = [cp.new_bool_var(f"combination {combination.placements}") for combination in found]
    cp.add_exactly_one(chosen)
    for i, path in enumerate(model.paths.values()):
        for k, placed in enumerate(path.placed):
            cp.add(sum(z for z, c in zip(chosen, found, strict=True) if c.placements[i] == k) == placed)
    highest = min(most, sum(setting.weights[n] * of.longest_ticks for n, of in setting.choices.items()) * setting.parts)
    bounded = cp.new_int_var(found[0].bound, max(math.ceil(highest), found[-1].bound), "objective")
    cp.add(bounded >= total)
    cp.add(bounded >= sum(z * combination.bound for z, combination in zip(chosen, found, strict=True)))
    return bounded


def _tell(setting: Setting, best: Incumbent | None, bound: float, reporter: Reporter) -> None:
    """Tell of a plan in hand, and of what is known of all others once there is one."""
    if best is not None and best.evaluation.feasible:
        reporter.found(best.evaluation.objective)
    if reporter.objective is not None:
        reporter.bounded(setting.true_bound(bound, reporter.objective))


def _listener(model: CpProblem, setting: Setting, floor: float, complete: bool, reporter: Reporter) -> Listener:
    """Tells of plans as CP-SAT finds them, and of its bound where that holds for all plans."""

    def on_solution(values: Values) -> None:
        _tell(setting, _extracted(model, values), floor, reporter)

    def on_bound(bound: float) -> None:
        if complete:
            _tell(setting, None, max(bound, floor), reporter)

    return Listener(on_solution, on_bound)


def _hint(model: CpProblem, plan: Plan) -> None:
    for name, path in model.paths.items():
        part = plan.model_plan(name)
        segments = {(s.start, s.stop, s.configuration): s.cores for s in part.segments}
        cores = set(segments.values())
        at = path.chain.positions
        for arc, literal in zip(path.arcs, path.taken, strict=True):
            key = (at[arc.a], at[arc.b], path.chain.configurations[arc.configuration])
            model.cp.add_hint(literal, key in segments)
        for placement, literal in zip(path.placements, path.placed, strict=True):
            model.cp.add_hint(literal, cores == {s for s in placement if s is not None})


def _extracted(model: CpProblem, values: Values) -> Incumbent:
    parts = {}
    for name, path in model.paths.items():
        taken = [arc for arc, literal in zip(path.arcs, path.taken, strict=True) if values.boolean_value(literal)]
        (placement,) = (p for p, z in zip(path.placements, path.placed, strict=True) if values.boolean_value(z))
        parts[name] = model_plan_of(path, taken, placement)
    plan = plan_of(model.problem, parts, CpSat.name)
    return Incumbent(plan, evaluate(model.problem, plan))


def _refuse_disagreement(setting: Setting, found: float, evaluation: Evaluation, status: str) -> None:
    """CP-SAT's integers and the evaluator's figures must be the same but for what rounding explains.

    Raises
    ------
    SolverBugError
    """
    if not evaluation.feasible:
        raise SolverBugError(f"CP-SAT's plan breaks limits: {capped(evaluation.violations)}")
    objective = evaluation.objective
    slack = objective * (setting.weight_error + 1e-9)
    low, high = objective - slack, objective + slack + setting.rounding * setting.unit
    value = found * setting.unit
    if value < low or (status == "OPTIMAL" and value > high):
        raise SolverBugError(f"CP-SAT's objective is {value}, but the evaluator says {objective}")
