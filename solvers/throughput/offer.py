"""What can be chosen: kinds of lanes, ways to batch each model, and columns (one way to run an instance)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...formulation import CostError
from ...formulation.throughput import ThroughputProblem
from ...formulation.throughput.timing import Stage, StageCosts

MAX_CUTS = 4
"""Pipelines of a model over one pair of lane kinds at one batch size: those whose stages no other's undercut, the most
even first. Proofs are over what is on offer."""


@dataclass(frozen=True)
class Kind:
    """A kind of lane: this many cores of a processor."""

    processor: str
    threads: int


@dataclass(frozen=True)
class Batching:
    """How a model's batches form."""

    max_batch: int
    window_us: float


@dataclass(frozen=True)
class Column:
    """One way to run an instance of a model at one batch size.

    Attributes
    ----------
    model : int
    batch : int
        Size of the batches that form.
    stages : tuple of Stage
    kinds : tuple of int
        Kind of lane of each stage.
    request_us : tuple of float
        Lane time of each stage for one request, at the batch size up to `batch` that takes least.
    quickest_us : float
        No request takes less.
    """

    model: int
    batch: int
    stages: tuple[Stage, ...]
    kinds: tuple[int, ...]
    request_us: tuple[float, ...]
    quickest_us: float


@dataclass(frozen=True)
class Offer:
    """All choices of a problem.

    Attributes
    ----------
    problem : ThroughputProblem
    costs : StageCosts
    kinds : tuple of Kind
    batchings : tuple of tuple of Batching
        By model, small batches first.
    columns : tuple of Column
    """

    problem: ThroughputProblem
    costs: StageCosts
    kinds: tuple[Kind, ...]
    batchings: tuple[tuple[Batching, ...], ...]
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, problem: ThroughputProblem) -> Offer:
        """Everything that the problem's costs, limits and settings allow.

        Raises
        ------
        CostError
            A model that can neither run whole on one processor nor as a pipeline of two.
        """
        costs = StageCosts(problem)
        found = {
            (c.processor, c.threads)
            for model, usable in zip(problem.models, problem.usable, strict=True)
            for c in (model.costs.configurations[k] for k in usable)
        }
        kinds = tuple(Kind(p.name, t) for p in problem.platform.processors for q, t in sorted(found) if q == p.name)
        batchings, columns = [], []
        for i in range(len(problem.models)):
            own = tuple(_columns(problem, costs, kinds, i))
            if not own:
                raise _no_way(problem, i)
            sizes = sorted({column.batch for column in own})
            batchings.append(tuple(Batching(b, w) for b in sizes for w in _windows(problem, i, b)))
            columns += own
        return cls(problem, costs, kinds, tuple(batchings), tuple(columns))

    def lanes_at_most(self, kind: int) -> int:
        """Most lanes of a kind."""
        k = self.kinds[kind]
        return len(self.problem.platform.processor_by_name[k.processor].cores) // k.threads

    def columns_of(self, model: int, batch: int) -> list[int]:
        """Columns of a model at a batch size."""
        return [k for k, c in enumerate(self.columns) if c.model == model and c.batch == batch]

    def most_instances(self, column: int) -> int:
        """Most instances of a column: one a lane; of a pipeline, one a lane of its more numerous stage."""
        chosen = self.columns[column]
        name = self.problem.models[chosen.model].name
        lanes = max(self.lanes_at_most(kind) for kind in chosen.kinds)
        return min(lanes, self.problem.service.max_instances.get(name, lanes))


def _no_way(problem: ThroughputProblem, i: int) -> CostError:
    pipelines = problem.service.max_stages > 1
    return CostError(
        f"costs of model {problem.models[i].name!r}",
        expected="a processor that runs all its layers" + (", or two linked ones with a cut between" * pipelines),
        got="none: different layers run on different processors only",
        remedy="Profile a configuration that runs all layers"
        + ("." if pipelines else ", or allow pipelines with `service.max_stages: 2`."),
    )


def _windows(problem: ThroughputProblem, i: int, batch: int) -> Iterable[float]:
    if batch == 1:
        return (0.0,)
    deadline = float(problem.deadline_us[i])
    if not np.isfinite(deadline):
        return (float(problem.service.patience_us),)
    return tuple(share * deadline for share in sorted(set(problem.service.windows)) if share > 0)


