"""What shows that the device is not as believed: latencies against predictions, arrivals, memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ...formulation import WorkloadError
from ..tenancy.estimates import median_interval, poisson_rate

ReadText = Callable[[], str]


class LatencyTest:
    """Whether inferences take longer, or less long, than predicted: a confidence interval of the median ratio.

    Parameters
    ----------
    confidence : float
        The interval, between order statistics, covers the median at least this often.
    factor : float
        The whole interval must lie beyond this factor, either way.
    samples, at_least : int
        Latest ratios that count, and the fewest that say anything. One sample never does.

    Raises
    ------
    WorkloadError
        Settings under which the test could never, or always, say something.
    """

    def __init__(self, confidence: float = 0.999, factor: float = 1.25, samples: int = 40, at_least: int = 12) -> None:
        if not (0 < confidence < 1 and factor >= 1 and samples >= at_least >= 6):
            raise WorkloadError(
                "latency test",
                expected="a confidence in (0, 1), a factor of 1 or more and 6 samples or more",
                got=f"{confidence}, {factor}, {at_least} to {samples} samples",
                remedy="Correct these settings.",
            )
        self.confidence, self.factor, self.at_least = confidence, factor, at_least
        self._ratios: deque[float] = deque(maxlen=samples)

    def add(self, observed_us: float, predicted_us: float) -> None:
        """Note an inference."""
        if predicted_us > 0 and math.isfinite(predicted_us):
            self._ratios.append(observed_us / predicted_us)

    def forget(self) -> None:
        """Start anew: the point or what is believed has changed."""
        self._ratios.clear()

    @property
    def drift(self) -> float | None:
        """The median ratio where it is certain to lie beyond the factor; None where nothing is."""
        if len(self._ratios) < self.at_least:
            return None
        found = median_interval(tuple(self._ratios), self.confidence)
        return found.value if found.low > self.factor or found.high < 1 / self.factor else None


class RateTest:
    """Whether a model is asked more or less often than believed: the exact interval of a Poisson rate.

    Parameters
    ----------
    window_us : float
        Over which arrivals are counted.
    confidence : float
    change : float
        Relative change that matters, besides lying outside the interval.
    """

    def __init__(self, window_us: float = 4e6, confidence: float = 0.999, change: float = 0.2) -> None:
        self.window_us, self.confidence, self.change = window_us, confidence, change
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, at_us: float, arrivals: int) -> None:
        """Note the number of arrivals so far."""
        self._counts.append((at_us, arrivals))
        while len(self._counts) > 2 and self._counts[1][0] <= at_us - self.window_us:
            self._counts.popleft()

    def drift(self, believed_hz: float) -> float | None:
        """The rate of the window where it is certain to differ from what is believed; None where it is not."""
        span_s = (self._counts[-1][0] - self._counts[0][0]) / 1e6 if self._counts else 0.0
        if span_s * 1e6 < self.window_us * 0.99:
            return None
        found = poisson_rate(self._counts[-1][1] - self._counts[0][1], span_s, self.confidence)
        outside = believed_hz < found.low or believed_hz > found.high
        return found.value if outside and abs(found.value - believed_hz) > self.change * believed_hz else None


class MemAvailable:
    """Bytes that Linux says can still be used without swapping.

    Parameters
    ----------
    read : callable, optional
        Gives the text of ``/proc/meminfo``.
    """

    def __init__(self, read: ReadText | None = None) -> None:
        self._read = read or Path("/proc/meminfo").read_text

    def bytes(self) -> float:
        """Now; ∞ where the system does not say."""
        try:
            text = self._read()
        except OSError:
            return math.inf
        for line in text.splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
        return math.inf


class PressureStall:
    """Pressure stall information: the share of time in which something waited for memory.

    Parameters
    ----------
    threshold : float
        Share of the last ten seconds, in (0, 1], from which memory counts as short.
    read : callable, optional
        Gives the text of ``/proc/pressure/memory``. Where the kernel has none, memory never counts as short.
    """

    def __init__(self, threshold: float = 0.1, read: ReadText | None = None) -> None:
        self.threshold = threshold
        self._read = read or Path("/proc/pressure/memory").read_text

    def share(self) -> float | None:
        """``some avg10`` as a share; None where the kernel does not say."""
        try:
            text = self._read()
        except OSError:
            return None
        for line in text.splitlines():
            if line.startswith("some"):
                fields = dict(part.split("=") for part in line.split()[1:])
                return float(fields["avg10"]) / 100
        return None

    @property
    def is_short(self) -> bool:
        """Whether memory is short now."""
        share = self.share()
        return share is not None and share >= self.threshold
