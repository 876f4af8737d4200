"""The live controller: collects windows, drives the decisions, exchanges allocations, writes the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ...formulation import EdgePlanError
from ...formulation.tenancy import Allocation, TenancyProblem
from .decider import Decider
from .events import Answer, Belief, Decision, Outcome, Window
from .journal import Header, Journal, JournalWriter
from .proposals import Alternatives, Predict, Reallocate, propose
from .records import TenantRecord
from .replay import TenantTally, consider
from .runtime import TenantRuntime
from .settings import ControllerSettings


def predicted_mean_us(problem: TenancyProblem, allocation: Allocation) -> float:
    """Mean response time by the one evaluator, microseconds; ∞ where it is unstable."""
    from ...formulation.tenancy.evaluate import evaluate_tenancy

    return float(evaluate_tenancy(problem, allocation).mean_response_us)


class TenancyController:
    """Re-allocates a runtime of tenants as rates and costs change. Use it as a context manager.

    Parameters
    ----------
    runtime : TenantRuntime
        Its problem is where beliefs start.
    reallocate : callable
        Solves a `TenancyProblem`; what it returns has an `allocation`. Called on the controller's thread.
    settings : ControllerSettings, optional
    predict : callable, optional
        Mean response of an allocation, microseconds; the evaluator's where left out.
    alternatives : callable, optional
        Further allocations to consider, by name.
    journal_path : str or Path, optional
        Where to write the journal for `edgeplan explain`.
    on_decision : callable, optional
        Called with every decision on the controller's thread.

    Raises
    ------
    JournalError
        The journal cannot be written there.
    """

    def __init__(
        self,
        runtime: TenantRuntime,
        reallocate: Reallocate,
        *,
        settings: ControllerSettings | None = None,
        predict: Predict = predicted_mean_us,
        alternatives: Alternatives | None = None,
        journal_path: str | Path | None = None,
        on_decision: Callable[[Decision], None] | None = None,
    ) -> None:
        self.runtime = runtime
        self.settings = settings or ControllerSettings()
        self.decisions: list[Decision] = []
        self._reallocate, self._predict, self._alternatives = reallocate, predict, alternatives
        self._on_decision = on_decision
        self._decider = Decider(runtime.problem, runtime.allocation, self.settings)
        self._writer = JournalWriter(Header.of(runtime.problem, runtime.allocation, self.settings), journal_path)
        self._tenants = [tenant.name for tenant in runtime.problem.tenants]
        self._origin_us = self._since_us = runtime.timebase.now_us()
        self._seen = 0
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeplan-tenancy-controller", daemon=True)

    def __enter__(self) -> TenancyController:
        self._origin_us = self._since_us = self.runtime.timebase.now_us()
        self._seen = len(self.runtime.records)
        self.runtime.take_arrivals()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def journal(self) -> Journal:
        """What was seen and decided so far."""
        return self._writer.journal

    def close(self) -> None:
        """Stop watching and end the journal. What stopped the controller before, if something did, is raised here."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._writer.close()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _watch(self) -> None:
        try:
            while not self._stop.wait(self.settings.interval_s * self.runtime.timebase.stretch):
                self._look()
        except BaseException as error:  # a solver's defect, say; handed to the caller, while the runtime serves on
            self._failure = error

    def _look(self) -> None:
        window = self._window()
        self._writer.note(window)
        decision = consider(self._decider, window, self._ask, self._writer)
        if decision is None:
            return
        self.decisions.append(decision)
        if (allocation := self._decider.switching_to) is not None:
            outcome = self._switch(allocation)
            self._writer.note(outcome)
            self._decider.switched(outcome)
        if self._on_decision is not None:
            self._on_decision(decision)

    def _window(self) -> Window:
        start_us, end_us = self._since_us, self.runtime.timebase.now_us()
        self._since_us = end_us
        arrived = self.runtime.take_arrivals()
        records: Sequence[TenantRecord] = self.runtime.records[self._seen :]
        self._seen += len(records)
        version = self.runtime.version
        tallies = {name: TenantTally() for name in self._tenants}
        for name, count in arrived.items():
            tallies[name].arrived(count)
        for record in records:
            tallies[record.tenant].finished(record, record.version == version)
        return Window(
            start_us=start_us - self._origin_us,
            end_us=end_us - self._origin_us,
            tenants=tuple(tallies[name].window() for name in self._tenants),
        )

    def _ask(self, problem: TenancyProblem, allocation: Allocation, belief: Belief) -> Answer:
        return propose(problem, allocation, belief, self._reallocate, self._predict, self._alternatives)

    def _switch(self, allocation: Allocation) -> Outcome:
        try:
            opening_us = self.runtime.exchange(allocation)
        except EdgePlanError as error:
            return Outcome(done=False, failure=str(error))
        return Outcome(done=True, opening_us=opening_us)
