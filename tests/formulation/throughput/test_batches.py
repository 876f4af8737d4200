"""How batches form, against a Poisson process played out."""

import numpy as np
import pytest
from edgeplan.formulation.throughput import Forming


def played(rate_hz: float, max_batch: int, window_us: float, count: int = 200_000) -> tuple[np.ndarray, ...]:
    """Sizes, times of leaving, and each request's wait and size of batch, of a long Poisson process."""
    times = np.cumsum(np.random.default_rng(1).exponential(1e6 / rate_hz, count))
    sizes, left, waits, of = [], [], [], []
    k = 0
    while k + max_batch < count:
        most = times[k : k + max_batch]
        filled = most[-1] <= most[0] + window_us and len(most) == max_batch
        leave = most[-1] if filled else most[0] + window_us
        size = max_batch if filled else int(np.searchsorted(times[k : k + max_batch], leave, "right"))
        sizes.append(size)
        left.append(leave)
        waits.append(leave - times[k : k + size])
        of.append(np.full(size, size))
        k += size
    return np.array(sizes), np.array(left), np.concatenate(waits), np.concatenate(of)


@pytest.mark.parametrize(
    ("rate_hz", "max_batch", "window_us"), [(300, 8, 10_000), (50, 4, 5_000), (2000, 2, 800), (900, 16, 9_000)]
)
def test_sizes_gaps_and_waits_are_those_of_the_process(rate_hz: float, max_batch: int, window_us: float) -> None:
    forming = Forming(rate_hz, max_batch, window_us)
    sizes, left, waits, of = played(rate_hz, max_batch, window_us)
    assert forming.mean_size == pytest.approx(sizes.mean(), rel=0.01)
    assert forming.size_share == pytest.approx(np.bincount(sizes, minlength=max_batch + 1)[1:] / len(sizes), abs=0.01)
    gaps = np.diff(left)
    assert forming.batch_rate_hz == pytest.approx(1e6 / gaps.mean(), rel=0.01)
    assert forming.gap_scv == pytest.approx(gaps.var() / gaps.mean() ** 2, rel=0.03)
    times, share = forming.waits
    assert share.sum() == pytest.approx(1.0)
    assert share.sum(axis=1) == pytest.approx(np.bincount(of, minlength=max_batch + 1)[1:] / len(of), abs=0.01)
    # Each wait counts with the longer end of its cell, so the distribution errs by up to a cell, and up.
    cell = times[1] - times[0]
    for k in (0, 6, 12, 18, len(times) - 1):
        assert np.mean(waits <= times[k] - cell) - 0.01 <= share[:, : k + 1].sum() <= np.mean(waits <= times[k]) + 0.01


@pytest.mark.parametrize("forming", [Forming(100, 1, 0.0), Forming(100, 8, 0.0), Forming(0, 8, 1000.0)])
def test_without_company_nothing_waits(forming: Forming) -> None:
    assert forming.mean_size == 1.0
    assert forming.gap_scv == 1.0


def test_a_patient_model_fills_its_batches() -> None:
    forming = Forming(1000, 4, 1e6)
    assert forming.mean_size == pytest.approx(4.0)
    assert forming.gap_scv == pytest.approx(1 / 4)  # Erlang of four stages
