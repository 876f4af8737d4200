r"""How batches form: sizes, gaps between batches and the time requests wait for company, in closed form.

A batch begins with the first request that finds none open, and leaves when it holds b requests or when its window w
has passed. Requests are Poisson with rate λ, so a batch is a renewal cycle: an idle gap, exponential, then
min(w, Erlang(b − 1)). With Q_k(a) = P(Poisson(a) ≤ k), N = Poisson(λw) and K the size,

    E[K] = 1 + Σ_{k=0}^{b−2} (1 − Q_k(λw)),    P(K = k) = P(N = k − 1) for k < b.

Let F be the time that a request waits for its batch to leave. A request that comes u into a cycle finds m others behind
the first and stays beyond x if the batch neither fills nor ends in time; as the arrivals before and after it in
(0, u + x] add up to one Poisson variable,

    E[requests of a batch with F > x] = Q_{b−2}(λx) + Σ_{k=0}^{b−3} (Q_k(λx) − Q_k(λw)),    0 ≤ x < w.

Derived for this module; batches of k < b are those of a Poisson process given its count: the first waits w, the others
uniformly less.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CELLS = 24
"""Cells of the window in which waits for company are gathered; each counts with its longer end: percentiles err up."""


@dataclass(frozen=True)
class Forming:
    """Batches of one model.

    Parameters
    ----------
    rate_hz : float
        Requests a second, 0 or more.
    max_batch : int
    window_us : float
    """

    rate_hz: float
    max_batch: int
    window_us: float

    @property
    def _rate(self) -> float:
        return self.rate_hz / 1e6

    @cached_property
    def size_share(self) -> NDArray[np.float64]:
        """Probability that a batch holds k + 1 requests, shape (max_batch,)."""
        if self.max_batch == 1 or self.window_us == 0:
            return np.eye(self.max_batch)[0]
        below = _poisson(self._rate * self.window_us, self.max_batch - 1)
        return np.append(below, max(0.0, 1.0 - below.sum()))

    @cached_property
    def mean_size(self) -> float:
        """Requests in a batch on average."""
        return float(self.size_share @ np.arange(1, self.max_batch + 1))

    @property
    def batch_rate_hz(self) -> float:
        """Batches a second."""
        return self.rate_hz / self.mean_size

    @cached_property
    def gap_scv(self) -> float:
        """Squared coefficient of variation of the times between batches; 1 without batching."""
        if self.max_batch == 1 or self.window_us == 0 or self.rate_hz == 0:
            return 1.0
        # E[min(w, T)] = ∫ P(T > t) and E[min(w, T)²] = 2 ∫ t P(T > t) over (0, w), T Erlang of b − 1 stages.
        a, rate = self._rate * self.window_us, self._rate
        beyond = 1.0 - np.cumsum(_poisson(a, self.max_batch + 1))  # P(Poisson(a) > k)
        stages = np.arange(self.max_batch - 1)
        first = float(beyond[: self.max_batch - 1].sum()) / rate
        second = 2.0 * float(((stages + 1) * beyond[1 : self.max_batch]).sum()) / rate**2
        variance = 1.0 / rate**2 + max(0.0, second - first**2)
        return variance / (1.0 / rate + first) ** 2

    @cached_property
    def waits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times that requests wait for company, µs, shape (cells,), and the share of requests by size of their batch
        and by time, shape (max_batch, cells); shares add up to 1."""
        if self.max_batch == 1 or self.window_us == 0:
            share = np.zeros((self.max_batch, 1))
            share[0, 0] = 1.0
            return np.zeros(1), share
        w, b = self.window_us, self.max_batch
        edges = np.linspace(0.0, w, CELLS + 1)
        a = self._rate * edges
        pmf = np.array([_poisson(x, b) for x in a])
        at_most = np.cumsum(pmf, axis=1)
        # Requests of a batch with F > x at every edge; at w itself those of unfilled batches that came first end.
        longer = at_most[:, b - 2] + (at_most[:, : b - 2] - at_most[-1, : b - 2]).sum(axis=1)
        sizes = np.arange(1, b)
        unfilled = self.size_share[: b - 1, None] * (1.0 + (sizes - 1)[:, None] * (1.0 - edges / w)[None, :])
        full = np.maximum(longer - unfilled.sum(axis=0), 0.0)
        full[-1] = 0.0
        unfilled[:, -1] = 0.0
        beyond = np.vstack([unfilled, full[None, :]])
        share = np.zeros((b, CELLS + 1))
        share[:, 1:] = np.maximum(beyond[:, :-1] - beyond[:, 1:], 0.0)
        share[b - 1, 0] = self.size_share[b - 1]  # the request that fills the batch
        return edges, share / share.sum()


def _poisson(mean: float, count: int) -> NDArray[np.float64]:
    """Poisson probabilities of 0 … count − 1, shape (count,)."""
    if mean <= 0.0:
        return np.eye(max(count, 1))[0][:count]
    k = np.arange(count)
    logs = k * np.log(mean) - mean - np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, max(count, 1))))])[:count]
    return np.exp(logs)
