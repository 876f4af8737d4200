"""The batching rule: its properties on random arrivals, played by a driver with as many servers as the test says."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, field

import pytest
from edgeplan.formulation import AdmissionError, Batch, BatchQueue, InferenceError, WorkloadError, urgency_us
from hypothesis import given
from hypothesis import strategies as st

PATIENCE_US = 500.0


@dataclass(frozen=True)
class Case:
    """A queue's settings and what arrives: gaps, relative deadlines and priorities."""

    max_batch: int
    window_us: float
    service_us: tuple[float, ...]
    arrivals: list[tuple[float, float, int]]  # absolute arrival, absolute deadline, priority

    def queue(self) -> BatchQueue[int]:
        return BatchQueue(self.max_batch, self.window_us, self.service_us, patience_us=PATIENCE_US)


@st.composite
def cases(draw: st.DrawFn, priorities: int = 3) -> Case:
    max_batch = draw(st.integers(1, 5))
    steps = draw(st.lists(st.integers(0, 40), min_size=max_batch, max_size=max_batch))
    times = tuple(float(sum(steps[: k + 1]) + 1) for k in range(max_batch))
    arrivals, now = [], 0.0
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.integers(0, 60))
        relative = draw(st.one_of(st.integers(0, 400), st.just(math.inf)))
        arrivals.append((now, now + relative, draw(st.integers(0, priorities - 1))))
    return Case(max_batch, float(draw(st.integers(0, 200))), times, arrivals)


@dataclass
class Played:
    """Batches by the instant they left, on as many servers as were there."""

    left: list[tuple[float, Batch[int]]] = field(default_factory=list)


def play(case: Case, servers: float) -> Played:
    """Drive a queue through all arrivals; a batch leaves only while fewer than `servers` are being served."""
    queue, played, busy = case.queue(), Played(), []
    pending = list(enumerate(case.arrivals))
    now = 0.0
    while pending or len(queue):
        free = len(busy) < servers
        times = [pending[0][1][0]] if pending else []
        times += [max(now, queue.next_event_us())] if free and len(queue) else []
        times += busy
        now = min(times)
        busy = [end for end in busy if end > now]
        while pending and pending[0][1][0] <= now:
            number, (arrival, deadline, priority) = pending.pop(0)
            queue.arrive(number, arrival, deadline, priority)
        while len(busy) < servers and (batch := queue.ready(now)) is not None:
            played.left.append((now, batch))
            busy.append(now + case.service_us[batch.size - 1])
    return played


@given(cases(), st.sampled_from([1, 2, math.inf]))
def test_every_request_leaves_once_in_a_batch_that_is_not_too_large(case: Case, servers: float) -> None:
    played = play(case, servers)
    assert sorted(r for _, batch in played.left for r in batch.requests) == list(range(len(case.arrivals)))
    assert all(1 <= batch.size <= case.max_batch for _, batch in played.left)
    assert all(len({entry.priority for entry in batch.waiting}) == 1 for _, batch in played.left)


@given(cases())
def test_with_a_server_free_nobody_waits_longer_than_the_window(case: Case) -> None:
    for left_us, batch in play(case, math.inf).left:
        assert all(left_us <= entry.arrival_us + case.window_us for entry in batch.waiting)


@given(cases())
def test_a_batch_that_is_not_full_leaves_early_only_for_a_deadline(case: Case) -> None:
    for left_us, batch in play(case, math.inf).left:
        oldest_us = min(entry.arrival_us for entry in batch.waiting)
        if batch.reason == "window":
            assert left_us >= oldest_us + case.window_us
        if batch.reason == "deadline":
            # The requests that were there, among them perhaps some that did not fit in, forced it.
            there = [a for a in case.arrivals if a[0] <= left_us]
            assert any(left_us >= deadline - case.service_us[-1] for _, deadline, _ in there)


@given(cases(priorities=1))
def test_with_a_server_free_waiting_for_others_makes_no_deadline_miss(case: Case) -> None:
    for left_us, batch in play(case, math.inf).left:
        for entry in batch.waiting:
            if entry.arrival_us + case.service_us[0] <= entry.deadline_us:
                # It could be in time when it came; it is, unless those who came at the same instant crowd it out.
                crowd = [a for a in case.arrivals if a[0] == entry.arrival_us or a[0] == left_us]
                assert left_us + case.service_us[batch.size - 1] <= entry.deadline_us or len(crowd) > 1


@given(cases(), st.sampled_from([1, 2]))
def test_within_a_priority_the_most_urgent_leave_first(case: Case, servers: int) -> None:
    left = play(case, servers).left
    for k, (left_us, batch) in enumerate(left):
        later = [entry for _, other in left[k + 1 :] for entry in other.waiting]
        overtaken = [
            entry
            for entry in later
            if entry.priority == batch.priority
            and entry.arrival_us <= left_us
            and any((entry.urgency_us, entry.order) < (mine.urgency_us, mine.order) for mine in batch.waiting)
        ]
        assert not overtaken
        assert list(batch.waiting) == sorted(batch.waiting)


@given(cases())
def test_next_event_is_the_first_instant_at_which_a_batch_is_ready(case: Case) -> None:
    queue = case.queue()
    for number, (arrival, deadline, priority) in enumerate(case.arrivals):
        queue.arrive(number, arrival, deadline, priority)
        event_us = queue.next_event_us()
        if math.isfinite(event_us):
            assert queue.peek(event_us) is not None
            assert queue.peek(math.nextafter(event_us, -math.inf)) is None
        else:
            assert event_us == -math.inf
            assert queue.peek(arrival) is not None
            queue.ready(arrival)