def _columns(problem: ThroughputProblem, costs: StageCosts, kinds: tuple[Kind, ...], i: int) -> Iterator[Column]:
    model = problem.models[i]
    batches = sorted({model.costs.configurations[k].batch for k in problem.usable[i]})
    # One request at a time is always possible, padded where the graph wants more.
    sizes = sorted({1, *(b for b in batches if b > 1 and any(_windows(problem, i, b)))})
    n = model.costs.n_layers
    for b in sizes:
        for k in range(len(kinds)):
            for stage in _undominated(costs, problem, _stages(problem, kinds, i, 0, n, k), b):
                yield _column(costs, i, b, (stage,), (k,))
        if problem.service.max_stages > 1:
            yield from _pipelines(problem, costs, kinds, i, b)


def _pipelines(
    problem: ThroughputProblem, costs: StageCosts, kinds: tuple[Kind, ...], i: int, b: int
) -> Iterator[Column]:
    model = problem.models[i]
    inner = [p for p in model.cuts.positions if 0 < p < model.costs.n_layers]
    where = problem.platform.processor_by_name
    linked = {(a.source, a.target) for a in problem.platform.links}
    for first, one in enumerate(kinds):
        for second, two in enumerate(kinds):
            ends = (where[one.processor].memory, where[two.processor].memory)
            if one.processor == two.processor or (ends[0] != ends[1] and ends not in linked):
                continue
            found = []
            for cut in inner:
                heads = list(_undominated(costs, problem, _stages(problem, kinds, i, 0, cut, first), b))[:1]
                tails = _undominated(costs, problem, _stages(problem, kinds, i, cut, model.costs.n_layers, second), b)
                for tail in list(tails)[:1]:
                    found += [_column(costs, i, b, (head, tail), (first, second)) for head in heads]
            kept: list[Column] = []
            for c in sorted(found, key=lambda c: c.request_us):
                if not any(all(x <= y for x, y in zip(o.request_us, c.request_us, strict=True)) for o in kept):
                    kept.append(c)
            yield from sorted(kept, key=lambda c: max(c.request_us))[:MAX_CUTS]


def _stages(
    problem: ThroughputProblem, kinds: tuple[Kind, ...], i: int, start: int, stop: int, kind: int
) -> Iterator[Stage]:
    table = problem.models[i].costs
    us = table.segment_us(start, stop)
    for k in problem.usable[i]:
        c = table.configurations[k]
        if (c.processor, c.threads) == (kinds[kind].processor, kinds[kind].threads) and np.isfinite(us[k]):
            yield Stage(i, start, stop, int(k))


def _undominated(costs: StageCosts, problem: ThroughputProblem, stages: Iterable[Stage], batch: int) -> Iterator[Stage]:
    """Stages that no other beats in time at every size up to this one, in memory and in contention; fastest first."""
    figures = []
    for stage in stages:
        model = problem.models[stage.model]
        c = model.costs.configurations[stage.configuration]
        memory = costs.memory(stage)
        times = costs.times_us(stage, batch)[::-1]
        # What is slower alone may be faster in company.
        beside = problem.contention.activity(model.name, c.name, c.processor, c.threads)
        # More than the batch that forms is only worth having where nothing smaller is on offer.
        rest = (memory.weights + memory.own, memory.running, beside.sensitivity, beside.pressure, c.batch)
        figures.append(((*times, *rest), stage))
    figures.sort(key=lambda pair: pair[0])
    kept: list[tuple[float, ...]] = []
    for figure, stage in figures:
        if not any(all(x <= y for x, y in zip(better, figure, strict=True)) for better in kept):
            kept.append(figure)
            yield stage


def _column(costs: StageCosts, i: int, b: int, stages: tuple[Stage, ...], kinds: tuple[int, ...]) -> Column:
    sizes = np.arange(1, b + 1)
    per_request = tuple(float(np.min(costs.times_us(stage, b) / sizes)) for stage in stages)
    handover = float(costs.handover_us(stages, np.ones(1))[0])
    quickest = sum(float(costs.times_us(stage, b)[0]) for stage in stages) + handover
    assert all(a.stop == z.start for a, z in pairwise(stages))
    return Column(i, b, stages, kinds, per_request, quickest)
