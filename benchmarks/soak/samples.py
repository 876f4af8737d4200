"""What must not grow, over time."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy import stats

WARM_UP = 0.25


CONFIDENCE = 0.95


LEAST_FREEDOM = 6


_LEAST_SAMPLES = 10


@dataclass(frozen=True)
class Growth:
    """How something has changed.

    Attributes
    ----------
    first, last : float
        Means over the first and last stretch of time under one plan after the warm-up.
    slope, low, high : float
        A minute, with the ends of its confidence interval.
    freedom : int
        Degrees of freedom of the interval.
    rise : float
        By that slope, from the first to the last.
    """

    first: float
    last: float
    slope: float
    low: float
    high: float
    freedom: int
    rise: float


@dataclass
class Samples:
    """Of the server's process, once a second, with the plan that served."""

    at_s: list[float] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, process: psutil.Process, plan: str) -> None:
        with suppress(psutil.NoSuchProcess, OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            read = {
                line.split(":")[0]: line.split(":")[1].split()[0]
                for line in status.splitlines()
                if ":" in line and line.split(":")[1].split()
            }
            self.at_s.append(time.monotonic())
            self.plans.append(plan)
            self.values["resident, MiB"].append(int(read["VmRSS"]) / 1024)
            self.values["resident and of its own, MiB"].append(int(read["RssAnon"]) / 1024)
            self.values["threads"].append(int(read["Threads"]))
            self.values["open files"].append(process.num_fds())

    def growth(self, name: str, block_s: float) -> Growth:
        """The slope over time that all plans have in common: each plan has sessions, and so a level, of its own.

        By least squares over means of blocks, for samples that are seconds apart say much the same.
        """
        at_s, values = np.array(self.at_s) - self.at_s[0], np.array(self.values[name])
        of_plan = np.unique(self.plans, return_inverse=True)[1]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for sample, key in enumerate(zip((at_s / block_s).astype(int).tolist(), of_plan.tolist(), strict=True)):
            if (key[0] + 0.5) * block_s >= WARM_UP * at_s[-1]:
                groups[key].append(sample)
        kept = {key: rows for key, rows in groups.items() if len(rows) >= _LEAST_SAMPLES} or groups
        minutes = np.array([at_s[rows].mean() for rows in kept.values()]) / 60
        means = np.array([values[rows].mean() for rows in kept.values()])
        levels = np.array([plan for _, plan in kept])
        design = np.column_stack([levels == plan for plan in np.unique(levels)] + [minutes]).astype(float)
        freedom = len(means) - np.linalg.matrix_rank(design)
        if freedom < 1:
            return Growth(means[0], means[-1], np.nan, -np.inf, np.inf, 0, 0.0)
        solution, *_ = np.linalg.lstsq(design, means, rcond=None)
        variance = ((means - design @ solution) ** 2).sum() / freedom
        error = np.sqrt(variance * np.linalg.pinv(design.T @ design)[-1, -1])
        half, slope = error * stats.t.ppf((1 + CONFIDENCE) / 2, freedom), solution[-1]
        rise = slope * (minutes[-1] - minutes[0])
        return Growth(means[0], means[-1], slope, slope - half, slope + half, int(freedom), rise)
