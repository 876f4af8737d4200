"""Closed loops side by side: every member asks again as soon as it is answered; only the time common to all counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Run = Callable[[], object]


@dataclass(frozen=True)
class Loop:
    """One member of a co-run.

    Attributes
    ----------
    run : callable
        One inference; called again and again on a thread of its own.
    cores : tuple of int
        Ids of the cores that the calling thread may use.
    """

    run: Run
    cores: tuple[int, ...]


def closed_loops(
    loops: Sequence[Loop],
    window_s: float,
    min_runs: int = 3,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> list[NDArray[np.float64]]:
    """Run members side by side until each has run for a while and often enough.

    All start together, and nobody stops before the last member has run long and often enough.

    Parameters
    ----------
    loops : sequence of Loop
    window_s : float
        Seconds that count, at least.
    min_runs : int
        Whole runs of each member in the window, at least.
    clock_ns : callable
        Nanoseconds of a clock that only goes forward.

    Returns
    -------
    list of ndarray, each of shape (runs, 2)
        Microseconds at which each run of each member began and ended.

    Raises
    ------
    BaseException
        What a member raised; the others have stopped then.
    """
    spans: list[list[tuple[int, int]]] = [[] for _ in loops]
    satisfied = [False] * len(loops)
    failures: list[BaseException] = []
    start = threading.Barrier(len(loops))

    def member(k: int, loop: Loop) -> None:
        try:
            os.sched_setaffinity(0, loop.cores)
            mine, run = spans[k], loop.run
            start.wait()
            deadline = clock_ns() + int(window_s * 1e9)
            while not all(satisfied) and not failures:
                began = clock_ns()
                run()
                ended = clock_ns()
                mine.append((began, ended))
                # Enough is a run that began after the deadline: all that began before it are over then.
                satisfied[k] = satisfied[k] or (began >= deadline and len(mine) > min_runs)
        except threading.BrokenBarrierError:
            pass  # another member failed before the start, and says why
        except BaseException as error:  # handed to the caller
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=member, args=(k, loop), name=f"co-run-{k}") for k, loop in enumerate(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [np.array(each, dtype=np.float64).reshape(-1, 2) / 1e3 for each in spans]


def common_window_us(spans: Iterable[ArrayLike]) -> tuple[float, float]:
    """Begin and end of the time that counts, microseconds.

    From the latest first start on all members are at work; the first that stops ends that. A run that is still going on
    then was in part without company, so the window ends where the first such run began: whatever began before was
    wholly in company.
    """
    arrays = [np.asarray(each, dtype=np.float64) for each in spans]
    stop = min(float(each[-1, 1]) for each in arrays)
    began = [each[each[:, 1] > stop, 0] for each in arrays]
    return max(float(each[0, 0]) for each in arrays), min([stop, *(float(at[0]) for at in began if len(at))])


def rate_hz(spans: ArrayLike, window_us: tuple[float, float]) -> float:
    """Runs a second in a window; a run that reaches over an edge counts with the share of it that lies inside.

    Parameters
    ----------
    spans : array_like, shape (runs, 2)
        Microseconds at which runs began and ended.
    window_us : tuple of float
        Begin and end, microseconds.
    """
    array = np.asarray(spans, dtype=np.float64)
    begin, end = window_us
    inside = np.minimum(array[:, 1], end) - np.maximum(array[:, 0], begin)
    return float(np.sum(np.maximum(inside, 0.0) / (array[:, 1] - array[:, 0])) / (end - begin) * 1e6)


def rates_hz(loops: Sequence[Loop], window_s: float, min_runs: int = 3) -> list[float]:
    """Runs a second of members side by side, in the time common to all."""
    spans = closed_loops(loops, window_s, min_runs)
    window_us = common_window_us(spans)
    return [rate_hz(each, window_us) for each in spans]
