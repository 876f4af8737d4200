"""Utilisation in CP-SAT: the share of each core's time that the streams ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..formulation import Problem
from .cp_arcs import TIME_QUANTUM_US
from .cp_path import ModelPath

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    Expression = cp_model.LinearExpr | cp_model.IntVar | int

SHARE_PARTS = 10**9
"""Parts of a core's time that utilisation is counted in."""


def core_shares(cp: cp_model.CpModel, problem: Problem, paths: Mapping[str, ModelPath]) -> dict[int, Expression]:
    """Expression for the share of each core, in billionths."""
    asked: dict[int, Expression] = {core: 0 for processor in problem.platform.processors for core in processor.cores}
    for path in paths.values():
        if path.name in problem.stream_of:
            for core, share in _model_shares(cp, problem, path):
                asked[core] += share
    return asked


def _model_shares(cp: cp_model.CpModel, problem: Problem, path: ModelPath) -> list[tuple[int, Expression]]:
    """What one model asks of each core; for each set it may be placed on, only if it is placed there."""
    per_tick = problem.stream_of[path.name].rate_hz * TIME_QUANTUM_US / 1e6 * SHARE_PARTS
    found: list[tuple[int, Expression]] = []
    for processor, on_it in path.on_processor.items():
        for cores, here in path.placed_on(processor).items():
            parts = {arc: math.ceil(arc.core_ticks * per_tick / len(cores)) if on_it(arc) else 0 for arc in path.arcs}
            demand = path.total(parts.__getitem__)
            share: Expression = demand
            if len(here) < len(path.placed):
                share = cp.new_int_var(0, sum(parts.values()), f"share of {path.name} on {cores}")
                for literal in here:
                    cp.add(share >= demand).only_enforce_if(literal)
            found += [(core, share) for core in cores]
    return found
