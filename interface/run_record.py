"""What a live run leaves on disk: every request of every set-up that was compared. The report is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..formulation import EdgePlanError
from ..formulation.files import fitting, readable

RUN_SCHEMA_VERSION = 1


class RunRecordError(EdgePlanError):
    """A run record that is truncated or foreign."""


class SegmentRun(NamedTuple):
    """One run of one segment of a request: its index in the plan, its cores, and when, from the set-up's start."""

    segment: int
    cores: tuple[int, ...]
    start_us: float
    finish_us: float


class Request(BaseModel):
    """One request.

    Attributes
    ----------
    model : str
        Name of the model.
    arrival_us : float
        When it was due to be sent, microseconds from the set-up's start.
    deadline_us : float, optional
        Microseconds from the arrival within which it had to end; none where it had no deadline.
    response_us : float, optional
        Microseconds from arrival to end; none where it failed.
    error : str
        Why it failed; empty where it did not.
    plan_version : int
        Counts the plans of this set-up from 0; −1 where no plan is involved.
    segments : tuple of SegmentRun
        When each segment ran: its position in the plan, its cores, start and end in microseconds from the set-up's
        start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    arrival_us: FiniteFloat
    deadline_us: FiniteFloat | None = None
    response_us: FiniteFloat | None = None
    error: str = ""
    plan_version: int = -1
    segments: tuple[SegmentRun, ...] = ()

    @property
    def missed(self) -> bool:
        """Whether it failed or ended after its deadline."""
        if self.response_us is None:
            return True
        return self.deadline_us is not None and self.response_us > self.deadline_us


class Decision(BaseModel):
    """What the runtime decided about its plan, and why.

    Attributes
    ----------
    at_us : float
        When, microseconds from the set-up's start.
    action : str
        What, for instance ``drift``, ``re-solved``, ``swapped``, ``kept``.
    reason : str
        Why, in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_us: FiniteFloat
    action: str
    reason: str


class SegmentPrediction(BaseModel):
    """One segment's predicted and observed time.

    Attributes
    ----------
    model : str
        Name of the model.
    start : int
        First layer, counted from 0 in the profile's order.
    stop : int
        The layer after the last one.
    configuration : str
        Name of the configuration that it ran under.
    predicted_us : float
        Microseconds by the costs that the plan was made from.
    observed_us : float
        Microseconds that live runs took, in the median.
    runs : int
        How many live runs.
    held_out : bool
        Whether it was not in the fit of the costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    start: int
    stop: int
    configuration: str
    predicted_us: FiniteFloat = Field(gt=0)
    observed_us: FiniteFloat = Field(gt=0)
    runs: int = Field(ge=1)
    held_out: bool = False

    @property
    def error(self) -> float:
        """|predicted − observed| / observed."""
        return abs(self.predicted_us - self.observed_us) / self.observed_us


class Setup(BaseModel):
    """One way of serving the load, and what became of the requests.

    Attributes
    ----------
    name : str
        Each once.
    description : str
        Its settings, in a sentence.
    role : {'baseline', 'plan', 'drift'}
        A baseline, the plan beside it, or the plan while the load changes.
    duration_s : float
        Seconds over which requests were offered.
    requests : tuple of Request
        Every one that was offered.
    peak_memory_bytes : int, optional
        Most that was resident above what the process had before any session was open.
    decisions : tuple of Decision
        About the plan, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    role: Literal["baseline", "plan", "drift"] = "plan"
    duration_s: FiniteFloat = Field(gt=0)
    requests: tuple[Request, ...]
    peak_memory_bytes: int | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Models in order of first arrival."""
        return tuple(dict.fromkeys(request.model for request in self.requests))

    def of(self, model: str | None) -> tuple[Request, ...]:
        """Requests of one model, or all."""
        return tuple(r for r in self.requests if model is None or r.model == model)

    def responses_us(self, model: str | None = None) -> NDArray[np.float64]:
        """Ascending responses of the requests that were served, microseconds."""
        return np.sort(np.array([r.response_us for r in self.of(model) if r.response_us is not None], dtype=float))

    def percentile_us(self, share: float, model: str | None = None) -> float:
        """Response that `share` of the served requests keep to; NaN where none was served."""
        responses = self.responses_us(model)
        return float(np.quantile(responses, share)) if len(responses) else float("nan")

    def miss_ratio(self, model: str | None = None) -> float:
        """Share of the offered requests that failed or ended after their deadline; 0 where none was offered."""
        offered = self.of(model)
        return sum(r.missed for r in offered) / len(offered) if offered else 0.0

    def throughput_hz(self, model: str | None = None) -> float:
        """Requests served a second."""
        return len(self.responses_us(model)) / self.duration_s


class RunRecord(BaseModel):
    """Set-ups that served the same load, and how good the predictions were.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    scenario : str
        Name of the scenario.
    seed : int
        Of the arrivals.
    setups : tuple of Setup
        Ways of serving the load.
    predictions : tuple of SegmentPrediction
        Predicted against observed times of segments.
    notes : tuple of str
        What a reader has to know besides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = RUN_SCHEMA_VERSION
    scenario: str
    seed: int = 0
    setups: tuple[Setup, ...] = Field(min_length=1)
    predictions: tuple[SegmentPrediction, ...] = ()
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write the record as JSON."""
        Path(path).write_text(self.model_dump_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> RunRecord:
        """Read a record.

        Raises
        ------
        RunRecordError
            The file cannot be read, is truncated, or is not a run record.
        """
        subject = f"run record {path}"
        with readable(subject, RunRecordError):
            data = Path(path).read_bytes()
        expected = f"a run record of schema version {RUN_SCHEMA_VERSION}"
        with fitting(subject, RunRecordError, expected=expected, remedy="Write it again with `edgeplan run --output`."):
            return cls.model_validate_json(data)


def mean_absolute_percentage_error(predictions: Sequence[SegmentPrediction]) -> float:
    """Mean of |predicted − observed| / observed, every segment counting once; NaN for none."""
    return float(np.mean([p.error for p in predictions])) if predictions else float("nan")
