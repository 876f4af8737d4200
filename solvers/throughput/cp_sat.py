"""Exact search: CP-SAT proposes structures by a relaxation, the evaluator scores them, what was scored is excluded.

Logic-based Benders decomposition (Hooker, Ottosson 2003, doi 10.1007/s10107-003-0375-9). The first incumbent is that of
local search. The bound is the relaxation's over what is not yet excluded, so it is proven whenever time runs out.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ...formulation.throughput import ServiceLimit, ThroughputProblem
from ..cp_run import run_cp_sat
from ..stop import Share, Stop
from .bounds import core_time_bound
from .cp_model_builder import StructureModel
from .features import ThroughputFeatures
from .offer import Offer
from .outcome import RESOLUTION, solution_of
from .rates import Rates, Scored
from .search import local_search
from .solution import ThroughputSolution
from .structure import Structure, fits

_DEALS = 300
"""Ways to deal a structure's instances to lanes that are tried. Where there are more, what the structure could do at
best stays in the bound."""

_SEARCH_SHARE = 0.4
"""Of the time goes to local search, at most."""


class CpSat:
    """Best plan with a proven gap; optimal within `outcome.RESOLUTION`."""

    name = "cp_sat"
    features = ThroughputFeatures(exact=True)

    def solve(self, problem: ThroughputProblem, stop: Stop, seed: int) -> ThroughputSolution:
        """Search until proven or stopped."""
        offer = Offer.of(problem)
        best, bound, ended = searched(offer, stop, seed)
        if best is None and ended:
            from .clashes import find_clashes, infeasible

            return infeasible(self.name, problem, find_clashes(problem, stop, seed))
        return solution_of(self.name, offer, best, bound)


def searched(
    offer: Offer, stop: Stop, seed: int, kept: frozenset[ServiceLimit] | None = None, *, any_plan: bool = False
) -> tuple[Scored | None, float, bool]:
    """The best structure, a bound of the objective, and whether the search came to its end.

    Parameters
    ----------
    offer : Offer
    stop : Stop
    seed : int
    kept : frozenset of ServiceLimit, optional
        Limits to keep; all where left out.
    any_plan : bool
        Whether the first plan that keeps the limits is enough.
    """
    rates = Rates(offer, kept)
    bound = core_time_bound(offer) if kept is None else core_time_bound(offer, kept)
    if bound == np.inf or _never_in_time(offer, kept):
        return None, np.inf, True
    enough = np.inf if any_plan else bound
    best = local_search(offer, rates, Share(stop, _SEARCH_SHARE), seed, good_enough=enough)
    if best is not None and (any_plan or _close(best.objective, bound)):
        return best, bound, True
    model = StructureModel(offer, bound, kept)
    if best is not None:
        model.demand(_target(best.objective))
    left = np.inf  # what structures could do at best of which not every deal was tried
    while not stop():
        solver, status = run_cp_sat(model, stop, seed)
        if status == "INFEASIBLE":
            proven = left if best is None else min(max(bound, _target(best.objective)), left)
            return best, proven, left == np.inf
        if status == "UNKNOWN":
            break
        bound = max(bound, model.objective_bound(solver.best_objective_bound))
        if status != "OPTIMAL":
            # Stopped with a proposal: still worth a look.
            best, _ = _with_windows(offer, rates, model.structure(solver), best)
            break
        proposed = model.structure(solver)
        better, complete = _with_windows(offer, rates, proposed, best)
        if not complete:
            left = min(left, bound)
        if better is not best and better is not None:
            best = better
            if any_plan or _close(best.objective, min(bound, left)):
                return best, min(bound, left), True
            model.demand(_target(best.objective))
        model.exclude(proposed)
    return best, min(bound, left, np.inf if best is None else best.objective), False


def _never_in_time(offer: Offer, kept: frozenset[ServiceLimit] | None) -> bool:
    """Whether some model misses its deadline on whatever runs it, even on an idle device."""
    problem = offer.problem
    timely = {c.model for c in offer.columns if c.quickest_us <= problem.deadline_us[c.model]}
    return any(
        i not in timely and (kept is None or ServiceLimit("response", model.name) in kept)
        for i, model in enumerate(problem.models)
    )


def _target(objective: float) -> float:
    """What is worth looking for: better by half the resolution."""
    return objective - 0.5 * RESOLUTION * abs(objective)


def _close(objective: float, bound: float) -> bool:
    return objective - bound <= RESOLUTION * abs(objective)


def _with_windows(offer: Offer, rates: Rates, structure: Structure, best: Scored | None) -> tuple[Scored | None, bool]:
    """The better of the best known and of this structure with any windows; and whether every deal was tried."""
    choices = []
    for options, n in zip(offer.batchings, structure.batching, strict=True):
        choices.append([k for k, option in enumerate(options) if option.max_batch == options[n].max_batch])
    complete = True
    for batching in product(*choices):
        made = Structure(batching, structure.instances, structure.lanes)
        if fits(offer, made):
            better, all_tried = rates.best_dealt(made, np.inf if best is None else best.objective, _DEALS)
            best, complete = better or best, complete and all_tried
    return best, complete
