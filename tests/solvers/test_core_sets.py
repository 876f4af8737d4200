"""Core sets: what is on offer, and who may be given what."""

from __future__ import annotations

import pytest
from edgeplan.formulation import Configuration, Processor
from edgeplan.solvers.core_sets import family, fitting, placements, up_to_symmetry
from edgeplan.solvers.testing import ProblemKind, random_problem

ONE = Configuration(backend="b")
GANG = Configuration(backend="b", threads=2)


def cpu(n_cores: int) -> Processor:
    return Processor(name="cpu", cores=tuple(range(n_cores)), memory="host")


def test_few_cores_offer_every_subset() -> None:
    assert family(cpu(2)) == ((0,), (1,), (0, 1))
    assert len(family(cpu(4))) == 2**4 - 1


def test_many_cores_offer_aligned_blocks() -> None:
    sets = family(cpu(8))
    assert len(sets) == 8 + 4 + 2 + 1
    assert (4, 5, 6, 7) in sets
    assert (1, 2) not in sets


def test_every_gang_finds_a_block_of_its_size() -> None:
    assert (3, 4, 5) in family(cpu(6), thread_counts=[3])


def test_a_gang_fills_its_set_and_one_thread_takes_any() -> None:
    sets = family(cpu(2))
    assert fitting(sets, 1) == sets
    assert fitting(sets, 2) == ((0, 1),)


def test_a_model_among_others_stays_on_one_set_of_a_processor() -> None:
    problem = random_problem(ProblemKind(objective="response", models=2, layers=2, streams=True), 0)
    assert set(placements(problem, [ONE, GANG])) == {((0,), None), ((1,), None), ((0, 1), (0, 1))}


def test_without_requests_cores_do_not_matter() -> None:
    problem = random_problem(ProblemKind(models=2, layers=2), 0)
    assert placements(problem, [ONE, GANG]) == (((0, 1), (0, 1)),)


def test_one_core_is_as_good_as_another_for_the_first_model() -> None:
    problem = random_problem(ProblemKind(objective="response", models=2, layers=2, streams=True), 0)
    assert set(up_to_symmetry(problem, placements(problem, [ONE, GANG]))) == {((0,), None), ((0, 1), (0, 1))}


@pytest.mark.parametrize("n_cores", [3, 8])
def test_symmetry_keeps_one_set_of_each_size(n_cores: int) -> None:
    problem = random_problem(ProblemKind(objective="response", models=2, layers=2, streams=True, cores=n_cores), 0)
    kept = [cores for (cores,) in up_to_symmetry(problem, placements(problem, [ONE])) if cores is not None]
    assert sorted(len(cores) for cores in kept) == sorted({len(s) for s in family(cpu(n_cores))})
