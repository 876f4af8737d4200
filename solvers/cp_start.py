"""Plans to start from: the shortest paths that combinations of placements come with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..formulation import Evaluation, ModelPlan, Plan, evaluate
from .assemble import Choice, model_plan, plan_of
from .claims import SolverBugError
from .core_sets import Placement
from .cp_arcs import Arc
from .cp_combinations import Combination, Combinations
from .cp_model_builder import ModelChoices
from .cp_path import ModelPath
from .cp_setting import Setting

_STARTING_COMBINATIONS = 30
"""Combinations whose shortest paths are tried as plans to start from."""


@dataclass(frozen=True)
class Incumbent:
    """A plan in hand and its score."""

    plan: Plan
    evaluation: Evaluation


def shortest_paths(setting: Setting, combinations: Combinations, found: Sequence[Combination]) -> Iterator[Incumbent]:
    """Scored plans of the shortest paths of the combinations with the best bounds, whatever limits they break."""
    for combination in found[:_STARTING_COMBINATIONS]:
        ways = combinations.ways(combination)
        parts = {
            name: model_plan_of(of, ways[name], of.placements[q])
            for (name, of), q in zip(setting.choices.items(), combination.placements, strict=True)
        }
        plan = plan_of(setting.problem, parts, "cp_sat")
        yield Incumbent(plan, evaluate(setting.problem, plan))


def model_plan_of(of: ModelChoices | ModelPath, way: Sequence[Arc], placement: Placement) -> ModelPlan:
    """Plan of one model from the arcs taken and the placement."""
    chain, choices = of.chain, []
    for arc in sorted(way, key=lambda arc: arc.a):
        cores = placement[arc.configuration]
        if cores is None:
            raise SolverBugError(f"a segment of {chain.model.name!r} is where its placement has no cores")
        at = chain.positions
        choices.append(Choice(at[arc.a], at[arc.b], chain.configurations[arc.configuration], cores))
    return model_plan(chain.model, choices)