@given(cases(), st.floats(0, 2000))
def test_joining_a_batch_makes_nobody_late_who_was_in_time(case: Case, now_us: float) -> None:
    queue = case.queue()
    for number, (arrival, deadline, priority) in enumerate(case.arrivals):
        queue.arrive(number, arrival, deadline, priority)
    while (batch := queue.ready(now_us)) is not None:
        for size in range(1, batch.size):
            for entry in batch.waiting[:size]:
                in_time = now_us + case.service_us[size - 1] <= entry.deadline_us
                assert not in_time or now_us + case.service_us[batch.size - 1] <= entry.deadline_us


@given(
    st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 4)),
    st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 4)),
    st.floats(1.0, 1e5),
)
def test_priorities_are_strict_until_patience_ends_and_nobody_starves(
    low: tuple[float, float, int], high: tuple[float, float, int], patience_us: float
) -> None:
    a, p = low[0], min(low[2], high[2])
    b, q = high[0], p + 1 + abs(low[2] - high[2])
    lower = urgency_us(a, a + low[1], p, patience_us)
    higher = urgency_us(b, b + high[1], q, patience_us)
    slack_us = 1e-6  # rounding of the sums
    if lower < higher:
        assert b > a + patience_us - slack_us
    if higher < lower:
        assert b < a + patience_us * (1 + 2 * (q - p)) + slack_us


def test_a_full_batch_leaves_at_once_and_takes_the_earliest_deadlines() -> None:
    queue = BatchQueue[str](2, 1000.0, (10.0, 15.0))
    queue.arrive("late", 0.0, 900.0)
    assert queue.ready(0.0) is None
    queue.arrive("early", 1.0, 500.0)
    queue.arrive("middle", 2.0, 700.0)
    batch = queue.ready(2.0)
    assert batch is not None
    assert (batch.requests, batch.reason, batch.deadline_us) == (("early", "middle"), "full", 500.0)
    assert [entry.request for entry in queue.waiting] == ["late"]


def test_a_batch_leaves_in_time_for_its_earliest_deadline_at_its_size() -> None:
    queue = BatchQueue[str](4, 1000.0, (10.0, 18.0, 26.0, 34.0))
    queue.arrive("a", 0.0, 100.0)
    assert queue.next_event_us() == 90.0
    queue.arrive("b", 5.0, 300.0)
    assert queue.next_event_us() == 82.0
    assert queue.ready(81.9) is None
    batch = queue.ready(82.0)
    assert batch is not None
    assert (batch.requests, batch.reason) == (("a", "b"), "deadline")


def test_who_would_make_another_late_stays_and_leaves_next() -> None:
    queue = BatchQueue[str](4, 1000.0, (10.0, 18.0, 26.0, 34.0))
    queue.arrive("a", 0.0, 30.0)
    queue.arrive("b", 15.0, 40.0)
    first, second = queue.ready(15.0), queue.ready(15.0)
    assert first is not None
    assert second is None
    assert first.requests == ("a",)
    assert queue.next_event_us() == 30.0


def test_a_higher_priority_leaves_first_and_alone() -> None:
    queue = BatchQueue[str](4, 0.0, (10.0, 18.0, 26.0, 34.0))
    queue.arrive("low", 0.0)
    queue.arrive("high", 1.0, priority=1)
    batches = [queue.ready(2.0), queue.ready(2.0), queue.ready(2.0)]
    assert [batch and batch.requests for batch in batches] == [("high",), ("low",), None]


def test_an_instance_may_take_less_than_the_queue_holds_together() -> None:
    queue = BatchQueue[int](4, 0.0, (10.0, 18.0, 26.0, 34.0))
    for k in range(4):
        queue.arrive(k, 0.0)
    batch = queue.ready(0.0, service_us=(20.0, 40.0))
    assert batch is not None
    assert batch.requests == (0, 1)


def test_a_copy_goes_its_own_way() -> None:
    queue = BatchQueue[int](2, 100.0)
    queue.arrive(0, 0.0)
    other = queue.copy()
    other.arrive(1, 1.0)
    assert other.ready(1.0) is not None
    assert (len(queue), len(other)) == (1, 0)


def test_a_full_queue_refuses() -> None:
    queue = BatchQueue[int](4, 100.0, capacity=1)
    queue.arrive(0, 0.0)
    with pytest.raises(AdmissionError, match="fewer than 1 requests waiting, got 1") as refused:
        queue.arrive(1, 1.0, deadline_us=50.0)
    assert isinstance(refused.value, InferenceError)
    copied = pickle.loads(pickle.dumps(refused.value))
    assert (str(copied), copied.deadline_us) == (str(refused.value), 50.0)


@pytest.mark.parametrize(
    ("max_batch", "window_us", "service_us"),
    [
        (0, 0.0, (1.0,)),
        (1, -1.0, (1.0,)),
        (1, math.nan, (1.0,)),
        (3, 0.0, (1.0, 2.0)),
        (2, 0.0, (2.0, 1.0)),
        (1, 0.0, (math.inf,)),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    max_batch: int, window_us: float, service_us: tuple[float, ...]
) -> None:
    with pytest.raises(WorkloadError, match="batch queue"):
        BatchQueue(max_batch, window_us, service_us)
