"""Turns pydantic's error lists into the one line a user needs first."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, ValidationError


def _one_size(value: Any) -> Any:
    """Refuse text that goes on behind its unit, which pydantic would not look at, and bits."""
    if isinstance(value, str) and not re.fullmatch(r"\s*[\d._]+(e\d+)?\s*[A-Za-z]*\s*", value):
        raise ValueError(f"a size is a number and a unit of bytes, such as '512 MiB', not {value!r}")
    if isinstance(value, str) and re.search(r"([KMGTPE]i?b|bits?)\s*$", value):
        raise ValueError(
            f"a small b stands for bits, which sizes are not given in; write '512 MB' or '512 MiB', not {value!r}"
        )
    return value


SizeInBytes = Annotated[ByteSize, BeforeValidator(_one_size)]
"""Bytes: a number, or text with a unit, such as ``"512 MiB"``."""


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where the first problem is (a dotted path) and what it is."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the document"
    got = problem.get("input")
    shown = "" if isinstance(got, dict | list) or problem["type"] in ("missing", "json_invalid") else f" ({got!r})"
    more = error.error_count() - 1
    others = f", and {more} more problem{'s' if more > 1 else ''}" if more else ""
    return where, f"{problem['msg'][0].lower()}{problem['msg'][1:]}{shown}{others}"
