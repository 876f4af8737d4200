"""JSON Schemas of files, in which every key says what it means: the docstrings of the models behind them do."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

_SECTION = re.compile(r"^([A-Z][A-Za-z ]*)\n-{3,}\n", re.MULTILINE)
"""Heading of a section of a numpydoc docstring, underlined."""

_ATTRIBUTE = re.compile(r"^(?P<names>\w+(?:, \w+)*)(?: : .*)?\n(?P<meaning>(?:(?: .*)?\n)+)", re.MULTILINE)
"""Names with their type, and the indented lines below."""


def json_schema(document: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a kind of file.

    Parameters
    ----------
    document : type of BaseModel
        Its docstring, and those of the models that it is made of, are numpydoc: what stands under *Attributes* becomes
        the description of each key.

    Returns
    -------
    dict
        Draft 2020-12.
    """
    schema = document.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        summary, meanings = parsed(part.get("description", ""))
        if summary:
            part["description"] = summary
        for key, value in part.get("properties", {}).items():
            if key in meanings:
                value.setdefault("description", meanings[key])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def parsed(docstring: str) -> tuple[str, dict[str, str]]:
    """What comes before the sections of a numpydoc docstring, and the meaning of each attribute in one line."""
    summary, *sections = _SECTION.split(docstring)
    meanings = {}
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        if heading == "Attributes":
            for found in _ATTRIBUTE.finditer(f"{body}\n"):
                for name in found["names"].split(", "):
                    meanings[name] = " ".join(found["meaning"].split())
    return summary.strip(), {name: meaning for name, meaning in meanings.items() if meaning}
