"""Schemas of files: every key says what it means, and what commands write fits them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from edgeplan.formulation import Activity, ContentionModel, Platform
from edgeplan.interface.commands.schema import Document, model_of
from edgeplan.interface.json_schema import json_schema, parsed
from edgeplan.interface.throughput import load_contention
from edgeplan.profiles import local_platform, machine_fingerprint
from edgeplan.profiles.contention import ContentionSettings, MeasuredContention, MeasuredCoRun
from edgeplan.profiles.contention.contention_file import ContendedModel


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


def test_a_contention_file_fits_its_schema(tmp_path: Path) -> None:
    platform: Platform = local_platform()
    activities = tuple(Activity(model=name, configuration="b/t1/b1/default") for name in ("left", "right"))
    measured = MeasuredContention(
        platform=platform,
        fingerprint=machine_fingerprint(),
        settings=ContentionSettings(),
        created="2026-01-01T12:00:00Z",
        models=tuple(ContendedModel(name=a.model, file=f"{a.model}.onnx", sha256="0" * 64) for a in activities),
        contention=ContentionModel(activities=activities),
        probes=(0,),
        fitted=(MeasuredCoRun(members=(0, 1), crowded=False, alone_hz=((9.0, 9.0),), together_hz=((8.0, 8.0),)),),
    )
    measured.save(tmp_path / "contention.json")
    assert load_contention(tmp_path / "contention.json") == measured.contention
    data = json.loads((tmp_path / "contention.json").read_text())
    schema = json_schema(model_of(Document.CONTENTION))
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "colour": "red"}, schema)
