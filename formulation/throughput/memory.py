"""Memory of a layout: weights and sessions of all instances, and what runs at once."""

from __future__ import annotations

from .layout import Layout
from .problem import ThroughputProblem
from .timing import Stage, StageCosts


def memory_bytes(problem: ThroughputProblem, costs: StageCosts, layout: Layout) -> dict[str, float]:
    """Bytes needed of each memory.

    Every instance keeps its weights and its session; with ``weights: processor`` the instances of a model that run the
    same layers in the same form on one processor share one copy of the weights. A lane runs one batch at a time, so it
    needs the working memory of its largest occupant.
    """
    needed = {memory.name: 0.0 for memory in problem.platform.memories}
    where = {p.name: p.memory for p in problem.platform.processors}
    shared = problem.service.weights == "processor"
    held: set[tuple[object, ...]] = set()
    there: set[tuple[Stage, int]] = set()
    running = [0.0] * len(layout.lanes)
    for instance in layout.instances:
        for stage, lane in zip(instance.stages, instance.lanes, strict=True):
            if (stage, lane) in there:  # a stage that several pipelines share
                continue
            there.add((stage, lane))
            memory = costs.memory(stage)
            key = weights_key(problem, stage)
            weights = 0.0 if shared and key in held else memory.weights
            held.add(key)
            needed[where[layout.lanes[lane].processor]] += weights + memory.own
            running[lane] = max(running[lane], memory.running)
    for lane, most in zip(layout.lanes, running, strict=True):
        needed[where[lane.processor]] += most
    return needed


def weights_key(problem: ThroughputProblem, stage: Stage) -> tuple[object, ...]:
    """What instances must have in common to share weights."""
    c = problem.models[stage.model].costs.configurations[stage.configuration]
    return (stage.model, stage.start, stage.stop, c.processor, c.backend, c.form)
