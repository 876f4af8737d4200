"""Requests: drawn, merged and read, always in order of arrival."""

import csv
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import Periodic, Poisson, Trace, WorkloadError
from edgeplan.formulation.tenancy.simulation import Requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

NAMES = ("detector", "classifier", "segmenter")


@pytest.mark.parametrize("rate_hz", [[5.0], [1.0, 3.0], [0.01, 20.0, 100.0]], ids=str)
def test_poisson_streams_have_their_rates(rate_hz):
    requests = Requests.poisson(rate_hz, 40_000, seed=1)
    assert len(requests) == 40_000
    rates = np.array(rate_hz)
    # Exponential gaps of the whole, and marks that are drawn independently of them.
    gaps_us = np.diff(requests.time_us, prepend=0.0)
    assert kstest(gaps_us, "expon", args=(0, 1e6 / rates.sum())).pvalue > 1e-3
    share = np.bincount(requests.tenant, minlength=len(rates)) / len(requests)
    expected = rates / rates.sum()
    assert np.all(np.abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / len(requests)) + 1e-12)
    busiest = int(rates.argmax())
    own_us = np.diff(requests.time_us[requests.tenant == busiest])
    assert kstest(own_us, "expon", args=(0, 1e6 / rates[busiest])).pvalue > 1e-3


def test_a_seed_is_a_sequence():
    one, two, other = (Requests.poisson([2, 3], 100, seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.time_us, two.time_us)
    np.testing.assert_array_equal(one.tenant, two.tenant)
    assert np.any(one.time_us != other.time_us)


def test_streams_are_merged_in_order_of_arrival():
    arrivals = [Periodic(period_us=100, phase_us=50), Trace(times_us=(0, 50, 50, 420)), Poisson(rate_hz=20_000)]
    requests = Requests.from_arrivals(arrivals, 400, seed=3)
    assert np.all(np.diff(requests.time_us) >= 0)
    assert requests.time_us[requests.tenant == 0].tolist() == [50, 150, 250, 350]
    assert requests.time_us[requests.tenant == 1].tolist() == [0, 50, 50]
    # At one instant the stream listed first comes first.
    assert requests.tenant[requests.time_us == 50].tolist() == [0, 1, 1]


def test_a_stream_does_not_change_with_its_neighbours_rate():
    slow, fast = (Requests.from_arrivals([Poisson(rate_hz=50), Poisson(rate_hz=r)], 1e6, 9) for r in (10, 500))
    np.testing.assert_array_equal(slow.time_us[slow.tenant == 0], fast.time_us[fast.tenant == 0])


def test_no_streams_no_requests():
    assert len(Requests.from_arrivals([], 1e6)) == 0


@pytest.mark.parametrize(
    ("times", "tenants", "said"),
    [
        ([0.0, 2.0, 1.0], [0, 0, 0], "a step back at entry 2"),
        ([0.0, np.nan], [0, 0], "finite times"),
        ([0.0, np.inf], [0, 0], "finite times"),
        ([0.0, 1.0], [0], "as many tenants as times"),
        ([[0.0, 1.0]], [[0, 0]], "as many tenants as times"),
    ],
)
def test_what_is_no_sequence_is_refused(times, tenants, said):
    with pytest.raises(WorkloadError, match=said):
        Requests(np.array(times), np.array(tenants))


entries = st.lists(
    st.tuples(st.floats(-1e6, 1e9, allow_nan=False), st.sampled_from(NAMES), st.text(max_size=8)), min_size=1
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=entries, bom=st.booleans(), order=st.permutations(["time_s", "model", "note, quoted"]))
def test_a_trace_comes_back_as_it_was_written(tmp_path: Path, entries, bom, order):
    entries = sorted(entries, key=lambda entry: entry[0])
    path = tmp_path / "trace.csv"
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.DictWriter(file, order)
        writer.writeheader()
        for time_s, model, note in entries:
            writer.writerow({"time_s": repr(time_s), "model": model, "note, quoted": note})
    requests = Requests.from_csv(path, NAMES)
    np.testing.assert_array_equal(requests.time_us, np.array([time_s for time_s, _, _ in entries]) * 1e6)
    assert [NAMES[i] for i in requests.tenant] == [model for _, model, _ in entries]


def test_blank_lines_of_a_trace_are_no_requests(tmp_path: Path):
    path = tmp_path / "trace.csv"
    path.write_text("time_s,model\n\n1,detector\n\n\n2,detector\n\n")
    assert Requests.from_csv(path, NAMES).time_us.tolist() == [1e6, 2e6]


def test_the_line_that_is_wrong_is_named(tmp_path: Path):
    path = tmp_path / "trace.csv"
    path.write_text("time_s,model\n0,detector\n1,detector\n2,poet\n3,detector\n")
    with pytest.raises(WorkloadError, match=r"trace\.csv, line 4: expected one of .* got 'poet'"):
        Requests.from_csv(path, NAMES)
