"""Problems for tests, examples and benchmarks: models by their times alone, platforms by a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import ByteSize

from ...formulation import Configuration, CostTable, LayerGraph, Link, Memory, Model, Platform, Processor, Provenance
from ...formulation.throughput import ServiceSettings, ThroughputProblem
from ...formulation.workload import Poisson, Stream

MIB = 2**20

Times = Mapping[tuple[str, int, int], float]
"""Microseconds of a whole model by processor, threads and batch."""


def model_of(
    name: str, times_us: Times, *, weight_mib: float = 10.0, layers: int = 4, tensor_bytes: int = 100_000
) -> Model:
    """A chain of equal layers whose whole takes the given times; cuts between all layers.

    Parameters
    ----------
    name : str
    times_us : mapping
        See `Times`.
    weight_mib : float
        Of the whole model.
    layers : int
    tensor_bytes : int
        Of every tensor between layers, for one request.
    """
    weights = int(weight_mib * MIB / layers)
    graph = LayerGraph.chain(name, [(f"layer{k}", "Conv", weights, tensor_bytes) for k in range(layers)], tensor_bytes)
    configurations = [Configuration(processor=p, backend="any", threads=t, batch=b) for p, t, b in times_us]
    table = CostTable.create(
        configurations,
        np.tile(np.array(list(times_us.values())) / layers, (layers, 1)),
        session_bytes=float(MIB),
        provenance=Provenance(kind="synthetic"),
    )
    return Model(name, graph, table)


def platform_of(cores: Mapping[str, int], memory_mib: Mapping[str, float] | None = None) -> Platform:
    """Processors by number of cores, each with a memory of its own and links between all of them.

    Parameters
    ----------
    cores : mapping of str to int
    memory_mib : mapping of str to float, optional
        Capacity by processor; 4096 where left out.
    """
    memory_mib = memory_mib or {}
    processors, first = [], 0
    for name, count in cores.items():
        processors.append(
            Processor(name=name, kind=name, cores=tuple(range(first, first + count)), memory=f"{name} memory")
        )
        first += count
    memories = tuple(
        Memory(name=f"{name} memory", capacity_bytes=ByteSize(int(memory_mib.get(name, 4096) * MIB))) for name in cores
    )
    links = tuple(
        Link(source=f"{a} memory", target=f"{b} memory", fixed_us=20.0, bytes_per_us=2000.0)
        for a in cores
        for b in cores
        if a != b
    )
    return Platform(name="made up", processors=tuple(processors), memories=memories, links=links)


def random_throughput(
    seed: int,
    *,
    models: int = 2,
    cores: Mapping[str, int] | None = None,
    batches: Sequence[int] = (1, 4),
    deadlines: bool = True,
    settings: ServiceSettings | None = None,
) -> ThroughputProblem:
    """A random problem that is feasible by construction, unless the settings make it otherwise.

    Deadlines are 4 to 12 times the fastest time; a batch of b costs a fixed part once and the rest b times.
    """
    rng = np.random.default_rng(seed)
    cores = {"cpu": 2, "gpu": 1} if cores is None else cores
    made, streams = [], []
    for i in range(models):
        base_us = float(rng.uniform(2e3, 20e3))
        times: dict[tuple[str, int, int], float] = {}
        for name, count in cores.items():
            # What has one core counts as a device that batches: faster, with a larger fixed part.
            device = count == 1
            fixed, speed = (rng.uniform(0.5, 0.8), rng.uniform(2, 6)) if device else (rng.uniform(0, 0.1), 1.0)
            for threads in sorted({1, count}):
                for b in batches:
                    scale = base_us / speed / threads**0.85
                    times[name, threads, b] = scale * (fixed + (1 - fixed) * b)
        made.append(model_of(f"model{i}", times, weight_mib=float(rng.uniform(5, 60)), layers=2))
        deadline = min(times.values()) * float(rng.uniform(4, 12)) if deadlines else None
        streams.append(
            Stream(
                model=f"model{i}",
                arrival=Poisson(rate_hz=float(rng.uniform(1, 5))),
                deadline_us=deadline,
                percentile=0.95,
                weight=float(rng.uniform(0.5, 2)),
            )
        )
    return ThroughputProblem(tuple(made), platform_of(cores), tuple(streams), service=settings or ServiceSettings())
