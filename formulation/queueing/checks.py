"""What the formulas refuse: rates and times that are negative or not finite, shapes that do not go together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CostError, WorkloadError, capped


def checked_mix(
    rate_hz: ArrayLike, service_us: ArrayLike, reload_us: ArrayLike, service_scv: ArrayLike, reload_scv: ArrayLike
) -> tuple[NDArray[np.float64], ...]:
    """Rates a µs, times in µs and squared variations, all of the shape (..., n) that they broadcast to."""
    names = ("rate_hz", "service_us", "reload_us", "service_scv", "reload_scv")
    given = [np.asarray(v, np.float64) for v in (rate_hz, service_us, reload_us, service_scv, reload_scv)]
    try:
        parts = np.broadcast_arrays(*given)
    except ValueError:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, given, strict=True))
        raise CostError(
            "shapes of a mix", expected="shapes that broadcast", got=shapes, remedy="Give one entry a class."
        ) from None
    if parts[0].ndim == 0 or parts[0].size == 0:
        raise WorkloadError(
            "rate_hz", expected="one entry a class", got="none", remedy="Give arrays of shape (..., n)."
        )
    for name, part in zip(names, parts, strict=True):
        nonnegative(name, part)
    # Copies: views that broadcasting made are read-only, and compiled code would be compiled again for them.
    return (parts[0] / 1e6, *(np.array(part) for part in parts[1:]))


def nonnegative(name: str, values: NDArray[np.float64]) -> None:
    """Raise unless all values are finite and at least 0."""
    wrong = values[~(np.isfinite(values) & (values >= 0))]
    if wrong.size:
        kind = WorkloadError if name.startswith("rate") else CostError
        raise kind(name, expected="finite values of at least 0", got=capped(wrong), remedy="Correct these entries.")
