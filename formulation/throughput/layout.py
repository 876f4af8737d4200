"""Lanes, pools and paths: what of a service plan decides how its requests wait for each other.

A lane is a set of cores that instances are bound to; it runs one batch at a time, first come first served. Lanes of one
kind that the same instances use are a pool: one queue in front of several servers. A path is how a model's batches go
through pools: one for a model that runs whole, one after another for a pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import PlanError, capped
from .plan import ServicePlan
from .problem import ThroughputProblem
from .timing import Stage, stage_of


@dataclass(frozen=True)
class Placed:
    """One instance: its stages and the lane of each, by position."""

    model: int
    stages: tuple[Stage, ...]
    lanes: tuple[int, ...]


@dataclass(frozen=True)
class Lane:
    """Cores of one processor that run one batch at a time."""

    processor: str
    threads: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Pool:
    """Lanes with one queue.

    Attributes
    ----------
    processor : str
    threads : int
        Cores of each lane.
    lanes : tuple of int
    """

    processor: str
    threads: int
    lanes: tuple[int, ...]


@dataclass(frozen=True)
class Path:
    """A way of a model's batches through pools, one a stage, and the instances that offer it."""

    model: int
    stages: tuple[Stage, ...]
    pools: tuple[int, ...]
    instances: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Instances on lanes, and how each model's batches form.

    Attributes
    ----------
    lanes : tuple of Lane
    instances : tuple of Placed
    max_batch : tuple of int
        By model.
    window_us : tuple of float
        By model.
    pools : tuple of Pool
    paths : tuple of Path
    """

    lanes: tuple[Lane, ...]
    instances: tuple[Placed, ...]
    max_batch: tuple[int, ...]
    window_us: tuple[float, ...]
    pools: tuple[Pool, ...]
    paths: tuple[Path, ...]

    @classmethod
    def of(
        cls, lanes: Sequence[Lane], instances: Sequence[Placed], max_batch: Sequence[int], window_us: Sequence[float]
    ) -> Layout:
        """Gather lanes into pools and instances into paths."""
        users: list[set[tuple[tuple[Stage, ...], int]]] = [set() for _ in lanes]
        for placed in instances:
            for position, lane in enumerate(placed.lanes):
                users[lane].add((placed.stages, position))
        alike: dict[tuple[str, int, frozenset[tuple[tuple[Stage, ...], int]]], list[int]] = {}
        for k, lane in enumerate(lanes):
            alike.setdefault((lane.processor, lane.threads, frozenset(users[k])), []).append(k)
        pools = tuple(Pool(processor, threads, tuple(ks)) for (processor, threads, _), ks in alike.items())
        pool_of = {k: number for number, pool in enumerate(pools) for k in pool.lanes}
        ways: dict[tuple[int, tuple[Stage, ...], tuple[int, ...]], list[int]] = {}
        for number, placed in enumerate(instances):
            way = (placed.model, placed.stages, tuple(pool_of[k] for k in placed.lanes))
            ways.setdefault(way, []).append(number)
        paths = tuple(Path(*way, tuple(numbers)) for way, numbers in ways.items())
        return cls(tuple(lanes), tuple(instances), tuple(max_batch), tuple(window_us), pools, paths)


def layout_of(problem: ThroughputProblem, plan: ServicePlan) -> tuple[Layout, tuple[float, ...]]:
    """The layout of a plan and the requests a second that it counts on at each instance.

    An instance without a rate of its own gets a share of its model's by speed.

    Raises
    ------
    PlanError
        Models, layers, cores or batch sizes that the problem does not have; cores that instances share in part; two
        instances of a model on the same cores, or more instances than are allowed.
    """
    _check_models(problem, plan)
    lanes: dict[tuple[str, tuple[int, ...]], int] = {}
    placed, rates = [], []
    max_batch, window_us = [], []
    for i, model in enumerate(problem.models):
        service = plan.service(model.name)
        max_batch.append(service.max_batch)
        window_us.append(service.window_us)
        speeds = []
        for instance in service.instances:
            stages = tuple(stage_of(problem, i, segment) for segment in instance.segments)
            _check_cover(problem, i, stages)
            mine = []
            for segment in instance.segments:
                key = (segment.configuration.processor, tuple(sorted(segment.cores)))
                _check_cores(problem, model.name, segment.configuration.threads, key)
                mine.append(lanes.setdefault(key, len(lanes)))
            placed.append(Placed(i, stages, tuple(mine)))
            costs = model.costs
            us = [costs.segment_us(s.start, s.stop)[s.configuration] for s in stages]
            speeds.append(min(costs.configurations[s.configuration].batch / t for s, t in zip(stages, us, strict=True)))
        given = [instance.rate_hz for instance in service.instances]
        shares = given if sum(given) > 0 else speeds
        rates += [service.rate_hz * share / sum(shares) for share in shares]
    _check_lanes(problem, list(lanes), placed)
    made = [Lane(processor, len(cores), cores) for processor, cores in lanes]
    return Layout.of(made, placed, max_batch, window_us), tuple(rates)


def _check_models(problem: ThroughputProblem, plan: ServicePlan) -> None:
    served = [service.model for service in plan.services]
    names = [model.name for model in problem.models]
    if sorted(served) != sorted(names):
        raise PlanError(
            "service plan", expected=f"models {capped(names)}, each once", got=capped(served), remedy="Plan again."
        )
    for service in plan.services:
        count = len(service.instances)
        most = problem.service.max_instances.get(service.model, count)
        if count > most:
            raise PlanError(
                f"instances of model {service.model!r}",
                expected=f"at most {most}",
                got=f"{count}",
                remedy="Plan again, or raise `service.max_instances`.",
            )


def _check_cover(problem: ThroughputProblem, i: int, stages: tuple[Stage, ...]) -> None:
    ends = [0, *(s.stop for s in stages)]
    n = problem.models[i].costs.n_layers
    if [s.start for s in stages] != ends[:-1] or ends[-1] != n:
        raise PlanError(
            f"instance of model {problem.models[i].name!r}",
            expected=f"stages that cover its {n} layers in order",
            got=capped(f"[{s.start}, {s.stop})" for s in stages),
            remedy="Plan again.",
        )


def _check_cores(problem: ThroughputProblem, model: str, threads: int, key: tuple[str, tuple[int, ...]]) -> None:
    processor, cores = key
    known = problem.platform.processor_by_name[processor].cores
    if len(set(cores)) != threads or not set(cores) <= set(known):
        raise PlanError(
            f"cores of an instance of model {model!r}",
            expected=f"{threads} of the cores {capped(known)} of processor {processor!r}, one a thread",
            got=capped(cores),
            remedy="Bind it to as many cores as it has threads.",
        )


def _check_lanes(problem: ThroughputProblem, lanes: list[tuple[str, tuple[int, ...]]], placed: list[Placed]) -> None:
    owner: dict[int, int] = {}
    for k, (processor, cores) in enumerate(lanes):
        for core in cores:
            if owner.setdefault(core, k) != k:
                raise PlanError(
                    f"core {core} of processor {processor!r}",
                    expected="instances on the same cores, or on others altogether",
                    got=f"sets {lanes[owner[core]][1]} and {cores}",
                    remedy="Give instances that share cores the same set.",
                )
    there: dict[tuple[int, int], Stage] = {}
    ways: set[tuple[int, tuple[int, ...]]] = set()
    for instance in placed:
        twice = (instance.model, instance.lanes) in ways
        ways.add((instance.model, instance.lanes))
        for stage, lane in zip(instance.stages, instance.lanes, strict=True):
            # Several pipelines may share a stage; otherwise a model is on a set of cores once.
            if twice or there.setdefault((instance.model, lane), stage) != stage:
                processor, cores = lanes[lane]
                raise PlanError(
                    f"instances of model {problem.models[instance.model].name!r} on processor {processor!r}",
                    expected="at most one on the same cores",
                    got=f"two on cores {capped(cores)}",
                    remedy="Have no more instances of a model than its threads leave room for on the cores.",
                )
