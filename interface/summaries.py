"""The tables that commands print and reports show: the plan, its score, what breaks, and what ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..formulation import Evaluation, Plan, Problem, Violation
from .run_record import RunRecord, Setup, mean_absolute_percentage_error
from .table import Cell, Table
from .units import count, mebibytes, milliseconds, percent

if TYPE_CHECKING:
    from ..solvers import Candidate


def plan_table(plan: Plan, evaluation: Evaluation) -> Table:
    """Every segment of every model: its layers, configuration, cores, predicted time, memory; and its gangs."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for model_plan in plan.models:
        groups.append(len(rows))
        for i, segment in enumerate(evaluation.models[model_plan.model].segments):
            planned = segment.planned
            rows.append(
                (
                    Cell(model_plan.model, "strong") if i == 0 else "",
                    f"{planned.start}–{planned.stop - 1}",
                    planned.configuration.name,
                    core_ranges(planned.cores),
                    milliseconds(segment.latency_us),
                    mebibytes(segment.resident_bytes),
                    mebibytes(segment.transient_bytes),
                )
            )
            rows += [
                ("", "", f"or {gang.configuration.name}", core_ranges(gang.cores), milliseconds(us), "", "")
                for gang, us in zip(planned.gangs, segment.gang_us, strict=True)
            ]
    stamp = plan.solver
    segments = sum(len(part.segments) for part in plan.models)
    gap = f", gap {percent(stamp.gap)}" if stamp.gap is not None else ""
    return Table(
        "Plan",
        ("model", "layers", "configuration", "cores", ">predicted ms", ">resident MiB", ">while running MiB"),
        tuple(rows),
        note=f"{count(segments, 'segment')}; {stamp.method}: {stamp.status}{gap}, {stamp.runtime_s:.1f} s, "
        f"seed {stamp.seed}.",
        groups=tuple(groups[1:]),
    )


def core_ranges(cores: Sequence[int]) -> str:
    """Core ids, three and more in a row as a range: ``0–3, 6, 7``."""
    parts: list[str] = []
    ascending = sorted(cores)
    while ascending:
        last = next((k for k in range(len(ascending) - 1) if ascending[k + 1] != ascending[k] + 1), len(ascending) - 1)
        row, ascending = ascending[: last + 1], ascending[last + 1 :]
        parts += [f"{row[0]}–{row[-1]}"] if len(row) > 2 else [str(core) for core in row]
    return ", ".join(parts)


def policies_table(candidates: Sequence[Candidate]) -> Table:
    """Ways of sharing cores: what the solver proved of each, and how its plan fares against simulated arrivals."""
    rows: list[tuple[str | Cell, ...]] = []
    for k, candidate in enumerate(candidates):
        solution, judged = candidate.solution, candidate.judgement
        rows.append(
            (
                Cell(candidate.policy.name, "strong") if k == 0 and judged else candidate.policy.name,
                candidate.policy.description,
                f"{solution.method}: {solution.status}",
                "–" if solution.gap is None else percent(solution.gap),
                "–" if solution.objective is None else milliseconds(solution.objective),
                "–" if judged is None else percent(judged.miss_ratio),
                "–" if judged is None else f"{judged.stretch:.2f}",
            )
        )
    return Table(
        "Policies",
        (
            "policy",
            "cores",
            "solver",
            ">gap",
            ">objective ms",
            ">simulated misses",
            ">simulated stretch",
        ),
        tuple(rows),
        note="Best first. Objective: weighted responses at the critical instant, proven best within the policy. "
        "Stretch: simulated response over the latency of the model whole in its fastest configuration, which cuts may "
        "undercut.",
    )


def score_table(problem: Problem, evaluation: Evaluation) -> Table:
    """Every model's predicted response against its deadline."""
    rows: list[tuple[str | Cell, ...]] = []
    for name, model in evaluation.models.items():
        stream = problem.stream_of.get(name)
        deadline_us = model.deadline_us
        held = model.response_us if stream is not None and stream.is_hard else model.latency_us + model.blocking_us
        rows.append(
            (
                Cell(name, "strong"),
                f"{model.rate_hz:,.1f}" if model.rate_hz else "–",
                str(len(model.segments)),
                milliseconds(model.latency_us),
                milliseconds(model.blocking_us),
                milliseconds(model.interference_us),
                milliseconds(model.response_us),
                "–" if deadline_us is None else milliseconds(deadline_us),
                "" if deadline_us is None else Cell("kept", "good") if held <= deadline_us else Cell("missed", "bad"),
            )
        )
    memory = "; ".join(
        f"{name} {mebibytes(used)} of {mebibytes(problem.memory_limit[name])} MiB"
        for name, used in evaluation.memory_bytes.items()
    )
    busiest = max(evaluation.utilisation.values(), default=0.0)
    note = f"Memory: {memory}. Busiest core asked for {percent(busiest)} of its time."
    if any(stream.deadline_us is not None and not stream.is_hard for stream in problem.streams):
        note += " A deadline for a share of the requests is held against alone + blocked."
    return Table(
        "Predicted",
        (
            "model",
            ">rate Hz",
            ">segments",
            ">alone ms",
            ">blocked ms",
            ">others ms",
            ">response ms",
            ">deadline ms",
            "deadline",
        ),
        tuple(rows),
        note=note,
    )


