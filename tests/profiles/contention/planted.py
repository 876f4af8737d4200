"""A stage without threads and with its own clock: planted contention, drift and noise."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
from edgeplan.formulation import Activity, co_run_slowdowns
from edgeplan.profiles.contention.measuring import MeasuredCoRun, Placement


class PlantedStage:
    """Contenders with known contention.

    Parameters
    ----------
    contenders : sequence of Activity
        As the stage numbers them.
    cores : int
    noise : float
        Standard deviation of each log rate.
    doubling_s : float
        Seconds in which the machine becomes half as fast; it drifts all the time.
    """

    def __init__(
        self, contenders: Sequence[Activity], cores: int, noise: float = 0.0, doubling_s: float = math.inf
    ) -> None:
        self.contenders, self.cores = list(contenders), cores
        self.noise, self.doubling_s = noise, doubling_s
        self.rng = np.random.default_rng(5)
        self.clock_s = 0.0
        self.opened: list[tuple[int, ...]] = []
        self.open_now = 0

    @contextlib.contextmanager
    def open(self, placements: Sequence[Placement]) -> Iterator[PlantedCompany]:
        self.opened.append(tuple(p.contender for p in placements))
        self.open_now += 1
        yield PlantedCompany(self, placements)
        self.open_now -= 1


class PlantedCompany:
    def __init__(self, stage: PlantedStage, placements: Sequence[Placement]) -> None:
        self.stage, self.placements = stage, placements

    def rates_hz(self, members: Sequence[int], window_s: float, floating: bool) -> list[float]:
        stage = self.stage
        mine = [self.placements[k] for k in members]
        activities = [stage.contenders[p.contender] for p in mine]
        assert all(len(p.cores) == a.threads for p, a in zip(mine, activities, strict=True))
        used = [core for p in mine for core in p.cores]
        crowded = len(used) > stage.cores
        assert floating == crowded
        assert crowded or len(set(used)) == len(used)
        drift = 2 ** ((stage.clock_s + window_s / 2) / stage.doubling_s)
        stage.clock_s += window_s
        slowdowns = co_run_slowdowns(activities, stage.cores)
        noise = np.exp(stage.rng.normal(0, stage.noise, len(members)))
        own_hz = np.array([10.0 + p.contender for p in mine])
        return [float(hz) for hz in own_hz / slowdowns / drift * noise]


def planted(n: int, cores: int, seed: int = 0) -> list[Activity]:
    """Activities with random figures whose mean pressure is 1; every fourth has as many threads as there are cores."""
    rng = np.random.default_rng(seed)
    pressure = rng.uniform(0.3, 1.7, n)
    pressure /= pressure.mean()
    return [
        Activity(
            model=f"m{i}",
            configuration="c",
            threads=cores if i % 4 == 3 else 1,
            sensitivity=float(rng.uniform(0, 0.3)),
            pressure=float(pressure[i]),
            oversubscription=float(rng.uniform(1.0, 1.8)) if i % 4 == 3 and cores > 1 else 1.0,
            claim=float(rng.uniform(0.5, 1.0)) if i % 4 == 3 and cores > 1 else 1.0,
        )
        for i in range(n)
    ]


def seen(
    members: tuple[int, ...], activities: Sequence[Activity], cores: int, noise: float = 0.0, seed: int = 0
) -> MeasuredCoRun:
    """What measuring a co-run of planted activities shows."""
    rng = np.random.default_rng([seed, *members])
    slowdowns = co_run_slowdowns([activities[i] for i in members], cores)
    alone_hz = np.full((3, len(members)), 50.0)
    together_hz = alone_hz / slowdowns * np.exp(rng.normal(0, noise, alone_hz.shape))
    return MeasuredCoRun(
        members=members,
        crowded=sum(activities[i].threads for i in members) > cores,
        alone_hz=alone_hz.tolist(),
        together_hz=together_hz.tolist(),
    )
