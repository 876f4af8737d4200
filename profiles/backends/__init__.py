"""Backends: the runtimes that execute segments. Each is imported when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from ...formulation import UnsupportedError, capped
from .base import Backend as Backend
from .base import Session as Session


@dataclass(frozen=True)
class FoundBackend:
    """A backend and whether it can be used here.

    Attributes
    ----------
    name : str
    version : str
        Of the runtime; empty where it is absent.
    forms : tuple of str
        Its session forms; none where it is absent.
    reason : str
        Why it is absent; empty where it can be used.
    """

    name: str
    version: str = ""
    forms: tuple[str, ...] = ()
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether `open_backend` gives it."""
        return not self.reason


def backend_names() -> tuple[str, ...]:
    """Names of the backends that this version knows, those that other providers give included."""
    others: tuple[str, ...] = ()
    if find_spec("onnxruntime"):
        from .onnxruntime_provider import other_providers

        others = tuple(other_providers())
    return ("onnxruntime-cpu", "openvino-cpu", *others)


@cache
def open_backend(name: str) -> Backend:
    """Load a backend, once a process.

    Raises
    ------
    UnsupportedError
        No such backend, its package is not installed, or its provider does not load.
    """
    try:
        if name == "onnxruntime-cpu":
            from .onnxruntime_cpu import OnnxRuntimeCpu

            return OnnxRuntimeCpu()
        if name == "openvino-cpu":
            from .openvino_cpu import OpenVinoCpu

            return OpenVinoCpu()
        if name in backend_names():
            from .onnxruntime_provider import OnnxRuntimeProvider

            return OnnxRuntimeProvider(name)
    except (ImportError, OSError, RuntimeError) as error:
        extra = "edgeplan[openvino]" if name.startswith("openvino") else "onnxruntime"
        raise UnsupportedError(
            f"backend {name!r}",
            expected="its package to load",
            got=str(error),
            remedy=f"Install it: pip install '{extra}'.",
        ) from error
    raise UnsupportedError(
        f"backend {name!r}", expected=f"one of {capped(backend_names())}", got="another", remedy="Correct the name."
    )


def find_backends() -> tuple[FoundBackend, ...]:
    """Every backend known, usable or not."""
    found = []
    for name in backend_names():
        try:
            backend = open_backend(name)
            found.append(FoundBackend(name, backend.version, backend.forms))
        except UnsupportedError as error:
            found.append(FoundBackend(name, reason=error.got))
    return tuple(found)