def violations_table(violations: Sequence[Violation]) -> Table:
    """What a plan breaks."""
    return Table(
        "Violations",
        ("kind", "of", "what"),
        tuple((Cell(v.kind, "bad"), v.subject, v.message) for v in violations),
        note=f"{count(len(violations), 'limit')} broken.",
    )


def comparison_table(run: RunRecord) -> Table:
    """Set-ups side by side at the same load, model by model; the best figure of each column is marked."""
    setups = [setup for setup in run.setups if setup.role != "drift"] or list(run.setups)
    models = tuple(dict.fromkeys(m for setup in setups for m in setup.models))
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for model in (*models, None) if len(models) > 1 else models:
        groups.append(len(rows))
        rows += _model_rows(setups, model)
    return Table(
        "Served at the same load" if len(setups) > 1 else "Served",
        (
            "model",
            "set-up",
            ">requests",
            ">served/s",
            ">p50 ms",
            ">p99 ms",
            ">missed deadline",
            ">peak memory MiB",
        ),
        tuple(rows),
        note="Response from the scheduled arrival. A failed request counts as missed. Peak memory: above what the "
        "process had before any session was open. Green: best of its column.",
        groups=tuple(groups[1:]),
    )


def _model_rows(setups: Sequence[Setup], model: str | None) -> list[tuple[str | Cell, ...]]:
    served = [setup.throughput_hz(model) for setup in setups]
    p50 = [setup.percentile_us(0.5, model) for setup in setups]
    p99 = [setup.percentile_us(0.99, model) for setup in setups]
    missed = [setup.miss_ratio(model) for setup in setups]
    peak = [float(s.peak_memory_bytes) if s.peak_memory_bytes else float("nan") for s in setups]

    def mark(text: str, value: float, column: Sequence[float]) -> str | Cell:
        comparable = [v for v in column if v == v]
        best = len(setups) > 1 and value == min(comparable, default=None) and value < max(comparable)
        return Cell(text, "good") if best else text

    return [
        (
            Cell(model or "all models", "strong") if k == 0 else "",
            setup.name,
            f"{len(setup.of(model)):,}",
            f"{served[k]:,.1f}",
            mark(milliseconds(p50[k]), p50[k], p50),
            mark(milliseconds(p99[k]), p99[k], p99),
            mark(percent(missed[k]), missed[k], missed),
            mark(mebibytes(peak[k]), peak[k], peak) if model is None or len(setup.models) == 1 else "",
        )
        for k, setup in enumerate(setups)
    ]


def setups_table(run: RunRecord) -> Table:
    """What each set-up is."""
    return Table("Set-ups", ("set-up", "settings"), tuple((Cell(s.name, "strong"), s.description) for s in run.setups))


def decisions_table(setup: Setup) -> Table:
    """What the runtime decided, and why."""
    return Table(
        "Decisions",
        (">", ">at s", "decision", "why"),
        tuple(
            (str(i), f"{d.at_us / 1e6:.2f}", Cell(d.action, "strong"), d.reason)
            for i, d in enumerate(setup.decisions, start=1)
        ),
    )


LAST_S = 4.0
"""End of a run that is shown by itself: by then what had piled up under the old plan should be served."""


def drift_table(setup: Setup, drift_at_s: float) -> Table:
    """Before a drift, after it under the old plan, and under the plan that answered it."""
    later = [r for r in setup.requests if r.arrival_us >= drift_at_s * 1e6]
    stages = [
        ("before", [r for r in setup.requests if r.arrival_us < drift_at_s * 1e6]),
        ("drifted, old plan", [r for r in later if r.plan_version <= 0]),
        ("drifted, new plan", [r for r in later if r.plan_version > 0]),
        (f"last {LAST_S:.0f} s", [r for r in later if r.arrival_us >= (setup.duration_s - LAST_S) * 1e6]),
    ]
    rows = []
    for name, requests in stages:
        if not requests:
            continue
        span_s = max((requests[-1].arrival_us - requests[0].arrival_us) / 1e6, 1e-6)
        stage = setup.model_copy(update={"requests": tuple(requests), "duration_s": span_s})
        rows.append(
            (
                Cell(name, "strong"),
                f"{requests[0].arrival_us / 1e6:.1f}",
                f"{len(requests):,}",
                f"{len(requests) / span_s:.1f}",
                milliseconds(stage.percentile_us(0.5)),
                milliseconds(stage.percentile_us(0.99)),
                percent(stage.miss_ratio()),
            )
        )
    failed = sum(r.response_us is None for r in setup.requests)
    return Table(
        setup.name,
        ("stage", ">from s", ">requests", ">offered/s", ">p50 ms", ">p99 ms", ">missed deadline"),
        tuple(rows),
        note=f"All models together. {count(failed, 'request')} lost.",
    )


def prediction_lines(run: RunRecord) -> list[str]:
    """How well the plan's segments were predicted: those outside the fit first, for they are the honest figure."""
    held_out = [p for p in run.predictions if p.held_out]
    fitted = [p for p in run.predictions if not p.held_out]
    parts = [
        f"{percent(mean_absolute_percentage_error(chosen))} over {count(len(chosen), 'segment')} {where} the fit"
        for chosen, where in ((held_out, "outside"), (fitted, "in"))
        if chosen
    ]
    return [f"Predicted against observed segment times, mean absolute error: {'; '.join(parts)}."] if parts else []
