"""The verdict never accepts what its dispatch rule can miss."""

import heapq

import numpy as np
import pytest
from edgeplan.formulation import WorkloadError
from edgeplan.solvers.deadlines.schedulability import SporadicTask, TaskSegment, schedulability, worst_case_us


def worst_lateness_us(tasks: list[SporadicTask], rng: np.random.Generator, periodic: bool) -> float:
    """Largest lateness of any request when every processor runs non-preemptive EDF by segment deadlines."""
    events: list[tuple[float, int, int, float]] = []
    horizon_us = 12 * max(task.period_us for task in tasks)
    for t, task in enumerate(tasks):
        at_us = 0.0 if periodic else float(rng.uniform(0, task.period_us))
        while at_us < horizon_us:
            heapq.heappush(events, (at_us, t, 0, at_us))
            at_us += task.period_us * (1.0 if periodic else float(rng.uniform(1.0, 1.3)))
    names = {segment.processor for task in tasks for segment in task.segments}
    free = dict.fromkeys(sorted(names), 0.0)
    waiting: dict[str, list[tuple[float, int, int, float]]] = {name: [] for name in free}
    dues = [task.segment_deadlines_us() for task in tasks]
    worst, now = -np.inf, 0.0
    while events or any(waiting.values()):
        while events and events[0][0] <= now:
            _, t, k, arrival = heapq.heappop(events)
            heapq.heappush(waiting[tasks[t].segments[k].processor], (arrival + dues[t][k], t, k, arrival))
        for name, queue in waiting.items():
            if queue and free[name] <= now:
                _, t, k, arrival = heapq.heappop(queue)
                segment = tasks[t].segments[k]
                free[name] = now + segment.wcet_us * (1.0 if periodic else float(rng.uniform(0.5, 1.0)))
                if k + 1 < len(tasks[t].segments):
                    heapq.heappush(events, (free[name] + segment.transfer_us, t, k + 1, arrival))
                else:
                    worst = max(worst, free[name] - arrival - tasks[t].deadline_us)
        later = [free[name] for name, queue in waiting.items() if queue] + [event[0] for event in events[:1]]
        now = min((at for at in later if at > now), default=now)
    return worst


def random_tasks(rng: np.random.Generator) -> list[SporadicTask]:
    tasks = []
    for t in range(int(rng.integers(1, 5))):
        period_us = float(rng.integers(20, 200))
        segments = tuple(
            TaskSegment(f"p{rng.integers(2)}", float(rng.uniform(0.02, 0.25)) * period_us, float(rng.integers(0, 4)))
            for _ in range(int(rng.integers(1, 4)))
        )
        tasks.append(SporadicTask(f"t{t}", segments, period_us, period_us * float(rng.uniform(0.8, 1.0))))
    return tasks


def test_nothing_accepted_is_ever_late() -> None:
    rng, accepted, late = np.random.default_rng(1), 0, 0
    for _ in range(1500):
        tasks = random_tasks(rng)
        verdict = schedulability(tasks)
        runs = [worst_lateness_us(tasks, rng, periodic) for periodic in (True, False)]
        late += max(runs) > 1e-6
        if verdict.schedulable:
            accepted += 1
            assert max(runs) <= 1e-6, (tasks, runs)
    assert accepted > 100
    assert late > 100


def one(name: str, wcet_us: float, period_us: float) -> SporadicTask:
    return SporadicTask(name, (TaskSegment("p", wcet_us),), period_us, period_us)


def test_one_processor_by_hand() -> None:
    assert schedulability([one("a", 9.0, 10.0)]).schedulable
    # The long one may just have started: 3 + 6 fits into 10, 3 + 8 does not.
    assert schedulability([one("a", 3.0, 10.0), one("b", 6.0, 100.0)]).schedulable
    blocked = schedulability([one("a", 3.0, 10.0), one("b", 8.0, 100.0)])
    assert not blocked.schedulable
    assert "11 µs of work may be due within 10 µs" in blocked.reason
    assert "utilisation" in schedulability([one("a", 6.0, 10.0), one("b", 5.0, 10.0)]).reason


def test_deadlines_are_split_without_loss() -> None:
    task = SporadicTask("t", (TaskSegment("p", 10.0, 5.0), TaskSegment("q", 30.0)), 100.0, 85.0)
    assert task.segment_deadlines_us() == pytest.approx((20.0, 85.0))
    assert worst_case_us(10.0, [0.0, 0.2]) == pytest.approx(12.5)
    with pytest.raises(WorkloadError):
        SporadicTask("t", (TaskSegment("p", 10.0),), 100.0, 200.0)
