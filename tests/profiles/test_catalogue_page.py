"""The page on the catalogue: its table is what the catalogue has, its example runs."""

from __future__ import annotations

import re
from pathlib import Path

from edgeplan.profiles import catalogue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"
MIB = 1 << 20


def rows() -> list[str]:
    """The page's table, one line a model."""
    made = []
    for name in catalogue.names():
        entry, tenant, network = catalogue.entries()[name], catalogue.tenant(name), catalogue.architecture(name)
        assert tenant.streaming_us is not None
        assert tenant.reload_us is not None
        assert tenant.resident_bytes is not None
        times = "rule"
        if entry.measured is not None:
            times = "measured" if entry.measured.on_chip else "measured, bytes counted"
        elif "board-tpu" in entry.latency:
            times = "official"
        cells = [
            f"`{name}`",
            str(tenant.n_points),
            f"{network.macs / 1e9:.2f}",
            f"{tenant.weight_bytes[-1] / MIB:.2f}",
            f"{tenant.resident_bytes[-1] / MIB:.2f}",
            f"{tenant.reload_us[-1] / 1e3:.2f}",
            f"{(tenant.accelerator_us[-1] + tenant.streaming_us[-1]) / 1e3:.2f}",
            f"{tenant.streaming_us[-1] / 1e3:.2f}",
            times,
            f"{tenant.cpu_us[0] / 1e3:.0f}",
            "official" if "embedded-cpu" in entry.latency else f"as {entry.cpu_like}",
        ]
        made.append("| " + " | ".join(cells) + " |")
    return made


def test_the_table_is_what_the_catalogue_has() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows()


def test_the_sources_are_all_listed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [s.url for s in catalogue.sources().values() if "://" in s.url and s.url not in text] == []


def test_the_example_runs() -> None:
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, PAGE.name, "exec"), names)
