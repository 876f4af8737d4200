"""What a report is made from. Every part but the title may be missing; its section is then left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...formulation import Evaluation, Plan, Problem
from ..run_record import RunRecord
from ..table import Table
from .forecast import Forecast, SimulatedSchedule


@dataclass(frozen=True)
class FrontSeries:
    """Points that one method found.

    Attributes
    ----------
    method : str
    points : tuple of (float, float)
        Latency in microseconds and memory in bytes, by ascending latency.
    is_exact : bool
        Whether the method proves that nothing dominates its points.
    """

    method: str
    points: tuple[tuple[float, float], ...]
    is_exact: bool = False


@dataclass(frozen=True)
class Front:
    """Latency against memory of one model alone: what several methods found, and the point that the plan uses."""

    model: str
    series: tuple[FrontSeries, ...]
    chosen: tuple[float, float] | None = None


@dataclass(frozen=True)
class ScoredPlan:
    """A plan, what it is for, and its score."""

    problem: Problem
    plan: Plan
    evaluation: Evaluation


@dataclass(frozen=True)
class Sensitivity:
    """What relaxing limits would buy.

    Attributes
    ----------
    table : Table
        All there is to say of it.
    gains : tuple of (str, float)
        Relaxations with what each gains, for a picture.
    unit : str
        Of the gains.
    """

    table: Table
    gains: tuple[tuple[str, float], ...] = ()
    unit: str = "ms"


@dataclass(frozen=True)
class Contents:
    """Contents of a report.

    Attributes
    ----------
    title : str
    created : str
        Date and time, as it shall be printed.
    planned : ScoredPlan, optional
    fronts : tuple of Front
    profile : Table, optional
        Summary of the profile.
    run : RunRecord, optional
    forecast : Forecast, optional
        Simulated responses.
    schedule : SimulatedSchedule, optional
        The opening of a simulated schedule.
    sensitivity : Sensitivity, optional
    provenance : dict of str to str
        Where the figures come from: machine, versions, settings, digests.
    """

    title: str
    created: str
    planned: ScoredPlan | None = None
    fronts: tuple[Front, ...] = ()
    profile: Table | None = None
    run: RunRecord | None = None
    forecast: Forecast | None = None
    schedule: SimulatedSchedule | None = None
    sensitivity: Sensitivity | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
