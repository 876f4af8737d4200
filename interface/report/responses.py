"""Responses against deadlines: as a distribution, predicted and observed, and over time while the load changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..run_record import RunRecord, Setup
from ..table import Cell, Table
from ..units import count, milliseconds, percent
from .colours import BAD_COLOUR, BASELINE_COLOURS, DASHES, GOOD_COLOUR, PLAN_COLOUR, QUIET_COLOUR, Look, model_looks
from .forecast import CONFIDENCE, Estimate, Forecast, ModelForecast
from .plots import Axis, Mark, Picture, Series, XYPlot, spread

MAX_POINTS = 400
"""Points of one curve: its quantiles, with every one of the slowest kept."""
SLOWEST = 50
MAX_SCATTERED = 4000
"""Requests that a scatter shows: all that are late, as far as there is room, and of the others evenly."""
SHARES = (0.5, 0.99, 0.999)


def setup_looks(setups: Sequence[Setup]) -> dict[str, Look]:
    """Colour and dash of every set-up, the same in every picture: the plan is solid blue."""
    looks: dict[str, Look] = {}
    others = 0
    for setup in setups:
        if setup.role == "baseline":
            looks[setup.name] = Look(BASELINE_COLOURS[others % len(BASELINE_COLOURS)], DASHES[1 + others % 3])
            others += 1
        else:
            looks[setup.name] = Look(PLAN_COLOUR)
    return looks


def response_picture(run: RunRecord, model: str, predicted: ModelForecast | None = None) -> Picture:
    """Share of one model's requests that took longer than a given time, one curve a set-up, and as predicted."""
    setups = [s for s in run.setups if s.role != "drift" and len(s.responses_us(model))]
    deadline_us = deadline_of(setups, model)
    # Failed requests never ended: the curve ends above zero by their share.
    drawn = [
        _tail(setup.name, setup.responses_us(model), len(setup.of(model)), setup_looks(setups)[setup.name])
        for setup in setups
    ]
    if predicted is not None and len(predicted.responses_us):
        name, responses_us = "the plan, predicted", predicted.responses_us
        drawn.append(_tail(name, responses_us, len(responses_us), Look(GOOD_COLOUR, "dashdot")))
    caption = "; ".join(f"{s.name} p99 {milliseconds(s.percentile_us(0.99, model))} ms" for s in setups) + "."
    if deadline_us is not None:
        missed = "; ".join(f"{s.name} {percent(s.miss_ratio(model))}" for s in setups)
        caption += f" Deadline {milliseconds(deadline_us)} ms, missed by: {missed}."
    return _distribution(drawn, deadline_us, caption if setups else "Nothing was served.", model)


def forecast_picture(model: str, predicted: ModelForecast, look: Look) -> Picture:
    """Share of one model's requests that take longer than a given time, as simulated."""
    responses_us = predicted.responses_us
    n = len(responses_us)
    drawn = [_tail(model, responses_us, n, look)] if n else []
    deadline_us = predicted.deadline_us if math.isfinite(predicted.deadline_us) else None
    estimates = ((share, predicted.percentile_us(share)) for share in SHARES)
    told = [
        f"{_percentile_name(share)} {_with_interval(estimate)} ms"
        for share, estimate in estimates
        if not math.isnan(estimate.value)
    ]
    sentences = [f"{count(n, 'request')} simulated", "; ".join(told) or "Too few to tell a percentile"]
    if deadline_us is not None:
        sentences.append(f"Deadline {milliseconds(deadline_us)} ms, missed by {percent(predicted.miss_ratio.value)}")
    return _distribution(drawn, deadline_us, ". ".join(sentences) + ".", model)


def forecast_table(predicted: Forecast) -> Table:
    """Percentiles of every model's simulated responses, with their intervals."""
    rows: list[tuple[str | Cell, ...]] = []
    for name, model in predicted.models.items():
        bounded = math.isfinite(model.deadline_us)
        missed = model.miss_ratio
        rows.append(
            (
                Cell(name, "strong"),
                f"{len(model.responses_us):,}",
                *(_with_interval(model.percentile_us(share)) for share in SHARES),
                milliseconds(model.deadline_us) if bounded else "–",
                _share_with_interval(missed) if bounded else "–",
            )
        )
    return Table(
        "Predicted responses",
        (
            "model",
            ">requests",
            *(f">{_percentile_name(share)} ms" for share in SHARES),
            ">deadline ms",
            ">missed deadline",
        ),
        tuple(rows),
        note=_forecast_note(predicted),
    )


