"""What CP-SAT works on: choices of all models, the unit of its integer objective, and how far rounding may lead."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..formulation import Model, Problem, UnsupportedError, competing_releases
from .chain import Chain
from .core_sets import Placement, placements, up_to_symmetry
from .cp_arcs import TIME_QUANTUM_US, arcs_of
from .cp_model_builder import LARGEST_SUM, ModelChoices
from .cp_path import longest_way
from .cp_responses import parts_of_a_tick
from .limits import Limit, highest_accepted, limits_of

_WEIGHT_SCALES = (1, 2, 4, 5, 10, 100, 1000)
"""Weights are held as integers: over the first of these that makes them whole, else to a thousandth of the smallest."""

MOST_ARCS = 30_000
"""Where more arcs are left, cuts are thinned out before CP-SAT starts, and optimality is no longer claimed."""


@dataclass(frozen=True, eq=False)
class Setting:
    """Choices and units of one problem.

    Attributes
    ----------
    problem : Problem
    choices : dict of str to ModelChoices
    weights : dict of str to int
    parts : int
        Parts of a tick that responses are counted in.
    unit : float
        What one unit of the integer objective is worth in the problem's own unit.
    weight_error : float
        Largest relative error of a weight by its rounding to an integer.
    rounding : int
        Most that rounding durations up can add to the objective of one plan, in integer units.
    """

    problem: Problem
    choices: Mapping[str, ModelChoices]
    weights: Mapping[str, int]
    parts: int
    unit: float
    weight_error: float
    rounding: int

    @classmethod
    def of(cls, problem: Problem, kept: Collection[Limit]) -> Setting:
        """All choices of a problem of which the limits `kept` are to hold.

        Raises
        ------
        UnsupportedError
            Its objective does not fit into CP-SAT's integers.
        """
        chains = {model.name: Chain.of(problem, model) for model in problem.models}
        offered = {name: placements(problem, chain.configurations) for name, chain in chains.items()}
        most_placed = max(offered, key=lambda name: len(offered[name]))
        offered[most_placed] = up_to_symmetry(problem, offered[most_placed])
        parts = parts_of_a_tick(placement for each in offered.values() for placement in each)
        choices = {name: _choices(problem, chain, offered[name], kept) for name, chain in chains.items()}
        choices = _with_longest(problem, choices, kept)
        weights, scale, error = _integer_weights(problem)
        largest = sum(weights[name] * parts * of.longest_us / TIME_QUANTUM_US for name, of in choices.items())
        if largest > LARGEST_SUM:
            raise UnsupportedError(
                "'cp_sat'",
                expected=f"an objective of less than {LARGEST_SUM:.2g} of its integer units",
                got=f"one that may reach {largest:.2g}: rates, times and weights are that far apart",
                remedy="Take the method greedy, or bring weights closer together and rates to what the device can do.",
            )
        rounding = _rounding(problem, chains, weights, parts)
        return cls(problem, choices, weights, parts, TIME_QUANTUM_US / parts / scale, error, rounding)

    def most(self, objective: float) -> float:
        """Largest integer objective of any plan whose true objective is at most `objective`."""
        return objective / self.unit * (1 + self.weight_error) + self.rounding

    def true_bound(self, integer_bound: float, objective: float) -> float:
        """A bound on the true objective of every plan that is as good as `objective`, from one on the integer one."""
        return (integer_bound - self.rounding) * self.unit - self.weight_error * objective

    def thinned(self) -> Setting:
        """Copy with fewer cuts, balanced by time, so that at most `MOST_ARCS` arcs are left; itself where they are."""
        choices = dict(self.choices)
        while sum(len(of.arcs) for of in choices.values()) > MOST_ARCS:
            name = max(choices, key=lambda name: len(choices[name].arcs))
            of = choices[name]
            model = of.chain.model
            fewer = max(1, of.chain.n_units * 3 // 4)
            at = _balanced(self.problem, model, fewer)
            chain = Chain.of(self.problem, model, at)
            choices[name] = replace(of, chain=chain, arcs=arcs_of(chain, of.longest_us))
        return self if choices == self.choices else replace(self, choices=choices)


def _balanced(problem: Problem, model: Model, n_units: int) -> tuple[int, ...]:
    """Cuts of the model's own that part it into about `n_units` units of equal time."""
    usable = model.costs.layer_us[:, problem.usable[model.name]]
    weights = np.concatenate([[0.0], np.cumsum(np.nanmin(usable, axis=1))])[list(model.cuts.positions)]
    targets = weights[-1] * np.arange(1, n_units) / n_units
    inner = {model.cuts.positions[int(np.argmin(np.abs(weights[1:-1] - t))) + 1] for t in targets}
    return (0, *sorted(inner), model.graph.n_layers)


