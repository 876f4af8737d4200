"""From one plan to another: no stage takes more than the limit, every model changes once, few requests wait."""

from __future__ import annotations

import itertools

import pytest
from edgeplan.formulation import Configuration, PlannedSegment
from edgeplan.formulation.structure import ScoredSegment
from edgeplan.runtime_bridge.exchange import Segments, Stage, stages
from hypothesis import given
from hypothesis import strategies as st

ORT = Configuration(backend="onnxruntime-cpu")


def segment(start: int, stop: int, resident: float, transient: float = 0.0, memory: str = "host") -> ScoredSegment:
    planned = PlannedSegment(start=start, stop=stop, configuration=ORT, cores=(0,))
    return ScoredSegment(planned, 1.0, resident, transient, memory, ())


def whole(resident: float, transient: float = 0.0) -> Segments:
    return (segment(0, 10, resident, transient),)


def halved(resident: float, transient: float = 0.0) -> Segments:
    return (segment(0, 5, resident / 2, transient), segment(5, 10, resident / 2, transient))


def outline(route: tuple[Stage, ...]) -> list[tuple[tuple[str, ...], bool, float]]:
    return [(stage.models, stage.beside, stage.peak_bytes["host"]) for stage in route]


def test_where_all_fits_all_change_at_once() -> None:
    old, new = {"a": whole(10), "b": whole(10)}, {"a": halved(10), "b": halved(10)}
    assert outline(stages(old, new, {"host": 40})) == [(("a", "b"), True, 40)]


def test_where_not_all_fits_models_change_one_by_one() -> None:
    old, new = {"a": whole(10), "b": whole(10)}, {"a": halved(10), "b": halved(10)}
    assert outline(stages(old, new, {"host": 30})) == [(("a",), True, 30), (("b",), True, 30)]


def test_a_model_that_does_not_fit_beside_itself_is_closed_first() -> None:
    old, new = {"a": whole(10), "b": whole(10)}, {"a": halved(10), "b": whole(10)}
    assert outline(stages(old, new, {"host": 20})) == [(("b",), True, 20), (("a",), False, 20)]


def test_what_makes_room_goes_first() -> None:
    old, new = {"a": whole(10), "b": whole(30)}, {"a": halved(30), "b": halved(10)}
    assert outline(stages(old, new, {"host": 50})) == [(("b",), True, 50), (("a",), True, 50)]


def test_where_no_model_alone_can_change_all_are_closed() -> None:
    old, new = {"a": whole(30), "b": whole(10)}, {"a": halved(10), "b": halved(30)}
    assert outline(stages(old, new, {"host": 40}))[0][1] is False
    stuck = stages(
        {"a": (segment(0, 10, 5), segment(0, 9, 5, memory="gpu"))}, {"a": halved(11)}, {"host": 10, "gpu": 5}
    )
    assert [(stage.models, stage.beside) for stage in stuck] == [(("a",), False)]


def test_where_the_limit_was_lowered_models_still_change_in_turn() -> None:
    old, new = {"a": whole(10), "b": whole(10)}, {"a": halved(8), "b": halved(8)}
    assert outline(stages(old, new, {"host": 16})) == [(("a",), False, 18), (("b",), False, 16)]


def test_models_come_and_go() -> None:
    route = stages({"a": whole(10)}, {"b": whole(10)}, {"host": 10})
    assert outline(route) == [(("a",), True, 10), (("b",), True, 10)]


def test_shared_sessions_count_once_unless_they_are_opened_anew() -> None:
    plan = {"a": whole(10, transient=2)}
    assert outline(stages(plan, plan, {"host": 14})) == [(("a",), True, 14)]
    assert outline(stages(plan, plan, {"host": 24}, fresh=["a"])) == [(("a",), True, 24)]
    assert outline(stages(plan, plan, {"host": 14}, fresh=["a"])) == [(("a",), False, 12)]


sizes = st.sampled_from([0.0, 1.0, 3.0, 10.0])
plans = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(lambda cut, a, b: halved(a, b) if cut else whole(a, b), st.booleans(), sizes, sizes),
)


@given(plans, plans, st.floats(0, 30), st.sets(st.sampled_from("abcd")))
def test_no_stage_takes_more_than_the_plans_and_the_limit_allow(
    old: dict[str, Segments], new: dict[str, Segments], room: float, fresh: set[str]
) -> None:
    def total(plan: dict[str, Segments]) -> float:
        return sum(
            sum(s.resident_bytes for s in segments) + max(s.transient_bytes for s in segments)
            for segments in plan.values()
        )

    limit = max(total(old), total(new)) + room
    route = stages(old, new, {"host": limit}, fresh)
    assert sorted(itertools.chain.from_iterable(stage.models for stage in route)) == sorted(old | new)
    assert all(stage.peak_bytes["host"] <= limit * (1 + 1e-6) for stage in route)
    everything = stages(old, new, {"host": 2 * limit + 1}, fresh)
    assert [stage.beside for stage in everything] == [True]


def test_a_plan_beyond_the_limit_still_gets_a_route() -> None:
    assert outline(stages({"a": whole(1)}, {"a": halved(10)}, {"host": 5})) == [(("a",), False, pytest.approx(10))]
