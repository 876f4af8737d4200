"""A journal in plain words: what the online controller saw, what it chose between, and why it decided as it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..table import Cell, Table
from ..units import count, milliseconds

if TYPE_CHECKING:
    from ...formulation.tenancy import Allocation
    from ...runtime_bridge.tenancy import Considered, Estimate, Journal


def explained_journal(
    path: Path, number: int | None = None, partial: bool = False
) -> tuple[dict[str, Any], list[Table | str]]:
    """A journal as plain data and for people; each decision is made again and held against the record.

    Parameters
    ----------
    path : Path
    number : int, optional
        Explain this decision in full.
    partial : bool
        Read what is whole of a journal that was cut off.

    Raises
    ------
    JournalError
        The journal cannot be read, or has no such decision.
    """
    from ...runtime_bridge.tenancy import Journal, JournalError, replay

    journal = Journal.load(path, partial=partial)
    decisions = journal.decisions
    if number is not None and number > len(decisions):
        raise JournalError(
            f"decision {number} of journal {path}",
            expected=f"one of 1 … {len(decisions)}" if decisions else "one that was made",
            got="no such decision",
            remedy="Leave out --decision for the list.",
        )
    difference = replay(journal).difference
    tenants = [tenant.name for tenant in journal.header.problem.tenants]
    chosen = decisions[number - 1] if number is not None else None
    payload = {
        "status": "ok",
        "complete": journal.complete,
        "tenants": tenants,
        "observed": {"windows": len(journal.windows), "seconds": _seconds(journal), "requests": _requests(journal)},
        "replay": {"same": difference is None, "first_difference": difference},
        "decisions": [_row_data(considered) for considered in decisions],
        **({} if chosen is None else {"decision": _decision_data(journal, chosen)}),
    }
    items = _overview(decisions) if chosen is None else _in_full(journal, chosen)
    return payload, [*items, *_notes(journal, difference)]


def _overview(decisions: Sequence[Considered]) -> list[Table | str]:
    if not decisions:
        return ["No decision: what was seen never left what was believed for long enough."]
    rows = []
    for considered in decisions:
        decision = considered.decision
        rows.append(
            (
                Cell(str(decision.number), "strong"),
                f"{decision.at_us / 1e6:.1f}",
                considered.question.why,
                _mean(considered.answer.candidates[0].mean_response_us),
                _mean(considered.answer.candidates[decision.chosen].mean_response_us),
                Cell(_action(considered), "good" if decision.action == "switch" else ""),
            )
        )
    columns = ("#", ">at s", "what had changed", ">kept: ms", ">chosen: ms", "decision")
    note = "kept, chosen: predicted mean response of the allocation that served, and of the one decided for."
    table = Table("Decisions of the controller", columns, tuple(rows), note)
    return [table, *(f"{c.decision.number}: {c.decision.reason}" for c in decisions)]


def _in_full(journal: Journal, considered: Considered) -> list[Table | str]:
    decision = considered.decision
    return [
        f"Decision {decision.number}, {decision.at_us / 1e6:.1f} s after the controller began: {_action(considered)}",
        f"Why asked: {considered.question.why}.",
        _observed(considered),
        _assumed(journal, considered),
        _alternatives(considered),
        f"Why so: {decision.reason}",
        *_priced(journal, considered),
        *_became(considered),
    ]


def _observed(considered: Considered) -> Table:
    rows = [
        (
            Cell(seen.tenant, "strong"),
            f"{seen.rate_hz.value:.3g} [{seen.rate_hz.low:.3g}, {seen.rate_hz.high:.3g}]",
            f"{seen.rate_hz.samples} in {seen.rate_hz.window_s:.1f} s",
            _interval(seen.service_us),
            _interval(seen.reload_us),
            _interval(seen.suffix_us),
        )
        for seen in considered.question.estimates
    ]
    columns = ("tenant", ">requests/s", ">counted", ">accelerator ms", ">reload ms", ">CPU ms")
    return Table("Observed", columns, tuple(rows), "In brackets the interval; – where there were too few timings.")


def _assumed(journal: Journal, considered: Considered) -> Table:
    before, after = considered.question.before, considered.question.after
    rows = [
        (
            Cell(tenant.name, "strong"),
            _change(before.rate_hz[i], after.rate_hz[i]),
            _change(before.service_factor[i], after.service_factor[i]),
            _change(before.suffix_factor[i], after.suffix_factor[i]),
            _change(before.reload_factor, after.reload_factor),
        )
        for i, tenant in enumerate(journal.header.problem.tenants)
    ]
    columns = ("tenant", ">requests/s", ">accelerator ×", ">CPU ×", ">reload ×")
    note = "×: times the stated cost. What had not drifted stays as it was believed before."
    return Table("Assumed", columns, tuple(rows), note)


def _alternatives(considered: Considered) -> Table:
    decision, candidates = considered.decision, considered.answer.candidates
    now = candidates[0].mean_response_us
    rows = []
    for k, candidate in enumerate(candidates):
        mean = candidate.mean_response_us
        change = "–" if k == 0 or mean is None or now is None else f"{100 * (mean / now - 1):+.1f} %"
        chosen = k == decision.chosen
        rows.append(
            (
                Cell(candidate.name, "strong"),
                _allocation_text(candidate.allocation),
                Cell(_mean(mean), "bad" if mean is None else ""),
                change,
                Cell("chosen", "good") if chosen else "",
            )
        )
    columns = ("allocation", "point/cores of each tenant", ">predicted mean ms", ">change", "")
    return Table("Alternatives", columns, tuple(rows), "∞: it cannot keep up with the load.")


def _priced(journal: Journal, considered: Considered) -> list[str]:
    cost, settings = considered.decision.switch_cost, journal.header.settings
    if cost is None:
        return []
    return [
        f"Exchange: {milliseconds(cost.reload_us)} ms of waiting for reloads, {milliseconds(cost.opening_us)} ms while "
        f"sessions are opened; held against what is saved in {settings.horizon_s:g} s; a gain of at least "
        f"{settings.min_gain:.0%} is asked for."
    ]


def _became(considered: Considered) -> list[str]:
    outcome = considered.outcome
    if outcome is None:
        return ["The journal ends before the exchange."] if considered.decision.action == "switch" else []
    if outcome.done:
        return [f"Exchanged: its sessions were open after {milliseconds(outcome.opening_us)} ms."]
    return [f"Not exchanged: {outcome.failure}"]


def _notes(journal: Journal, difference: int | None) -> list[str]:
    seen = f"Observed: {count(_requests(journal), 'request')} in {_seconds(journal):.1f} s"
    same = "made again from this journal, every decision is the same."
    if difference is not None:
        same = f"made again, event {difference + 1} is another: the journal was changed, or another version wrote it."
    end = [] if journal.complete else ["The journal has no end: the controller was cut off, or is still running."]
    return [f"{seen}; {same}", *end]


def _row_data(considered: Considered) -> dict[str, object]:
    decision, candidates = considered.decision, considered.answer.candidates
    return {
        **decision.model_dump(mode="json"),
        "switch_cost_us": None if decision.switch_cost is None else decision.switch_cost.total_us,
        "drifts": [{**drift.model_dump(), "text": str(drift)} for drift in considered.question.drifts],
        "current_mean_response_us": candidates[0].mean_response_us,
        "chosen_mean_response_us": candidates[decision.chosen].mean_response_us,
        "done": None if considered.outcome is None else considered.outcome.done,
    }


def _decision_data(journal: Journal, considered: Considered) -> dict[str, object]:
    return {
        "settings": journal.header.settings.model_dump(mode="json"),
        "question": considered.question.model_dump(mode="json"),
        "answer": considered.answer.model_dump(mode="json"),
        "decision": considered.decision.model_dump(mode="json"),
        "outcome": None if considered.outcome is None else considered.outcome.model_dump(mode="json"),
    }


def _seconds(journal: Journal) -> float:
    return journal.windows[-1].end_us / 1e6 if journal.windows else 0.0


def _requests(journal: Journal) -> int:
    return sum(tenant.arrivals for window in journal.windows for tenant in window.tenants)


def _action(considered: Considered) -> str:
    if considered.decision.action == "keep":
        return "kept"
    outcome = considered.outcome
    return "switch decided" if outcome is None else "switched" if outcome.done else "switch failed"


def _mean(us: float | None) -> str:
    return "∞" if us is None else milliseconds(us)


def _interval(seen: Estimate | None) -> str:
    if seen is None:
        return "–"
    return f"{milliseconds(seen.value)} [{milliseconds(seen.low)}, {milliseconds(seen.high)}]"


def _change(before: float, after: float) -> str:
    return f"{after:.3g}" if before == after else f"{before:.3g} → {after:.3g}"


def _allocation_text(allocation: Allocation) -> str:
    parts = []
    for part in allocation.tenants:
        threads = f" ({part.threads} threads)" if part.threads > 1 else ""
        parts.append(f"{part.tenant} {part.point}/{part.cores}{threads}")
    sets = " | ".join(" + ".join(members) for members in allocation.co_compiled)
    return ", ".join(parts) + (f"; together: {sets}" if sets else "")
