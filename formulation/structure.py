"""Segments of a plan held against graph, costs and platform: what they cost, whether they fit, when they can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .dispatch import Step, tails_us
from .plan import Gang, ModelPlan, Order, PlannedSegment
from .problem import Model, Problem

ViolationKind = Literal["coverage", "precedence", "cores", "cost", "deadline", "memory", "utilisation"]


@dataclass(frozen=True)
class Violation:
    """One broken limit: its kind, whose it is, the value and the limit in the limit's own unit, and a sentence."""

    kind: ViolationKind
    subject: str
    value: float
    limit: float
    message: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject}: {self.message}"


@dataclass(frozen=True)
class ScoredSegment:
    """A planned segment with its predicted time and memory.

    Attributes
    ----------
    planned : PlannedSegment
    latency_us : float
    resident_bytes, transient_bytes : float
        Kept between runs, and needed only while it runs.
    memory : str
        Where it keeps them.
    after : tuple of int
        Segments of the same plan whose tensors it needs.
    gang_us : tuple of float
        Predicted time as each of its gangs. Their memory is counted in that of the segment.
    """

    planned: PlannedSegment
    latency_us: float
    resident_bytes: float
    transient_bytes: float
    memory: str
    after: tuple[int, ...]
    gang_us: tuple[float, ...] = ()

    @property
    def cores(self) -> frozenset[int]:
        """Cores it may use."""
        return frozenset(self.planned.cores)

    @property
    def core_us(self) -> float:
        """Core time of one run."""
        return self.latency_us * self.planned.configuration.threads

    def core_us_on(self, cores: frozenset[int]) -> float:
        """Core time of one run that falls on `cores`, were it spread evenly over those it may use."""
        return self.core_us * len(self.cores & cores) / len(self.cores)


def steps_of(segments: Sequence[ScoredSegment], order: Order, late_last: bool = True) -> tuple[Step, ...]:
    """Segments of one model as the dispatcher sees them; with `late_last`, it can tell what cannot be in time."""
    after = [s.after for s in segments]
    tails = tails_us([s.latency_us for s in segments], after) if order == "least_slack" else [0.0] * len(segments)
    least = tails_us([min((s.latency_us, *s.gang_us)) for s in segments], after)
    return tuple(
        Step(
            s.planned.configuration.threads,
            s.planned.cores,
            s.after,
            tuple(g.cores for g in s.planned.gangs),
            tail_us,
            least_us if late_last else None,
        )
        for s, tail_us, least_us in zip(segments, tails, least, strict=True)
    )


@dataclass(frozen=True)
class Schedule:
    """One request on an idle device: start and finish of each segment and the end of all, microseconds."""

    starts_us: tuple[float, ...]
    finishes_us: tuple[float, ...]
    finish_us: float


def score_segments(
    problem: Problem, model: Model, plan: ModelPlan
) -> tuple[tuple[ScoredSegment, ...], tuple[Violation, ...]]:
    """Score the segments of one model, or say why they are not a plan for it."""
    broken = tuple(_structural_violations(problem, model, plan))
    if broken:
        return (), broken
    owner = np.empty(model.graph.n_layers, dtype=np.int64)
    for k, segment in enumerate(plan.segments):
        owner[segment.start : segment.stop] = k
    scored: list[ScoredSegment] = []
    violations: list[Violation] = []
    for k, segment in enumerate(plan.segments):
        needed = {int(owner[p]) for i in range(segment.start, segment.stop) for p in model.graph.predecessors[i]} - {k}
        late = sorted(other for other in needed if other > k)
        if late:
            violations.append(
                Violation(
                    "precedence",
                    model.name,
                    k,
                    late[0],
                    f"segment {k} needs the output of segment {late[0]}, which comes later",
                )
            )
        at = (segment.start, segment.stop)
        columns = [
            model.costs.configurations.index(way.configuration) for way in (segment, *segment.gangs)
        ]  # the segment's own configuration first
        times_us = model.costs.segment_us(*at)[columns]
        latency_us = float(times_us[0])
        if not np.isfinite(latency_us):
            violations.append(
                Violation(
                    "cost",
                    model.name,
                    latency_us,
                    0.0,
                    f"{segment.configuration.name} cannot run every layer of [{segment.start}, {segment.stop})",
                )
            )
        violations += [
            Violation(
                "cost",
                model.name,
                float(gang_us),
                latency_us,
                f"segment {k} as {gang.configuration.name} takes {gang_us:.0f} µs, "
                f"not less than the {latency_us:.0f} µs of {segment.configuration.name}",
            )
            for gang, gang_us in zip(segment.gangs, times_us[1:], strict=True)
            if not gang_us < latency_us
        ]
        scored.append(
            ScoredSegment(
                segment,
                latency_us,
                float(model.costs.resident_bytes(model.graph, at)[0, 1, columns].sum()),
                float(model.costs.transient_bytes(model.graph, at)[0, 1, columns].max()),
                problem.platform.processor_by_name[segment.configuration.processor].memory,
                tuple(sorted(needed)),
                tuple(float(us) for us in times_us[1:]),
            )
        )
    return tuple(scored), tuple(violations)


def _structural_violations(problem: Problem, model: Model, plan: ModelPlan) -> Iterator[Violation]:
    n = model.graph.n_layers
    times_covered = np.zeros(n, dtype=np.int64)
    for k, segment in enumerate(plan.segments):
        if not segment.start < segment.stop <= n:
            message = f"segment {k} is [{segment.start}, {segment.stop}) of {n} layers"
            yield Violation("coverage", model.name, segment.stop, n, message)
            continue
        times_covered[segment.start : segment.stop] += 1
        yield from _configuration_violations(problem, model, k, segment)
    wrong = np.flatnonzero(times_covered != 1)
    if len(wrong):
        layer, times = int(wrong[0]), int(times_covered[wrong[0]])
        message = f"layer {layer} is in {times} segments, and {len(wrong) - 1} more layers are wrong too"
        yield Violation("coverage", model.name, times, 1, message)


