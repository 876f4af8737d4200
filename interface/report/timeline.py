"""Who has which core when, one row a core: as simulated from the plan, and as a run recorded it."""

from __future__ import annotations

from collections.abc import Sequence

from ...formulation import Evaluation, Problem
from ..run_record import Request, Setup
from ..table import Cell, Table
from ..units import count, milliseconds, percent
from .colours import model_looks
from .forecast import KEPT_BARS, SimulatedSchedule
from .plots import Axis, Bar, GanttPlot, Picture

SHOWN_BARS = 160
"""Bars that are shown at first: many more are lines too thin to see."""


def schedule_picture(problem: Problem, played: SimulatedSchedule) -> Picture | None:
    """Draw the simulated schedule; None where nothing runs."""
    if not played.runs:
        return None
    cores = [core for processor in problem.platform.processors for core in processor.cores]
    several = len(problem.platform.processors) > 1
    names = tuple(
        f"{processor.name} {core}" if several else f"core {core}"
        for processor in problem.platform.processors
        for core in processor.cores
    )
    rows = {core: i for i, core in enumerate(cores)}
    bars = tuple(
        Bar(
            rows[core],
            (run.start_us - played.begin_us) / 1e3,
            (run.finish_us - run.start_us) / 1e3,
            run.model,
            f"{run.model}, request {run.request}, segment {run.segment}"
            + (f", gang of {len(run.cores)}" if run.gang is not None else "")
            + (", late" if (run.model, run.request) in played.late else ""),
            (run.model, run.request) in played.late,
        )
        for run in played.runs
        for core in run.cores
    )
    models = tuple(model.name for model in problem.models)
    window = played.window_us / 1e3
    if played.at_once:
        what = "The scenario has no streams: every model is asked once, all at the same time"
    else:
        span = f"The first {milliseconds(played.window_us)} ms"
        what = f"{span} of the scenario's own arrivals, seed {played.seed}, simulated"
    late = len({(run.model, run.request) for run in played.runs} & played.late)
    ending = f" Outlined: {count(late, 'request')} that end after the deadline." if late else ""
    return Picture(
        GanttPlot(Axis("time (ms)"), names, bars, model_looks(models), (0.0, _shown(bars, window))),
        f"{what}. Every bar is one segment on one core; where one ends, a more urgent request may go first.{ending}",
    )


def schedule_table(problem: Problem, evaluation: Evaluation, played: SimulatedSchedule) -> Table:
    """Every core's share of time that is asked for, and that was taken in the simulated window."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for processor in problem.platform.processors:
        groups.append(len(rows))
        for k, core in enumerate(processor.cores):
            there: dict[str, float] = {}
            runs = [run for run in played.runs if core in run.cores]
            for run in runs:
                there[run.model] = there.get(run.model, 0.0) + run.finish_us - run.start_us
            most = max(there, key=lambda model: there[model]) if there else "–"
            asked = evaluation.utilisation.get(core, 0.0)
            over = asked > problem.limits.max_utilisation * (1 + 1e-9)
            rows.append(
                (
                    Cell(processor.name, "strong") if k == 0 else "",
                    str(core),
                    "–" if played.at_once else Cell(percent(asked), "bad") if over else percent(asked),
                    percent(played.busy_us(core) / played.window_us) if played.runs else "–",
                    f"{len(runs):,}",
                    most,
                )
            )
    return Table(
        "Cores",
        ("device", ">core", ">asked for", ">busy in the window", ">segments run", "mostly"),
        tuple(rows),
        note="Asked for: share of the core's time by mean rates and predicted times, spread evenly over the cores that "
        f"a segment may use; limit {percent(problem.limits.max_utilisation)}. Busy: in the simulated window of "
        f"{milliseconds(played.window_us)} ms.",
        groups=tuple(groups[1:]),
    )


def timeline_picture(setup: Setup, models: tuple[str, ...]) -> Picture | None:
    """Draw the opening of a set-up as it was recorded; None where no segment was."""
    begin_us, end_us = _opening(setup, KEPT_BARS)
    taken = [
        (request, run, core)
        for request in setup.requests
        for run in request.segments
        if run.start_us < end_us
        for core in run.cores
    ]
    if not taken:
        return None
    cores = sorted({core for _, _, core in taken})
    rows = {core: i for i, core in enumerate(cores)}
    bars = tuple(
        Bar(
            rows[core],
            run.start_us / 1e6,
            (run.finish_us - run.start_us) / 1e6,
            request.model,
            _label(request, run.segment),
            request.missed,
        )
        for request, run, core in taken
    )
    missed = len({id(request) for request, _, _ in taken if request.missed})
    late = f"Outlined: {count(missed, 'request')} that missed the deadline." if missed else "No deadline missed."
    shown = (begin_us / 1e6, _opening(setup, SHOWN_BARS)[1] / 1e6)
    return Picture(
        GanttPlot(Axis("time (s)"), tuple(f"core {core}" for core in cores), bars, model_looks(models), shown),
        f"The first {(end_us - begin_us) / 1e6:.1f} of {setup.duration_s:.0f} seconds. "
        f"Every bar is one segment; where one ends, a more urgent request may go first. {late}",
        setup.name,
    )


def _shown(bars: Sequence[Bar], window: float) -> float:
    """End of what is shown at first."""
    if len(bars) <= SHOWN_BARS:
        return window
    return sorted(bar.start for bar in bars)[SHOWN_BARS]


def _opening(setup: Setup, bars: int) -> tuple[float, float]:
    """Window from a set-up's first run on in which at most so many bars begin."""
    starts = sorted(run.start_us for request in setup.requests for run in request.segments for _ in run.cores)
    if not starts:
        return 0.0, 0.0
    if len(starts) > bars:
        return starts[0], starts[bars]
    return starts[0], max(run.finish_us for request in setup.requests for run in request.segments)


def _label(request: Request, segment: int) -> str:
    if request.response_us is None:
        became = "failed"
    else:
        became = f"response {request.response_us / 1e3:.1f} ms" + (", late" if request.missed else "")
    return f"{request.model}, segment {segment}, arrived {request.arrival_us / 1e6:.4f} s, {became}"
