"""The published rule, step by step as its authors' code has it, on their MobileNetV2 points."""

from __future__ import annotations

import pytest
from edgeplan.formulation.operating_points import ModelPoints, OperatingPoint, ProcessorUse, Sight
from edgeplan.solvers.operating_points import ParetoRule

POINTS = ((72.5, 56_388), (47.0, 73_492), (25.5, 402_468), (7.80, 404_476), (8.03, 403_568))  # ms, kB
MODEL = ModelPoints(
    "m",
    tuple(
        OperatingPoint(f"{ms}", ms * 1e3, {"ram": kb * 1024.0}, (ProcessorUse("cpu", ms * 1e3),)) for ms, kb in POINTS
    ),
    10.0,
)
SLOWEST, SLOW, MIDDLE, FASTEST, GPU = range(5)


def sight(available_kb: float, *loaded: int) -> Sight:
    return Sight(0.0, {"m": MODEL}, {"m": loaded}, {"ram": available_kb * 1024.0})


def started(available_kb: float) -> tuple[ParetoRule, int]:
    rule = ParetoRule()
    return rule, rule.start(sight(available_kb))["m"][0]


@pytest.mark.parametrize(
    ("available_kb", "point"),
    [
        (500_000, FASTEST),  # fits
        (404_476, FASTEST),  # fits exactly
        (404_000, SLOW),  # 2/3 of it are 269,333 kB: the largest that takes no more
        (100_000, SLOWEST),  # 2/3 are 66,667 kB
        (60_000, SLOWEST),  # nothing takes so little
    ],
)
def test_it_starts_fastest_or_within_two_thirds(available_kb: float, point: int) -> None:
    assert started(available_kb)[1] == point


def test_latency_must_exceed_1_8_times_the_reference() -> None:
    rule, _ = started(1e6)
    assert rule.served("m", FASTEST, 1.79 * 7.80e3, sight(1e6)) == {}
    # 1.81 × 7.80 = 14.1 ms: the longest below is the GPU's 8.03 ms.
    assert rule.served("m", FASTEST, 1.81 * 7.80e3, sight(1e6)) == {"m": (GPU,)}


def test_it_goes_to_the_point_just_below_what_was_observed_and_nowhere_if_that_is_its_own() -> None:
    rule, _ = started(1e6)
    assert rule.served("m", FASTEST, 40e3, sight(1e6)) == {"m": (MIDDLE,)}
    # A lock for time does not hold back the latency trigger.
    assert rule.served("m", MIDDLE, 46e3, sight(1e6)) == {}  # 46 > 1.8 × 25.5 = 45.9, but 25.5 is just below
    assert rule.served("m", MIDDLE, 50e3, sight(1e6)) == {"m": (SLOW,)}


def test_memory_that_rises_by_more_than_its_own_brings_the_fastest_back_once_unlocked() -> None:
    rule, _ = started(100_000)
    assert rule.served("m", SLOWEST, 72.5e3, sight(100_000 + 56_388)) == {}  # not more
    assert rule.served("m", SLOWEST, 72.5e3, sight(100_000 + 56_389)) == {"m": (FASTEST,)}
    # Locked for memory: no latency trigger until inferences add up to more than 2000 ms …
    for _ in range(20):
        assert rule.served("m", FASTEST, 100e3, sight(1e6)) == {}
    assert rule.served("m", FASTEST, 100e3, sight(1e6)) == {}  # 2100 ms: this one unlocks
    assert rule.served("m", FASTEST, 100e3, sight(1e6)) == {"m": (SLOWEST,)}


def test_a_lock_for_time_holds_back_the_memory_trigger_for_2000_ms_and_takes_the_reference_anew() -> None:
    rule, _ = started(600_000)
    assert rule.served("m", FASTEST, 60e3, sight(600_000)) == {"m": (SLOW,)}
    # 60 ms count already; locked until more than 2000 ms.
    for _ in range(41):
        assert rule.served("m", SLOW, 47e3, sight(900_000)) == {}
    # 60 + 41 · 47 = 1987 ms; the next one unlocks at 2034 ms, and its reference is what is available then.
    assert rule.served("m", SLOW, 47e3, sight(900_000)) == {}
    assert rule.served("m", SLOW, 47e3, sight(900_000 + 73_492)) == {}
    assert rule.served("m", SLOW, 47e3, sight(900_000 + 73_493)) == {"m": (FASTEST,)}


def test_the_largest_point_never_goes_back_for_memory() -> None:
    rule, _ = started(500_000)
    assert rule.served("m", FASTEST, 7.8e3, sight(5e6)) == {}
