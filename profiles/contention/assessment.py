"""How well throughput side by side is predicted, in the fit and out of it, beside two rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import Activity
from .design import threads_per_core
from .fit import ContentionFit
from .measuring import MeasuredCoRun
from .slowdown_model import Rows

_SIZES = {2: "pairs", 3: "triples"}


class ContentionError(BaseModel):
    """Errors of predicted throughput on co-runs of one kind: mean of |predicted / measured − 1| over their members.

    Attributes
    ----------
    co_runs : str
        For instance ``pairs within the cores`` or ``triples beyond the cores``.
    held_out : bool
        Whether they were kept out of the fit.
    count : int
        Co-runs of this kind.
    fair_share : float
        Error of the rival that knows no contention: everybody has a fair share of the cores.
    product : float
        Error of sensitivity times pressure times the fair share.
    fitted : float
        Error of the model, which knows how far from fair the share is.
    worst : float
        Largest error of the model.
    covered : float
        Share of the members whose measured slowdown lies within the predicted 95 % interval.
    noise : float, optional
        Mean standard error of the measured slowdowns themselves, as a share: no model can be better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    co_runs: str
    held_out: bool
    count: int = Field(ge=1)
    fair_share: FiniteFloat
    product: FiniteFloat
    fitted: FiniteFloat
    worst: FiniteFloat
    covered: FiniteFloat
    noise: FiniteFloat | None = None


def kind_of(co_run: MeasuredCoRun, activities: Sequence[Activity], cores: int) -> str:
    """Size of a co-run, and whether it fits in the cores."""
    where = "within" if threads_per_core(co_run.members, activities, cores) <= 1 else "beyond"
    size = len(co_run.members)
    return f"{_SIZES.get(size, f'sets of {size}')} {where} the cores"


def throughput_errors(
    co_runs: Iterable[MeasuredCoRun], slowdowns: Callable[[MeasuredCoRun], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """|predicted / measured − 1| of every member's throughput, shape (members of all co-runs,)."""
    runs = list(co_runs)
    if not runs:
        return np.zeros(0)
    return np.concatenate([np.abs(np.exp(run.log_slowdown) / slowdowns(run) - 1) for run in runs])


def predicted_by(fit: ContentionFit) -> Callable[[MeasuredCoRun], NDArray[np.float64]]:
    """Slowdowns by a fit, as `throughput_errors` takes them."""
    return lambda run: np.array([p.slowdown for p in fit.predict(run.members)])


def assess(
    fitted: Sequence[MeasuredCoRun], held_out: Sequence[MeasuredCoRun], fit: ContentionFit, product: ContentionFit
) -> tuple[ContentionError, ...]:
    """Errors by kind of co-run, those held out first.

    Parameters
    ----------
    fitted, held_out : sequence of MeasuredCoRun
    fit : ContentionFit
    product : ContentionFit
        Fitted to the same co-runs with the share held fair.
    """

    def fair(run: MeasuredCoRun) -> NDArray[np.float64]:
        return Rows.of([run.members], fit.activities, fit.cores).crowding

    rows = []
    for out, runs in ((True, held_out), (False, fitted)):
        kinds = {run: kind_of(run, fit.activities, fit.cores) for run in runs}
        for kind in sorted(set(kinds.values())):
            those = [run for run in runs if kinds[run] == kind]
            errors = throughput_errors(those, predicted_by(fit))
            noise = np.concatenate([run.noise for run in those])
            rows.append(
                ContentionError(
                    co_runs=kind,
                    held_out=out,
                    count=len(those),
                    fair_share=float(throughput_errors(those, fair).mean()),
                    product=float(throughput_errors(those, predicted_by(product)).mean()),
                    fitted=float(errors.mean()),
                    worst=float(errors.max()),
                    covered=float(np.mean(np.concatenate([_covered(run, fit) for run in those]))),
                    noise=None if np.isnan(noise).any() else float(noise.mean()),
                )
            )
    return tuple(rows)


def _covered(run: MeasuredCoRun, fit: ContentionFit) -> NDArray[np.bool_]:
    seen = np.exp(run.log_slowdown)
    predictions = fit.predict(run.members)
    return np.array([p.low <= at <= p.high for p, at in zip(predictions, seen, strict=True)])
