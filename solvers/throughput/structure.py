"""Structures: everything of a service plan but its rates and how instances are dealt to lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...formulation import PlannedSegment, SolverStamp
from ...formulation.throughput import Instance, ModelService, ServicePlan
from ...formulation.throughput.layout import Lane, Layout, Placed
from .offer import Offer


@dataclass(frozen=True)
class Structure:
    """A choice of everything but rates and lanes of instances.

    Attributes
    ----------
    batching : tuple of int
        By model, which of the offer's.
    instances : tuple of (int, int)
        Columns and how many instances of each, ascending by column.
    lanes : tuple of int
        By kind.
    """

    batching: tuple[int, ...]
    instances: tuple[tuple[int, int], ...]
    lanes: tuple[int, ...]


def fits(offer: Offer, structure: Structure) -> bool:
    """Whether lanes fit the cores, every model has an instance, and no model is twice on a lane."""
    cores = {p.name: len(p.cores) for p in offer.problem.platform.processors}
    for kind, count in zip(offer.kinds, structure.lanes, strict=True):
        cores[kind.processor] -= kind.threads * count
    used: set[tuple[int, int]] = set()
    served = {offer.columns[c].model for c, _ in structure.instances}
    total = dict.fromkeys(served, 0)
    for c, count in structure.instances:
        column = offer.columns[c]
        if column.batch != offer.batchings[column.model][structure.batching[column.model]].max_batch:
            return False
        if not 1 <= count <= max(structure.lanes[k] for k in column.kinds) or not all(
            structure.lanes[k] for k in column.kinds
        ):
            return False
        for kind in column.kinds:
            if (column.model, kind) in used:
                return False
            used.add((column.model, kind))
        total[column.model] += count
    most = offer.problem.service.max_instances
    names = [model.name for model in offer.problem.models]
    allowed = all(total[i] <= most.get(names[i], total[i]) for i in served)
    return min(cores.values()) >= 0 and len(served) == len(names) and allowed


def trimmed(offer: Offer, structure: Structure) -> Structure:
    """The same with no more lanes than instances use."""
    wanted = [0] * len(offer.kinds)
    for c, count in structure.instances:
        for kind in offer.columns[c].kinds:
            wanted[kind] += count
    lanes = tuple(min(have, most) for have, most in zip(structure.lanes, wanted, strict=True))
    return Structure(structure.batching, structure.instances, lanes)


Deal = tuple[tuple[tuple[int, ...], ...], ...]
"""By column of a structure and stage: lanes, counted within their kind, that the instances take in turn."""


def layout(offer: Offer, structure: Structure, deal: Deal) -> Layout:
    """Lanes on cores, and instances on lanes."""
    problem = offer.problem
    free = {p.name: list(p.cores) for p in problem.platform.processors}
    lanes: list[Lane] = []
    first = []
    for kind, count in zip(offer.kinds, structure.lanes, strict=True):
        first.append(len(lanes))
        for _ in range(count):
            cores, free[kind.processor] = free[kind.processor][: kind.threads], free[kind.processor][kind.threads :]
            lanes.append(Lane(kind.processor, kind.threads, tuple(cores)))
    instances = []
    for (c, count), dealt in zip(structure.instances, deal, strict=True):
        column = offer.columns[c]
        for j in range(count):
            mine = tuple(first[k] + own[j % len(own)] for k, own in zip(column.kinds, dealt, strict=True))
            instances.append(Placed(column.model, column.stages, mine))
    chosen = [offer.batchings[i][n] for i, n in enumerate(structure.batching)]
    return Layout.of(lanes, instances, [b.max_batch for b in chosen], [b.window_us for b in chosen])


def plan_of(offer: Offer, made: Layout, path_hz: Any, rates: Any) -> ServicePlan:
    """The plan of a layout at these rates; the requests of a path are spread evenly over its instances."""
    problem = offer.problem
    instance_hz = [0.0] * len(made.instances)
    for path, hz in zip(made.paths, path_hz, strict=True):
        for k in path.instances:
            instance_hz[k] = float(hz) / len(path.instances)
    services = []
    for i, model in enumerate(problem.models):
        copies = [
            Instance(
                segments=tuple(
                    PlannedSegment(
                        start=stage.start,
                        stop=stage.stop,
                        configuration=model.costs.configurations[stage.configuration],
                        cores=made.lanes[lane].cores,
                    )
                    for stage, lane in zip(placed.stages, placed.lanes, strict=True)
                ),
                rate_hz=hz,
            )
            for placed, hz in zip(made.instances, instance_hz, strict=True)
            if placed.model == i
        ]
        services.append(
            ModelService(
                model=model.name,
                sha256=model.sha256,
                instances=tuple(copies),
                max_batch=made.max_batch[i],
                window_us=made.window_us[i],
                rate_hz=float(rates[i]),
            )
        )
    return ServicePlan(
        services=tuple(services),
        platform_fingerprint=problem.platform.fingerprint,
        provenance=tuple(model.costs.provenance for model in problem.models),
        solver=SolverStamp(method="", status="feasible"),
    )
