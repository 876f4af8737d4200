"""The live controller: operating points of a runtime's models chosen jointly and applied by exchanging plans."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...formulation import EdgePlanError, Plan, PlanError, Problem, SolverStamp, capped
from ...formulation.operating_points import ModelPoints, SharedProcessor, Sight
from ..clock import now_us
from ..observer import Observation
from ..records import RequestRecord
from ..runtime import LiveRuntime
from .decisions import DecisionJournal, PointsDecision
from .feedback import MemAvailable, PressureStall
from .joint import JointPolicy
from .settings import JointSettings

_SHORTER = 0.1
"""Share of what the models hold that is given back where the kernel reports stalls for memory."""


@dataclass(frozen=True)
class Exchange:
    """What became of a change of points.

    Attributes
    ----------
    at_us : float
    done : bool
    opening_us : float
        Time to open the new sessions.
    failure : str
        Why it could not be done; the old points serve on.
    """

    at_us: float
    done: bool
    opening_us: float = 0.0
    failure: str = ""


class PointsController:
    """Moves a runtime's models along their fronts. Use it as a context manager.

    Parameters
    ----------
    runtime : LiveRuntime
        Serves a plan made of one point of every model.
    problem : Problem
        Of all models; what every exchanged plan is evaluated for.
    models : sequence of ModelPoints
        In the problem's order; every point with its `plan`.
    settings : JointSettings, optional
    journal : DecisionJournal, optional
    available : MemAvailable, optional
        What says how much memory is left.
    stall : PressureStall, optional
        What says whether memory is short.
    memory : str, optional
        The memory that these speak of; the first processor's where left out.
    interval_s : float
        Between two looks.
    on_decision : callable, optional
        Called with each decision on the controller's thread.

    Raises
    ------
    PlanError
        Points without plans, or a runtime that serves none of them.
    """

    def __init__(
        self,
        runtime: LiveRuntime,
        problem: Problem,
        models: Sequence[ModelPoints],
        *,
        settings: JointSettings | None = None,
        journal: DecisionJournal | None = None,
        available: MemAvailable | None = None,
        stall: PressureStall | None = None,
        memory: str | None = None,
        interval_s: float = 0.25,
        on_decision: Callable[[PointsDecision], None] | None = None,
    ) -> None:
        self.runtime, self.problem = runtime, problem
        self.models = {model.model: model for model in models}
        self.journal = journal or DecisionJournal()
        self.exchanges: list[Exchange] = []
        platform = problem.platform
        self._processors = tuple(SharedProcessor(p.name, len(p.cores)) for p in platform.processors)
        self._memory = memory or platform.processors[0].memory
        self._available, self._stall = available or MemAvailable(), stall or PressureStall()
        self._interval_s, self._on_decision = interval_s, on_decision
        self._settings = settings
        self._points = {name: self._serving(model) for name, model in self.models.items()}
        self._arrivals = dict.fromkeys(self.models, 0.0)
        self._seen = len(runtime.records)
        self._last_us = now_us()
        self._policy = self._fresh_policy()
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeplan-points-controller", daemon=True)

    def __enter__(self) -> PointsController:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def points(self) -> Mapping[str, str]:
        """Name of the point that serves each model."""
        return {name: model.points[self._points[name]].name for name, model in self.models.items()}

    def close(self) -> None:
        """Stop watching. What stopped the controller before, if something did, is raised here."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def check(self, seen: Observation | None = None) -> None:
        """Look once and act on it; `seen` instead of what the runtime's observer says."""
        observation = seen or self.runtime.observer.observe()
        sight = self._sight(observation)
        self._report(sight)
        before = len(self.journal.decisions)
        changes = self._policy.look(sight)
        if changes:
            self._exchange({name: points[0] for name, points in changes.items()})
        for decision in self.journal.decisions[before:]:
            if self._on_decision is not None:
                self._on_decision(decision)

    def _watch(self) -> None:
        try:
            while not self._stop.wait(self._interval_s):
                self.check()
        except BaseException as error:  # handed to whoever closes, while the runtime serves on
            self._failure = error

    def _serving(self, model: ModelPoints) -> int:
        """Index of the point that the runtime serves a model at."""
        segments = self.runtime.plan.model_plan(model.model).segments
        for j, point in enumerate(model.points):
            if point.plan is None:
                raise PlanError(
                    f"operating point {point.name!r} of model {model.model!r}",
                    expected="a plan that runs it",
                    got="none",
                    remedy="Make the points with `from_front`.",
                )
            if point.plan.segments == segments:
                return j
        raise PlanError(
            f"plan of model {model.model!r}",
            expected=f"that of one of its points {capped(point.name for point in model.points)}",
            got="another",
            remedy="Start the runtime with a plan made of the models' points.",
        )

    def _sight(self, seen: Observation) -> Sight:
        at_us = now_us()
        # Arrivals of the sliding window, as a count that grows: at its rate since the last look.
        for name in self._arrivals:
            self._arrivals[name] += seen.rate_hz(name) * (at_us - self._last_us) / 1e6
        self._last_us = at_us
        held = sum(m.points[self._points[n]].memory_bytes.get(self._memory, 0.0) for n, m in self.models.items())
        left = self._available.bytes()
        if self._stall.is_short:
            left = min(left, -_SHORTER * held)
        foreign = {
            p.name: sum(seen.foreign.get(core, 0.0) for core in p.cores)
            for p in self.problem.platform.processors
            if any(core in seen.foreign for core in p.cores)
        }
        return Sight(
            at_us,
            self.models,
            {name: (j,) for name, j in self._points.items()},
            {self._memory: left} if math.isfinite(left) else {},
            {name: int(count) for name, count in self._arrivals.items()},
            {},
            foreign,
        )

    def _report(self, sight: Sight) -> None:
        """Hand new requests, under the plan that serves, to the policy."""
        records: Sequence[RequestRecord] = self.runtime.records[self._seen :]
        self._seen += len(records)
        for record in records:
            if record.plan_version == self.runtime.version and not record.error and record.segments:
                execution_us = record.finish_us - min(segment.start_us for segment in record.segments)
                self._policy.served(record.model, self._points[record.model], execution_us, sight)

    def _fresh_policy(self) -> JointPolicy:
        policy = JointPolicy(self._processors, self._settings, self.journal)
        policy.start(self._sight(self.runtime.observer.observe()))
        return policy

    def _exchange(self, changes: Mapping[str, int]) -> None:
        wanted = self._points | dict(changes)
        plans = []
        for model in self.problem.models:
            plan = self.models[model.name].points[wanted[model.name]].plan
            assert plan is not None, "checked when the controller was made"
            plans.append(plan)
        running = self.runtime.plan
        plan = Plan(
            models=tuple(plans),
            order=running.order,
            platform_fingerprint=running.platform_fingerprint,
            provenance=running.provenance,
            solver=SolverStamp(method="greedy", status="feasible"),
        )
        try:
            opening_s = self.runtime.swap(self.problem, plan)
        except EdgePlanError as error:
            self.exchanges.append(Exchange(now_us(), done=False, failure=str(error)))
            # What it believes to serve does not; it starts again from what does.
            self._policy = self._fresh_policy()
            return
        self._points = wanted
        self.exchanges.append(Exchange(now_us(), done=True, opening_us=opening_s * 1e6))
