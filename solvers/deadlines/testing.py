"""Random job problems for tests and benchmarks, and a published one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...formulation import Job, JobNetwork, JobObjective, JobProblem


@dataclass(frozen=True)
class JobKind:
    """What random job problems look like.

    Attributes
    ----------
    jobs, layers, processors : int
        `layers` of each network.
    networks : int
    chains : bool
        Random DAGs where False.
    objective : {'deadlines', 'makespan'}
    droppable, hard : float
        Share of the jobs that may be dropped, and that must not be late.
    deadline_slack : float
        Deadlines are this much, at most, of all the work after the release.
    memory_slack : float or None
        Memory as a share of what holds everything; unlimited where None.
    slowdown : float
        Of each processor by each other one.
    """

    jobs: int = 3
    layers: int = 2
    processors: int = 2
    networks: int = 2
    chains: bool = True
    objective: JobObjective = "deadlines"
    droppable: float = 0.0
    hard: float = 0.0
    deadline_slack: float = 0.7
    memory_slack: float | None = None
    slowdown: float = 1.0


def random_job_problem(kind: JobKind, seed: int) -> JobProblem:
    """Draw a problem; all times are whole microseconds."""
    rng = np.random.default_rng(seed)
    n, p = kind.layers, kind.processors
    networks = []
    for k in range(kind.networks):
        duration = rng.integers(1, 30, (n, p)).astype(np.float64)
        if p > 1:
            unable = rng.random((n, p)) < 0.1
            unable[:, 0] = False
            duration[unable] = np.inf
        edges = None
        if not kind.chains:
            edges = [(u, v) for v in range(1, n) for u in range(v) if rng.random() < 0.5]
        networks.append(
            JobNetwork.build(
                f"network-{k}",
                duration,
                edges=edges,
                transfer_us=rng.integers(0, 8, (n, p, p)),
                weight_bytes=rng.integers(1, 10, (n, p)),
            )
        )
    jobs = []
    work_us = np.mean([network.duration_us[:, 0].sum() for network in networks]) * kind.jobs
    for j in range(kind.jobs):
        release_us = float(rng.integers(0, max(2, int(work_us / 4))))
        network = networks[int(rng.integers(kind.networks))]
        relative_us = float(rng.integers(int(network.least_us), int(max(network.least_us + 2, work_us))))
        droppable = bool(rng.random() < kind.droppable) and kind.objective == "deadlines"
        hard = bool(rng.random() < kind.hard)
        deadline_us = release_us + float(int(relative_us * kind.deadline_slack))
        weight = float(rng.integers(1, 4))
        jobs.append(Job(f"job-{j}", network.name, release_us, deadline_us, weight, hard, droppable))
    total = np.sum([network.weight_bytes.sum(axis=0) for network in networks], axis=0)
    memory = np.inf if kind.memory_slack is None else np.floor(total * kind.memory_slack)
    return JobProblem.build(
        [f"p{i}" for i in range(p)],
        networks,
        jobs,
        memory_bytes=memory,
        slowdown=kind.slowdown,
        objective=kind.objective,
    )


def hax_conn() -> JobProblem:
    """GoogleNet and AlexNet on the GPU and the DLA of a Jetson Xavier, makespan; 2520 µs is optimal.

    Costs from the public artefact of HaX-CoNN (PPoPP 2024, doi 10.1145/3627535.3638502), which calls its transition
    times dummies. Milliseconds there. A transition delays what follows and keeps no processor busy.
    """
    costs = {
        "GoogleNet": (
            [0.35, 0.15, 0.20, 0.11, 0.12, 0.13, 0.15, 0.19, 0.12, 0.20],
            [0.75, 0.34, 0.45, 0.37, 0.31, 0.33, 0.31, 0.35, 0.27, 0.36],
            [0.05, 0.07, 0.06, 0.01, 0.05, 0.02, 0.06, 0.03, 0.02],
            [0.08, 0.10, 0.09, 0.07, 0.11, 0.01, 0.09, 0.04, 0.02],
        ),
        "AlexNet": (
            [0.15, 0.06, 0.22, 0.08, 0.16, 0.70, 0.32, 0.10],
            [0.41, 0.20, 0.45, 0.22, 0.41, 1.91, 0.68, 0.13],
            [0.03, 0.11, 0.08, 0.03, 0.09, 0.08, 0.07],
            [0.07, 0.14, 0.10, 0.05, 0.16, 0.12, 0.09],
        ),
    }
    networks = []
    for name, (gpu, dla, leaving_gpu, leaving_dla) in costs.items():
        transfer_ms = np.zeros((len(gpu), 2, 2))
        transfer_ms[:-1, 0, 1], transfer_ms[:-1, 1, 0] = leaving_gpu, leaving_dla
        duration_us = np.round(np.column_stack([gpu, dla]) * 1000)
        networks.append(JobNetwork.build(name, duration_us, transfer_us=np.round(transfer_ms * 1000)))
    return JobProblem.build(["GPU", "DLA"], networks, [Job(n.name, n.name) for n in networks], objective="makespan")
