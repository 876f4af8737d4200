"""NSGA-II: figures equal to the evaluator's, an archive that never loses, and fronts close to the exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import evaluate
from edgeplan.solvers import TimeLimit, hypervolume, solve
from edgeplan.solvers.assemble import model_plan, plan_of
from edgeplan.solvers.genomes import Genomes
from edgeplan.solvers.label_space import LabelSpace
from edgeplan.solvers.nsga2 import Nsga2, Seeding
from edgeplan.solvers.testing import ProblemKind, random_problem

FRONT = ProblemKind(objective="front", layers=8, memory_slack=None)


@pytest.mark.parametrize("two_memories", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_genomes_are_scored_as_the_evaluator_scores_them(two_memories: bool, seed: int) -> None:
    problem = random_problem(ProblemKind(objective="front", layers=8, two_memories=two_memories, streams=True), seed)
    (model,) = problem.models
    genomes = Genomes(LabelSpace.of(problem, model))
    rows = genomes.random(40, np.random.default_rng(seed))
    labels = genomes.labels(rows)
    memory = genomes.space.memory_bytes(labels)
    excess = genomes.excess(labels)
    for row, label, bytes_, over in zip(rows, labels, memory, excess, strict=True):
        choices = genomes.choices(row)
        scored = evaluate(problem, plan_of(problem, {model.name: model_plan(model, choices)}, "test"))
        assert scored.models[model.name].latency_us == label[0]
        assert sum(scored.memory_bytes.values()) == bytes_
        assert scored.feasible == (over == 0.0)
        assert genomes.choices(genomes.of_choices(choices)) == choices or not genomes.cuts_can_pay


@pytest.mark.parametrize("seeding", ["none", "greedy", "exact"])
def test_hypervolume_never_falls_and_never_exceeds_the_exact_one(seeding: Seeding) -> None:
    problem = random_problem(FRONT, 2)
    exact = solve(problem, "dynamic_program")
    found = Nsga2(seeding, population=30, generations=30).search(problem, TimeLimit(60), seed=1)
    best = hypervolume([(point.latency_us, point.memory_bytes) for point in exact.front], found.reference)
    assert len(found.hypervolumes) == 30
    assert found.hypervolumes == tuple(sorted(found.hypervolumes))
    assert found.hypervolumes[-1] <= best * (1 + 1e-12)
    assert found.hypervolumes[-1] >= 0.95 * best
    if seeding == "exact":
        assert found.hypervolumes[0] == pytest.approx(best)


def test_the_same_seed_gives_the_same_front() -> None:
    problem = random_problem(FRONT, 3)
    solver = Nsga2("none", population=20, generations=10)
    fronts = [[(p.latency_us, p.memory_bytes) for p in solve(problem, solver, seed=s).front] for s in (5, 5)]
    assert fronts[0] == fronts[1]


def test_limits_are_kept() -> None:
    problem = random_problem(ProblemKind(objective="front", layers=8, memory_slack=0.9), 5)
    exact, found = solve(problem, "dynamic_program"), solve(problem, Nsga2(generations=40))
    if exact.status == "optimal":
        assert found.front
        assert found.front[0].latency_us >= exact.front[0].latency_us
