"""Co-run slowdown: how much longer something takes while other things run on other cores of the same processor.

Cores share caches, memory bandwidth and clock; a processor that takes several runs at once (a GPU with several streams)
shares its units too. Two numbers for each activity describe it: how sensitive it is, and how much it presses on others.
Two more say how it fares, and how others do, where there are more threads than cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from .costs import Provenance
from .errors import CostError, capped


class Activity(BaseModel):
    """A model that runs under one configuration, as contention sees it.

    Attributes
    ----------
    model : str
        Name of the model.
    configuration : str
        Name of the configuration (`Configuration.name`), which holds backend, threads, batch and form.
    processor : str
        The one that it runs on.
    threads : int
        Cores it occupies while it runs.
    sensitivity : float
        Its time is multiplied by ``1 + sensitivity · Σ pressure`` of the others that run beside it. One below 0 would
        mean that company makes it faster; there is none.
    pressure : float
        How much it slows others down: what it adds to their Σ pressure.
    oversubscription : float
        Where threads outnumber cores, its time is multiplied by the fair share's factor to this power. 1 is the fair
        share; threads that wait for each other lose more, for the wait of one is the wait of all.
    claim : float
        Share of a core that each of its threads takes from others then. 1 is the fair share; threads that sleep while
        they wait for each other take less, and their neighbours hardly notice them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    configuration: str
    processor: str = "cpu"
    threads: int = Field(default=1, ge=1)
    sensitivity: FiniteFloat = Field(default=0.0, ge=0)
    pressure: FiniteFloat = Field(default=0.0, ge=0)
    oversubscription: FiniteFloat = Field(default=1.0, ge=0)
    claim: FiniteFloat = Field(default=1.0, ge=0, le=1)


class ContentionModel(BaseModel):
    """Slowdown of activities that run at once on one processor: product form, after Bubble-Up.

    Attributes
    ----------
    activities : tuple of Activity
        Each model under each configuration that was measured.
    relative_error : float, optional
        Mean absolute error of predicted throughput on co-runs that were not in the fit, as a share.
    provenance : Provenance
        Where the figures come from.

    Notes
    -----
    ``time(i beside others) = time(i alone) · (1 + s_i · Σ_j u_j p_j) · max(1, (u_i t_i + Σ_j u_j c_j t_j) / m) ^ k_i``
    with m cores, t threads, c claims, k `oversubscription`, ``u_j`` the share of the time that j really runs, and j all
    others. The first factor follows Bubble-Up's split into sensitivity and pressure (Mars, Tang, Hundt, Skadron, Soffa
    2011, doi 10.1145/2155620.2155650); the second is the share of cores that are oversubscribed, fair where c = k = 1.
    What was not measured is taken to cause and feel no contention, and to give and have a fair share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activities: tuple[Activity, ...] = ()
    relative_error: FiniteFloat | None = Field(default=None, ge=0)
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _once(self) -> ContentionModel:
        keys = [(a.model, a.configuration, a.processor) for a in self.activities]
        repeats = sorted({" ".join(key) for key in keys if keys.count(key) > 1})
        if repeats:
            raise CostError("contention", expected="each activity once", got=capped(repeats), remedy="Merge them.")
        return self

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], Activity]:
        return {(a.model, a.configuration, a.processor): a for a in self.activities}

    def activity(self, model: str, configuration: str, processor: str = "cpu", threads: int = 1) -> Activity:
        """The activity of a model under a configuration; one without contention where it was not measured."""
        known = self._by_key.get((model, configuration, processor))
        return known or Activity(model=model, configuration=configuration, processor=processor, threads=threads)


def co_run_slowdowns(activities: Sequence[Activity], cores: int, active: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Slowdown of each of the activities that share a processor.

    Parameters
    ----------
    activities : sequence of Activity
        All on the same processor.
    cores : int
        Of that processor.
    active : array_like, shape (activities,)
        Share of the time that each runs, in [0, 1].

    Returns
    -------
    ndarray, shape (activities,)
        Time beside the others over time alone, 1 or more.
    """
    share = np.broadcast_to(np.asarray(active, dtype=np.float64), (len(activities),))
    pressure = np.array([a.pressure for a in activities]) * share
    sensitivity = np.array([a.sensitivity for a in activities])
    threads = np.array([a.threads for a in activities]) * share
    claimed = np.array([a.claim for a in activities]) * threads
    beside = pressure.sum() - pressure
    exponents = np.array([a.oversubscription for a in activities])
    crowding = np.maximum(1.0, (threads + claimed.sum() - claimed) / cores)
    return (1.0 + sensitivity * beside) * crowding**exponents
