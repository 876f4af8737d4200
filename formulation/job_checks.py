"""What a job problem must be: checks that run when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import CostError, GraphError, PlatformError, WorkloadError, capped

if TYPE_CHECKING:
    from .jobs import JobNetwork, JobProblem


def check_network(network: JobNetwork) -> None:
    """Refuse a network whose edges or costs make no sense."""
    n, p = network.duration_us.shape
    u, v = network.edges[:, 0], network.edges[:, 1]
    if np.any((u < 0) | (v >= n) | (u >= v)):
        wrong = [tuple(edge) for edge in network.edges[(u < 0) | (v >= n) | (u >= v)].tolist()]
        raise GraphError(
            f"edges of network {network.name!r}",
            expected=f"pairs of layers 0 … {n - 1}, the producer before its consumer",
            got=capped(wrong),
            remedy="Number the layers in a topological order.",
        )
    for what, values, shape in (
        ("durations", network.duration_us, (n, p)),
        ("transfers", network.transfer_us, (n, p, p)),
        ("weights", network.weight_bytes, (n, p)),
    ):
        finite = what == "durations" or bool(np.isfinite(values).all())
        if values.shape != shape or np.isnan(values).any() or np.any(values < 0) or not finite:
            raise CostError(
                f"{what} of network {network.name!r}",
                expected=f"numbers of 0 or more, shape {shape}",
                got=f"shape {values.shape}, or others",
                remedy="Correct these costs; only a duration may be infinite.",
            )
    stuck = np.flatnonzero(np.isinf(network.duration_us).all(axis=1))
    if len(stuck):
        raise CostError(
            f"network {network.name!r}",
            expected="a processor for every layer",
            got=f"none for layers {capped(stuck.tolist())}",
            remedy="Measure these layers on some processor.",
        )


def check_platform(problem: JobProblem) -> None:
    """Refuse processors, memories or slowdowns that make no sense."""
    p = problem.n_processors
    sane = problem.memory_bytes.shape == (p,) and problem.slowdown.shape == (p, p) and p > 0
    if not sane or len(set(problem.processors)) < p or not np.all(problem.memory_bytes >= 0):
        raise PlatformError(
            "processors",
            expected="one or more, of different names, each with a memory of 0 bytes or more",
            got=f"{capped(problem.processors)} with {problem.memory_bytes.tolist()} bytes",
            remedy="Correct the processors.",
        )
    slow = problem.slowdown
    if not np.all(np.isfinite(slow) & (slow >= 1)) or np.any((1 - 1 / slow).sum(axis=1) >= 1):
        raise PlatformError(
            "slowdown",
            expected="factors of 1 or more that leave every processor some speed when all are busy",
            got=f"{slow.tolist()}",
            remedy="Correct the factors: the sum of 1 - 1/slowdown in each row must stay below 1.",
        )
    foreign = [network.name for network in problem.networks if network.duration_us.shape[1] != p]
    if foreign:
        raise CostError(
            "networks",
            expected=f"costs for {p} processors",
            got=f"others for {capped(foreign)}",
            remedy="Measure them.",
        )


def check_jobs(problem: JobProblem) -> None:
    """Refuse jobs that make no sense or do not fit the objective."""
    names = [network.name for network in problem.networks]
    calls = [job.name for job in problem.jobs]
    unknown = sorted({job.network for job in problem.jobs} - set(names))
    if len(set(names)) < len(names) or len(set(calls)) < len(calls) or unknown or not calls:
        raise WorkloadError(
            "jobs",
            expected="one or more of different names, of networks of different names",
            got=f"{len(calls)} jobs, {len(set(calls))} names; unknown networks: {capped(unknown) or 'none'}",
            remedy="Rename jobs or networks, or add the missing ones.",
        )
    wrong = [
        job.name
        for job in problem.jobs
        if not (0 <= job.release_us < float("inf") and job.deadline_us >= 0 and 0 <= job.weight < float("inf"))
    ]
    if wrong:
        raise WorkloadError(
            f"jobs {capped(wrong)}",
            expected="a finite release, a deadline and a finite weight, none negative",
            got="others",
            remedy="Correct these jobs.",
        )
    dropped = [job.name for job in problem.jobs if job.droppable]
    if problem.objective == "makespan" and dropped:
        raise WorkloadError(
            f"jobs {capped(dropped)}",
            expected="no jobs that may be dropped where the makespan is minimised",
            got="some",
            remedy="Set droppable=False, or ask for the objective 'deadlines'.",
        )
