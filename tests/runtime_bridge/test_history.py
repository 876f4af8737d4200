"""Plans by version: the last ones, and always the one that serves."""

from __future__ import annotations

from edgeplan.formulation import evaluate
from edgeplan.runtime_bridge.history import KEPT_PLANS, PlanHistory

from ..conftest import Toys


def test_the_plan_that_serves_is_kept_however_many_others_fail(toys: Toys) -> None:
    history, plan = PlanHistory(), toys.halved()
    evaluation = evaluate(toys.problem, plan)
    for _ in range(3):
        history.confirm(serves := history.add(plan, evaluation))
    for _ in range(2 * KEPT_PLANS):
        failed = history.add(plan, evaluation)
    assert history.get(serves) is not None
    assert list(history.plans) == [serves]
    assert history.get(0) is None
    assert len(history._plans) == KEPT_PLANS + 1
    history.confirm(failed)
    history.add(plan, evaluation)
    assert history.get(serves) is None
    assert list(history.plans) == [failed]
