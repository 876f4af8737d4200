"""What the controller sees, decides and does, as data: the events of its journal, all that its decisions depend on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation.tenancy import Allocation


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TenantWindow(_Data):
    """What one tenant's requests did in a window.

    Attributes
    ----------
    arrivals : int
        Requests that came.
    service_us, reload_us, suffix_us : tuple of float
        Times on the accelerator without reloads, of reloads, and on the CPU, of requests that ended in the window under
        the allocation that serves at its end.
    response_us : tuple of float
        Of all requests that ended in the window.
    failed : int
    """

    arrivals: int = Field(default=0, ge=0)
    service_us: tuple[FiniteFloat, ...] = ()
    reload_us: tuple[FiniteFloat, ...] = ()
    suffix_us: tuple[FiniteFloat, ...] = ()
    response_us: tuple[FiniteFloat, ...] = ()
    failed: int = 0


class Window(_Data):
    """What happened between two looks.

    Attributes
    ----------
    start_us, end_us : float
        On the runtime's clock, counted from when the controller began.
    tenants : tuple of TenantWindow
        In the problem's order.
    """

    kind: Literal["window"] = "window"
    start_us: FiniteFloat
    end_us: FiniteFloat
    tenants: tuple[TenantWindow, ...]


class Estimate(_Data):
    """A figure with its interval.

    Attributes
    ----------
    value, low, high : float
    samples : int
        Requests counted, or timings.
    window_s : float
        Time they were taken over; 0 where a number of timings decides.
    """

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    samples: int
    window_s: FiniteFloat = 0.0


class TenantEstimate(_Data):
    """What is known of one tenant; None where there were too few timings.

    Attributes
    ----------
    tenant : str
    rate_hz, service_us, reload_us, suffix_us : Estimate
    """

    tenant: str
    rate_hz: Estimate
    service_us: Estimate | None = None
    reload_us: Estimate | None = None
    suffix_us: Estimate | None = None


class Drift(_Data):
    """A difference between what is believed and what is seen.

    Attributes
    ----------
    quantity : {'rate', 'service', 'suffix', 'reload'}
    tenant : str
        Empty for the reload, which is the device's.
    believed, seen : float
        Requests a second; for the others, times the cost that the problem states.
    """

    quantity: Literal["rate", "service", "suffix", "reload"]
    tenant: str
    believed: FiniteFloat
    seen: FiniteFloat

    def __str__(self) -> str:
        if self.quantity == "rate":
            return f"{self.tenant} is asked {self.seen:.3g} times a second, believed {self.believed:.3g}"
        whose = f"{self.quantity} of {self.tenant}" if self.tenant else self.quantity
        return f"{whose} takes {self.seen:.3g} times its stated cost, believed {self.believed:.3g}"


class Belief(_Data):
    """What decisions are made for.

    Attributes
    ----------
    rate_hz : tuple of float
    service_factor, suffix_factor : tuple of float
        By tenant: times the problem's costs on the accelerator and on the CPU.
    reload_factor : float
        Times the device's reload cost.
    """

    rate_hz: tuple[FiniteFloat, ...]
    service_factor: tuple[FiniteFloat, ...]
    suffix_factor: tuple[FiniteFloat, ...]
    reload_factor: FiniteFloat = 1.0


class Candidate(_Data):
    """An allocation that was considered.

    Attributes
    ----------
    name : str
        ``current``, ``solver``, or that of an alternative.
    allocation : Allocation
    mean_response_us : float or None
        Predicted for what is believed; None where it is unstable.
    """

    name: str
    allocation: Allocation
    mean_response_us: FiniteFloat | None


class SwitchCost(_Data):
    """What an exchange costs, in microseconds of response time over all requests.

    Attributes
    ----------
    reload_us : float
        Reloading the tenants whose part on the accelerator changes, and the waiting of those who come meanwhile.
    opening_us : float
        Responses that grow while sessions are opened.
    """

    reload_us: FiniteFloat
    opening_us: FiniteFloat

    @property
    def total_us(self) -> float:
        """Both."""
        return self.reload_us + self.opening_us


class Question(_Data):
    """What the solver is asked for: a drift was let through, or the last answer or switch failed.

    Attributes
    ----------
    at_us : float
    drifts : tuple of Drift
        None where it is asked again after a failure.
    estimates : tuple of TenantEstimate
    before, after : Belief
        What was believed, and what is from now on.
    """

    kind: Literal["question"] = "question"
    at_us: FiniteFloat
    drifts: tuple[Drift, ...]
    estimates: tuple[TenantEstimate, ...]
    before: Belief
    after: Belief

    @property
    def why(self) -> str:
        """In words."""
        return "; ".join(str(drift) for drift in self.drifts) or "asked again after a failure"


class Answer(_Data):
    """What the solver and others proposed.

    Attributes
    ----------
    candidates : tuple of Candidate
        The current allocation first.
    failure : str
        Why there is no proposal; empty where there is one.
    """

    kind: Literal["answer"] = "answer"
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    failure: str = ""


class Decision(_Data):
    """What was decided and why.

    Attributes
    ----------
    number : int
        Counts from 1.
    at_us : float
    action : {'switch', 'keep'}
    chosen : int
        Which of the answer's candidates; 0 keeps.
    saving_us_per_s : float or None
        Response time saved in a second; None where one of the two is unstable.
    switch_cost : SwitchCost or None
        None where nothing better was there to switch to.
    reason : str
        One sentence.
    """

    kind: Literal["decision"] = "decision"
    number: int
    at_us: FiniteFloat
    action: Literal["switch", "keep"]
    chosen: int = Field(ge=0)
    saving_us_per_s: FiniteFloat | None
    switch_cost: SwitchCost | None
    reason: str


class Outcome(_Data):
    """What became of a switch.

    Attributes
    ----------
    done : bool
    opening_us : float
        Time to open the sessions.
    failure : str
        Why it could not be done; the old allocation serves on.
    """

    kind: Literal["outcome"] = "outcome"
    done: bool
    opening_us: FiniteFloat = 0.0
    failure: str = ""


class End(_Data):
    """The controller was closed. A journal without it was cut off, or is still being written."""

    kind: Literal["end"] = "end"


Event = Annotated[Window | Question | Answer | Decision | Outcome | End, Field(discriminator="kind")]
