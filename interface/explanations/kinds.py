"""Which kind of file is to be explained, told by what is in it and not by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from ...formulation import EdgePlanError
from ...formulation.files import readable
from ..given_plans import kind_of_other_plan

FileKind = Literal["plan", "allocation", "scenario", "tenancy", "journal"]


class ExplainError(EdgePlanError):
    """Something that cannot be explained."""


def kind_of(path: Path) -> FileKind:
    """Tell a plan, an allocation, a scenario with or without an accelerator, and a controller's journal apart.

    A file that is cut off counts as what it began as; its reader says what is missing.

    Raises
    ------
    ExplainError
        The file cannot be read, or is none of these.
    """
    with readable(f"file {path}", ExplainError):
        text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        return _kind_of_json(path, text)
    if not text.strip():
        return "journal"  # one that nothing was written to yet; its reader asks for the header
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        data = None
    if isinstance(data, dict) and "models" in data:
        return "scenario"
    if isinstance(data, dict) and "accelerator" in data:
        return "tenancy"
    raise _unknown(path, "something else")


def _kind_of_json(path: Path, text: str) -> FileKind:
    data = _object(text)
    if data is None:
        # Lines of JSON, or a document that is cut off: its first line then ends in the middle.
        first = _object(text.lstrip().split("\n", 1)[0])
        if first is not None:
            return "journal"
        return "plan" if '"models"' in text or '"schema_version"' in text else "journal"
    if data.get("kind") == "allocation":
        return "allocation"
    if "kind" in data and data["kind"] != "lock":
        return "journal"
    if "models" in data and "solver" in data:
        return "plan"
    if "models" in data and "name" in data:
        return "scenario"  # JSON is YAML
    if "accelerator" in data:
        return "tenancy"
    other = kind_of_other_plan(path)
    if other:
        raise _unknown(path, other)
    raise _unknown(path, f"JSON with {', '.join(map(str, list(data)[:5])) or 'nothing in it'}")


def _object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _unknown(path: Path, got: str) -> ExplainError:
    return ExplainError(
        f"file {path}",
        expected="a plan (JSON), a scenario (YAML) or a controller's journal (JSON lines)",
        got=got,
        remedy="Give a file that `edgeplan plan` wrote or reads, or a journal.",
    )
