"""Decisions made again: from a journal, bit by bit, or from windows of any trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...formulation.tenancy import Allocation, TenancyProblem
from .decider import Decider
from .events import Answer, Belief, Decision, End, Event, Outcome, Question, TenantWindow, Window
from .journal import Header, Journal, JournalError, JournalWriter
from .records import TenantRecord
from .settings import ControllerSettings

Propose = Callable[[TenancyProblem, Allocation, Belief], Answer]
"""See `proposals.propose`, with solver and evaluator bound."""


@dataclass(frozen=True)
class Replay:
    """A journal gone through again.

    Attributes
    ----------
    events : tuple of Event
        What the state machine gave this time, windows and outcomes as recorded.
    difference : int or None
        First event that is not the recorded one, counted from 0; None where all are the same.
    """

    events: tuple[Event, ...]
    difference: int | None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions."""
        return tuple(event for event in self.events if isinstance(event, Decision))


def replay(journal: Journal, propose: Propose | None = None) -> Replay:
    """Go through a journal again up to its first difference, if there is one.

    Parameters
    ----------
    journal : Journal
    propose : callable, optional
        Solves again; the recorded answers are taken where it is left out.

    Raises
    ------
    EdgePlanError
        The header makes no problem.
    """
    header = journal.header
    decider = Decider(header.problem.to_problem(), header.allocation, header.settings)
    again: list[Event] = []
    due: Event | None = None  # what the state machine says comes next
    question: Question | None = None
    for number, recorded in enumerate(journal.events):
        if isinstance(recorded, End):
            break  # the controller was closed here, whatever was due
        event = due
        if due is None and not isinstance(recorded, Question | Decision):
            event = recorded  # the world's part: a window, a proposal, an outcome
            if isinstance(recorded, Answer) and propose is not None:
                event = propose(decider.problem, decider.allocation, decider.belief)
        if event is not None:
            again.append(event)
        if event != recorded:
            return Replay(tuple(again), number)
        due = None
        if isinstance(event, Window):
            due = question = decider.look(event)
        elif isinstance(event, Answer):
            assert question is not None
            due = decider.decide(question, event)
        elif isinstance(event, Outcome):
            decider.switched(event)
    return Replay(tuple(again), None)


def rehearse(
    problem: TenancyProblem,
    allocation: Allocation,
    windows: Iterable[Window],
    propose: Propose,
    settings: ControllerSettings | None = None,
    *,
    opening_us: float = 0.0,
) -> Journal:
    """What the controller would decide on recorded windows, every switch being done.

    Timings in the windows are those of the allocation that was recorded; what another would have shown cannot be known.

    Parameters
    ----------
    problem : TenancyProblem
    allocation : Allocation
    windows : iterable of Window
    propose : callable
    settings : ControllerSettings, optional
    opening_us : float
        Time that opening the sessions of a switch is taken to need.
    """
    settings = settings or ControllerSettings()
    decider = Decider(problem, allocation, settings)
    with JournalWriter(Header.of(problem, allocation, settings)) as writer:
        for window in windows:
            writer.note(window)
            decision = consider(decider, window, propose, writer)
            if decision is not None and decider.switching_to is not None:
                outcome = Outcome(done=True, opening_us=opening_us)
                writer.note(outcome)
                decider.switched(outcome)
    return writer.journal


def consider(decider: Decider, window: Window, propose: Propose, writer: JournalWriter) -> Decision | None:
    """One look, and where it raises a question its answer and the decision, all written down."""
    question = decider.look(window)
    if question is None:
        return None
    writer.note(question)
    answer = propose(decider.problem, decider.allocation, decider.belief)
    writer.note(answer)
    decision = decider.decide(question, answer)
    writer.note(decision)
    return decision


def windows_of(
    records: Sequence[TenantRecord], tenants: Sequence[str], interval_s: float, version: int | None = None
) -> list[Window]:
    """Cut a trace of requests into windows.

    Parameters
    ----------
    records : sequence of TenantRecord
    tenants : sequence of str
        The problem's order.
    interval_s : float
    version : int, optional
        Take timings of requests that this version of the allocation served only.

    Raises
    ------
    JournalError
        A request of another tenant.
    """
    if not records:
        return []
    origin_us = min(r.arrival_us for r in records)
    step_us = interval_s * 1e6
    last = max(r.arrival_us if r.finish_us != r.finish_us else r.finish_us for r in records)
    n = int((last - origin_us) // step_us) + 1
    index = {name: i for i, name in enumerate(tenants)}
    cells = [[TenantTally() for _ in tenants] for _ in range(n)]
    for record in sorted(records, key=lambda r: (r.finish_us, r.request)):
        if record.tenant not in index:
            raise JournalError(
                f"request {record.request}",
                expected=f"one of tenants {', '.join(tenants)}",
                got=repr(record.tenant),
                remedy="Name every tenant of the trace.",
            )
        i = index[record.tenant]
        cells[int((record.arrival_us - origin_us) // step_us)][i].arrived()
        if record.finish_us == record.finish_us:
            same = version is None or record.version == version
            cells[int((record.finish_us - origin_us) // step_us)][i].finished(record, same)
    return [
        Window(start_us=k * step_us, end_us=(k + 1) * step_us, tenants=tuple(cell.window() for cell in row))
        for k, row in enumerate(cells)
    ]


class TenantTally:
    """Counts what becomes a `TenantWindow`."""

    def __init__(self) -> None:
        self._arrivals = self._failed = 0
        self._figures: dict[str, list[float]] = {
            name: [] for name in ("service_us", "reload_us", "suffix_us", "response_us")
        }

    def arrived(self, count: int = 1) -> None:
        """Count arrivals."""
        self._arrivals += count

    def finished(self, record: TenantRecord, timings: bool) -> None:
        """Take in a request that ended; with its timings where they are of the present allocation."""
        if record.error:
            self._failed += 1
            return
        self._figures["response_us"].append(record.response_us)
        if not timings:
            return
        for name, figure in (("service_us", record.service_us), ("suffix_us", record.suffix_us)):
            if figure == figure:
                self._figures[name].append(figure)
        if record.swapped:
            self._figures["reload_us"].append(record.reload_us)

    def window(self) -> TenantWindow:
        """What was counted."""
        figures = {name: tuple(values) for name, values in self._figures.items()}
        return TenantWindow(arrivals=self._arrivals, failed=self._failed, **figures)
