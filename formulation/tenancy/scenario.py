"""Scenario files of tenants that share an accelerator: what a user writes. YAML, every unknown key refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ByteSize, ConfigDict, Discriminator, Field, FiniteFloat, Tag, model_validator

from ..errors import ScenarioError
from ..files import fitting, read_yaml
from ..validation import SizeInBytes
from ..workload import Arrival
from .accelerator import Accelerator
from .batching import Batching
from .tenant import Tenant


class WholeCosts(BaseModel):
    """Costs of a model that is not cut: whole on the accelerator, or whole on the CPU.

    Attributes
    ----------
    service_us : float
        Microseconds of a request on the accelerator, the weights that fit resident.
    reload_us : float, optional
        Measured microseconds to bring these weights back; otherwise the accelerator's rule.
    weight_bytes : int
        Size of the weights; 0 where unknown.
    resident_bytes : int, optional
        Those of them that stay in the memory, where measured.
    streaming_us : float, optional
        Microseconds that streaming the rest adds to a request; 0 where `service_us` was measured with it. Otherwise the
        accelerator's rule.
    cpu_us : float, optional
        Microseconds of a request on one core; left out, the CPU cannot run the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_us: FiniteFloat = Field(gt=0)
    reload_us: FiniteFloat | None = Field(default=None, ge=0)
    weight_bytes: SizeInBytes = Field(default=ByteSize(0), ge=0)
    resident_bytes: SizeInBytes | None = Field(default=None, ge=0)
    streaming_us: FiniteFloat | None = Field(default=None, ge=0)
    cpu_us: FiniteFloat | None = Field(default=None, gt=0)

    def tenant(self, name: str) -> Tenant:
        """Tenant with two partition points: all on the CPU, all on the accelerator."""
        return Tenant.create(
            name,
            [0.0, self.service_us],
            [np.inf if self.cpu_us is None else self.cpu_us, 0.0],
            [0, int(self.weight_bytes)],
            points=("nothing", "the whole model"),
            reload_us=None if self.reload_us is None else [np.nan, self.reload_us],
            streaming_us=None if self.streaming_us is None else [np.nan, self.streaming_us],
            resident_bytes=None if self.resident_bytes is None else [0, int(self.resident_bytes)],
        )


