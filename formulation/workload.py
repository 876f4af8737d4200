"""What is asked of the device: streams of requests, each for one model, with a deadline or a percentile objective."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from .errors import WorkloadError

HIGHEST_RATE_HZ = 1e6
"""A request every microsecond, which is the unit of time."""


class Periodic(BaseModel):
    """A request every `period_us`, the first at `phase_us`.

    Attributes
    ----------
    kind : 'periodic'
        Tells this arrival from the others.
    period_us : float
        Microseconds from one request to the next, one or more.
    phase_us : float
        When the first one comes, microseconds from the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["periodic"] = "periodic"
    period_us: FiniteFloat = Field(ge=1e6 / HIGHEST_RATE_HZ)
    phase_us: FiniteFloat = Field(default=0.0, ge=0)

    @property
    def rate_hz(self) -> float:
        """Requests a second."""
        return 1e6 / self.period_us


class Poisson(BaseModel):
    """Requests at random, `rate_hz` a second on average, gaps exponential and independent.

    Attributes
    ----------
    kind : 'poisson'
        Tells this arrival from the others.
    rate_hz : float
        Mean requests a second, at most `HIGHEST_RATE_HZ`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["poisson"] = "poisson"
    rate_hz: FiniteFloat = Field(gt=0, le=HIGHEST_RATE_HZ)


class Trace(BaseModel):
    """Requests at recorded times.

    Attributes
    ----------
    kind : 'trace'
        Tells this arrival from the others.
    times_us : tuple of float
        When each comes, microseconds from the start, ascending.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["trace"] = "trace"
    times_us: tuple[FiniteFloat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Trace:
        backwards = [i for i in range(1, len(self.times_us)) if self.times_us[i] < self.times_us[i - 1]]
        if backwards or self.times_us[0] < 0:
            raise WorkloadError(
                "arrival trace",
                expected="times of 0 or more that never run backwards",
                got=f"a step back at entry {backwards[0]}" if backwards else f"a first time of {self.times_us[0]}",
                remedy="Sort the trace.",
            )
        return self

    @property
    def rate_hz(self) -> float:
        """Requests a second over the trace; a single request counts as one a second."""
        span_us = self.times_us[-1] - self.times_us[0]
        return (len(self.times_us) - 1) * 1e6 / span_us if span_us > 0 else 1.0


Arrival = Annotated[Periodic | Poisson | Trace, Field(discriminator="kind")]


class Stream(BaseModel):
    """Requests for one model.

    Attributes
    ----------
    model : str
        Name of the model.
    arrival : Periodic, Poisson or Trace
        When requests come.
    deadline_us : float, optional
        Microseconds from arrival within which a request must end. A stream without one is served after those that have
        one.
    percentile : float, optional
        Share of requests, in (0, 1], that must meet the deadline. 1 is a hard deadline: the plan must hold it when all
        models ask at once. Below 1 the plan must hold it on an otherwise idle device behind one other segment. Left
        out, it is 1 for periodic streams and traces, and 0.95 for Poisson streams, for which no bound can hold always.
    weight : float
        How much this stream's response counts in the objective: from a billionth to a billion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    arrival: Arrival
    deadline_us: FiniteFloat | None = Field(default=None, gt=0)
    percentile: FiniteFloat | None = Field(default=None, gt=0, le=1)
    weight: FiniteFloat = Field(default=1.0, ge=1e-9, le=1e9)

    @property
    def is_hard(self) -> bool:
        """Whether every request must meet the deadline."""
        if self.deadline_us is None:
            return False
        share = self.percentile if self.percentile is not None else (0.95 if self.arrival.kind == "poisson" else 1.0)
        return share == 1.0

    @property
    def rate_hz(self) -> float:
        """Mean requests a second."""
        return self.arrival.rate_hz

    def at_rate(self, rate_hz: float) -> Stream:
        """Copy with another mean rate; a trace becomes random arrivals. Deadlines stay as hard or soft as they were.

        Raises
        ------
        WorkloadError
            The rate is not above 0, or above `HIGHEST_RATE_HZ`.
        """
        if rate_hz == self.rate_hz:
            return self
        if not 0 < rate_hz <= HIGHEST_RATE_HZ:
            raise WorkloadError(
                f"rate of {self.model!r}",
                expected=f"more than 0 and at most {HIGHEST_RATE_HZ:,.0f} requests a second",
                got=f"{rate_hz:,g}",
                remedy="Rates are in Hz; take one that a device can be asked for.",
            )
        if isinstance(self.arrival, Periodic):
            arrival = Periodic(period_us=1e6 / rate_hz, phase_us=self.arrival.phase_us)
        else:
            arrival = Poisson(rate_hz=rate_hz)
        return self.model_copy(update={"arrival": arrival, "percentile": 1.0 if self.is_hard else self.percentile})
