"""The whole of the measuring on a planted stage: nothing forgotten, drift cancelled, interruptions survived."""

from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import Configuration, UnsupportedError
from edgeplan.profiles.contention import ContentionSettings, fit_contention, measuring
from edgeplan.profiles.contention.assessment import predicted_by, throughput_errors
from edgeplan.profiles.contention.campaign import LEAST_WINDOW_S, Campaign, Contender
from edgeplan.profiles.contention.measuring import measure_co_run, place
from edgeplan.profiles.journal import Journal

from .planted import PlantedStage

CORES = (0, 1)
SETTINGS = ContentionSettings(batches=(1, 4), held_out_pairs=4, held_out_triples=4, seed=1)


def contenders(models: int = 4) -> list[Contender]:
    configurations = [Configuration(backend="x", threads=t, batch=b) for t in (1, 2) for b in (1, 4)]
    return [Contender(f"m{i}", c, 1e6 * i) for i in range(models) for c in configurations]


def stage_of(given: list[Contender], **kind: float) -> PlantedStage:
    rng = np.random.default_rng(2)
    activities = [
        c.activity.model_copy(
            update={"sensitivity": float(rng.uniform(0, 0.3)), "pressure": float(rng.uniform(0.3, 1.7))}
        )
        for c in given
    ]
    return PlantedStage(activities, len(CORES), **kind)


def test_every_co_run_and_cell_is_measured_once() -> None:
    given = contenders()
    campaign, stage = Campaign(given, CORES, SETTINGS), stage_of(given)
    steps: list[tuple[int, int]] = []
    results = campaign.measure(stage, report=lambda done, total, label: steps.append((done, total)))
    assert [r.members for r in results.fitted] == list(campaign.design.fitted)
    assert [r.members for r in results.held_out] == list(campaign.design.held_out)
    assert {i for r in results.fitted for i in r.members} == set(range(len(campaign.activities)))
    assert len(stage.opened) == len(campaign.design.fitted) + len(campaign.design.held_out) + len(results.throughput)
    assert stage.open_now == 0
    assert steps[-1] == (len(stage.opened), len(stage.opened))
    # Two batches on one thread in one and two instances, and on two threads in one: six cells a model.
    assert len(results.throughput) == 6 * 4
    # Larger batches on two threads are in the table only.
    assert {a.configuration for a in campaign.activities} == {"x/t1/b1/default", "x/t1/b4/default", "x/t2/b1/default"}


def test_batches_can_be_left_out_of_co_runs() -> None:
    given = contenders()
    campaign = Campaign(given, CORES, SETTINGS.model_copy(update={"co_run_batches": (1,)}))
    assert {a.configuration for a in campaign.activities} == {"x/t1/b1/default", "x/t2/b1/default"}
    results = campaign.measure(stage_of(given))
    assert {c.configuration.batch for c in results.throughput} == {1, 4}


def test_the_machine_may_drift() -> None:
    given = contenders()
    campaign, stage = Campaign(given, CORES, SETTINGS), stage_of(given, doubling_s=60.0)
    results = campaign.measure(stage)
    assert stage.clock_s > 60
    fit = fit_contention(results.fitted, campaign.activities, len(CORES))
    assert throughput_errors(results.held_out, predicted_by(fit)).mean() < 0.02


def test_an_interrupted_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    given = contenders(2)
    campaign = Campaign(given, CORES, SETTINGS)
    whole = campaign.measure(stage_of(given))
    for stop_after in (0, 5, len(campaign.design.fitted) + 9):
        path = tmp_path / f"{stop_after}.jsonl"

        def stop(done: int, total: int, label: str, stop_after: int = stop_after) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        first, second = stage_of(given), stage_of(given)
        with pytest.raises(KeyboardInterrupt):
            campaign.measure(first, Journal(path, "p"), stop)
        resumed = campaign.measure(second, Journal(path, "p"))
        assert len(first.opened) == stop_after
        assert len(first.opened) + len(second.opened) == len(whole.fitted) + len(whole.held_out) + len(whole.throughput)
        assert resumed == whole


