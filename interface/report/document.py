"""What a report says, section by section, whether on a page or in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..given_plans import covered, is_of_this_question, left_out_sentence
from ..run_record import RunRecord, Setup, mean_absolute_percentage_error
from ..summaries import comparison_table, decisions_table, plan_table, score_table, setups_table, violations_table
from ..table import Cell, Table
from ..units import count, mebibytes, milliseconds, percent
from .colours import model_looks
from .contents import Contents, ScoredPlan
from .forecast import Forecast
from .front import front_picture, fronts_table
from .grid import Grid, Surface
from .memory import memory_over_time, memory_picture, memory_table, observed_memory_table
from .plots import Picture
from .predictions import prediction_picture, prediction_table
from .responses import drift_picture, forecast_picture, forecast_table, response_picture
from .sensitivity import sensitivity_picture
from .timeline import schedule_picture, schedule_table, timeline_picture


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind, side by side where there is room."""

    pictures: tuple[Picture | Grid | Surface, ...]


@dataclass(frozen=True)
class Facts:
    """Names with what they stand for."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Remark:
    """A sentence."""

    text: str


Block = Table | Picture | Grid | Surface | Gallery | Facts | Remark


@dataclass(frozen=True)
class Card:
    """One figure that matters, with its name and what belongs to it."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report without its form."""

    title: str
    created: str
    version: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]


def document_of(contents: Contents) -> Document:
    """Lay out what there is; what is missing leaves no section."""
    return laid_out(contents.title, contents.created, _cards(contents), _sections(contents))


def laid_out(
    title: str, created: str, cards: Iterable[Card], sections: Iterable[tuple[str, Iterable[Block]]]
) -> Document:
    """Put sections under their headings; one without anything in it is left out."""
    made = (Section(heading, tuple(block for block in blocks if block != Gallery(()))) for heading, blocks in sections)
    return Document(
        title, created, version("edgeplan"), tuple(cards), tuple(section for section in made if section.blocks)
    )


def document_data(document: Document) -> dict[str, Any]:
    """Cards, tables and captions as plain data."""

    def plain(block: Block) -> Iterator[dict[str, Any]]:
        if isinstance(block, Table):
            rows = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in block.rows]
            columns = [column.lstrip(">") for column in block.columns]
            yield {"table": block.title, "columns": columns, "rows": rows, "note": block.note}
        elif isinstance(block, Gallery):
            for picture in block.pictures:
                yield from plain(picture)
        elif isinstance(block, Picture | Grid | Surface):
            yield {"picture": block.heading, "caption": block.caption}
        elif isinstance(block, Facts):
            yield {"facts": dict(block.items)}
        else:
            yield {"remark": block.text}

    return {
        "title": document.title,
        "created": document.created,
        "version": document.version,
        "cards": [{"label": c.label, "value": c.value, "detail": c.detail} for c in document.cards],
        "sections": [
            {"heading": section.heading, "blocks": [part for block in section.blocks for part in plain(block)]}
            for section in document.sections
        ],
    }


def _sections(contents: Contents) -> Iterator[tuple[str, Iterable[Block]]]:
    run, models = contents.run, _models(contents)
    if run is not None:
        yield from _run_sections(contents, run, models)
    planned = contents.planned
    if planned is not None:
        yield "Plan", _plan(planned)
        if planned.evaluation.models:  # else its segments are broken: there is nothing to score
            yield "Schedule", _schedule(contents, planned)
            yield "Predicted responses", _forecast(contents.forecast, planned, models)
    yield "Memory", _memory(contents)
    if contents.fronts:
        fronts = tuple(front_picture(front) for front in contents.fronts)
        yield "Fronts", (Gallery(fronts), fronts_table(contents.fronts))
    if contents.sensitivity is not None:
        picture = sensitivity_picture(contents.sensitivity)
        yield "Sensitivity", ([picture] if picture else []) + [contents.sensitivity.table]
    if contents.profile is not None:
        yield "Profile", [contents.profile]
    if contents.provenance:
        yield "Provenance", [Facts(tuple(contents.provenance.items()))]


def _run_sections(contents: Contents, run: RunRecord, models: tuple[str, ...]) -> Iterator[tuple[str, Iterable[Block]]]:
    yield "Outcome", (comparison_table(run), setups_table(run), *(Remark(note) for note in run.notes))
    predicted = contents.forecast.models if contents.forecast else {}
    served = {model for setup in run.setups for model in setup.models}
    yield (
        "Responses",
        [Gallery(tuple(response_picture(run, model, predicted.get(model)) for model in models if model in served))],
    )
    timelines = [timeline_picture(setup, models) for setup in _recorded(run)[:1]]
    yield "Core timeline", [picture for picture in timelines if picture]
    drifts = [setup for setup in run.setups if setup.decisions]
    yield (
        "Drift and re-planning",
        [block for setup in drifts for block in (drift_picture(setup, models), decisions_table(setup))],
    )
    if run.predictions:
        yield "Predicted against observed", (prediction_picture(run, models), prediction_table(run))


def _plan(planned: ScoredPlan) -> Iterator[Block]:
    if planned.evaluation.violations:
        yield violations_table(planned.evaluation.violations)
    if planned.evaluation.models:
        yield score_table(planned.problem, planned.evaluation)
        yield plan_table(covered(planned.problem, planned.plan), planned.evaluation)
    absent = left_out_sentence(planned.problem, planned.plan)
    if absent:
        yield Remark(absent)


