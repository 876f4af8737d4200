"""What this machine is: its processor, its cores, the versions that costs depend on."""

from __future__ import annotations

import functools
import hashlib
import platform as _platform
from pathlib import Path


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
