"""Measures what models cost each other on this machine, and fits it; what was interrupted goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ...formulation import ContentionModel, ModelError, Platform, Provenance, StalePlanError, capped
from ..backends import FoundBackend, find_backends
from ..journal import Journal
from ..light_models import resolve_model
from ..machine import machine_fingerprint
from ..onnx_file import OnnxFile
from ..profiling import NOISY
from .assessment import assess, predicted_by, throughput_errors
from .campaign import Campaign, Contender, Progress, Results
from .contention_file import ContendedModel, MeasuredContention
from .fit import fit_contention
from .live import LiveModel, LiveStage
from .settings import ContentionSettings


def measure_contention(
    models: Mapping[str, str | Path],
    platform: Platform,
    settings: ContentionSettings | None = None,
    output_path: str | Path | None = None,
    progress: Progress | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> MeasuredContention:
    """Measure co-runs of models on this machine, fit them, and measure throughput by batch and instances.

    Parameters
    ----------
    models : mapping of str to str or Path
        Name of each model and its file, or what `resolve_model` finds.
    platform : Platform
        This machine, as `local_platform` gives it; its first processor is measured.
    settings : ContentionSettings, optional
    output_path : str or Path, optional
        Where to write the file. Measurements are noted beside it in ``….partial.jsonl`` as they are finished, and a
        further call with the same models and settings on the same machine goes on from there.
    progress : callable, optional
        Called with steps done, steps in all, and what is being done.
    shapes : mapping of str to sequence of int, optional
        Sizes of dynamic inputs, by the input's name, for all models that have such an input.

    Raises
    ------
    ModelError, GraphError
        A model cannot be planned. Nothing has been measured then.
    UnsupportedError
        A backend, form, thread count or number of instances that is not there, or a batch that a model's graph cannot
        take. Nothing has been measured then.
    StalePlanError
        The platform is another machine.
    """
    settings = settings or ContentionSettings()
    processor = platform.processors[0]
    fingerprint = machine_fingerprint(processor.cores)
    if fingerprint.digest != platform.fingerprint:
        raise StalePlanError(
            f"platform {platform.name!r}",
            expected="this machine, as `local_platform` describes it",
            got="another fingerprint",
            remedy="Measure on the machine that the plan is for.",
        )
    found = find_backends()
    configurations = settings.configurations(processor, found)
    paths = _resolved(models, shapes or {})
    live = [LiveModel(name, path, settings.seed) for name, path in paths.items()]
    for model in live:
        model.refuse_fixed_batch(settings.batches)
    on_stage = [(model, c) for model in live for c in configurations]
    contenders = [Contender(model.name, c, model.weight_bytes) for model, c in on_stage]
    campaign = Campaign(contenders, processor.cores, settings)
    stage = LiveStage([model for model, _ in on_stage], [c for _, c in on_stage], processor.cores)
    facts = [settings.model_dump_json(), fingerprint.digest, *(f"{m.name} {m.store.sha256}" for m in live)]
    journal = None if output_path is None else Journal(_journal_path(Path(output_path)), " ".join(facts))
    with contextlib.closing(journal) if journal else contextlib.nullcontext():
        results = campaign.measure(stage, journal, progress)
    measured = _summary(platform, settings, live, campaign, results, found)
    if output_path is not None and journal is not None:
        measured.save(output_path)
        journal.remove()
    return measured


def _resolved(models: Mapping[str, str | Path], shapes: Mapping[str, Sequence[int]]) -> dict[str, Path]:
    """Files of models, made static where they have inputs whose sizes are given."""
    paths, unused = {}, set(shapes)
    for name, model in models.items():
        path = resolve_model(model)
        inputs = {value.name for value in OnnxFile.read(path).inputs()} if shapes else set()
        paths[name] = resolve_model(path, shapes={k: v for k, v in shapes.items() if k in inputs})
        unused -= inputs
    if unused:
        raise ModelError(
            "sizes of inputs",
            expected=f"inputs of the models {capped(models)}",
            got=capped(sorted(unused)),
            remedy="Correct the names given with --shape.",
        )
    return paths


def _journal_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial.jsonl")


def _summary(
    platform: Platform,
    settings: ContentionSettings,
    models: Sequence[LiveModel],
    campaign: Campaign,
    results: Results,
    found: Sequence[FoundBackend],
) -> MeasuredContention:
    """Fit what was measured, and check it by what was held out."""
    cores = platform.processors[0].cores
    created = datetime.now(UTC).isoformat(timespec="seconds")
    fit = fit_contention(results.fitted, campaign.activities, len(cores))
    product = fit_contention(results.fitted, campaign.activities, len(cores), fair=True)
    errors = throughput_errors(results.held_out, predicted_by(fit))
    return MeasuredContention(
        platform=platform,
        fingerprint=machine_fingerprint(cores),
        settings=settings,
        created=created,
        models=tuple(ContendedModel(name=m.name, file=m.path.name, sha256=m.store.sha256) for m in models),
        contention=ContentionModel(
            activities=fit.activities,
            relative_error=float(errors.mean()) if len(errors) else None,
            provenance=Provenance(kind="measured", source=f"co-runs of {created}", fingerprint=platform.fingerprint),
        ),
        probes=campaign.design.probes,
        fitted=results.fitted,
        held_out=results.held_out,
        errors=assess(results.fitted, results.held_out, fit, product),
        throughput=results.throughput,
        absent={backend.name: backend.reason for backend in found if not backend.usable},
        warnings=_warnings(results),
    )


def _warnings(results: Results) -> tuple[str, ...]:
    """What makes the figures doubtful."""
    shares = [m.foreign_share for m in (*results.fitted, *results.held_out, *results.throughput)]
    disturbed = [share for share in shares if share > NOISY]
    if not disturbed:
        return ()
    return (
        f"Other processes took more than {NOISY:.0%} of the machine during {len(disturbed)} of {len(shares)} "
        f"measurements, at most {max(disturbed):.0%}; measure again on a quiet machine before trusting the figures.",
    )