def _choices(problem: Problem, chain: Chain, offered: tuple[Placement, ...], kept: Collection[Limit]) -> ModelChoices:
    name = chain.model.name
    deadline = Limit("deadline", name)
    longest_us = highest_accepted(limits_of(problem)[deadline]) if deadline in kept else math.inf
    return ModelChoices(chain, arcs_of(chain, longest_us), offered, longest_us)


def _with_longest(
    problem: Problem, choices: Mapping[str, ModelChoices], kept: Collection[Limit]
) -> dict[str, ModelChoices]:
    """State for each model a time that no response exceeds: its deadline, or all that it could conceivably wait for."""
    sets = len(problem.platform.processors)
    path_us, core_us = {}, {}
    for name, of in choices.items():
        path_us[name] = longest_way(of.chain.n_units, of.arcs, lambda arc: arc.path_ticks) * TIME_QUANTUM_US
        core_us[name] = longest_way(of.chain.n_units, of.arcs, lambda arc: arc.core_ticks) * TIME_QUANTUM_US
    found = {}
    for name, of in choices.items():
        mine = problem.stream_of.get(name)
        waits = 0.0
        for other in choices:
            if other != name and problem.streams:
                releases = competing_releases(mine, problem.stream_of.get(other))
                waits += sets * max(path_us[other], releases * core_us[other])
        # A soft deadline bounds latency and blocking, but not the response that the objective counts.
        bounded = mine is not None and (mine.is_hard or problem.objective != "response")
        conceivable = path_us[name] + waits
        found[name] = replace(of, longest_us=min(of.longest_us, conceivable) if bounded else conceivable)
    return found


def _integer_weights(problem: Problem) -> tuple[dict[str, int], float, float]:
    """Weights as integers, the scale they are over, and their largest relative error."""
    given = {m.name: s.weight if (s := problem.stream_of.get(m.name)) else 1.0 for m in problem.models}
    whole = (scale for scale in _WEIGHT_SCALES if all((w * scale).is_integer() for w in given.values()))
    scale = next(whole, 1000.0 / min(given.values()))
    weights = {name: round(w * scale) for name, w in given.items()}
    divisor = math.gcd(*weights.values())
    error = max(abs(weights[name] / scale - w) / w for name, w in given.items())
    return {name: w // divisor for name, w in weights.items()}, scale / divisor, error


def _rounding(problem: Problem, chains: Mapping[str, Chain], weights: Mapping[str, int], parts: int) -> int:
    """Most units that rounding up can add to the objective of a plan; 0 where all durations are whole ticks."""
    if all(_whole(chain) for chain in chains.values()):
        return 0
    total = 0
    for name, chain in chains.items():
        # Each segment is rounded up at most three times: its run, the move before it, the way back after the last.
        rounded = 3 * chain.n_units
        if problem.objective == "response":
            rounded += len(problem.platform.processors)
            for other, theirs in chains.items():
                if other != name:
                    releases = competing_releases(problem.stream_of.get(name), problem.stream_of.get(other))
                    rounded += releases * theirs.n_units * int(theirs.threads.max())
        total += weights[name] * parts * rounded
    return total


def _whole(chain: Chain) -> bool:
    durations = [chain.latency_us, chain.move_us, chain.arrive_us, chain.leave_us]
    finite = np.concatenate([values[np.isfinite(values)].ravel() for values in durations])
    return bool(np.all(np.mod(finite, TIME_QUANTUM_US) == 0))
