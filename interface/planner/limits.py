"""Limits of the planning service: what may be asked, how much may wait, how long results are kept."""

from __future__ import annotations

from dataclasses import dataclass

JOB_GRACE_S = 60.0
"""What a solve may take besides four times its time limit: reading, checking, simulating."""


@dataclass(frozen=True)
class PlannerLimits:
    """Limits, with values for a team's server.

    Attributes
    ----------
    max_time_limit_s : float
        Longest that a job may ask to be solved for.
    max_models : int
        Of a scenario.
    max_cells : int
        Layers times configurations, over all models of a scenario.
    max_scenario_bytes : int
        Of a scenario as text.
    max_queued : int
        Jobs that wait.
    max_profiles : int
        Profiles kept that no job needs.
    max_attempts : int
        How often a job is begun whose worker or process is lost.
    max_memory_bytes : int
        Of the process that solves a job.
    max_streams : int
        Clients that follow events at once.
    keep_jobs : int
        Jobs kept that have ended.
    keep_days : float
        How long they are kept at most.
    lease_s : float
        After how long a worker that is not heard of has lost its job.
    """

    max_time_limit_s: float = 600.0
    max_models: int = 32
    max_cells: int = 200_000
    max_scenario_bytes: int = 256 * 2**10
    max_queued: int = 100
    max_profiles: int = 200
    max_attempts: int = 3
    max_memory_bytes: int = 4 * 2**30
    max_streams: int = 100
    keep_jobs: int = 1000
    keep_days: float = 30.0
    lease_s: float = 15.0
