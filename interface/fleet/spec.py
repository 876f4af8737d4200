"""Fleet files: which devices there are, what they are to run, and which of both belong together."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from ...formulation import Limits, Objective, Platform, ScenarioError, ScenarioModel, Stream
from ...formulation.files import fitting, read_yaml
from ...formulation.validation import SizeInBytes

FLEET_SCHEMA_VERSION = 1

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Cores = Annotated[int, Field(ge=1)]
Bytes = Annotated[SizeInBytes, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variants(_Part):
    """Devices made from one: every combination of the values given, `copies` of each.

    Attributes
    ----------
    time_factor : dict of str to list of float
        Times of everything on a processor are multiplied by these.
    memory_bytes : dict of str to list of int
        Capacities of a memory.
    cores : dict of str to list of int
        Numbers of cores of a processor.
    spread : dict of str to float
        Standard deviation of the logarithm of a processor's time factor, drawn for each copy: no two devices of a type
        are equally fast.
    copies : int
        Devices of each combination; they only differ where there is a spread.
    seed : int
        Of the spread.
    """

    time_factor: dict[str, tuple[Factor, ...]] = Field(default_factory=dict)
    memory_bytes: dict[str, tuple[Bytes, ...]] = Field(default_factory=dict)
    cores: dict[str, tuple[Cores, ...]] = Field(default_factory=dict)
    spread: dict[str, Annotated[float, Field(ge=0, le=2)]] = Field(default_factory=dict)
    copies: int = Field(default=1, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _values(self) -> Variants:
        for values in (self.time_factor, self.memory_bytes, self.cores):
            for name, options in values.items():
                if not options:
                    raise ValueError(f"{name}: a list without values makes no device")
        return self


class DeviceEntry(_Part):
    """A type of device.

    Attributes
    ----------
    name : str
        Each once; pairs and results speak of it by this.
    profile : str
        Profile file, relative to the fleet file. A pattern (``profiles/*.json``) makes one type of each file, named
        ``name-stem``.
    count : int
        How many such devices there are.
    time_factor : dict of str to float
        Times of everything on a processor are multiplied by this: an estimate for a device that was not measured.
    memory_bytes : dict of str to int
        Capacity of a memory, where it is another than the profile's.
    cores : dict of str to int
        Number of cores of a processor, where it is another than the profile's.
    platform : Platform, optional
        In place of the profile's.
    variants : Variants, optional
        More devices made from this one.
    """

    name: str = Field(min_length=1)
    profile: str
    count: int = Field(default=1, ge=1)
    time_factor: dict[str, Factor] = Field(default_factory=dict)
    memory_bytes: dict[str, Bytes] = Field(default_factory=dict)
    cores: dict[str, Cores] = Field(default_factory=dict)
    platform: Platform | None = None
    variants: Variants | None = None


class WorkloadEntry(_Part):
    """What devices run: scenario files, or what a scenario says, in place.

    Attributes
    ----------
    name : str, optional
        Each once. Left out for scenario files, it is the file's name without its ending.
    scenario : str, optional
        Scenario file, relative to the fleet file, or a pattern. Without it `models` are needed.
    models : tuple of ScenarioModel
        As in a scenario.
    streams : tuple of Stream
        As in a scenario.
    limits : Limits, optional
        As in a scenario.
    objective : {'response', 'latency', 'front'}, optional
        As in a scenario.
    """

    name: str | None = Field(default=None, min_length=1)
    scenario: str | None = None
    models: tuple[ScenarioModel, ...] = ()
    streams: tuple[Stream, ...] = ()
    limits: Limits | None = None
    objective: Objective | None = None

    @model_validator(mode="after")
    def _one_form(self) -> WorkloadEntry:
        inline = bool(self.models or self.streams or self.limits or self.objective)
        if inline == (self.scenario is not None):
            raise ValueError("a workload is either a scenario file or models with streams, not both and not neither")
        if self.scenario is None and (not self.models or self.name is None):
            raise ValueError("a workload without a scenario file needs a name and models")
        return self


class Pairing(_Part):
    """Devices and workloads by pattern (``camera-*``); what is left out matches all.

    Attributes
    ----------
    device : str
        Pattern of names of devices.
    workload : str
        Pattern of names of workloads.
    """

    device: str = "*"
    workload: str = "*"

    def matches(self, device: str, workload: str) -> bool:
        """Whether both names fit."""
        return fnmatchcase(device, self.device) and fnmatchcase(workload, self.workload)


class FleetSpec(_Part):
    """A fleet: every device runs every workload, but for what is included or excluded.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    name : str
        For people.
    devices : tuple of DeviceEntry
        Types of device that there are.
    workloads : tuple of WorkloadEntry
        What is to run on them.
    include : tuple of Pairing
        Where given, only these pairs.
    exclude : tuple of Pairing
        Not these, even where they are included.
    method : str
        Solver, as for `edgeplan.solve`.
    time_limit_s : float
        Seconds for each plan.
    seed : int
        Of all that is random in planning.
    """

    schema_version: Literal[1] = FLEET_SCHEMA_VERSION
    name: str
    devices: tuple[DeviceEntry, ...] = Field(min_length=1)
    workloads: tuple[WorkloadEntry, ...] = Field(min_length=1)
    include: tuple[Pairing, ...] = ()
    exclude: tuple[Pairing, ...] = ()
    method: str = "auto"
    time_limit_s: FiniteFloat = Field(default=10.0, gt=0)
    seed: int = Field(default=0, ge=0)

    def pairs(self, device: str, workload: str) -> bool:
        """Whether this device shall run this workload."""
        included = not self.include or any(pairing.matches(device, workload) for pairing in self.include)
        return included and not any(pairing.matches(device, workload) for pairing in self.exclude)

    @classmethod
    def load(cls, path: str | Path) -> FleetSpec:
        """Read a fleet file (YAML).

        Raises
        ------
        ScenarioError
            It cannot be read, is not YAML, or does not fit the schema; the first place that does not is named.
        """
        subject = f"fleet {path}"
        data: Any = read_yaml(path, subject, ScenarioError)
        with fitting(
            subject, ScenarioError, expected="what `edgeplan schema fleet` describes", remedy="Correct this key."
        ):
            return cls.model_validate(data)
