"""SPEA2 and Hamming Local Pareto Search: archives that never lose, within the exact front, under equal budgets."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.solvers import TimeLimit, hypervolume, solve
from edgeplan.solvers.fronts.archive import Search
from edgeplan.solvers.fronts.hlps import Digits, Hlps
from edgeplan.solvers.fronts.spea2 import Spea2
from edgeplan.solvers.genomes import Genomes
from edgeplan.solvers.label_space import LabelSpace
from edgeplan.solvers.nsga2 import Nsga2
from edgeplan.solvers.testing import ProblemKind, random_problem

FRONT = ProblemKind(objective="front", layers=8, memory_slack=None)


def genomes_of(seed: int) -> Genomes:
    problem = random_problem(FRONT, seed)
    return Genomes(LabelSpace.of(problem, problem.models[0]))


def sound(found: Search, seed: int) -> float:
    """Share of the exact hypervolume, after what must hold for every archive was held."""
    exact = solve(random_problem(FRONT, seed), "dynamic_program").front
    best = hypervolume([(p.latency_us, p.memory_bytes) for p in exact], found.reference)
    assert found.hypervolumes == tuple(sorted(found.hypervolumes))
    assert found.evaluations_after == tuple(sorted(found.evaluations_after))
    assert found.hypervolumes[-1] <= best * (1 + 1e-12)
    return found.hypervolumes[-1] / best


@pytest.mark.parametrize("seed", range(2))
def test_spea2_comes_near_the_exact_front(seed: int) -> None:
    found = Spea2(population=30, generations=30).search(random_problem(FRONT, seed), TimeLimit(60), seed)
    # The first generation leaves out repeated genomes.
    assert 800 < found.evaluations <= 900
    assert sound(found, seed) > 0.95


@pytest.mark.parametrize("seed", range(2))
def test_hlps_comes_near_the_exact_front_within_its_samples(seed: int) -> None:
    found = Hlps(samples=900).search_genomes(genomes_of(seed), TimeLimit(60), seed)
    assert found.evaluations == 900
    assert sound(found, seed) > 0.8


def test_stock_operators_search_the_same_genomes() -> None:
    stock = Nsga2("none", population=30, generations=10, operators="stock")
    found = stock.search(random_problem(FRONT, 1), TimeLimit(60), 0)
    assert 250 < found.evaluations <= 300
    assert sound(found, 1) > 0.5


def test_digits_group_units_of_one_operator() -> None:
    genomes = genomes_of(0)
    by_name, by_index = Digits.of(genomes, "name"), Digits.of(genomes, "index")
    assert len(by_name.options) <= len(by_index.options) <= genomes.n_units
    rng = np.random.default_rng(0)
    start = by_index.random(rng)
    distances = [int(np.sum(c != start)) for c in by_index.at_every_distance(start, rng)]
    assert distances == list(range(1, len(distances) + 1))
    neighbours = list(by_index.neighbours(start))
    assert {int(np.sum(c != start)) for c in neighbours} == {1}
    assert len(neighbours) == sum(len(options) - 1 for options in by_index.options)


@pytest.mark.parametrize("method", ["spea2", "hlps"])
def test_both_can_be_called_by_name(method: str) -> None:
    problem = random_problem(ProblemKind(objective="front", layers=5, memory_slack=1.2), 2)
    first, second = solve(problem, method, seed=4), solve(problem, method, seed=4)
    assert first.status == "feasible"
    assert [p.plan.models for p in first.front] == [p.plan.models for p in second.front]
