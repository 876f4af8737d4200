"""The controller's decisions as a state machine over events: no clock, no threads, no solver of its own.

The same events give the same decisions, bit by bit, whether they come from a live runtime or out of a journal. The
driver feeds `Decider.look` with windows; where that returns a question, it gets proposals (`proposals.propose`), asks
`Decider.decide`, and where the decision is to switch reports to `Decider.switched`.
"""

from __future__ import annotations

import math

from ...formulation.tenancy import Allocation, Demands, TenancyProblem, demands
from .beliefs import stated
from .drifts import companions, find_drifts, updated
from .estimates import Sight
from .events import Answer, Decision, Outcome, Question, SwitchCost, TenantEstimate, Window
from .settings import ControllerSettings
from .switch_cost import sessions_to_open, switch_cost


class Decider:
    """Decides from windows whether to ask, and from answers whether to switch.

    Where the solver or the switch itself fails, it asks again without a new drift: after a rest, then after twice that,
    and so on up to the horizon.

    Parameters
    ----------
    problem : TenancyProblem
        As stated; beliefs start from its rates and costs.
    allocation : Allocation
        That serves.
    settings : ControllerSettings

    Attributes
    ----------
    belief : Belief
    allocation : Allocation
    switching_to : Allocation or None
        Between the decision to switch and its outcome.

    Raises
    ------
    PlanError
        The allocation does not fit the problem.
    """

    def __init__(self, problem: TenancyProblem, allocation: Allocation, settings: ControllerSettings) -> None:
        self.problem = problem
        self.settings = settings
        self.belief = stated(problem)
        self.allocation = allocation
        self._asked: Demands = demands(problem, allocation)
        self._sight = Sight(len(problem.tenants), settings)
        self._streak: dict[tuple[str, str, bool], int] = {}
        self._at_us = 0.0
        self._rest_until_us = self._settling_until_us = -math.inf
        self._opening_us = settings.opening_us_per_session
        self._decisions = 0
        self._failures = 0
        self._retry_at_us = math.inf
        self.switching_to: Allocation | None = None

    def look(self, window: Window) -> Question | None:
        """Take a window in; a question where a drift has lasted or something failed, and it is time to decide."""
        self._sight.add(window)
        self._at_us = window.end_us
        estimates = self.estimates()
        if estimates is None:
            return None
        found = find_drifts(self.problem, self.allocation, self._asked, self.belief, estimates, self.settings)
        certain = any(drift.quantity == "rate" for drift in found)
        settling = window.end_us < self._settling_until_us
        if settling:
            found += companions(self.belief, estimates, found, self.settings)
        keys = {(d.quantity, d.tenant, d.seen > d.believed) for d in found}
        self._streak = {key: self._streak.get(key, 0) + 1 for key in keys}
        lasted = any(n >= self.settings.persistence for n in self._streak.values())
        retry = window.end_us >= self._retry_at_us
        if not (lasted or retry) or window.end_us < self._rest_until_us:
            return None
        self._retry_at_us = math.inf
        if certain:
            self._settling_until_us = window.end_us + self.settings.settling_s * 1e6
            if not settling:
                found += companions(self.belief, estimates, found, self.settings)
        before, self.belief = self.belief, updated(self.problem, self.belief, found)
        for i, (old, new) in enumerate(zip(before.rate_hz, self.belief.rate_hz, strict=True)):
            if old != new:
                self._sight.forget_rate_before(i, estimates[i].rate_hz.window_s)
        self._streak.clear()
        return Question(at_us=window.end_us, drifts=found, estimates=estimates, before=before, after=self.belief)

    def estimates(self) -> tuple[TenantEstimate, ...] | None:
        """What is known of each tenant; None until the shortest window of rates is full."""
        found = []
        for i, tenant in enumerate(self.problem.tenants):
            rate_hz = self._sight.rate_hz(i)
            if rate_hz is None:
                return None
            found.append(
                TenantEstimate(
                    tenant=tenant.name,
                    rate_hz=rate_hz,
                    service_us=self._sight.cost_us(i, "service_us"),
                    reload_us=self._sight.cost_us(i, "reload_us"),
                    suffix_us=self._sight.cost_us(i, "suffix_us"),
                )
            )
        return tuple(found)

    def decide(self, question: Question, answer: Answer) -> Decision:
        """Hold the proposals against the present allocation and what an exchange costs."""
        self._decisions += 1
        chosen, saving, cost, reason = self._weigh(answer)
        self.switching_to = answer.candidates[chosen].allocation if chosen else None
        if answer.failure and not chosen:
            self._ask_again()
        elif not chosen:
            self._failures = 0
        return Decision(
            number=self._decisions,
            at_us=question.at_us,
            action="switch" if chosen else "keep",
            chosen=chosen,
            saving_us_per_s=saving,
            switch_cost=cost,
            reason=reason,
        )

    def switched(self, outcome: Outcome) -> None:
        """Take in what became of a switch."""
        assert self.switching_to is not None, "no switch was decided"
        new, self.switching_to = self.switching_to, None
        if not outcome.done:
            self._ask_again()
            return
        self._failures = 0
        opened = sessions_to_open(self.allocation, new)
        if opened:
            self._opening_us = outcome.opening_us / opened
        self._rest_until_us = self._at_us + self.settings.rest_s * 1e6
        self.allocation = new
        self._asked = demands(self.problem, new)
        self._sight.forget_costs()

    def _ask_again(self) -> None:
        """After a failure: what is believed has changed already, so no drift would lead to another question."""
        rest_s = min(self.settings.rest_s * 2**self._failures, self.settings.horizon_s)
        self._retry_at_us = self._at_us + rest_s * 1e6
        self._failures = min(self._failures + 1, 30)

    def _weigh(self, answer: Answer) -> tuple[int, float | None, SwitchCost | None, str]:
        settings, candidates = self.settings, answer.candidates
        now = candidates[0].mean_response_us
        chosen = min(range(len(candidates)), key=lambda k: _or_infinity(candidates[k].mean_response_us))
        best, failed = candidates[chosen], f" ({answer.failure})" if answer.failure else ""
        if best.mean_response_us is None:
            return 0, None, None, f"No allocation that was considered can keep up with the load{failed}."
        if chosen == 0:
            assert now is not None
            reason = f"No other allocation is predicted to answer sooner than the present {_ms(now)}{failed}."
            return 0, 0.0, None, reason
        cost = switch_cost(
            self.problem, self.belief, self.allocation, best.allocation, now, self._opening_us, settings.disturbance
        )
        if now is None:
            return (
                chosen,
                None,
                cost,
                f"The present allocation cannot keep up with the load; {best.name!r} is predicted to answer in "
                f"{_ms(best.mean_response_us)} on average.",
            )
        rate_hz = sum(self.belief.rate_hz)
        saving = rate_hz * (now - best.mean_response_us)
        gain = 1 - best.mean_response_us / now
        compared = f"{best.name!r} is predicted to answer in {_ms(best.mean_response_us)} on average, now {_ms(now)}"
        saved = f"at {rate_hz:.3g} requests/s that saves {_s(saving * settings.horizon_s)} in {settings.horizon_s:g} s"
        if gain < settings.min_gain:
            return 0, saving, cost, f"{compared}: a gain of {gain:.1%}, below the {settings.min_gain:.1%} asked for."
        if saving * settings.horizon_s <= cost.total_us:
            return 0, saving, cost, f"{compared}; {saved}, less than the {_s(cost.total_us)} that the exchange costs."
        return chosen, saving, cost, f"{compared}; {saved}, and the exchange costs {_s(cost.total_us)}."


def _or_infinity(us: float | None) -> float:
    return math.inf if us is None else us


def _ms(us: float) -> str:
    return f"{us / 1e3:.4g} ms"


def _s(us: float) -> str:
    return f"{us / 1e6:.3g} s of waiting"
