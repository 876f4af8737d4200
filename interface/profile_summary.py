"""A profile in a table: what each model costs whole, and how well its segments are predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .table import Cell, Table
from .units import mebibytes, milliseconds, percent

if TYPE_CHECKING:
    from ..profiles import Profile


def profile_data(profile: Profile) -> dict[str, Any]:
    """Figures of a profile as plain data."""
    return {
        "created": profile.created,
        "platform": profile.platform.name,
        "fingerprint": profile.platform.fingerprint,
        "models": {name: list(rows) for name, rows in _rows(profile).items()},
        "absent": profile.absent,
        "warnings": profile.warnings,
    }


def profile_table(profile: Profile) -> Table:
    """Every model under every configuration; the fastest and the leanest of each model are marked."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for name, figures in _rows(profile).items():
        groups.append(len(rows))
        fastest = min((f["latency_us"] for f in figures if f["latency_us"] is not None), default=None)
        leanest = min((f["memory_bytes"] for f in figures if f["memory_bytes"] is not None), default=None)
        for k, f in enumerate(figures):
            latency, memory = milliseconds(_or_nan(f["latency_us"])), mebibytes(f["memory_bytes"])
            rows.append(
                (
                    Cell(name, "strong") if k == 0 else "",
                    f["configuration"],
                    Cell(latency, "good") if f["latency_us"] == fastest else latency,
                    Cell(memory, "good") if f["memory_bytes"] == leanest else memory,
                    percent(_or_nan(f["fit_error"])),
                    f"{percent(_or_nan(f['held_out_error']))} ({f['held_out_segments']})",
                    percent(_or_nan(f["memory_error"])),
                )
            )
    notes = [*profile.warnings, *(f"No {backend}: {reason}" for backend, reason in profile.absent.items() if reason)]
    return Table(
        "Profile",
        (
            "model",
            "configuration",
            ">whole ms",
            ">memory MiB",
            ">fit error",
            ">held-out error",
            ">memory error",
        ),
        tuple(rows),
        note=" ".join(
            [
                "Errors: mean absolute percentage error of predicted segment times, in the fit and on segments held "
                "out of it (how many in brackets).",
                *(note if note.endswith(".") else note + "." for note in notes),
            ]
        ),
        groups=tuple(groups[1:]),
    )


def profile_provenance(profile: Profile) -> dict[str, str]:
    """Where a profile's figures come from."""
    fingerprint = profile.fingerprint
    return {
        "profile": profile.created,
        "processor": f"{fingerprint.cpu}, {len(fingerprint.cores)} cores, {', '.join(fingerprint.caches)}",
        "versions": fingerprint.versions_text,
        "kernel": fingerprint.kernel,
        "machine": fingerprint.digest,
        "profile settings": ", ".join(
            f"{key} {value}" for key, value in profile.settings.model_dump(exclude_none=True).items()
        ),
    }


def _rows(profile: Profile) -> Mapping[str, list[dict[str, Any]]]:
    """Figures by model, one entry a configuration; None where there is no figure."""
    figures: dict[str, list[dict[str, Any]]] = {}
    for model, measured in zip(profile.to_models(), profile.models, strict=True):
        whole = (0, model.graph.n_layers)
        latency_us = model.costs.segment_us(*whole)
        memory = (model.costs.resident_bytes(model.graph, whole) + model.costs.transient_bytes(model.graph, whole))[
            0, 1
        ]
        errors = measured.errors or (None,) * len(model.costs.configurations)
        figures[model.name] = [
            {
                "configuration": configuration.name,
                "latency_us": float(latency_us[c]) if np.isfinite(latency_us[c]) else None,
                "memory_bytes": float(memory[c]),
                "fit_error": error.fit_mape if error else None,
                "held_out_error": error.held_out_mape if error else None,
                "held_out_segments": error.held_out_segments if error else 0,
                "memory_error": error.memory_error if error else None,
            }
            for c, (configuration, error) in enumerate(zip(model.costs.configurations, errors, strict=True))
        ]
    return figures


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
