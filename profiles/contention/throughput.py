"""Throughput of one model by batch size and number of concurrent instances, each cell beside the smallest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import Configuration
from ..foreign_load import ForeignLoad
from .measuring import Placement, Stage


class ThroughputCell(BaseModel):
    """A model under one configuration, in so many instances, each on cores of its own.

    Attributes
    ----------
    model : str
        Name of the model.
    configuration : Configuration
        Its batch is the cell's.
    instances : int
        How many run at once.
    samples_per_s : float
        Samples a second of all instances together, the median of the rounds.
    gain : float
        Throughput over that of one instance with the smallest batch in the same round: the median.
    gain_low : float
        The least of the rounds.
    gain_high : float
        The largest of the rounds.
    foreign_share : float
        Share of the machine that other processes took meanwhile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    configuration: Configuration
    instances: int = Field(ge=1)
    samples_per_s: FiniteFloat = Field(gt=0)
    gain: FiniteFloat = Field(gt=0)
    gain_low: FiniteFloat = Field(gt=0)
    gain_high: FiniteFloat = Field(gt=0)
    foreign_share: FiniteFloat = 0.0

    @property
    def run_us(self) -> float:
        """Microseconds of one run of one instance."""
        return self.configuration.batch * self.instances / self.samples_per_s * 1e6


def cells_of(
    configurations: Sequence[Configuration], instances: Sequence[int], cores: int
) -> Iterator[tuple[int, int, int]]:
    """Cells of one model: configuration, the configuration it is compared with, and instances; both are indices.

    Cells whose instances do not all fit in the cores are left out.
    """
    for c, configuration in enumerate(configurations):
        alike = [
            k
            for k, other in enumerate(configurations)
            if other.model_copy(update={"batch": configuration.batch}) == configuration
        ]
        base = min(alike, key=lambda k: configurations[k].batch)
        for count in instances:
            if count * configuration.threads <= cores:
                yield c, base, count


def measure_cell(
    model: str,
    configuration: Configuration,
    base: Configuration,
    instances: int,
    members: tuple[int, int],
    cores: Sequence[int],
    stage: Stage,
    *,
    window_s: float,
    rounds: int,
) -> ThroughputCell:
    """Measure one cell, in turns with one instance of `base`.

    Parameters
    ----------
    model : str
    configuration, base : Configuration
    instances : int
    members : tuple of int
        Index of the configuration, and of the one that it is compared with, among the activities of the stage.
    cores : sequence of int
    stage : Stage
    window_s : float
    rounds : int
    """
    threads = configuration.threads
    placements = [Placement(members[0], tuple(cores[k * threads : (k + 1) * threads])) for k in range(instances)]
    placements.append(Placement(members[1], tuple(cores[:threads])))
    load = ForeignLoad()
    cell, alone = [], []
    with stage.open(placements) as company:
        for turn in range(rounds):
            for which in (0, 1) if turn % 2 == 0 else (1, 0):
                if which == 0:
                    cell.append(sum(company.rates_hz(list(range(instances)), window_s, False)) * configuration.batch)
                else:
                    alone.append(company.rates_hz([instances], window_s / 2, False)[0] * base.batch)
    gains = np.array(cell) / np.array(alone)
    return ThroughputCell(
        model=model,
        configuration=configuration,
        instances=instances,
        samples_per_s=float(np.median(cell)),
        gain=float(np.median(gains)),
        gain_low=float(gains.min()),
        gain_high=float(gains.max()),
        foreign_share=load.share(),
    )
