"""Which backends there are: ours, ONNX Runtime's other providers, and those of other distributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import signature
from typing import Any

from ...formulation import UnsupportedError, capped
from .base import Backend

ENTRY_POINT_GROUP = "edgeplan.backends"
"""Entry points of this group name classes, or functions, that make a `Backend`; called without arguments."""

BUILT_IN = ("onnxruntime-cpu", "openvino-cpu")


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
    """Names of the backends that are known: ours, those of ONNX Runtime's other providers, of other distributions."""
    ours = _ours()
    return (*ours, *sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)} - set(ours)))


@cache
def open_backend(name: str) -> Backend:
    """Load a backend, once a process.

    Raises
    ------
    UnsupportedError
        No such backend, its package is not installed, or its provider does not load. Of another distribution: it fails
        to load, lacks what a backend must have, gives itself another name, or there are two of that name.
    """
    if name in _ours():
        return _open_ours(name)
    others = tuple(entry_points(group=ENTRY_POINT_GROUP, name=name))
    if others:
        return _open_other(name, others)
    raise UnsupportedError(
        f"backend {name!r}", expected=f"one of {capped(backend_names())}", got="another", remedy="Correct the name."
    )


def _ours() -> tuple[str, ...]:
    if not find_spec("onnxruntime"):
        return BUILT_IN
    from .onnxruntime_provider import other_providers

    return (*BUILT_IN, *other_providers())


def _open_ours(name: str) -> Backend:
    try:
        if name == "onnxruntime-cpu":
            from .onnxruntime_cpu import OnnxRuntimeCpu

            return OnnxRuntimeCpu()
        if name == "openvino-cpu":
            from .openvino_cpu import OpenVinoCpu

            return OpenVinoCpu()
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


def _open_other(name: str, entries: tuple[EntryPoint, ...]) -> Backend:
    owners = capped(sorted(e.dist.name if e.dist else e.value for e in entries))
    entry, *twins = entries
    if twins:
        raise UnsupportedError(
            f"backend {name!r}",
            expected="one distribution that provides it",
            got=owners,
            remedy="Remove all but one.",
        )
    try:
        backend = entry.load()()
        lack = lack_of(backend, name)
    except Exception as error:  # another's code: what it raises is not known here
        raise UnsupportedError(
            f"backend {name!r}",
            expected=f"the distribution {owners} to load it",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            remedy="Repair or remove that distribution.",
        ) from error
    if lack is not None:
        raise UnsupportedError(
            f"backend {name!r}",
            expected="a backend of that name, with all that `edgeplan.profiles.Backend` asks for",
            got=lack,
            remedy=f"Repair or remove the distribution {owners}.",
        )
    return backend


def lack_of(backend: Any, name: str) -> str | None:
    """What is wrong or missing in an object that should be the backend of a name, as a phrase; None where nothing is.

    Parameters
    ----------
    backend : object
        Of another distribution; see `Backend`.
    name : str
        What configurations and plans call it.
    """
    for part, kind in (("name", str), ("version", str), ("forms", tuple), ("holds_workspace", bool)):
        value = getattr(backend, part, None)
        if value is None or value == "":
            return f"no {part}"
        if not isinstance(value, kind):
            return f"{part} {value!r}, which is no {kind.__name__}"
        if part == "name" and value != name:
            return f"name {value!r}"
    if not backend.forms or not all(isinstance(form, str) for form in backend.forms):
        return f"forms {backend.forms!r}, which name none"
    if not callable(getattr(backend, "open", None)):
        return "no open"
    try:
        signature(backend.open).bind(None, None, ())
    except TypeError:
        return f"open{signature(backend.open)}, where a segment, a configuration and cores are given"
    except ValueError:
        pass  # not written in Python: it does not say what it takes
    return None


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