def _configuration_violations(problem: Problem, model: Model, k: int, segment: PlannedSegment) -> Iterator[Violation]:
    configuration = segment.configuration
    if configuration not in model.costs.configurations:
        yield Violation("cost", model.name, k, 0, f"segment {k} uses {configuration.name}, which has no costs")
    processor = problem.platform.processor_by_name.get(configuration.processor)
    if processor is None:
        yield Violation("cores", model.name, k, 0, f"segment {k} is on unknown processor {configuration.processor!r}")
        return
    foreign = sorted(set(segment.cores) - set(processor.cores))
    if foreign or len(set(segment.cores)) < len(segment.cores):
        message = (
            f"segment {k} names cores {segment.cores} of processor {processor.name!r}, which has {processor.cores}"
        )
        yield Violation("cores", model.name, len(foreign), 0, message)
    if problem.limits.core_sets == "all" and set(segment.cores) != set(processor.cores):
        message = f"segment {k} is bound to cores {segment.cores}, but the limits want all of {processor.cores}"
        yield Violation("cores", model.name, len(segment.cores), len(processor.cores), message)
    if problem.limits.max_threads is not None and configuration.threads > problem.limits.max_threads:
        message = f"segment {k} runs {configuration.threads} threads > {problem.limits.max_threads}"
        yield Violation("cores", model.name, configuration.threads, problem.limits.max_threads, message)
    if configuration.threads > len(segment.cores):
        message = f"segment {k} runs {configuration.threads} threads on {len(segment.cores)} cores"
        yield Violation("cores", model.name, configuration.threads, len(segment.cores), message)
    elif 1 < configuration.threads < len(segment.cores):
        message = f"segment {k} may choose {configuration.threads} of {len(segment.cores)} cores, but a gang is bound"
        yield Violation("cores", model.name, len(segment.cores), configuration.threads, message)
    for gang in segment.gangs:
        yield from _gang_violations(problem, model, k, segment, gang)


def _gang_violations(
    problem: Problem, model: Model, k: int, segment: PlannedSegment, gang: Gang
) -> Iterator[Violation]:
    """A gang keeps to the segment's processor, cores and limits, so that it blocks nobody whom the segment does not."""
    configuration = gang.configuration
    if configuration not in model.costs.configurations:
        yield Violation("cost", model.name, k, 0, f"segment {k} has gang {configuration.name}, which has no costs")
    most = problem.limits.max_threads
    if most is not None and configuration.threads > most:
        message = f"segment {k} has a gang of {configuration.threads} threads > {most}"
        yield Violation("cores", model.name, configuration.threads, most, message)
    fits = (
        configuration.processor == segment.configuration.processor
        and configuration.batch == segment.configuration.batch
        and len(gang.cores) == len(set(gang.cores)) == configuration.threads
        and set(gang.cores) <= set(segment.cores)
    )
    if not fits:
        message = (
            f"segment {k} has gang {configuration.name} on cores {gang.cores} of {configuration.processor!r}; "
            f"it needs one core a thread, all among the segment's own {segment.cores}"
        )
        yield Violation("cores", model.name, len(gang.cores), configuration.threads, message)


def isolated_schedule(problem: Problem, model: Model, segments: Sequence[ScoredSegment]) -> Schedule:
    """Run one request on an idle device, segments in the plan's order, each as soon as its tensors and cores are there.

    Graph inputs come from, and outputs return to, the memory of the platform's first processor. A tensor moves to a
    memory once; what one segment hands to another over a link moves together.
    """
    graph, platform = model.graph, problem.platform
    host = platform.processors[0].name
    owner = {i: k for k, s in enumerate(segments) for i in range(s.planned.start, s.planned.stop)}
    arrived: dict[tuple[int, str], float] = {}
    core_free: dict[int, float] = {}
    starts, finishes = [0.0] * len(segments), [0.0] * len(segments)

    def deliver(tensors: Sequence[int], target: str) -> float:
        """Move tensors to the memory of processor `target`; when the last one is there."""
        memory = platform.processor_by_name[target].memory
        by_producer: dict[int, list[int]] = {}
        for tensor in tensors:
            if (tensor, memory) not in arrived:
                producer = int(graph.tensor_producer[tensor])
                by_producer.setdefault(owner[producer] if producer >= 0 else -1, []).append(tensor)
        for k, moved in by_producer.items():
            source = segments[k].planned.configuration.processor if k >= 0 else host
            ready = finishes[k] if k >= 0 else 0.0
            there = ready + platform.transfer_us(source, target, float(graph.tensor_bytes[moved].sum()))
            arrived.update(((tensor, memory), there) for tensor in moved)
        return max((arrived[tensor, memory] for tensor in tensors), default=0.0)

    for k, segment in enumerate(segments):
        planned = segment.planned
        read = {graph.tensor_index[t] for i in range(planned.start, planned.stop) for t in graph.layers[i].inputs}
        outside = sorted(t for t in read if not planned.start <= graph.tensor_producer[t] < planned.stop)
        ready = deliver(outside, planned.configuration.processor)
        used = sorted(planned.cores, key=lambda core: core_free.get(core, 0.0))[: planned.configuration.threads]
        starts[k] = max([ready, *(core_free.get(core, 0.0) for core in used)])
        finishes[k] = starts[k] + segment.latency_us
        core_free.update(dict.fromkeys(used, finishes[k]))
    end = deliver([graph.tensor_index[t] for t in graph.outputs], host)
    return Schedule(tuple(starts), tuple(finishes), max([end, *finishes]))
