"""Helper threads that OpenVINO starts: all known, and held to the cores of what runs."""

from __future__ import annotations

import os
import threading

import pytest
from edgeplan.profiles.backends.openvino_helpers import HelperThreads

CORES = sorted(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(
    len(CORES) < 2, reason="OpenVINO starts a helper for each core but the first, and there is one core"
)


def test_helpers_stay_on_the_cores_of_all_that_runs_but_for_the_callers() -> None:
    first, second = CORES[:2]
    over, started = threading.Event(), []

    def warm_up(threads: int) -> None:
        ready = threading.Barrier(threads)

        def help_() -> None:
            started.append(threading.get_native_id())
            ready.wait()
            over.wait()

        for _ in range(threads - 1):
            threading.Thread(target=help_, daemon=True).start()
        ready.wait()

    def cores() -> set[frozenset[int]]:
        return {frozenset(os.sched_getaffinity(thread)) for thread in started}

    helpers = HelperThreads(warm_up)
    helpers.start()
    helpers.start()
    try:
        assert len(started) == len(CORES) - 1
        assert cores() == {frozenset(CORES)}
        with helpers.helping((first, second)):
            assert cores() == {frozenset({second})}
            with helpers.helping((first, second)), helpers.helping((second, first)):
                assert cores() == {frozenset({first, second})}
            assert cores() == {frozenset({second})}
        assert os.sched_getaffinity(0) == set(CORES)
    finally:
        over.set()


def test_openvino_starts_helpers_that_are_found() -> None:
    pytest.importorskip("openvino")
    from edgeplan.profiles.backends.openvino_cpu import OpenVinoCpu

    helpers = OpenVinoCpu()._helpers
    helpers.start()
    with helpers.helping(tuple(CORES)):
        held = [t for t in os.listdir("/proc/self/task") if os.sched_getaffinity(int(t)) == set(CORES[1:])]
    assert len(held) >= len(CORES) - 1
