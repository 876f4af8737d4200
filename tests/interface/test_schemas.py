"""Schemas of files: every key says what it means."""

from __future__ import annotations

import pytest
from edgeplan.interface.commands.schema import Document, model_of
from edgeplan.interface.json_schema import json_schema, parsed


@pytest.mark.parametrize("document", list(Document))
def test_every_key_says_what_it_means(document: Document) -> None:
    schema = json_schema(model_of(document))
    parts = {document.value: schema, **schema.get("$defs", {})}
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description", "").strip()
    ]
    assert not bare, "say it under `Attributes` in the docstring of the class"
    told = [part["description"] for part in parts.values() if "properties" in part]
    assert all(told)
    assert not [text for text in told if "----" in text], "a section of a docstring is left in the summary"


def test_the_sections_of_a_docstring_are_told_apart() -> None:
    text = "A thing.\n\nMore of it.\n\nAttributes\n----------\na, b : int\n    Of the\n    two.\nbare : str\n"
    text += "last : {'x', 'y'}\n    The last.\n\n    Its end.\n\nRaises\n------\nValueError\n    Never.\n"
    assert parsed(text) == (
        "A thing.\n\nMore of it.",
        {"a": "Of the two.", "b": "Of the two.", "last": "The last. Its end."},
    )
    assert parsed("Only this.") == ("Only this.", {})


def test_units_stand_in_the_descriptions_and_sections_do_not_stand_in_summaries() -> None:
    scenario = json_schema(model_of(Document.SCENARIO))
    assert scenario["properties"]["profile"]["description"].startswith("Profile file")
    assert scenario["$defs"]["Stream"]["properties"]["deadline_us"]["description"].startswith("Microseconds")
    assert scenario["description"] == "What shares the device, how it is asked, and what must hold."
