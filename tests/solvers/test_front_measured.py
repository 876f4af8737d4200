"""Device in the loop: a noisy synthetic device, a budget, interruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import ProfileError, UnsupportedError
from edgeplan.solvers import chain_front, hypervolume, measured_front

OPTIONS = (3,) * 8


class Device:
    """Latency and memory of a chain, latency with multiplicative noise; may break down after some measurements."""

    def __init__(self, noise: float = 0.0, seed: int = 0, breaks_after: int | None = None) -> None:
        rng = np.random.default_rng(7)
        self.us, self.held = rng.uniform(10, 100, (8, 3)), rng.uniform(10, 100, (8, 3)).round()
        self.noise, self.rng = noise, np.random.default_rng(seed)
        self.asked: list[tuple[int, ...]] = []
        self.breaks_after = breaks_after

    def truth(self, genome: tuple[int, ...]) -> tuple[float, float]:
        rows = np.arange(8)
        return float(self.us[rows, list(genome)].sum()), float(self.held[rows, list(genome)].sum())

    def __call__(self, genome: tuple[int, ...]) -> tuple[float, float]:
        if self.breaks_after is not None and len(self.asked) >= self.breaks_after:
            raise KeyboardInterrupt
        self.asked.append(genome)
        latency_us, memory_bytes = self.truth(genome)
        return latency_us * float(np.exp(self.rng.normal(0, self.noise))), memory_bytes


def share_of_exact(device: Device, genomes: np.ndarray) -> float:
    exact = chain_front(device.us, device.held).figures
    reference = (1.1 * exact[:, 0].max(), 1.1 * exact[:, 1].max())
    found = [device.truth(tuple(int(g) for g in row)) for row in genomes]
    return hypervolume(found, reference) / hypervolume(exact, reference)


def test_without_noise_nothing_is_measured_again_but_to_learn_that() -> None:
    device = Device()
    found = measured_front(device, OPTIONS, budget=600)
    assert len(device.asked) == found.measured <= 600
    assert len(set(device.asked)) >= len(device.asked) - 4
    assert np.all(found.half_widths == 0)
    assert share_of_exact(device, found.genomes) > 0.97
    assert not len(found.contenders)


@pytest.mark.slow
def test_with_noise_what_looks_best_is_measured_again() -> None:
    device = Device(noise=0.05)
    found = measured_front(device, OPTIONS, budget=500)
    assert found.measured == len(device.asked) == 500
    assert found.repeats.mean() > 1.5
    assert np.all(found.half_widths[:, 0] > 0)
    assert np.all(np.diff(found.figures[:, 0]) > 0)
    assert np.all(np.diff(found.figures[:, 1]) < 0)
    assert share_of_exact(device, found.genomes) > 0.9


def test_a_lucky_measurement_does_not_drop_the_better_candidate() -> None:
    """Where intervals overlap both are kept; a clear loss is a loss."""
    device = Device(noise=0.05, seed=3)
    found = measured_front(device, OPTIONS, budget=300)
    everything = {tuple(row) for row in np.concatenate([found.genomes, found.contenders]).tolist()}
    assert len(everything) == len(found.genomes) + len(found.contenders)
    worst = max(set(device.asked), key=lambda g: sum(device.truth(g)))
    assert worst not in everything


@pytest.mark.parametrize("breaks_after", [0, 60, *(pytest.param(count, marks=pytest.mark.slow) for count in (3, 190))])
def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, breaks_after: int) -> None:
    straight = measured_front(Device(noise=0.05), OPTIONS, budget=200)
    device = Device(noise=0.05, breaks_after=breaks_after)
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measured_front(device, OPTIONS, budget=200, journal=journal)
    device.breaks_after = None
    found = measured_front(device, OPTIONS, budget=200, journal=journal)
    assert found.resumed == breaks_after
    assert len(device.asked) == 200
    assert np.array_equal(found.genomes, straight.genomes)
    assert np.array_equal(found.figures, straight.figures)
    again = measured_front(device, OPTIONS, budget=200, journal=journal)
    assert len(device.asked) == 200
    assert np.array_equal(again.figures, found.figures)


def test_a_line_cut_off_is_measured_again_and_nothing_else(tmp_path: Path) -> None:
    journal, device = tmp_path / "journal.jsonl", Device()
    measured_front(device, OPTIONS, budget=60, journal=journal)
    content = journal.read_bytes()
    journal.write_bytes(content[:-9])
    again = measured_front(device, OPTIONS, budget=60, journal=journal)
    assert again.resumed == 59
    assert journal.read_bytes() == content


def test_seeds_are_measured_first() -> None:
    device = Device()
    best = chain_front(device.us, device.held).choices().astype(int).tolist()
    measured_front(device, OPTIONS, budget=100, seeds=best[:5], seed=2)
    assert list(dict.fromkeys(device.asked))[:5] == [tuple(row) for row in best[:5]]


def test_a_small_space_is_measured_wholly_and_the_search_ends() -> None:
    def measure(genome: tuple[int, ...]) -> tuple[float, float]:
        return 1.0 + genome[0], 2.0 - genome[0]

    found = measured_front(measure, [2], budget=500)
    assert found.genomes.tolist() == [[0], [1]]
    assert found.measured < 20


def test_journals_of_others_and_bad_figures_are_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    measured_front(Device(), OPTIONS, budget=40, journal=journal)
    with pytest.raises(ProfileError, match="same options and seed"):
        measured_front(Device(), OPTIONS, budget=40, journal=journal, seed=1)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], "{}", *lines[1:]]) + "\n")
    with pytest.raises(ProfileError, match="line 2"):
        measured_front(Device(), OPTIONS, budget=40, journal=journal)
    with pytest.raises(ProfileError, match="finite"):
        measured_front(lambda genome: (float("nan"), 1.0), OPTIONS, budget=40)
    with pytest.raises(UnsupportedError, match="budget"):
        measured_front(Device(), OPTIONS, budget=3)
