"""A tenant: one model that shares the accelerator, with its costs at every partition point."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CostError

CostBasis = Literal["measured", "estimated"]


@dataclass(frozen=True, eq=False)
class Tenant:
    """A model with its partition points and what they cost. Arrays have one entry a partition point.

    At partition point `k` the accelerator runs the prefix (the first layers) and the CPU the suffix (the rest). Point 0
    leaves everything to the CPU; the last point leaves it nothing.

    Attributes
    ----------
    name : str
    accelerator_us : ndarray, shape (points,)
        Time of the prefix on the accelerator with all weights that can be resident there; ∞ where it cannot run. 0 at
        point 0. Without the time to stream what does not fit.
    cpu_us : ndarray, shape (points,)
        Time of the suffix on one core; 0 at the last point; ∞ where it cannot run.
    weight_bytes : ndarray, shape (points,)
        Weights of the prefix. Ascending from 0.
    handover_bytes : ndarray, shape (points,)
        What goes from the accelerator to the CPU.
    points : tuple of str
        A name of each point for people, for instance the last layer of the prefix.
    reload_us : ndarray, shape (points,), optional
        Measured time to bring in the prefix's resident weights; replaces the accelerator's rule. NaN where not
        measured: there the rule holds.
    streaming_us : ndarray, shape (points,), optional
        Measured time that streaming adds to a request whose tenant has the whole memory; replaces the accelerator's
        rule. NaN where not measured.
    resident_bytes : ndarray, shape (points,), optional
        Measured bytes that are resident where the tenant has the whole memory, where the compiler reports them.
        Otherwise the weights, at most the capacity.
    streaming_us_per_byte : float, optional
        Of this tenant's weights, instead of the accelerator's.
    speedup : tuple of float
        How many times faster the suffix runs on 1, 2, … threads; the first is 1.
    accelerator_scv, cpu_scv : float
        Squared coefficient of variation of the times; 0 is deterministic.
    basis : {'measured', 'estimated'}
        Whether the per-point costs were measured, or split from totals by a rule.
    source : str

    Raises
    ------
    CostError
        Arrays of unlike length, negative or missing costs, weights that shrink, no point that can run.
    """

    name: str
    accelerator_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    weight_bytes: NDArray[np.int64]
    handover_bytes: NDArray[np.int64]
    points: tuple[str, ...] = ()
    reload_us: NDArray[np.float64] | None = None
    streaming_us: NDArray[np.float64] | None = None
    resident_bytes: NDArray[np.int64] | None = None
    streaming_us_per_byte: float | None = None
    speedup: tuple[float, ...] = (1.0,)
    accelerator_scv: float = 0.0
    cpu_scv: float = 0.0
    basis: CostBasis = "measured"
    source: str = field(default="")

    @classmethod
    def create(
        cls,
        name: str,
        accelerator_us: ArrayLike,
        cpu_us: ArrayLike,
        weight_bytes: ArrayLike,
        handover_bytes: ArrayLike | None = None,
        **others: Any,
    ) -> Tenant:
        """Make a tenant from sequences of numbers; nothing is handed over where `handover_bytes` is left out."""
        times = np.asarray(accelerator_us, dtype=np.float64)
        for key, kind in (("reload_us", np.float64), ("streaming_us", np.float64), ("resident_bytes", np.int64)):
            if others.get(key) is not None:
                others[key] = np.asarray(others[key], dtype=kind)
        return cls(
            name,
            times,
            np.asarray(cpu_us, dtype=np.float64),
            np.asarray(weight_bytes, dtype=np.int64),
            np.zeros(len(times), dtype=np.int64)
            if handover_bytes is None
            else np.asarray(handover_bytes, dtype=np.int64),
            **others,
        )

    def __post_init__(self) -> None:
        arrays = {
            "accelerator_us": self.accelerator_us,
            "cpu_us": self.cpu_us,
            "weight_bytes": self.weight_bytes,
            "handover_bytes": self.handover_bytes,
            "reload_us": self.reload_us,
            "streaming_us": self.streaming_us,
            "resident_bytes": self.resident_bytes,
        }
        n = len(self.accelerator_us)
        for label, values in arrays.items():
            if values is None:
                continue
            if values.shape != (n,) or n < 2:
                self._refuse(label, f"one figure for each of the {max(n, 2)} partition points", f"shape {values.shape}")
            may_miss = label in ("reload_us", "streaming_us")
            if np.any(values < 0) or (not may_miss and np.any(np.isnan(values))):
                self._refuse(label, "figures of 0 or more", str(values.tolist()[:5]))
            if may_miss and np.any(np.isinf(values)):
                self._refuse(label, "finite figures, NaN where not measured", str(values.tolist()[:5]))
        if self.accelerator_us[0] != 0 or self.weight_bytes[0] != 0:
            self._refuse("first partition point", "an empty prefix", f"{self.accelerator_us[0]} µs on the accelerator")
        if self.cpu_us[-1] != 0:
            self._refuse("last partition point", "an empty suffix", f"{self.cpu_us[-1]} µs on the CPU")
        if np.any(np.diff(self.weight_bytes) < 0):
            self._refuse("weight_bytes", "weights that grow with the prefix", "a prefix with less than a shorter one")
        if not np.any(np.isfinite(self.accelerator_us + self.cpu_us)):
            self._refuse("partition points", "one that can run", "none")
        own = self.streaming_us_per_byte
        if own is not None and not 0 <= own < math.inf:
            self._refuse("streaming_us_per_byte", "a finite figure of 0 or more", f"{own}")
        if not self.speedup or self.speedup[0] != 1.0 or not all(0 < s < math.inf for s in self.speedup):
            self._refuse("speedup", "1 for one thread, then positive figures", str(self.speedup))
        if not all(0 <= scv < math.inf for scv in (self.accelerator_scv, self.cpu_scv)):
            self._refuse("scv", "finite figures of 0 or more", f"{self.accelerator_scv}, {self.cpu_scv}")
        if self.points and len(self.points) != n:
            self._refuse("points", f"{n} names", f"{len(self.points)}")

    def _refuse(self, what: str, expected: str, got: str) -> None:
        raise CostError(f"{what} of tenant {self.name!r}", expected=expected, got=got, remedy="Correct the costs.")

    @property
    def n_points(self) -> int:
        """Number of partition points, the two ends counted."""
        return len(self.accelerator_us)

    def replace(self, **changes: Any) -> Tenant:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)
