"""Which co-runs are measured: every activity in the fit, nothing held out in it, and few of them."""

import pytest
from edgeplan.formulation import Activity
from edgeplan.profiles.contention import design_co_runs
from edgeplan.profiles.contention.design import choose_probes, threads_per_core
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Activity], list[float], int]:
    cores = draw(st.integers(1, 8))
    n = draw(st.integers(1, 14))
    threads = draw(st.lists(st.sampled_from(sorted({1, cores})), min_size=n, max_size=n))
    weights = draw(st.lists(st.floats(0, 1e9), min_size=n, max_size=n))
    return [Activity(model=f"m{i}", configuration="c", threads=t) for i, t in enumerate(threads)], weights, cores


@given(cases(), st.integers(1, 4))
def test_every_activity_is_in_the_fit_beside_every_probe(
    case: tuple[list[Activity], list[float], int], n_probes: int
) -> None:
    activities, weights, cores = case
    design = design_co_runs(activities, weights, cores, n_probes=n_probes)
    for i in range(len(activities)):
        for probe in design.probes:
            assert tuple(sorted((i, probe))) in design.fitted
    assert len(design.fitted) <= (n_probes + 1) * len(activities)
    assert 1 <= len(design.probes) <= n_probes


@given(cases(), st.integers(0, 5))
def test_what_is_held_out_is_never_in_the_fit(case: tuple[list[Activity], list[float], int], seed: int) -> None:
    activities, weights, cores = case
    design = design_co_runs(activities, weights, cores, n_pairs=6, n_triples=4, seed=seed)
    assert not set(design.fitted) & set(design.held_out)
    assert len(set(design.held_out)) == len(design.held_out)
    assert sum(len(c) == 2 for c in design.held_out) <= 6
    assert sum(len(c) == 3 for c in design.held_out) <= 4
    assert all(c == tuple(sorted(c)) for c in (*design.fitted, *design.held_out))
    assert design == design_co_runs(activities, weights, cores, n_pairs=6, n_triples=4, seed=seed)


@given(cases(), st.floats(1, 3))
def test_no_co_run_has_more_threads_than_allowed(case: tuple[list[Activity], list[float], int], most: float) -> None:
    activities, weights, cores = case
    design = design_co_runs(activities, weights, cores, most_oversubscribed=most)
    assert all(threads_per_core(c, activities, cores) <= most for c in (*design.fitted, *design.held_out))


def test_each_activity_is_also_measured_where_cores_are_short() -> None:
    activities = [Activity(model=f"m{i}", configuration="c", threads=1 + (i > 5)) for i in range(8)]
    design = design_co_runs(activities, range(8), 2)
    for i in range(8):
        assert any(i in c and threads_per_core(c, activities, 2) > 1 for c in design.fitted)


def test_pairs_and_triples_of_either_kind_are_held_out() -> None:
    activities = [Activity(model=f"m{i}", configuration="c", threads=4 if i % 2 else 1) for i in range(12)]
    design = design_co_runs(activities, range(12), 4, n_pairs=6, n_triples=6)
    for size in (2, 3):
        within = [threads_per_core(c, activities, 4) <= 1 for c in design.held_out if len(c) == size]
        assert sum(within) == 3
        assert len(within) == 6


def test_probes_span_the_weights_and_differ_in_model() -> None:
    activities = [
        Activity(model=model, configuration=backend, threads=threads)
        for model in "abcde"
        for backend in "xy"
        for threads in (1, 2)
    ]
    weights = [float("ecabd".index(a.model)) for a in activities]
    probes = choose_probes(activities, weights, 3)
    assert {activities[i].model for i in probes} == {"e", "a", "d"}
    assert all(activities[i].threads == 1 for i in probes)
    assert len(set(choose_probes(activities, weights, 8))) == 8


@pytest.mark.parametrize("n", [40, 100])
def test_many_activities_need_few_co_runs(n: int) -> None:
    activities = [Activity(model=f"m{i}", configuration="c") for i in range(n)]
    design = design_co_runs(activities, range(n), 16)
    assert len(design.fitted) <= 4 * n
    assert len(design.held_out) == 20
