"""What this machine is: its processor, its cores, the versions that costs depend on."""

from __future__ import annotations

import functools
import hashlib
import os
import platform as _platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..formulation import Memory, Platform, Processor

_RUNTIMES = ("onnxruntime", "openvino")


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """First processor's entry of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def processor_model() -> str:
    """The processor's name, for people."""
    info = _cpuinfo()
    return info.get("model name") or info.get("Hardware") or _platform.processor() or _platform.machine()


@functools.cache
def processor_key() -> str:
    """Short digest of what decides which kernels a runtime picks: architecture, name, generation, instruction sets.

    Virtual machines give processors of several generations one name; their instruction sets tell them apart.
    """
    info = _cpuinfo()
    facts = [_platform.machine(), processor_model()]
    facts += [info.get(key, "") for key in ("cpu family", "model", "stepping", "flags", "Features")]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


class Fingerprint(BaseModel):
    """What costs measured here depend on. Says nothing about where the machine is or whose it is.

    Attributes
    ----------
    cpu : str
        The processor's name.
    cpu_key : str
        Digest of its generation and instruction sets.
    cores : tuple of int
        Ids of the cores that may be used.
    caches : tuple of str
        Data and unified caches of the first core, for instance ``L2 1024K``.
    kernel : str
        Version, for information: it does not count in `digest`.
    python : str
        Version, for information: it does not count in `digest`.
    versions : dict of str to str
        Versions of the installed runtimes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    cpu_key: str
    cores: tuple[int, ...]
    caches: tuple[str, ...] = ()
    kernel: str = ""
    python: str = ""
    versions: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of what decides costs: processor, cores and runtimes."""
        facts = [self.cpu, self.cpu_key, str(self.cores), *(f"{k} {v}" for k, v in sorted(self.versions.items()))]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    @property
    def versions_text(self) -> str:
        """Versions in one line."""
        return ", ".join(f"{name} {version}" for name, version in (*self.versions.items(), ("Python", self.python)))


def machine_fingerprint(cores: Sequence[int] | None = None) -> Fingerprint:
    """Fingerprint of this machine, with the cores that this process may use where none are named."""
    versions = {}
    for name in _RUNTIMES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Fingerprint(
        cpu=processor_model(),
        cpu_key=processor_key(),
        cores=tuple(sorted(os.sched_getaffinity(0) if cores is None else cores)),
        caches=_caches(),
        kernel=_platform.release(),
        python=_platform.python_version(),
        versions=versions,
    )


def local_platform(cores: Sequence[int] | None = None) -> Platform:
    """This machine as a platform: processor ``cpu`` with the cores that this process may use, memory ``ram``.

    Raises
    ------
    PlatformError
        `cores` is empty.
    """
    fingerprint = machine_fingerprint(cores)
    return Platform(
        name="local",
        processors=(Processor(name="cpu", kind="cpu", cores=fingerprint.cores, memory="ram"),),
        memories=(Memory.model_validate({"name": "ram", "capacity_bytes": _memory_bytes()}),),
        fingerprint=fingerprint.digest,
    )


_CACHE_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@functools.cache
def largest_cache_bytes() -> int:
    """Size of the last-level cache that the first core uses, shared or not; 0 where the system does not say."""
    sizes = [size.rpartition(" ")[2] for size in _caches()]
    return max((int(size[:-1]) * _CACHE_UNITS[size[-1]] for size in sizes if size[-1] in _CACHE_UNITS), default=0)


def _caches() -> tuple[str, ...]:
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level}{'d' if kind == 'Data' else ''} {size}")
    return tuple(found)


def _memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
