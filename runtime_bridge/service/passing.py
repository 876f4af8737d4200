"""How much of the cores requests of higher priority have been taking: they will come again, and pass who waits."""

from __future__ import annotations

import math

MEMORY_US = 1e6
"""Time constant over which accepted work is remembered."""

_MOST = 0.98

_NINE_IN_TEN = 1.2816
"""Standard deviations above the mean that a normal variable exceeds once in ten."""


class PassingLoad:
    """Accepted work by priority.

    While a request waits for a backlog w to end, others of higher priority come and go first, and again while these are
    served. Where they come as a Poisson stream that takes the share ρ of the time, that wait is a delay busy period,
    with mean w / (1 − ρ) and variance λ·E[S²]·w / (1 − ρ)³ (Conway, Maxwell, Miller 1967, Theory of Scheduling,
    section 8-6). Cores together are taken for one that is as fast as all of them.

    Parameters
    ----------
    n_cores : int
    """

    def __init__(self, n_cores: int) -> None:
        self._n_cores = n_cores
        self._seen: dict[int, tuple[float, float, float]] = {}

    def accept(self, priority: int, work_us: float, now_us: float) -> None:
        """Remember core time that was promised to a request."""
        share, squares_us = self._left(priority, now_us)
        alone_us = work_us / self._n_cores
        self._seen[priority] = share + alone_us / MEMORY_US, squares_us + alone_us**2 / MEMORY_US, now_us

    def take_over(self, other: PassingLoad) -> None:
        """Remember what another one does, of other cores in proportion."""
        ratio = other._n_cores / self._n_cores
        self._seen = {p: (share * ratio, us * ratio**2, then_us) for p, (share, us, then_us) in other._seen.items()}

    def wait_us(self, predicted_us: float, priority: int, now_us: float) -> float:
        """What a wait comes to that is predicted for the case that nobody comes: what one in ten exceeds."""
        above = [self._left(other, now_us) for other in self._seen if other > priority]
        left = 1.0 - min(sum(share for share, _ in above), _MOST)
        variance = sum(squares_us for _, squares_us in above) * max(predicted_us, 0.0) / left**3
        return predicted_us / left + _NINE_IN_TEN * math.sqrt(variance)

    def _left(self, priority: int, now_us: float) -> tuple[float, float]:
        """Share of the time that a priority takes, and λ·E[S²] in microseconds."""
        share, squares_us, then_us = self._seen.get(priority, (0.0, 0.0, now_us))
        kept = math.exp(-(now_us - then_us) / MEMORY_US)
        return share * kept, squares_us * kept
