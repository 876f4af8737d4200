"""Bounds are below every partition; reductions keep an optimum; searches agree with programs that prove."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import evaluate_partition
from edgeplan.solvers import TimeLimit, solve
from edgeplan.solvers.partition.bounds import average_load, longest_path
from edgeplan.solvers.partition.device_sets import DeviceSets
from edgeplan.solvers.partition.multilevel import Schedule, annealed, random_devices
from edgeplan.solvers.partition.reduced import reduced
from edgeplan.solvers.partition.reductions import shrunk
from edgeplan.solvers.partition.set_bound import SetBound, set_load
from edgeplan.solvers.partition.testing import PartitionKind, random_partition_problem

FREE = PartitionKind(contiguous=False, nodes=6, accelerators=2, density=0.5)
SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 25))]


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_are_below_the_optimum(seed: int) -> None:
    problem = random_partition_problem(FREE, seed)
    groups = reduced(problem)
    optimum = solve(problem, "brute_force").objective
    assert optimum is not None
    assert average_load(groups) <= optimum * (1 + 1e-12)
    assert SetBound(groups).raised(0.0, 2 * optimum, TimeLimit(3)) <= optimum * (1 + 1e-9)
    sample = problem.replace(objective="latency")
    assert longest_path(sample) <= solve(sample, "brute_force").objective * (1 + 1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_reductions_keep_partitions_below_the_limit(seed: int) -> None:
    problem = random_partition_problem(PartitionKind(contiguous=False, nodes=7, density=0.25), seed)
    optimum = solve(problem, "brute_force").objective
    assert optimum is not None
    small = shrunk(reduced(problem), optimum * (1 + 1e-6))
    best = min(
        evaluate_partition(problem, small.partition(np.array(device))).objective
        for device in np.ndindex(*[3] * small.n_groups)
    )
    assert best == pytest.approx(optimum, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_most_valuable_set_is_found(seed: int) -> None:
    problem = random_partition_problem(FREE, seed)
    groups = reduced(problem)
    rng = np.random.default_rng(seed)
    value = rng.uniform(0, 1, groups.n_groups)
    limit = 0.6 * float(groups.accelerator.sum())
    best = 0.0
    for bits in range(1, 1 << groups.n_groups):
        members = np.flatnonzero([(bits >> i) & 1 for i in range(groups.n_groups)])
        if set_load(groups, members) <= limit:
            best = max(best, float(value[members].sum()))
    priced = DeviceSets.of(groups)
    assert priced is not None
    found = priced.best(value, limit, 0.0, 0.0, np.zeros(1, dtype=np.bool_))
    assert found is not None
    assert float(value[found[0]].sum()) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_annealing_keeps_its_loads_right(seed: int) -> None:
    problem = random_partition_problem(PartitionKind(contiguous=False, nodes=30, accelerators=3, density=0.2), seed)
    groups = reduced(problem)
    rng = np.random.default_rng(seed)
    schedule = Schedule(20_000, 0.05, 1e-3, 4)
    device, value = annealed(groups, random_devices(groups, rng), schedule, 30.0, rng, np.zeros(1, dtype=np.bool_))
    assert evaluate_partition(problem, groups.partition(device)).objective == pytest.approx(value, rel=1e-9)
