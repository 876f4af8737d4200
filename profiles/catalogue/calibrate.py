"""Service and reload times of models, read off a trace of an accelerator that serves them in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...formulation import CostError, Tenant, WorkloadError

MIN_SAMPLES = 20
"""Fewest occupations that a mean is taken of, by default."""


@dataclass(frozen=True)
class CalibratedCosts:
    """What a trace says of one model that runs whole on the accelerator.

    Attributes
    ----------
    model : str
    service_us : float
        Mean occupation by a request that found the model's weights resident.
    service_error_us : float
        Standard error of that mean.
    service_scv : float
        Squared coefficient of variation of these occupations.
    service_samples : int
    reload_us : float, optional
        How much longer, on average, a request occupied the accelerator that followed one of another model; 0 where it
        was no longer. None where the trace has no other model.
    reload_error_us : float, optional
        Standard error of that difference.
    reload_samples : int
    """

    model: str
    service_us: float
    service_error_us: float
    service_scv: float
    service_samples: int
    reload_us: float | None
    reload_error_us: float | None
    reload_samples: int

    def tenant(self, name: str | None = None) -> Tenant:
        """Tenant that runs whole on the accelerator at these costs, and not on the CPU.

        Parameters
        ----------
        name : str, optional
            By default the model's.
        """
        return Tenant.create(
            name or self.model,
            [0.0, self.service_us],
            [np.inf, 0.0],
            [0, 0],
            points=("nothing", "the whole model"),
            reload_us=[np.nan, self.reload_us or 0.0],
            accelerator_scv=self.service_scv,
            source="calibrated from a trace",
        )


def calibrate(
    submit_s: ArrayLike,
    end_s: ArrayLike,
    model: Sequence[str],
    run: ArrayLike | None = None,
    *,
    min_samples: int = MIN_SAMPLES,
) -> tuple[CalibratedCosts, ...]:
    """Service and reload time of each model in a trace of an accelerator under token residency.

    The accelerator serves one request at a time and is not idle while one waits, so the request that ends next began
    when the one before it ended, or when it was submitted itself, whichever was later. Where the one before was of the
    same model the occupation is a service, otherwise a reload and a service. Only the order of the ends is used, so a
    queue that lets requests overtake one another does no harm.

    Times are means. Medians would withstand outliers better, but occupations have a tail to the right that occupies the
    accelerator like the rest, and it is the mean that utilisation, and so the mean response, depends on.

    Parameters
    ----------
    submit_s, end_s : array_like, shape (requests,)
        When each request was handed in and when it ended, in seconds on one clock, in any order.
    model : sequence of str, shape (requests,)
    run : array_like, shape (requests,), optional
        Labels of the measurement that each request belongs to. What the accelerator served before a measurement is
        not known, so its first request gives no sample.
    min_samples : int
        Fewest occupations of either kind that a mean is taken of, at least 2.

    Returns
    -------
    tuple of CalibratedCosts
        By model, in alphabetical order.

    Raises
    ------
    WorkloadError
        No request, lengths that differ, times that are not finite, or a request that ends before it is submitted.
    CostError
        Too few samples for a model.
    """
    submit, end = np.asarray(submit_s, dtype=np.float64), np.asarray(end_s, dtype=np.float64)
    names = np.asarray(model, dtype=np.str_)
    runs = np.zeros(len(end), dtype=np.int64) if run is None else np.unique(np.asarray(run), return_inverse=True)[1]
    _check(submit, end, names, runs)
    order = np.lexsort((end, runs))
    submit, end, names, runs = submit[order], end[order], names[order], runs[order]
    follows = runs[1:] == runs[:-1]
    occupied_us = (end[1:] - np.maximum(submit[1:], end[:-1])) * 1e6
    same = names[1:] == names[:-1]
    found = []
    models = sorted({str(name) for name in names})
    for name in models:
        mine = follows & (names[1:] == name)
        service, swapped = occupied_us[mine & same], occupied_us[mine & ~same]
        _enough(name, "requests that follow one of the same model", len(service), min_samples)
        service_us, error_us = _mean(service)
        reload_us = reload_error_us = None
        if len(models) > 1:
            _enough(name, "requests that follow one of another model", len(swapped), min_samples)
            longer_us, longer_error_us = _mean(swapped)
            reload_us, reload_error_us = max(0.0, longer_us - service_us), math.hypot(longer_error_us, error_us)
        found.append(
            CalibratedCosts(
                name,
                service_us,
                error_us,
                float(service.var(ddof=1)) / service_us**2 if service_us > 0 else 0.0,
                len(service),
                reload_us,
                reload_error_us,
                len(swapped),
            )
        )
    return tuple(found)


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def _check(
    submit: NDArray[np.float64], end: NDArray[np.float64], names: NDArray[np.str_], runs: NDArray[np.int64]
) -> None:
    shapes = (submit.shape, end.shape, names.shape, runs.shape)
    if submit.ndim != 1 or len(set(shapes)) > 1 or not len(submit):
        _refuse("a submission, an end and a model for each of one request or more", f"shapes {shapes}")
    unknown = ~(np.isfinite(submit) & np.isfinite(end))
    if np.any(unknown):
        k = int(np.flatnonzero(unknown)[0])
        _refuse("times in seconds", f"{submit[k]} and {end[k]} at request {k}")
    backwards = np.flatnonzero(end < submit)
    if len(backwards):
        k = int(backwards[0])
        _refuse("requests that end after they are submitted", f"{submit[k]} s to {end[k]} s at request {k}")


def _refuse(expected: str, got: str) -> None:
    raise WorkloadError("trace to calibrate from", expected=expected, got=got, remedy="Correct the trace.")


def _enough(name: str, kind: str, count: int, least: int) -> None:
    if count < max(least, 2):
        raise CostError(
            f"costs of model {name!r}",
            expected=f"at least {max(least, 2)} {kind}",
            got=f"{count}",
            remedy="Calibrate from a longer trace, or from several runs together.",
        )
