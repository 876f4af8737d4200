"""Memory of each device against its limit: whose it is, how it is used along the schedule, and what a run took."""

from __future__ import annotations

from collections.abc import Iterator

from ...formulation import Evaluation, Problem
from ..run_record import RunRecord
from ..table import Cell, Table
from ..units import MIB, mebibytes
from .colours import BAD_COLOUR, PLAN_COLOUR, QUIET_COLOUR, Look, model_looks
from .forecast import SimulatedSchedule, memory_steps, resident_bytes
from .plots import Axis, BarsPlot, Mark, Picture, Series, XYPlot

FAR = 8
"""A limit so many times the largest use is told and not drawn: it would squeeze all else into a corner."""


def memory_picture(problem: Problem, evaluation: Evaluation) -> Picture:
    """Stack the models' predicted memory, one row a memory, with its limit."""
    memories = tuple(memory.name for memory in problem.platform.memories)
    names = tuple(model.name for model in problem.models)
    widest = max(evaluation.memory_bytes.values(), default=0.0)
    limits = problem.memory_limit
    plot = BarsPlot(
        Axis("predicted peak (MiB)"),
        memories,
        {name: [sum(memory_share(evaluation, name, m)) / MIB for m in memories] for name in names},
        model_looks(names),
        {row: limits[m] / MIB for row, m in enumerate(memories) if not limits[m] > FAR * widest > 0},
    )
    caption = ". ".join(
        f"{m}: {mebibytes(evaluation.memory_bytes[m])} of {mebibytes(limits[m])} MiB"
        + (" (too far off to draw)" if row not in plot.limits else "")
        for row, m in enumerate(memories)
    )
    return Picture(plot, caption + ".", "Whose it is")


def memory_over_time(problem: Problem, evaluation: Evaluation, played: SimulatedSchedule) -> Iterator[Picture]:
    """Use of each memory along the simulated schedule, against its limit."""
    if not played.runs:
        return
    for memory in problem.platform.memories:
        times_us, used = memory_steps(evaluation, played, memory.name)
        peak, planned = float(used.max()), evaluation.memory_bytes[memory.name]
        limit = problem.memory_limit[memory.name]
        if not peak:
            continue
        base = resident_bytes(evaluation, memory.name)
        marks = []
        if limit <= FAR * max(peak, planned):
            marks.append(Mark("y", limit / MIB, "limit", BAD_COLOUR))
        unit, scale = ("ms", 1e3) if played.window_us < 2e6 else ("s", 1e6)
        since = [(us - played.begin_us) / scale for us in times_us]
        series = (
            Series("in use", since, [n / MIB for n in used], Look(PLAN_COLOUR), "steps"),
            Series("resident", [since[0], since[-1]], [base / MIB] * 2, Look(QUIET_COLOUR, "dash"), "line"),
        )
        caption = (
            f"Resident all the time {mebibytes(base)} MiB; at most {mebibytes(peak)} MiB along this schedule; planned "
            f"{mebibytes(planned)} of {mebibytes(limit)} MiB" + (" (too far off to draw)." if not marks else ".")
        )
        if not _more(peak, base):
            caption += " No segment needs more while it runs: what it works in stays with its session."
        if _more(peak, planned):
            caption += " Two requests of one model at once need its working memory twice, which is planned once."
        y = Axis("in use (MiB)", span=(0.0, 1.08 * max([peak, *(limit for _ in marks)]) / MIB))
        yield Picture(XYPlot(Axis(f"time ({unit})"), y, series, tuple(marks), 240), caption, f"{memory.name} over time")


def memory_table(problem: Problem, evaluation: Evaluation) -> Table:
    """What each model keeps in each memory, and what it needs beside that while it runs."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for memory in problem.platform.memories:
        groups.append(len(rows))
        shares = {model.name: memory_share(evaluation, model.name, memory.name) for model in problem.models}
        for k, (model, (resident, transient)) in enumerate(shares.items()):
            rows.append(
                (
                    Cell(memory.name, "strong") if k == 0 else "",
                    model,
                    mebibytes(resident),
                    mebibytes(transient),
                    mebibytes(resident + transient),
                    "",
                )
            )
        used, limit = evaluation.memory_bytes[memory.name], problem.memory_limit[memory.name]
        rows.append(
            (
                "",
                "all models",
                mebibytes(sum(resident for resident, _ in shares.values())),
                mebibytes(sum(transient for _, transient in shares.values())),
                Cell(mebibytes(used), "bad" if _more(used, limit) else "strong"),
                mebibytes(limit),
            )
        )
    return Table(
        "Predicted memory",
        ("memory", "model", ">resident MiB", ">while running MiB", ">peak MiB", ">limit MiB"),
        tuple(rows),
        note="Resident: weights, sessions and workspace that segments keep between requests. While running: the most "
        "that one of the model's segments needs beside that.",
        groups=tuple(groups[1:]),
    )


def observed_memory_table(run: RunRecord, evaluation: Evaluation | None) -> Table | None:
    """Peak of the processes that served, and what it counts; None where none was recorded."""
    setups = [setup for setup in run.setups if setup.peak_memory_bytes]
    if not setups:
        return None
    planned = None if evaluation is None or not evaluation.models else sum(evaluation.memory_bytes.values())
    return Table(
        "Observed peak",
        ("set-up", ">peak MiB", ">planned MiB"),
        tuple(
            (
                Cell(setup.name, "strong"),
                mebibytes(setup.peak_memory_bytes),
                mebibytes(planned) if setup.role == "plan" else "–",
            )
            for setup in setups
        ),
        note=OBSERVED_NOTE,
    )


OBSERVED_NOTE = (
    "Largest resident size of the serving process above what it had before any session was open: the interpreter, ONNX "
    "Runtime's library and sample inputs are not counted. Counted, and not planned: the moment when sessions open, "
    "OpenVINO's library and pools, the buffers of requests that run at once (a plan counts the working memory of each "
    "segment once), and what allocators keep for later."
)


def memory_share(evaluation: Evaluation, model: str, memory: str) -> tuple[float, float]:
    """Bytes that one model keeps resident in a memory, and the most that one of its segments needs while it runs."""
    segments = [s for s in evaluation.models[model].segments if s.memory == memory]
    return sum(s.resident_bytes for s in segments), max((s.transient_bytes for s in segments), default=0.0)


def _more(value: float, limit: float) -> bool:
    return value > limit * (1 + 1e-9)
