"""Whether a new plan does worse than it was predicted to, and worse than the one before: a sequential test.

A plan is exchanged since a simulation said that it is better. Where the device says otherwise, the old one should come
back; but chance makes any plan look bad for a while, and a service that looks every half second for months would
roll back good ones. So the test states how often it errs (Notes of `Trial`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..formulation import Plan, Problem, simulate
from .records import RequestRecord
from .significance import binomial_p, stratified_fisher_p, van_elteren_p

SIMULATED_REQUESTS = 2000
"""Enough for a miss ratio to within a percentage point, far below the margin that is added to it."""


@dataclass(frozen=True)
class Prediction:
    """What a plan was predicted to do to one model's requests.

    Attributes
    ----------
    miss_ratio : float
        Share of requests that end after their deadline.
    response_us : float
        Median response; NaN where it is not known, and then slowness of this model is not tested.
    """

    miss_ratio: float
    response_us: float = float("nan")


def predict(problem: Problem, plan: Plan, seed: int = 0) -> dict[str, Prediction]:
    """Predict by simulated arrivals of the problem's streams. Takes up to a second of one core.

    Parameters
    ----------
    problem : Problem
        As the world is assumed to be.
    plan : Plan
    seed : int

    Raises
    ------
    PlanError
        The plan cannot run.
    """
    rate_hz = sum(stream.rate_hz for stream in problem.streams)
    if rate_hz <= 0:
        return {}
    simulated = simulate(problem, plan, SIMULATED_REQUESTS / rate_hz * 1e6, seed)
    return {model: Prediction(of.miss_ratio, of.percentile_us(0.5)) for model, of in simulated.items()}


@dataclass(frozen=True)
class TrialSettings:
    """How a plan is tried.

    Attributes
    ----------
    alpha : float
        Largest probability that a plan which is as good as predicted, or as good as the one before, is rolled back.
    miss_margin : float
        Share of requests by which lateness may exceed its prediction. Also what counts as rare lateness: where more
        were late under the plan before, slowness alone is no reason to go back to it.
    slow_factor : float
        Multiple of the predicted median response that is allowed.
    block_us : float
        Requests that end within one block queued together and are late together, so only one of them, drawn at random,
        is counted.
    first_look, max_requests : int
        Counted requests at the first look, and at the last one. Looks in between are at doubled counts.
    max_us : float
        When the trial ends, with however many were counted.
    settle_us : float
        Requests that arrive within this after the switch are left out: they meet what the old plan left queued.
    """

    alpha: float = 0.01
    miss_margin: float = 0.05
    slow_factor: float = 1.5
    block_us: float = 5e5
    first_look: int = 8
    max_requests: int = 128
    max_us: float = 90e6
    settle_us: float = 5e5

    @property
    def looks(self) -> tuple[int, ...]:
        """Counts at which the data is looked at."""
        counts, count = [], self.first_look
        while count < self.max_requests:
            counts.append(count)
            count *= 2
        return (*counts, self.max_requests)

    @property
    def look_alpha(self) -> float:
        """Share of `alpha` for each of the two questions at each look, the one at the end of time included."""
        return self.alpha / 2 / (len(self.looks) + 1)


@dataclass(frozen=True)
class Verdict:
    """How a trial ended.

    Attributes
    ----------
    action : {'roll back', 'keep'}
    reason : str
    at_us : float
    counted : int
        Requests that it rests on.
    """

    action: Literal["roll back", "keep"]
    reason: str
    at_us: float
    counted: int


class Trial:
    """A plan on trial. `ended` may be called by many threads, `check` by one.

    Parameters
    ----------
    before : sequence of RequestRecord
        Requests of the window before the switch, ended under the plan before. They should be of the same world: where
        rates or costs have drifted since, drop the trial. Some 20 blocks give the test its power; without any, nothing
        is ever rolled back.
    predicted : mapping of str to Prediction
        By model; requests of other models are not counted.
    plan_version : int
        Requests of other plans are not counted.
    began_us : float
        Of the switch.
    settings : TrialSettings, optional
    seed : int
        Draws the requests that are counted.

    Notes
    -----
    A request is *late* where it ended after its deadline, failed, or was refused. Refused ones count since admission
    refuses what the plan cannot serve in time; were they left out, a plan under which nothing can be served would look
    perfect. Requests that never fitted their model are left out, for they are their sender's fault.

    The plan is rolled back for **lateness** where both of these are rejected at level *a*:

    - late no more often than predicted plus `miss_margin`: exact one-sided binomial test. With different predictions
      for different models the number of late ones is not binomial; the binomial with the mean probability then has
      the heavier upper tail [1]_, so the test errs on the safe side.
    - late no more often than before: Fisher's exact test, one-sided, by model (the sum of the hypergeometric numbers of
      late requests given each model's margins, so that a change in what is asked for does not count).

    and for **slowness**, where lateness was rare before, where both of these are rejected:

    - the median response is at most `slow_factor` times the predicted one: exact one-sided sign test.
    - responses are no longer than before: Mann–Whitney by model, combined as by van Elteren [2]_, normal approximation.
      Ranks within a model need no scale, so that it does not matter what either plan said how long they would take.

    Since both must be rejected, the probability of a false rollback by one question at one look is at most *a* where
    either hypothesis is true [3]_. With ``K`` looks and two questions ``a = alpha / (2 (K + 1))`` keeps the whole trial
    within `alpha` whatever the dependence between looks (Bonferroni; the looks are at counts fixed beforehand, and
    one at the end). The tests take counted requests as independent, which holds where queues empty between blocks; near
    saturation they do not, and `block_us` must be longer.

    References
    ----------
    .. [1] W. Hoeffding, On the distribution of the number of successes in independent trials, Annals of Mathematical
       Statistics 27 (1956). :doi:`10.1214/aoms/1177728178`
    .. [2] P. van Elteren, On the combination of independent two-sample tests of Wilcoxon, Bulletin of the International
       Statistical Institute 37 (1960).
    .. [3] R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24 (1982).
       :doi:`10.1080/00401706.1982.10487790`
    """

    def __init__(
        self,
        before: Sequence[RequestRecord],
        predicted: Mapping[str, Prediction],
        *,
        plan_version: int,
        began_us: float,
        settings: TrialSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings or TrialSettings()
        self._predicted = predicted
        self._version = plan_version
        self._began_us = began_us
        self._rng = np.random.default_rng(seed)
        self._before = self._thinned(r for r in before if self._concerns(r))
        # One check's worth at the most is waiting; where nobody checks, the oldest go.
        self._ended: deque[RequestRecord] = deque(maxlen=4096)
        self._counted: list[RequestRecord] = []
        self._block_end_us = began_us + self.settings.settle_us
        self._looks_left = list(self.settings.looks)
        self._verdict: Verdict | None = None

    def ended(self, record: RequestRecord) -> None:
        """Take in a request that has ended."""
        if (
            self._verdict is None
            and record.plan_version == self._version
            and record.arrival_us >= self._began_us + self.settings.settle_us
            and self._concerns(record)
        ):
            self._ended.append(record)

    def check(self, at_us: float) -> Verdict | None:
        """Look at what has ended so far; the verdict once there is one, and from then on."""
        if self._verdict is not None:
            return self._verdict
        if at_us >= self._block_end_us:
            block = [self._ended.popleft() for _ in range(len(self._ended))]
            if block:
                self._counted.append(block[self._rng.integers(len(block))])
                self._block_end_us = at_us + self.settings.block_us
        worse = ""
        while not worse and self._looks_left and len(self._counted) >= self._looks_left[0]:
            worse = self._worse(self._counted[: self._looks_left.pop(0)])
        over = not self._looks_left or at_us >= self._began_us + self.settings.max_us
        if over and not worse and self._looks_left and self._counted:
            worse = self._worse(self._counted)
        if worse:
            self._verdict = Verdict("roll back", worse, at_us, len(self._counted))
        elif over:
            self._verdict = Verdict("keep", self._kept(), at_us, len(self._counted))
        return self._verdict

    def _concerns(self, record: RequestRecord) -> bool:
        misfit = record.error and not record.refused and not record.segments
        return record.model in self._predicted and not misfit

    def _thinned(self, records: Iterable[RequestRecord]) -> list[RequestRecord]:
        """One request a block, drawn at random."""
        blocks: dict[int, list[RequestRecord]] = {}
        for record in records:
            blocks.setdefault(int(record.finish_us // self.settings.block_us), []).append(record)
        return [block[self._rng.integers(len(block))] for _, block in sorted(blocks.items())]

    def _kept(self) -> str:
        if not self._counted:
            return "no request came to judge it by"
        late = sum(record.missed for record in self._counted)
        return f"{late} of {len(self._counted)} counted requests were late; no worse than predicted and before"

    def _worse(self, after: Sequence[RequestRecord]) -> str:
        """Why the plan is worse, in words; empty where it is not shown to be."""
        return self._later(after) or self._slower(after)

    def _later(self, after: Sequence[RequestRecord]) -> str:
        level = self.settings.look_alpha
        late = sum(record.missed for record in after)
        share = float(np.mean([self._predicted[record.model].miss_ratio for record in after]))
        p_predicted = binomial_p(late, len(after), min(1.0, share + self.settings.miss_margin))
        if p_predicted > level:
            return ""
        p_before = stratified_fisher_p(_counts(after), _counts(self._before))
        if p_before > level:
            return ""
        late_before = sum(record.missed for record in self._before)
        return (
            f"late: {late} of {len(after)} counted requests where {share:.1%} were predicted "
            f"(p = {p_predicted:.2g} with {self.settings.miss_margin:.0%} margin), and {late_before} of "
            f"{len(self._before)} under the plan before (p = {p_before:.2g})"
        )

    def _slower(self, after: Sequence[RequestRecord]) -> str:
        late_before = sum(record.missed for record in self._before)
        if late_before > self.settings.miss_margin * len(self._before):
            return ""
        level, factor = self.settings.look_alpha, self.settings.slow_factor
        served = [r for r in after if not r.error and self._predicted[r.model].response_us > 0]
        ratios = [record.response_us / self._predicted[record.model].response_us for record in served]
        longer = sum(ratio > factor for ratio in ratios)
        p_predicted = binomial_p(longer, len(ratios), 0.5)
        if p_predicted > level:
            return ""
        p_before = van_elteren_p(_responses(served), _responses(self._before))
        if p_before > level:
            return ""
        return (
            f"slow: {longer} of {len(ratios)} counted requests took more than {factor:g} times the predicted median "
            f"response, in the median {float(np.median(ratios)):.2f} times (p = {p_predicted:.2g}), and longer than "
            f"under the plan before (p = {p_before:.2g})"
        )


def _counts(records: Iterable[RequestRecord]) -> dict[str, tuple[int, int]]:
    """By model, how many were late, and how many there were."""
    counts: dict[str, tuple[int, int]] = {}
    for record in records:
        late, total = counts.get(record.model, (0, 0))
        counts[record.model] = late + record.missed, total + 1
    return counts


def _responses(records: Iterable[RequestRecord]) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[float]] = {}
    for record in records:
        if not record.error:
            found.setdefault(record.model, []).append(record.response_us)
    return {model: np.array(values) for model, values in found.items()}