def _forecast_note(predicted: Forecast) -> str:
    span = f"{predicted.duration_us / 1e6:,.1f} s of the scenario's own arrivals"
    text = "Simulated by the dispatch rule with predicted segment times: "
    if predicted.repetitions == 1:
        text += f"{span}, in which nothing is random."
    else:
        last = predicted.seed + predicted.repetitions - 1
        text += (
            f"{predicted.repetitions} repetitions of {span}, seeds {predicted.seed} to {last}. "
            f"±: half-width of the {CONFIDENCE:.0%} confidence interval, of the simulation only: it says nothing of "
            "how well segment times are predicted."
        )
    return text + " –: too few requests lie beyond to tell."


def _distribution(drawn: Sequence[Series], deadline_us: float | None, caption: str, heading: str) -> Picture:
    marks = () if deadline_us is None else (Mark("x", deadline_us / 1e3, "deadline", BAD_COLOUR),)
    x = Axis("response (ms)", logarithmic=True)
    y = Axis("slower than that", percent=True, span=(0.0, 1.0))
    return Picture(XYPlot(x, y, tuple(drawn), marks), caption, heading)


def _tail(name: str, responses_us: NDArray[np.float64], offered: int, look: Look) -> Series:
    """Share of the requests that take longer, over the time, from ascending responses."""
    n = len(responses_us)
    kept = np.unique([*spread(n, MAX_POINTS), *range(max(0, n - SLOWEST), n)])
    return Series(name, (responses_us[kept] / 1e3).tolist(), (1 - (kept + 1) / offered).tolist(), look, "steps")


def deadline_of(setups: Sequence[Setup], model: str) -> float | None:
    """Relative deadline of a model's requests, microseconds; None where they have none."""
    return next((r.deadline_us for s in setups for r in s.of(model)), None)


def drift_picture(setup: Setup, models: tuple[str, ...]) -> Picture:
    """Responses over time, as shares of the deadline, with the runtime's decisions."""
    drawn, shown, bounded = [], 0, 0
    served = {m: [r for r in setup.of(m) if r.response_us is not None and r.deadline_us is not None] for m in models}
    total = sum(len(requests) for requests in served.values())
    for model, look in model_looks(models).items():
        requests = served[model]
        bounded += deadline_of([setup], model) is not None
        if not requests:
            continue
        room = max(1, MAX_SCATTERED * len(requests) // total)
        if len(requests) > room:
            late = [i for i, r in enumerate(requests) if r.missed]
            late = [late[i] for i in spread(len(late), room)]
            timely = [i for i, r in enumerate(requests) if not r.missed]
            timely = [timely[i] for i in spread(len(timely), max(0, room - len(late)))] if len(late) < room - 1 else []
            requests = [requests[i] for i in sorted([*late, *timely])]
        shown += len(requests)
        drawn.append(
            Series(
                model,
                [r.arrival_us / 1e6 for r in requests],
                [(r.response_us or 0.0) / (r.deadline_us or 1.0) for r in requests],
                look,
                "points",
            )
        )
    marks = (
        Mark("y", 1.0, "deadline", BAD_COLOUR),
        *(
            Mark("x", decision.at_us / 1e6, str(number), QUIET_COLOUR, "dash")
            for number, decision in enumerate(setup.decisions, start=1)
        ),
    )
    caption = (
        f"{setup.name}: requests above the dotted line were late ({percent(setup.miss_ratio())} of all, "
        f"{count(bounded, 'model')} with deadlines). Numbered lines are the decisions listed below."
    )
    if shown < total:
        caption += f" Drawn: {shown:,} of {total:,} requests, late ones first."
    plot = XYPlot(Axis("time (s)"), Axis("response / deadline", logarithmic=True), tuple(drawn), marks, 340)
    return Picture(plot, caption, setup.name)


def _percentile_name(share: float) -> str:
    return f"p{100 * share:g}"


def _with_interval(estimate: Estimate) -> str:
    """Milliseconds with the half-width, which has as many decimals as the figure."""
    text = milliseconds(estimate.value)
    if math.isnan(estimate.half_width):
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {estimate.half_width / 1e3:,.{decimals}f}"


def _share_with_interval(estimate: Estimate) -> str:
    if math.isnan(estimate.half_width):
        return percent(estimate.value)
    return f"{100 * estimate.value:.1f} ± {100 * estimate.half_width:.1f} %"
