"""Profiles models: everything measured, fitted and written; what was interrupted goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..formulation import ModelError, Platform, Processor, StalePlanError, capped
from .backends import find_backends
from .costs import fit_costs, measured_segments
from .foreign_load import ForeignLoad
from .journal import Journal
from .light_models import resolve_model
from .machine import machine_fingerprint
from .memory import MemoryProbe
from .model_profiler import ModelProfiler
from .onnx_file import OnnxFile
from .profile import CostData, MeasuredMemory, ModelProfile, Profile
from .settings import ProfileSettings

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done."""

NOISY = 0.05
"""Share of the machine that others may take before the profile says so."""


def profile_models(
    models: Mapping[str, str | Path],
    platform: Platform,
    settings: ProfileSettings | None = None,
    output_path: str | Path | None = None,
    progress: Progress | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Profile:
    """Measure models on this machine and fit their costs.

    Parameters
    ----------
    models : mapping of str to str or Path
        Name of each model and its file, or what `resolve_model` finds.
    platform : Platform
        This machine, as `local_platform` gives it; its first processor is measured.
    settings : ProfileSettings, optional
    output_path : str or Path, optional
        Where to write the profile. Measurements are noted beside it in ``….partial.jsonl`` as they are finished, and a
        further call with the same settings on the same machine goes on from there.
    progress : callable, optional
    shapes : mapping of str to sequence of int, optional
        Sizes of dynamic inputs, by the input's name, for all models that have such an input.

    Raises
    ------
    ModelError, GraphError
        A model cannot be planned. Nothing has been measured then.
    UnsupportedError
        A backend, form, thread count or batch that is not there.
    StalePlanError
        The platform is another machine.
    """
    settings = settings or ProfileSettings()
    report = progress or (lambda done, total, label: None)
    processor = platform.processors[0]
    fingerprint = machine_fingerprint(processor.cores)
    if fingerprint.digest != platform.fingerprint:
        raise StalePlanError(
            f"platform {platform.name!r}",
            expected="this machine, as `local_platform` describes it",
            got="another fingerprint",
            remedy="Profile on the machine that the plan is for.",
        )
    found = find_backends()
    purpose = f"{settings.model_dump_json()} {fingerprint.digest}"
    journal = None if output_path is None else Journal(_journal_path(Path(output_path)), purpose)
    with contextlib.closing(journal) if journal else contextlib.nullcontext():
        profilers = _profilers(models, processor, settings, journal, shapes or {})
        warnings = _measure(profilers, settings, report)
        profile = Profile(
            models=tuple(_model_profile(profiler) for profiler in profilers),
            platform=platform,
            fingerprint=fingerprint,
            settings=settings,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            absent={backend.name: backend.reason for backend in found if not backend.usable},
            warnings=warnings,
        )
    if output_path is not None and journal is not None:
        profile.save(output_path)
        journal.remove()
    return profile


def _journal_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial.jsonl")


def _profilers(
    models: Mapping[str, str | Path],
    processor: Processor,
    settings: ProfileSettings,
    journal: Journal | None,
    shapes: Mapping[str, Sequence[int]],
) -> list[ModelProfiler]:
    configurations = settings.configurations(processor)
    profilers, unused = [], set(shapes)
    for name, model in models.items():
        path = resolve_model(model)
        inputs = {value.name for value in OnnxFile.read(path).inputs()} if shapes else set()
        path = resolve_model(path, shapes={k: v for k, v in shapes.items() if k in inputs})
        unused -= inputs
        profilers.append(ModelProfiler(name, path, configurations, processor.cores, settings, journal))
    if unused:
        raise ModelError(
            "sizes of inputs",
            expected=f"inputs of the models {capped(models)}",
            got=capped(sorted(unused)),
            remedy="Correct the names given with --shape.",
        )
    return profilers


def _measure(profilers: Sequence[ModelProfiler], settings: ProfileSettings, report: Progress) -> tuple[str, ...]:
    """Measure all there is to measure; returns what makes the figures doubtful."""
    for done, profiler in enumerate(profilers):
        report(done, len(profilers), f"{profiler.graph.name}: layers")
        profiler.measure_layers()
    timings = [(p, segment, c) for p in profilers for segment, c in p.timings()]
    total = len(timings) + sum(len(p.configurations) for p in profilers)
    warnings: list[str] = []
    deadline = None if settings.budget_s is None else time.monotonic() + settings.budget_s
    load = ForeignLoad()
    for done, (profiler, segment, configuration) in enumerate(timings):
        report(done, total, f"{profiler.graph.name}: {configuration.name}")
        share_s = None if deadline is None else (deadline - time.monotonic()) / (len(timings) - done)
        profiler.measure_segment(segment, configuration, settings.stop_rule(share_s))
        if done + 1 == len(timings) or timings[done + 1][0] is not profiler:
            if load.share() > NOISY:
                warnings.append(
                    f"{profiler.graph.name}: other processes took {load.share():.0%} of the machine while it was "
                    "measured; profile again on a quiet machine before trusting the figures."
                )
            load = ForeignLoad()
    with MemoryProbe() as probe:
        done = len(timings)
        for profiler in profilers:
            for configuration in profiler.memory_kinds():
                report(done, total, f"{profiler.graph.name}: memory of {configuration.name}")
                profiler.measure_memory(configuration, probe)
                done += 1
    report(total, total, "done")
    warnings += [
        f"{profiler.graph.name}: {name} does not run every segment: {reason}"
        for profiler in profilers
        for name, reason in profiler.refusals.items()
    ]
    return tuple(warnings)


def _model_profile(profiler: ModelProfiler) -> ModelProfile:
    design, measurements = profiler.design, profiler.measurements
    table, errors = fit_costs(profiler.graph, design, measurements)
    return ModelProfile(
        name=profiler.graph.name,
        file=profiler.store.path.name,
        sha256=profiler.store.sha256,
        graph=profiler.graph.to_dict(),
        cuts=design.chain.positions,
        costs=CostData.of(table),
        held_out=measured_segments(measurements, table.configurations, design.held_out),
        memory=tuple(
            MeasuredMemory(start=start, stop=stop, configuration=table.configurations.index(c), memory=memory)
            for c, kept in measurements.memory.items()
            for (start, stop), memory in kept.items()
        ),
        errors=errors,
    )
