"""Scenario files: what a user writes. YAML, checked, with every unknown key refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .errors import ScenarioError
from .files import fitting, read_yaml
from .platform import Platform
from .problem import Limits, Objective
from .throughput.settings import ServiceSettings
from .workload import Stream

SCENARIO_SCHEMA_VERSION = 1


class ScenarioModel(BaseModel):
    """A model of a scenario.

    Attributes
    ----------
    name : str
        Name in the profile, by which streams and plans speak of it.
    path : str, optional
        ONNX file, relative to the scenario file, or the name of a light model of the ``onnx`` package. Left out, it is
        the name.
    shapes : dict
        Sizes of inputs with dynamic dimensions, by name of the input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str | None = None
    shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)


class Scenario(BaseModel):
    """What shares the device, how it is asked, and what must hold.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    name : str
        For people; no plan depends on it.
    models : tuple of ScenarioModel
        What shares the device.
    streams : tuple of Stream
        How models are asked, at most one stream each.
    platform : 'local' or Platform
        ``local`` is the machine that the profile was measured on.
    limits : Limits
        What a plan must keep to, besides deadlines.
    objective : {'response', 'latency', 'front'}
        What to minimise: the weighted sum of responses when all models ask at once, that of latencies on an idle
        device, or one model's latency and memory together.
    profile : str, optional
        Profile file, relative to the scenario file. The option ``--profile`` goes before it.
    service : ServiceSettings
        For `edgeplan capacity`: batches, instances, least rates and what to aim for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCENARIO_SCHEMA_VERSION
    name: str
    models: tuple[ScenarioModel, ...] = Field(min_length=1)
    streams: tuple[Stream, ...] = ()
    platform: Literal["local"] | Platform = "local"
    limits: Limits = Field(default_factory=Limits)
    objective: Objective = "response"
    profile: str | None = None
    service: ServiceSettings = Field(default_factory=ServiceSettings)

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario from YAML.

        Raises
        ------
        ScenarioError
            The file cannot be read, is not YAML, or does not fit the schema; the first place that does not is named.
        """
        subject = f"scenario {path}"
        data = read_yaml(path, subject, ScenarioError)
        if isinstance(data, dict) and "accelerator" in data:
            raise ScenarioError(
                subject,
                expected="a scenario without an accelerator",
                got=f"accelerator: {data['accelerator']}" if isinstance(data["accelerator"], str) else "an accelerator",
                remedy="Scenarios with one are for `edgeplan plan` and `edgeplan simulate`.",
            )
        expected = "what `edgeplan schema scenario` describes"
        with fitting(subject, ScenarioError, expected=expected, remedy="Correct this key."):
            return cls.model_validate(data)
