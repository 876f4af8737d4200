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


LEAST_BLOCKS = 8


@dataclass
class Samples:
    """Of the server's process, once a second."""

    at_s: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess, OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            read = {
                line.split(":")[0]: line.split(":")[1].split()[0]
                for line in status.splitlines()
                if ":" in line and line.split(":")[1].split()
            }
            self.at_s.append(time.monotonic())
            self.values["resident, MiB"].append(int(read["VmRSS"]) / 1024)
            self.values["resident and of its own, MiB"].append(int(read["RssAnon"]) / 1024)
            self.values["threads"].append(int(read["Threads"]))
            self.values["open files"].append(process.num_fds())

    def growth(self, name: str, block_s: float) -> tuple[float, float, float, float, float, int]:
        """First and last after the warm-up, slope a minute and the ends of its confidence interval, number of blocks.

        Of the means over blocks, for samples that are seconds apart say much the same.
        """
        at_s, values = np.array(self.at_s), np.array(self.values[name])
        at_s = at_s - at_s[0]
        blocks = (at_s / block_s).astype(int)
        kept = [b for b in np.unique(blocks) if (b + 0.5) * block_s >= WARM_UP * at_s[-1]]
        times = np.array([at_s[blocks == b].mean() for b in kept]) / 60
        means = np.array([values[blocks == b].mean() for b in kept])
        if len(kept) < 3:
            return means[0], means[-1], np.nan, -np.inf, np.inf, len(kept)
        fit = stats.linregress(times, means)
        half = fit.stderr * stats.t.ppf((1 + CONFIDENCE) / 2, len(kept) - 2)
        return means[0], means[-1], fit.slope, fit.slope - half, fit.slope + half, len(kept)