def _schedule(contents: Contents, planned: ScoredPlan) -> Iterator[Block]:
    played = contents.schedule
    if played is None:
        return
    picture = schedule_picture(planned.problem, played)
    if picture is not None:
        yield picture
    yield schedule_table(planned.problem, planned.evaluation, played)
    silent = [m.name for m in planned.problem.models if m.name not in planned.problem.stream_of]
    if silent and not played.at_once:
        yield Remark(f"Without a stream, and so not in the schedule: {', '.join(silent)}.")


def _forecast(predicted: Forecast | None, planned: ScoredPlan, models: tuple[str, ...]) -> Iterator[Block]:
    if predicted is None:
        return
    looks = model_looks(models)
    yield Gallery(
        tuple(
            forecast_picture(name, model, looks[name])
            for name, model in predicted.models.items()
            if len(model.responses_us)
        )
    )
    yield forecast_table(predicted)
    busiest = max(planned.evaluation.utilisation.values())
    if busiest > 1:
        yield Remark(
            f"A core is asked for {percent(busiest)} of its time: queues grow for as long as is simulated, and so do "
            "responses."
        )


def _memory(contents: Contents) -> Iterator[Block]:
    planned, run = contents.planned, contents.run
    evaluation = planned.evaluation if planned is not None and planned.evaluation.models else None
    if planned is not None and evaluation is not None:
        over_time = (
            () if contents.schedule is None else memory_over_time(planned.problem, evaluation, contents.schedule)
        )
        yield Gallery((memory_picture(planned.problem, evaluation), *over_time))
        yield memory_table(planned.problem, evaluation)
    observed = observed_memory_table(run, evaluation) if run is not None else None
    if observed is not None:
        yield observed


def _models(contents: Contents) -> tuple[str, ...]:
    if contents.planned is not None:
        return tuple(model.name for model in contents.planned.problem.models)
    if contents.run is not None:
        return tuple(sorted({model for setup in contents.run.setups for model in setup.models}))
    return ()


def _recorded(run: RunRecord) -> list[Setup]:
    """Set-ups with recorded segments, the plan's first."""
    recorded = [s for s in run.setups if any(r.segments for r in s.requests)]
    return sorted(recorded, key=lambda s: s.role != "plan")


def _cards(contents: Contents) -> Iterator[Card]:
    yield from _run_cards(contents.run)
    yield from _plan_cards(contents.planned)
    if contents.run is None:
        yield from _forecast_cards(contents.forecast)


def _run_cards(run: RunRecord | None) -> Iterator[Card]:
    plan = next((s for s in run.setups if s.role == "plan"), None) if run else None
    if run is None or plan is None:
        return
    baselines = [s for s in run.setups if s.role == "baseline"]
    missed = " · ".join(f"{s.name} {percent(s.miss_ratio())}" for s in baselines)
    yield Card("deadlines missed", percent(plan.miss_ratio()), missed)
    p99 = " · ".join(f"{s.name} {milliseconds(s.percentile_us(0.99))}" for s in baselines)
    yield Card("p99 response, all models", f"{milliseconds(plan.percentile_us(0.99))} ms", p99)
    if run.predictions:
        held_out = [p for p in run.predictions if p.held_out]
        error = mean_absolute_percentage_error(held_out or run.predictions)
        over = f"{len(held_out)} segments outside the fit" if held_out else f"{len(run.predictions)} fitted segments"
        yield Card("prediction error", percent(error), f"mean over {over}")


def _plan_cards(planned: ScoredPlan | None) -> Iterator[Card]:
    if planned is None:
        return
    problem, plan, evaluation = planned.problem, planned.plan, planned.evaluation
    gap = "" if plan.solver.gap is None else f"gap {percent(plan.solver.gap)}, "
    if evaluation.violations:
        broken = f"{count(len(evaluation.violations), 'limit')} broken"
        yield Card("plan", broken, f"listed below; {plan.solver.method} had called it {plan.solver.status}")
    elif not is_of_this_question(plan, evaluation):
        yield Card("plan", "feasible", f"{plan.solver.method} made it for another question; nothing is proven here")
    else:
        yield Card("plan", plan.solver.status, f"{gap}{plan.solver.method}")
    for memory, used in evaluation.memory_bytes.items():
        yield Card(f"memory {memory}", f"{mebibytes(used)} MiB", f"limit {mebibytes(problem.memory_limit[memory])} MiB")


def _forecast_cards(predicted: Forecast | None) -> Iterator[Card]:
    bounded = {} if predicted is None else predicted.models
    bounded = {name: m for name, m in bounded.items() if math.isfinite(m.deadline_us) and len(m.responses_us)}
    if bounded:
        worst = max(bounded, key=lambda name: bounded[name].miss_ratio.value)
        late = sum(m.miss_ratio.value * len(m.responses_us) for m in bounded.values())
        offered = sum(len(m.responses_us) for m in bounded.values())
        detail = f"most: {worst} {percent(bounded[worst].miss_ratio.value)}" if late else "simulated"
        yield Card("predicted misses", percent(late / offered), detail)
