"""News of a solve: few, never out of date, and the last word on each part."""

from __future__ import annotations

from typing import Any

from edgeplan.interface.planner.news import News
from hypothesis import given
from hypothesis import strategies as st


def news(number: int, policy: str, front: bool) -> dict[str, Any]:
    return {"number": number, "policy": policy, "model": "", "front": [[number, 1]] if front else None}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(0, 2)), max_size=50))
def test_the_last_word_on_each_part_is_told_in_order(told: list[tuple[str, bool, float]]) -> None:
    waiting, said, now_s = News(), [], 1000.0
    for number, (policy, front, pause_s) in enumerate(told):
        waiting.add(news(number, policy, front))
        now_s += pause_s
        due = waiting.due(now_s)
        assert not (due and waiting.is_due(now_s + 0.1))
        said += due
    said += waiting.last()
    numbers = [each["number"] for each in said]
    assert numbers == sorted(set(numbers))
    ends = {k for k, (policy, *_) in enumerate(told) if k + 1 == len(told) or told[k + 1][0] != policy}
    assert ends <= set(numbers)
    fronts = [k for k, (_, front, _) in enumerate(told) if front]
    if fronts:  # no front is lost to news without one
        assert [each["front"] for each in said if each["front"]][-1] == [[fronts[-1], 1]]


def test_long_solves_tell_less_often() -> None:
    waiting, said, now_s = News(), 0, 0.0
    waiting._began_s = 0.0
    while now_s < 3600:
        now_s += 0.05
        waiting.add(news(0, "", False))
        said += len(waiting.due(now_s))
    assert said < 1500
