"""Turns pydantic's error lists into the one line a user needs first."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where the first problem is (a dotted path) and what it is."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the document"
    got = problem.get("input")
    shown = "" if isinstance(got, dict | list) or problem["type"] in ("missing", "json_invalid") else f" ({got!r})"
    more = error.error_count() - 1
    others = f", and {more} more problem{'s' if more > 1 else ''}" if more else ""
    return where, f"{problem['msg'][0].lower()}{problem['msg'][1:]}{shown}{others}"