class PointCosts(BaseModel):
    """Costs of a model at every partition point: lists of one length, first the empty prefix, last the whole model.

    Attributes
    ----------
    accelerator_us : tuple of float
        Microseconds of the prefix on the accelerator, without streaming; infinite where it cannot run. The first is 0.
    cpu_us : tuple of float
        Microseconds of the rest on one core. The last is 0.
    weight_bytes : tuple of int
        Weights of the prefix, ascending from 0.
    handover_bytes : tuple of int, optional
        What goes from the accelerator to the CPU; nothing where left out.
    names : tuple of str
        For people, for instance the prefix's last layer.
    reload_us : tuple of float, optional
        Measured microseconds to bring the prefix's weights back; otherwise, and where NaN, the accelerator's rule.
    streaming_us : tuple of float, optional
        Measured microseconds that streaming adds to a request; otherwise, and where NaN, the accelerator's rule.
    resident_bytes : tuple of int, optional
        Weights of the prefix that stay in the memory, where measured; otherwise what fits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator_us: tuple[float, ...]
    cpu_us: tuple[float, ...]
    weight_bytes: tuple[SizeInBytes, ...]
    handover_bytes: tuple[SizeInBytes, ...] | None = None
    names: tuple[str, ...] = ()
    reload_us: tuple[float, ...] | None = None
    streaming_us: tuple[float, ...] | None = None
    resident_bytes: tuple[SizeInBytes, ...] | None = None

    def tenant(self, name: str) -> Tenant:
        """Tenant with these partition points."""
        whole = {
            key: None if values is None else [int(v) for v in values]
            for key, values in (("handover_bytes", self.handover_bytes), ("resident_bytes", self.resident_bytes))
        }
        return Tenant.create(
            name,
            self.accelerator_us,
            self.cpu_us,
            [int(v) for v in self.weight_bytes],
            whole["handover_bytes"],
            points=self.names,
            reload_us=self.reload_us,
            streaming_us=self.streaming_us,
            resident_bytes=whole["resident_bytes"],
        )


class TenantEntry(BaseModel):
    """One tenant of a scenario. Its costs come from the catalogue (`model`), or are given (`whole` or `points`).

    Attributes
    ----------
    name : str
        Each once; the same model may be there under two names.
    model : str, optional
        Name in the catalogue; by default the tenant's own.
    whole : WholeCosts, optional
        Costs of a model that is not cut.
    points : PointCosts, optional
        Costs at every partition point.
    speedup : tuple of float, optional
        How many times faster the part on the CPU runs on 1, 2, … threads; the first is 1.
    accelerator_scv, cpu_scv : float, optional
        Squared coefficient of variation of the times there; 0 is constant.
    arrival : Periodic, Poisson or Trace, optional
        When requests come; needed unless a trace file is simulated.
    priority : int
        For ``discipline: priority``; the lowest number is the most urgent.
    batching : Batching, optional
        How requests are gathered, in simulation; plans assume that they are not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: str | None = None
    whole: WholeCosts | None = None
    points: PointCosts | None = None
    speedup: tuple[FiniteFloat, ...] | None = None
    accelerator_scv: FiniteFloat | None = Field(default=None, ge=0)
    cpu_scv: FiniteFloat | None = Field(default=None, ge=0)
    arrival: Arrival | None = None
    priority: int = 0
    batching: Batching | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TenantEntry:
        given = [key for key in ("model", "whole", "points") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ScenarioError(
                f"tenant {self.name!r}",
                expected="one of model, whole and points",
                got=" and ".join(given),
                remedy="Keep the one that the costs shall come from.",
            )
        return self


def _name_or_device(value: Any) -> str:
    return "name" if isinstance(value, str) else "device"


# Told apart by hand: of an untagged union, errors would say that the device is no string, not which key is wrong.
NameOrDevice = Annotated[
    Annotated[str, Tag("name")] | Annotated[Accelerator, Tag("device")], Discriminator(_name_or_device)
]


class TenancyScenario(BaseModel):
    """Tenants that share an accelerator and the CPU's cores.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    name : str
        For people; no plan depends on it.
    accelerator : str or Accelerator
        A name of the catalogue, or the device itself.
    cpu_cores : int
        Cores for what does not run on the accelerator.
    discipline : {'fcfs', 'priority'}
        Of the accelerator's queue, in simulation: first come first served, or by the tenants' priorities.
    tenants : tuple of TenantEntry
        The models that share it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    accelerator: NameOrDevice
    cpu_cores: int = Field(default=0, ge=0)
    discipline: Literal["fcfs", "priority"] = "fcfs"
    tenants: tuple[TenantEntry, ...] = Field(min_length=1)

    @classmethod
    def load(cls, path: str | Path) -> TenancyScenario:
        """Read a scenario from YAML.

        Raises
        ------
        ScenarioError
            The file cannot be read, is not YAML, or does not fit the schema; the first place that does not is named.
        """
        subject = f"scenario {path}"
        data = read_yaml(path, subject, ScenarioError)
        if isinstance(data, dict) and "accelerator" not in data:
            raise ScenarioError(
                subject,
                expected="a scenario with an accelerator",
                got=f"the keys {', '.join(map(str, data))}" if data else "nothing",
                remedy="See `edgeplan schema tenancy-scenario`; other scenarios are simulated by `edgeplan plan`.",
            )
        expected = "what `edgeplan schema tenancy-scenario` describes"
        with fitting(subject, ScenarioError, expected=expected, remedy="Correct this key."):
            return cls.model_validate(data)
