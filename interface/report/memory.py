"""Memory of each device against its limit, and whose it is."""

from __future__ import annotations

import plotly.graph_objects as go

from ...formulation import Evaluation, Problem
from ..run_record import RunRecord
from ..units import MIB, mebibytes
from .chart import BAD_COLOUR, QUIET_COLOUR, Chart, figure, model_colours


def memory_chart(problem: Problem, evaluation: Evaluation, run: RunRecord | None) -> Chart:
    """Stack the models' predicted memory, one row a device, with its limit."""
    memories = [memory.name for memory in problem.platform.memories]
    names = tuple(model.name for model in problem.models)
    drawn = figure("predicted peak (MiB)", "", height=110 + 56 * len(memories), barmode="stack", bargap=0.35)
    drawn.update_layout(legend_traceorder="normal")
    for name, colour in model_colours(names).items():
        shares = [sum(memory_share(evaluation, name, memory)) / MIB for memory in memories]
        drawn.add_trace(
            go.Bar(
                orientation="h",
                y=memories,
                x=shares,
                name=name,
                marker={"color": colour},
                hovertemplate=f"{name}: %{{x:.1f}} MiB",
            )
        )
    widest = max(evaluation.memory_bytes.values(), default=0.0)
    beyond = []
    for row, memory in enumerate(memories):
        limit = problem.memory_limit[memory]
        if limit > 8 * widest > 0:
            beyond.append(memory)  # a line so far off would squeeze the bars into a corner
            continue
        drawn.add_shape(
            type="line",
            x0=limit / MIB,
            x1=limit / MIB,
            y0=row - 0.4,
            y1=row + 0.4,
            line={"color": BAD_COLOUR, "width": 2},
        )
        drawn.add_annotation(
            x=limit / MIB, y=row + 0.42, text="limit", showarrow=False, yanchor="bottom", font={"color": BAD_COLOUR}
        )
    caption = ". ".join(
        f"{memory}: {mebibytes(evaluation.memory_bytes[memory])} of {mebibytes(problem.memory_limit[memory])} MiB"
        + (" (too far off to draw)" if memory in beyond else "")
        for memory in memories
    )
    observed = [s for s in run.setups if s.peak_memory_bytes] if run else []
    if observed:
        caption += ". Observed peak of the process that served: " + ", ".join(
            f"{s.name} {mebibytes(s.peak_memory_bytes)} MiB" for s in observed
        )
    drawn.update_yaxes(showgrid=False, tickfont={"color": QUIET_COLOUR})
    return Chart(drawn, caption + ".")


def memory_share(evaluation: Evaluation, model: str, memory: str) -> tuple[float, float]:
    """Bytes that one model keeps resident in a memory, and the most that one of its segments needs while it runs."""
    segments = [s for s in evaluation.models[model].segments if s.memory == memory]
    return sum(s.resident_bytes for s in segments), max((s.transient_bytes for s in segments), default=0.0)
