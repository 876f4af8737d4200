"""Rows that are each served by one of a few columns: what is lost, and how many columns there may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import CostError, UnsupportedError, capped


@dataclass(frozen=True, eq=False)
class ClusteringProblem:
    """Choose columns and assign every row to one of them.

    With `max_columns` the mean loss is minimised (the p-median problem; Hakimi 1964, doi 10.1287/opre.12.3.450).
    Without it the number of columns is (set covering; Toregas et al. 1971, doi 10.1287/opre.19.6.1363), and among the
    choices of that many columns the mean loss.

    Attributes
    ----------
    loss : ndarray, shape (n, m)
        What row i loses when column j serves it, 0 or more; infinite where it cannot.
    weight : ndarray, shape (n,)
        How often each row counts, more than 0.
    max_columns : int, optional
        Most columns to choose.
    max_loss : float
        No row may lose more.

    Raises
    ------
    CostError
        A loss that is negative or not a number; a weight that is not more than 0; shapes that do not fit.
    UnsupportedError
        `max_columns` below 1, or a negative `max_loss`.
    """

    loss: NDArray[np.float64]
    weight: NDArray[np.float64]
    max_columns: int | None = None
    max_loss: float = np.inf

    def __post_init__(self) -> None:
        if self.loss.ndim != 2 or 0 in self.loss.shape or self.weight.shape != self.loss.shape[:1]:
            raise CostError(
                "losses",
                expected="one row for each weight, and at least one column",
                got=f"losses of shape {self.loss.shape} and weights of shape {self.weight.shape}",
                remedy="Give losses of shape (n, m) and n weights.",
            )
        bad = self.loss[np.isnan(self.loss) | (self.loss < 0)]
        if len(bad):
            raise CostError(
                "losses",
                expected="0 or more, or infinity where a column cannot serve a row",
                got=capped(bad),
                remedy="Measure losses against the best that is known of each row.",
            )
        if not np.all(np.isfinite(self.weight) & (self.weight > 0)):
            raise CostError(
                "weights", expected="finite and more than 0", got=capped(self.weight), remedy="Leave such rows out."
            )
        if (self.max_columns is not None and self.max_columns < 1) or not self.max_loss >= 0:
            raise UnsupportedError(
                "limits of a clustering",
                expected="at least one column and a loss of 0 or more",
                got=f"{self.max_columns} columns and {self.max_loss}",
                remedy="Allow at least one column.",
            )

    @classmethod
    def create(cls, loss: Any, weight: Any = None, **limits: Any) -> ClusteringProblem:
        """Build from anything that numpy reads; every row counts once where no weights are given."""
        losses = np.asarray(loss, dtype=np.float64)
        weights = np.ones(losses.shape[:1]) if weight is None else np.asarray(weight, dtype=np.float64)
        return cls(losses, weights, **limits)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether column j may serve row i, shape (n, m)."""
        return np.isfinite(self.loss) & (self.loss <= self.max_loss)

    @cached_property
    def priced(self) -> NDArray[np.float64]:
        """Losses in which a row that is not served costs more than any choice that serves all, shape (n, m)."""
        served = np.where(self.allowed, self.loss, 0.0)
        # Weights differ, so the dearest choice is held against the lightest row.
        above = 1.0 + float((served.max(axis=1) * self.weight).sum() / self.weight.min())
        return np.where(self.allowed, self.loss, above)

    def mean_loss(self, columns: Any) -> float:
        """Mean loss by weight of rows that each take the best of some columns; infinite where one cannot be served."""
        chosen = list(columns)
        if not chosen or not self.allowed[:, chosen].any(axis=1).all():
            return float("inf")
        return float(np.average(np.where(self.allowed, self.loss, np.inf)[:, chosen].min(axis=1), weights=self.weight))
