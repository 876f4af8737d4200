"""The service rule in virtual time: nothing lost, predictions that come true, deadlines of accepted requests, order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from edgeplan.formulation import AdmissionError
from edgeplan.runtime_bridge.service import Desk, Line, ServedInstance, Stage
from edgeplan.runtime_bridge.service.passing import PassingLoad
from hypothesis import given, settings
from hypothesis import strategies as st

from .virtual import Ask, line, serve, whole

GANG = ServedInstance("m", 0, (Stage(2, (0, 1), (10.0, 18.0)),))


@st.composite
def services(draw: st.DrawFn, one_segment: bool = False) -> dict[str, Line]:
    """One or two models on two cores, with instances that need not be alike."""
    lines = {}
    for model in ("m", "n")[: draw(st.integers(1, 2))]:
        max_batch = draw(st.integers(1, 4))
        instances = []
        for number in range(draw(st.integers(1, 3))):
            most = draw(st.integers(1, max_batch))
            stages = []
            for _ in range(1 if one_segment else draw(st.integers(1, 2))):
                times = tuple(
                    itertools.accumulate(map(float, draw(st.lists(st.integers(1, 30), min_size=most, max_size=most))))
                )
                cores = draw(st.sampled_from([(0,), (1,), (0, 1)]))
                threads = draw(st.integers(1, len(cores)))
                stages.append(Stage(threads, cores, times))
            rate_hz = float(draw(st.integers(0, 3)))
            instances.append(ServedInstance(model, number, tuple(stages), path=number, rate_hz=rate_hz))
        lines[model] = Line(tuple(instances), max_batch, float(draw(st.integers(0, 60))))
    return lines


@st.composite
def loads(draw: st.DrawFn, models: list[str], priorities: int = 1) -> list[Ask]:
    asks, now = [], 0.0
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.integers(0, 40))
        relative = draw(st.one_of(st.integers(5, 250), st.just(math.inf)))
        asks.append(Ask(now, draw(st.sampled_from(models)), now + relative, draw(st.integers(0, priorities - 1))))
    return asks


@settings(deadline=None)
@given(st.data(), st.booleans())
def test_every_accepted_request_ends_once(data: st.DataObject, admission: bool) -> None:
    lines = data.draw(services())
    asks = data.draw(loads(list(lines), priorities=3))
    outcome = serve(Desk(lines, admission=admission), asks, cores=(0, 1))
    sent = [r for _, departure in outcome.departures for r in departure.batch.requests]
    assert len(sent) == len(set(sent))
    assert sorted([*outcome.end_us, *outcome.refused]) == list(range(len(asks)))
    for _, departure in outcome.departures:
        assert departure.batch.size <= len(departure.flight.instance.service_us)
        assert departure.batch.size <= lines[departure.model].max_batch
        assert {asks[r].model for r in departure.batch.requests} == {departure.model}


@settings(deadline=None)
@given(st.data())
def test_accepted_requests_keep_their_deadlines_however_many_ask(data: st.DataObject) -> None:
    lines = data.draw(services(one_segment=True))
    asks = data.draw(loads(list(lines)))
    outcome = serve(Desk(lines), asks, cores=(0, 1))
    for request, end_us in outcome.end_us.items():
        assert end_us <= asks[request].deadline_us


@settings(deadline=None)
@given(st.data())
def test_the_highest_priority_keeps_its_deadlines_whatever_lower_ones_ask(data: st.DataObject) -> None:
    lines = data.draw(services(one_segment=True))
    asks = data.draw(loads(list(lines), priorities=2))
    outcome = serve(Desk(lines), asks, cores=(0, 1))
    for request, end_us in outcome.end_us.items():
        assert asks[request].priority == 0 or end_us <= asks[request].deadline_us


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_refusal_says_what_would_have_happened(data: st.DataObject) -> None:
    """A desk that takes all, asked nothing further, ends the refused request exactly when the refusal said."""
    lines = data.draw(services(one_segment=True))
    asks = data.draw(loads(list(lines)))
    outcome = serve(Desk(lines), asks, cores=(0, 1))
    for number, error in list(outcome.refused.items())[:3]:
        # Those accepted before it, and it, on a desk that takes all.
        kept = [k for k in range(number) if k not in outcome.refused] + [number]
        alone = serve(Desk(lines, admission=False), [asks[k] for k in kept], cores=(0, 1))
        assert alone.end_us[len(kept) - 1] == pytest.approx(error.predicted_us)
        missed = {kept[k] for k, end_us in alone.end_us.items() if end_us > asks[kept[k]].deadline_us}
        assert missed, "a request was refused although all would have been in time"


def test_a_deadline_on_the_very_edge_decides() -> None:
    desk = Desk[int]({"m": line(whole(0, (10.0,)))})
    outcome = serve(desk, [Ask(0.0), Ask(0.0, deadline_us=20.0), Ask(0.0, deadline_us=29.9)], cores=(0,))
    assert outcome.end_us == {1: 10.0, 0: 20.0} or outcome.end_us == {0: 10.0, 1: 20.0}
    error = outcome.refused[2]
    assert (error.predicted_us, error.deadline_us) == (30.0, 29.9)
    assert "got a predicted finish 0.0 ms from now" in str(error)


def test_a_request_that_would_push_an_accepted_one_past_its_deadline_is_refused() -> None:
    desk = Desk[int]({"m": line(whole(0, (10.0,)))})
    # The second would be first by its deadline, and the first, which waits behind the blocker, would then end at 35.
    asks = [Ask(0.0), Ask(1.0, deadline_us=25.0), Ask(2.0, deadline_us=24.0)]
    outcome = serve(desk, asks, cores=(0,))
    assert "all requests accepted before" in str(outcome.refused[2])
    assert outcome.end_us == {0: 10.0, 1: 20.0}


def test_a_full_queue_refuses_also_without_admission() -> None:
    desk = Desk[int]({"m": line(whole(0, (10.0,)))}, capacity=1, admission=False)
    outcome = serve(desk, [Ask(0.0), Ask(1.0), Ask(2.0)], cores=(0,))
    assert list(outcome.refused) == [2]
    assert "request for model 'm'" in str(outcome.refused[2])


def test_a_batch_goes_to_the_instance_that_ends_it_first() -> None:
    fast, slow = whole(0, (10.0,), (0,)), whole(1, (25.0,), (1,))
    outcome = serve(Desk[int]({"m": line(fast, slow)}), [Ask(0.0)] * 4, cores=(0, 1))
    # Fast ends them at 10, 20, 30; the third is as early on the slow one (25), and the fourth is not.
    assert sorted(outcome.end_us.values()) == [10.0, 20.0, 25.0, 30.0]
    numbers = [departure.flight.instance.number for _, departure in outcome.departures]
    assert sorted(numbers) == [0, 0, 0, 1]


def test_instances_that_share_cores_take_turns_and_others_run_beside() -> None:
    shared = [whole(k, (10.0,), (0, 1)) for k in range(3)]
    outcome = serve(Desk[int]({"m": line(*shared)}), [Ask(0.0)] * 4, cores=(0, 1))
    assert sorted(outcome.end_us.values()) == [10.0, 10.0, 20.0, 20.0]


def test_a_pipeline_takes_the_next_batch_when_its_first_stage_is_over() -> None:
    pipeline = ServedInstance("m", 0, (Stage(1, (0,), (10.0,)), Stage(1, (1,), (7.0,))))
    outcome = serve(Desk[int]({"m": line(pipeline)}), [Ask(0.0)] * 3, cores=(0, 1))
    assert sorted(outcome.end_us.values()) == [17.0, 27.0, 37.0]


def test_a_gang_that_waits_keeps_its_cores_from_those_due_later() -> None:
    single = whole(0, (10.0,), (0, 1), model="n")
    desk = Desk[int]({"m": Line((GANG,), 1, 0.0), "n": line(single)})
    asks = [Ask(0.0, "n"), Ask(1.0, "m", 40.0), *[Ask(2.0 + k, "n", 1000.0) for k in range(4)]]
    outcome = serve(desk, asks, cores=(0, 1))
    assert outcome.end_us[1] == 20.0


def test_a_higher_priority_waits_for_no_more_than_the_segment_that_runs() -> None:
    parted = ServedInstance("m", 0, (Stage(1, (0,), (10.0,)),) * 3)
    urgent = whole(0, (4.0,), (0,), model="n")
    desk = Desk[int]({"m": Line((parted,), 1, 0.0), "n": line(urgent)})
    asks = [Ask(0.0, "m"), Ask(1.0, "m"), Ask(2.0, "n", 14.0, priority=1)]
    outcome = serve(desk, asks, cores=(0,))
    assert outcome.begin_us[2] == 10.0
    assert outcome.end_us == {2: 14.0, 0: 34.0, 1: 64.0}


def test_predictions_go_by_what_has_begun_and_not_by_what_should_have() -> None:
    desk = Desk[int]({"m": line(whole(0, (10.0,))), "n": line(whole(0, (50.0,), model="n"))})
    desk.arrive("n", 0, 0.0)
    (lower,) = desk.departures(0.0)

    def predicted_us(now_us: float) -> float:
        with pytest.raises(AdmissionError) as refused:
            desk.arrive("m", 1, now_us, deadline_us=now_us + 1.0, priority=1)
        return refused.value.predicted_us

    assert predicted_us(3.0) == 13.0  # as long as the other one has not begun, it is passed
    lower.flight.began_us = 5.0
    assert predicted_us(5.0) == predicted_us(8.0) == 65.0


@settings(deadline=None)
@given(st.data())
def test_no_request_waits_for_more_than_one_segment_of_lower_priority(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    low = ServedInstance("m", 0, tuple(Stage(1, (0,), (float(us),)) for us in lengths))
    high = whole(0, (5.0,), (0,), model="n")
    desk = Desk[int]({"m": Line((low,), 1, 0.0), "n": line(high)}, admission=False)
    background = [Ask(float(t), "m") for t in data.draw(st.lists(st.integers(0, 100), max_size=8))]
    asks = sorted([*background, Ask(float(data.draw(st.integers(0, 150))), "n", priority=1)], key=lambda a: a.at_us)
    outcome = serve(desk, asks, cores=(0,))
    (urgent,) = (k for k, ask in enumerate(asks) if ask.model == "n")
    assert outcome.begin_us[urgent] - asks[urgent].at_us <= max(lengths)


def test_low_priority_is_served_although_higher_ones_never_stop() -> None:
    patience_us = 100.0
    desk = Desk[int]({"m": line(whole(0, (10.0,)))}, patience_us=patience_us, admission=False)
    asks = [Ask(0.0, priority=1), Ask(0.0, priority=0), *[Ask(10.0 * k, priority=1) for k in range(1, 80)]]
    outcome = serve(desk, asks, cores=(0,))
    behind = [k for k, ask in enumerate(asks) if ask.at_us >= 3 * patience_us]
    assert patience_us < outcome.end_us[1] <= min(outcome.end_us[k] for k in behind)


def test_overdue_services_are_not_taken_for_free() -> None:
    """The instance takes three times as long as predicted: nobody is sent to a core that is not free."""
    desk = Desk[int]({"m": line(whole(0, (10.0,)), whole(1, (10.0,)))}, admission=False)
    outcome = serve(desk, [Ask(0.0)] * 3, cores=(0,), real_us=lambda *_: 30.0)
    assert [left for left, _ in outcome.departures] == [0.0, 30.0, 60.0]


def test_at_overload_goodput_is_what_the_instance_can_do() -> None:
    """Three times too many ask: with admission all that are accepted are in time, without it hardly any."""
    asks = [Ask(10.0 * k / 3, deadline_us=10.0 * k / 3 + 50.0) for k in range(600)]
    lines = {"m": line(whole(0, (10.0,)))}
    with_it, without = (serve(Desk(lines, admission=on), asks, cores=(0,)) for on in (True, False))
    in_time = [
        sum(end_us <= asks[k].deadline_us for k, end_us in outcome.end_us.items()) for outcome in (with_it, without)
    ]
    assert in_time[0] == len(with_it.end_us)
    assert len(with_it.end_us) == pytest.approx(200, abs=6)
    assert in_time[1] < 20


def test_a_hurried_desk_waits_for_nobody() -> None:
    desk = Desk[int]({"m": line(whole(0, (10.0, 15.0, 20.0)), window_us=1e6)})
    desk.arrive("m", 0, 0.0)
    assert desk.departures(1.0) == []
    assert desk.next_event_us(1.0) == 1e6
    desk.hurry()
    assert [departure.batch.requests for departure in desk.departures(1.0)] == [(0,)]


def test_waiting_requests_move_to_another_desk_without_being_asked_again() -> None:
    old = Desk[int]({"m": line(whole(0, (10.0,)))})
    for k in range(3):
        old.arrive("m", k, float(k), deadline_us=60.0 - k)
    (first,) = old.departures(2.0)
    new = Desk[int]({"m": line(whole(0, (500.0, 500.0)))}, capacity=1)
    new.adopt(old)
    assert first.batch.requests == (2,)
    assert new.departures(3.0) == []
    with pytest.raises(AdmissionError):
        new.arrive("m", 3, 3.0)
    new.leg_ended(first.flight, 10.0)
    (second,) = new.departures(10.0)
    assert second.batch.requests == (1, 0) or second.batch.requests == (0, 1)


def test_requests_spread_over_paths_as_the_plan_says() -> None:
    quick = ServedInstance("m", 0, (Stage(1, (0,), (10.0,)),), path=0, rate_hz=30.0)
    slow = ServedInstance("m", 1, (Stage(1, (1,), (20.0,)),), path=1, rate_hz=10.0)
    asks = [Ask(100.0 * k) for k in range(40)]
    numbers = [d.flight.instance.number for _, d in serve(Desk({"m": line(quick, slow)}), asks, (0, 1)).departures]
    assert (numbers.count(0), numbers.count(1)) == (30, 10)
    open_ = [ServedInstance(i.model, i.number, i.stages, i.path) for i in (quick, slow)]
    assert {d.flight.instance.number for _, d in serve(Desk({"m": line(*open_)}), asks, (0, 1)).departures} == {0}


def test_a_new_plan_does_not_make_up_for_how_requests_spread_under_the_old_one() -> None:
    def plan(*rates_hz: float) -> Desk[int]:
        instances = [
            ServedInstance("m", k, (Stage(1, (k,), (10.0 + k,)),), path=k, rate_hz=hz) for k, hz in enumerate(rates_hz)
        ]
        return Desk({"m": line(*instances)})

    old, new = plan(99.0, 1.0), plan(50.0, 50.0)
    serve(old, [Ask(100.0 * k) for k in range(400)], (0, 1))
    new.adopt(old)
    asks = [Ask(1e6 + 100.0 * k) for k in range(40)]
    numbers = [d.flight.instance.number for _, d in serve(new, asks, (0, 1)).departures]
    assert (numbers.count(0), numbers.count(1)) == (20, 20)


def test_what_passes_lower_priorities_is_still_known_after_a_change_of_plan() -> None:
    def desk() -> Desk[int]:
        return Desk({m: line(*(whole(k, [10e3], (k,), m) for k in range(2))) for m in "mn"})

    def promised_us(desk: Desk[int]) -> float:
        for _ in range(4):
            desk.arrive("m", 0, 2e6, priority=1)
        with pytest.raises(AdmissionError) as refused:
            desk.arrive("n", 1, 2e6, deadline_us=2e6 + 1.0)
        return refused.value.predicted_us

    old = desk()
    serve(old, [Ask(15e3 * k, "m", priority=1) for k in range(130)], (0, 1))
    new = desk()
    new.adopt(old)
    assert promised_us(new) == promised_us(old) > promised_us(desk())


def poisson_asks(load: float, seed: int, service_us: dict[str, float], priority: dict[str, int]) -> list[Ask]:
    """Requests for models in equal parts, due within five times their own service."""
    rng = np.random.default_rng(seed)
    models = list(service_us)
    gap_us = float(np.mean(list(service_us.values()))) / (2 * load)
    asks = []
    for at_us in np.cumsum(rng.exponential(gap_us, 3000)):
        model = models[rng.integers(len(models))]
        asks.append(Ask(float(at_us), model, float(at_us) + 5 * service_us[model], priority[model]))
    return asks


@pytest.mark.parametrize("load", [0.9, 1.5])
def test_promises_to_lower_priorities_count_on_the_higher_ones_that_will_come(load: float) -> None:
    service_us = {"short": 4300.0, "long": 6800.0}
    asks = poisson_asks(load, 1, service_us, {"short": 1, "long": 0})
    lines = {m: line(*(whole(k, [us], (0, 1), m) for k in range(2))) for m, us in service_us.items()}
    outcome = serve(Desk(lines), asks, (0, 1))
    accepted = [k for k in outcome.end_us if asks[k].model == "long"]
    late = [k for k in accepted if outcome.end_us[k] > asks[k].deadline_us]
    assert len(late) < 0.2 * len(accepted)
    # What the short ones leave of two cores is used, and mostly for requests that end in time.
    span_us = asks[-1].at_us
    taken_us = sum(service_us["short"] for k in outcome.end_us if asks[k].model == "short")
    offered_us = sum(service_us["long"] for ask in asks if ask.model == "long")
    useful_us = service_us["long"] * (len(accepted) - len(late))
    assert useful_us > 0.75 * min(2 * span_us - taken_us, offered_us)


def test_the_wait_behind_higher_priorities_is_one_that_nine_in_ten_stay_below() -> None:
    rng = np.random.default_rng(2)
    share, service_us, backlog_us = 0.5, 40.0, 2000.0
    passing = PassingLoad(1)
    gap_us = service_us / share
    now_us = 0.0
    for _ in range(200_000):
        now_us += gap_us
        passing.accept(1, service_us, now_us)
    promised_us = passing.wait_us(backlog_us, 0, now_us)
    assert passing.wait_us(backlog_us, 1, now_us) == backlog_us
    waits = []
    for _ in range(2000):
        busy_us = backlog_us
        served = 0.0
        while served < busy_us:  # all that came by the end of what was known is served in its turn
            came = rng.poisson((busy_us - served) / gap_us)
            served, busy_us = busy_us, busy_us + came * service_us
        waits.append(busy_us)
    assert 0.86 < np.mean(np.array(waits) <= promised_us) < 0.94
    assert passing.wait_us(backlog_us, 0, now_us + 60e6) == pytest.approx(backlog_us)
