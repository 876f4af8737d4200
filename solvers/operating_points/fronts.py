"""Operating points made from fronts of plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...formulation import Activity, Plan, PlanError, Problem, evaluate
from ...formulation.operating_points import ModelPoints, OperatingPoint, ProcessorUse
from ..solution import FrontPoint

Contention = Callable[[str, str, str, int], Activity]
"""Activity of a model under a configuration on a processor with so many threads: `ContentionModel.activity`."""


def from_front(
    problem: Problem,
    front: Sequence[FrontPoint],
    *,
    rate_hz: float,
    weight: float = 1.0,
    deadline_us: float | None = None,
    contention: Contention | None = None,
    recompile_us: float = 0.0,
) -> ModelPoints:
    """The points of one model from the front that `solve` found for it.

    Parameters
    ----------
    problem : Problem
        That of the front, of one model.
    front : sequence of FrontPoint
        ``solution.front``.
    rate_hz, weight, deadline_us
        See `ModelPoints`.
    contention : callable, optional
        ``model.activity`` of a measured `ContentionModel`; without it no co-run slowdown beyond sharing cores.
    recompile_us : float
        Time to open one session; a point opens one for each segment.
    """
    return from_plans(
        problem,
        [point.plan for point in front],
        rate_hz=rate_hz,
        weight=weight,
        deadline_us=deadline_us,
        contention=contention,
        recompile_us=recompile_us,
    )


def from_plans(
    problem: Problem,
    plans: Sequence[Plan],
    *,
    rate_hz: float,
    weight: float = 1.0,
    deadline_us: float | None = None,
    contention: Contention | None = None,
    recompile_us: float = 0.0,
) -> ModelPoints:
    """The points of one model from plans of it; see `from_front`.

    Raises
    ------
    PlanError
        A problem of several models, or a plan that cannot run.
    """
    if len(problem.models) != 1:
        raise PlanError(
            "operating points",
            expected="the problem of one model",
            got=f"{len(problem.models)} models",
            remedy="Find the front of each model by itself.",
        )
    name = problem.models[0].name
    points = []
    for k, plan in enumerate(plans):
        evaluation = evaluate(problem, plan)
        if name not in evaluation.models:
            raise PlanError(
                f"plan {k} of model {name!r}",
                expected="segments that can run",
                got="; ".join(map(str, evaluation.violations[:1])),
                remedy="Make the front again on this platform.",
            )
        scored = evaluation.models[name]
        busy: dict[str, list[tuple[float, Activity]]] = {}
        for segment in scored.segments:
            c = segment.planned.configuration
            known = contention(name, c.name, c.processor, c.threads) if contention else None
            activity = known or Activity(model=name, configuration=c.name, processor=c.processor, threads=c.threads)
            busy.setdefault(c.processor, []).append((segment.latency_us, activity))
        uses = tuple(_use(processor, parts) for processor, parts in busy.items())
        points.append(
            OperatingPoint(
                name=f"{k}: {scored.latency_us / 1e3:.4g} ms on {'+'.join(busy)}",
                # Segments that overlap are counted one after another: a request never holds less than that.
                latency_us=max(scored.latency_us, sum(use.busy_us for use in uses)),
                memory_bytes=dict(evaluation.memory_bytes),
                uses=uses,
                recompile_us=recompile_us * len(scored.segments),
                reload_bytes=sum(segment.resident_bytes for segment in scored.segments),
                plan=plan.model_plan(name),
            )
        )
    return ModelPoints(name, tuple(points), rate_hz, weight, deadline_us)


def _use(processor: str, parts: list[tuple[float, Activity]]) -> ProcessorUse:
    """One use from the segments on a processor: times added, cores the most, contention weighted by time."""
    busy_us = sum(us for us, _ in parts)
    share = [us / busy_us if busy_us else 1 / len(parts) for us, _ in parts]
    return ProcessorUse(
        processor,
        busy_us,
        max(activity.threads for _, activity in parts),
        sum(s * activity.sensitivity for s, (_, activity) in zip(share, parts, strict=True)),
        sum(s * activity.pressure for s, (_, activity) in zip(share, parts, strict=True)),
    )
