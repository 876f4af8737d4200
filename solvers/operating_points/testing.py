"""Random operating-point problems for tests and benchmarks."""

from __future__ import annotations

import numpy as np

from ...formulation.operating_points import (
    ModelPoints,
    OperatingPoint,
    OperatingPointProblem,
    PointsObjective,
    ProcessorUse,
    SharedProcessor,
)


def random_points(
    n_models: int,
    n_points: int,
    seed: int,
    *,
    load: float = 0.5,
    memory_share: float | None = 0.6,
    objective: PointsObjective = "response",
    in_force: bool = True,
) -> OperatingPointProblem:
    """Models on a CPU of four cores and a GPU, with memory traded for time as on published fronts.

    Parameters
    ----------
    n_models, n_points, seed : int
    load : float
        Utilisation of all processors together, about, at points of middling speed.
    memory_share : float or None
        Limit on each memory, between what the smallest (0) and the largest points (1) take; None for no limit.
    objective : {'response', 'misses'}
    in_force : bool
        Whether a point of each model is in force, so that changes cost.
    """
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_models, 3.0))
    models = []
    for i in range(n_models):
        base_us = rng.uniform(5e3, 9e4)
        speed = np.sort(rng.uniform(1, 9, n_points))
        points = []
        for j in range(n_points):
            latency_us = base_us / speed[j]
            on_gpu, cores = rng.choice([0.0, rng.uniform(0.2, 0.9)]), int(rng.integers(1, 5))
            gpu_us = latency_us * on_gpu
            uses = [ProcessorUse("cpu", 0.97 * (latency_us - gpu_us), cores, rng.uniform(0, 0.4), rng.uniform(0, 1))]
            if gpu_us:
                uses.append(ProcessorUse("gpu", 0.97 * gpu_us, 1, rng.uniform(0, 0.4), rng.uniform(0, 1)))
            memory = {"ram": 5e7 * speed[j] * rng.uniform(0.8, 1.2), "vram": 1e8 * on_gpu * rng.uniform(0.5, 1.0)}
            points.append(
                OperatingPoint(f"p{j}", latency_us, memory, tuple(uses), rng.uniform(1e4, 8e5), sum(memory.values()))
            )
        demand_us = float(np.median([sum(u.busy_us * u.cores for u in point.uses) for point in points]))
        models.append(
            ModelPoints(
                f"m{i}",
                tuple(points),
                rate_hz=load * 5e6 * shares[i] / demand_us,
                weight=float(rng.uniform(0.5, 2)),
                deadline_us=float(rng.uniform(1.5, 4)) * points[n_points // 2].latency_us,
                current=int(rng.integers(n_points)) if in_force else None,
            )
        )
    limits = {}
    if memory_share is not None:
        for memory in ("ram", "vram"):
            taken = [[point.memory_bytes[memory] for point in model.points] for model in models]
            least, most = sum(map(min, taken)), sum(map(max, taken))
            limits[memory] = max(least + memory_share * (most - least), 1.0)
    processors = (SharedProcessor("cpu", 4, float(rng.uniform(0, 0.5))), SharedProcessor("gpu", 1))
    return OperatingPointProblem(tuple(models), processors, limits, objective, reload_bytes_per_us=1000.0)
