"""Devices of a fleet: a profile with what differs from it, and the problem that one poses with a workload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count as counting
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ...formulation import Memory, Model, Platform, PlatformError, Problem, Provenance, Scenario, ScenarioError, capped
from ...profiles import Profile
from ..case import Case
from .spec import DeviceEntry, FleetSpec

_Value = TypeVar("_Value")


class Variant(BaseModel):
    """What a device has other than its profile.

    Attributes
    ----------
    time_factor : dict of str to float
        By processor.
    memory_bytes : dict of str to int
        By memory.
    cores : dict of str to int
        By processor.
    platform : Platform, optional
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_factor: dict[str, float] = Field(default_factory=dict)
    memory_bytes: dict[str, int] = Field(default_factory=dict)
    cores: dict[str, int] = Field(default_factory=dict)
    platform: Platform | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the device is the profile's own."""
        return not (self.time_factor or self.memory_bytes or self.cores or self.platform)

    @property
    def text(self) -> str:
        """In words."""
        parts = [f"{name} ×{factor:.3g}" for name, factor in self.time_factor.items()]
        parts += [f"{cores} of {name}" for name, cores in self.cores.items()]
        parts += [f"{name} {size / 2**20:.0f} MiB" for name, size in self.memory_bytes.items()]
        parts += [f"platform {self.platform.name}"] if self.platform else []
        return ", ".join(parts) or "as measured"


class Device(BaseModel):
    """A type of device: a name, its profile file, what differs, and how many there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    profile: Path
    variant: Variant
    count: int


def devices_of(spec: FleetSpec, folder: Path) -> tuple[Device, ...]:
    """All types of device that a fleet file names or generates.

    Raises
    ------
    ScenarioError
        A pattern that no file fits; a name that two devices have.
    """
    found: list[Device] = []
    for entry in spec.devices:
        files = files_of(folder, entry.profile, f"profile of device {entry.name!r}")
        for path in files:
            name = entry.name if not is_pattern(entry.profile) else f"{entry.name}-{path.stem}"
            found.extend(_expanded(entry, name, path))
    refuse_repeats("device", [device.name for device in found])
    return tuple(found)


def is_pattern(path: str) -> bool:
    """Whether a path stands for several files."""
    return any(character in path for character in "*?[")


def files_of(folder: Path, path: str, subject: str) -> list[Path]:
    """Files that a path or pattern names, sorted.

    Raises
    ------
    ScenarioError
        No file fits the pattern.
    """
    if not is_pattern(path):
        return [folder / path]
    absolute = Path(path).is_absolute()
    root = Path(Path(path).anchor) if absolute else folder
    pattern = str(Path(path).relative_to(root)) if absolute else path
    files = sorted(file for file in root.glob(pattern) if file.is_file())
    if not files:
        raise ScenarioError(
            subject, expected=f"files that fit {path}", got="none", remedy="Correct the pattern, or make the files."
        )
    return files


def refuse_repeats(kind: str, names: list[str]) -> None:
    """Refuse names that are not unique: results and pairings go by them.

    Raises
    ------
    ScenarioError
        A name is there twice.
    """
    repeats = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeats:
        raise ScenarioError(
            f"names of each {kind}", expected="each once", got=capped(repeats), remedy="Give each a name of its own."
        )


def _expanded(entry: DeviceEntry, name: str, profile: Path) -> Iterator[Device]:
    own = Variant(
        time_factor=entry.time_factor,
        memory_bytes={memory: int(size) for memory, size in entry.memory_bytes.items()},
        cores=entry.cores,
        platform=entry.platform,
    )
    if entry.variants is None:
        yield Device(name=name, profile=profile, variant=own, count=entry.count)
        return
    made = entry.variants
    rng = np.random.default_rng(made.seed)
    numbers = counting(1)
    for factors, sizes, cores in product(
        _combinations(made.time_factor), _combinations(made.memory_bytes), _combinations(made.cores)
    ):
        for _ in range(made.copies):
            drawn = {p: float(np.exp(rng.normal(0.0, sigma))) for p, sigma in sorted(made.spread.items())}
            scaled = {**own.time_factor, **factors}
            for processor, factor in drawn.items():
                # Nine digits tell any two of them apart.
                scaled[processor] = float(f"{scaled.get(processor, 1.0) * factor:.9g}")
            variant = Variant(
                time_factor=scaled,
                memory_bytes={**own.memory_bytes, **{m: int(size) for m, size in sizes.items()}},
                cores={**own.cores, **cores},
                platform=own.platform,
            )
            yield Device(name=f"{name}-{next(numbers)}", profile=profile, variant=variant, count=entry.count)


def _combinations(options: Mapping[str, Iterable[_Value]]) -> list[dict[str, _Value]]:
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


def problem_on(profile: Profile, variant: Variant, scenario: Scenario) -> Problem:
    """The problem that a workload poses on a device.

    Raises
    ------
    EdgePlanError
        The profile lacks a model, or the device has no processor or memory of a name that differs.
    """
    problem = Case.of(scenario, profile, Path()).problem
    if variant.is_measured:
        return problem
    platform = variant.platform or problem.platform
    models = problem.models
    if variant.time_factor:
        _refuse_unknown("processor", variant.time_factor, [p.name for p in platform.processors])
        models = tuple(_scaled(model, variant.time_factor) for model in models)
    platform = _resized(platform, variant)
    return replace(problem, models=models, platform=platform)


def _scaled(model: Model, factors: Mapping[str, float]) -> Model:
    costs = model.costs
    by_configuration = np.array([factors.get(c.processor, 1.0) for c in costs.configurations])
    source = ", ".join(f"{processor} ×{factor:g}" for processor, factor in factors.items())
    provenance = Provenance(kind="estimated", source=f"{costs.provenance.source}, {source}")
    return replace(model, costs=costs.corrected(by_configuration, provenance))


def _resized(platform: Platform, variant: Variant) -> Platform:
    """Another device, so without the fingerprint of the one that was measured."""
    _refuse_unknown("processor", variant.cores, [p.name for p in platform.processors])
    _refuse_unknown("memory", variant.memory_bytes, [m.name for m in platform.memories])
    taken = {core for p in platform.processors for core in p.cores}
    fresh = (core for core in counting() if core not in taken)
    processors = []
    for processor in platform.processors:
        wanted = variant.cores.get(processor.name, len(processor.cores))
        kept = processor.cores[:wanted]
        more = tuple(next(fresh) for _ in range(wanted - len(kept)))
        processors.append(processor.model_copy(update={"cores": kept + more}))
    memories = [
        Memory.model_validate(
            {**memory.model_dump(), "capacity_bytes": variant.memory_bytes.get(memory.name, memory.capacity_bytes)}
        )
        for memory in platform.memories
    ]
    # Built anew and not copied: a copy would keep what the platform has computed of its processors.
    return Platform(name=platform.name, processors=tuple(processors), memories=tuple(memories), links=platform.links)


def _refuse_unknown(kind: str, names: Iterable[str], known: list[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise PlatformError(
            f"{kind} of a device", expected=f"one of {capped(known)}", got=capped(unknown), remedy="Correct the name."
        )
