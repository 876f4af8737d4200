"""Whether events come in an order, and with figures, that a controller writes."""

from __future__ import annotations

from .events import Answer, Decision, Event, Question, Window

_FOLLOWS: dict[str, tuple[str, ...]] = {
    "window": ("window", "question", "end"),
    "question": ("answer", "end"),
    "answer": ("decision", "end"),
    "switch": ("outcome", "end"),
    "keep": ("window", "end"),
    "outcome": ("window", "end"),
    "end": (),
}


def misfit(before: Event | None, event: Event, n_tenants: int) -> tuple[str, str] | None:
    """What is expected instead of an event and what is there; None where it fits.

    Parameters
    ----------
    before : Event or None
        The one before; None at the begin.
    event : Event
    n_tenants : int
        Of the problem.
    """
    kind = "window" if before is None else before.action if isinstance(before, Decision) else before.kind
    if event.kind not in _FOLLOWS[kind]:
        return f"after {kind!r} one of {', '.join(_FOLLOWS[kind]) or 'nothing'}", repr(event.kind)
    counts: tuple[int, ...] = ()
    if isinstance(event, Window):
        if event.end_us <= event.start_us:
            return "a window that ends after it begins", f"{event.start_us:g} to {event.end_us:g} µs"
        counts = (len(event.tenants),)
    elif isinstance(event, Question):
        beliefs = (event.before, event.after)
        counts = (
            len(event.estimates),
            *(len(figures) for b in beliefs for figures in (b.rate_hz, b.service_factor, b.suffix_factor)),
        )
    elif isinstance(event, Answer):
        counts = tuple(len(candidate.allocation.tenants) for candidate in event.candidates)
    elif isinstance(event, Decision) and isinstance(before, Answer):
        last = len(before.candidates) - 1
        if event.chosen > last or (event.chosen == 0) != (event.action == "keep"):
            return f"a choice of candidates 0 … {last}, 0 to keep", f"{event.action} with candidate {event.chosen}"
    wrong = [n for n in counts if n != n_tenants]
    return (f"figures of {n_tenants} tenants", f"of {wrong[0]}") if wrong else None