def test_gains_are_over_one_instance_with_the_smallest_batch() -> None:
    given = contenders(1)
    results = Campaign(given, CORES, SETTINGS).measure(stage_of(given, doubling_s=100.0))
    cells = {(c.configuration.name, c.instances): c for c in results.throughput}
    assert cells["x/t1/b1/default", 1].gain == pytest.approx(1.0, rel=0.02)
    assert cells["x/t2/b1/default", 1].gain == pytest.approx(1.0, rel=0.02)
    stage = stage_of(given)
    a = stage.contenders[1]
    # Contender 1 is batch 4 on one thread: 11 runs a second for 10, four samples each, two that slow each other down.
    expected = 4 * 2 * (11 / 10) / (1 + a.sensitivity * a.pressure)
    cell = cells["x/t1/b4/default", 2]
    assert cell.gain == pytest.approx(expected, rel=0.02)
    assert cell.gain_low <= cell.gain <= cell.gain_high
    assert cell.run_us == pytest.approx(8e6 / cell.samples_per_s)


def test_a_budget_shrinks_windows_but_not_to_nothing() -> None:
    given = contenders()
    spent = {}
    for budget_s in (None, 200.0, 0.1):
        campaign = Campaign(given, CORES, SETTINGS.model_copy(update={"budget_s": budget_s}))
        stage = stage_of(given)
        campaign.measure(stage)
        spent[budget_s] = stage.clock_s
        assert LEAST_WINDOW_S <= campaign.window_s <= SETTINGS.window_s
    assert spent[None] > spent[200.0] > spent[0.1]
    assert spent[200.0] <= 200


def test_the_most_disturbed_are_measured_again_and_the_quieter_measurement_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = iter([0.9, 0.02, 0.5, *[0.0] * 1000])

    class Scripted:
        def share(self) -> float:
            return next(shares)

    monkeypatch.setattr(measuring, "ForeignLoad", Scripted)
    given = contenders(2)
    campaign, stage = Campaign(given, CORES, SETTINGS), stage_of(given)
    results = campaign.measure(stage)
    n = len(results.fitted) + len(results.held_out)
    first = stage.opened[:n]
    assert stage.opened[n : n + 2] == [first[0], first[2]]
    assert sorted(r.foreign_share for r in (*results.fitted, *results.held_out))[-2:] == [0.0, 0.02]


def test_members_have_cores_of_their_own_as_long_as_they_last() -> None:
    assert [p.cores for p in place([4, 4, 7], [1, 2, 1], (3, 5, 6, 8))] == [(3,), (5, 6), (8,)]
    assert [p.cores for p in place([4, 4, 7], [1, 2, 2], (3, 5, 6, 8))] == [(3,), (3, 5), (3, 5)]


def test_time_slices_are_averaged_over_the_rounds() -> None:
    """A thread that is alone on its core in one round and shares it in the next has the mean of both."""
    given = contenders(1)
    stage = stage_of(given, noise=0.2)
    run = measure_co_run((0, 0, 0), (0, 0, 0), (1, 1, 1), CORES, stage, window_s=0.1, rounds=40)
    relative = np.array(run.together_hz) / np.array(run.alone_hz)
    assert run.crowded
    assert np.exp(-run.log_slowdown) == pytest.approx(relative.mean(axis=0))


def test_more_instances_than_cores_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"1 … 2, each on cores of its own") as refused:
        Campaign(contenders(), CORES, SETTINGS.model_copy(update={"instances": (1, 3)}))
    assert refused.value.got == "3"


def test_a_design_without_pairs_is_refused() -> None:
    given = [c for c in contenders() if c.configuration.threads == 2]
    with pytest.raises(UnsupportedError, match="threads for each core"):
        Campaign(given, CORES, SETTINGS.model_copy(update={"most_oversubscribed": 1.5}))
