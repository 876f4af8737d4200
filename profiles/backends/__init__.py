"""Runtimes that open segments: the same way for measuring and for serving."""

from __future__ import annotations

from functools import cache

from ...formulation import UnsupportedError, capped
from .base import Backend as Backend
from .base import Session as Session

ONNXRUNTIME_CPU = "onnxruntime-cpu"
OPENVINO_CPU = "openvino-cpu"
_NOT_FOR_SEGMENTS = ("AzureExecutionProvider",)  # sends requests to a remote service


def backend_names() -> dict[str, str]:
    """Backends of this machine and, for those that do not load, the reason; an empty reason means that it loads."""
    import onnxruntime

    names = {ONNXRUNTIME_CPU: "", OPENVINO_CPU: _why_openvino_is_absent()}
    for provider in onnxruntime.get_available_providers():
        name = "onnxruntime-" + provider.removesuffix("ExecutionProvider").lower()
        if provider not in _NOT_FOR_SEGMENTS:
            names.setdefault(name, "")
    return names


@cache
def open_backend(name: str) -> Backend:
    """Load a backend by its name.

    Raises
    ------
    UnsupportedError
        The machine has no such backend.
    """
    known = backend_names()
    if known.get(name) != "":
        raise UnsupportedError(
            f"backend {name!r}",
            expected=f"one of {capped(n for n, reason in known.items() if not reason)}",
            got=known.get(name) or "an unknown name",
            remedy="Install it (for OpenVINO: pip install 'edgeplan[openvino]'), or profile and plan without it.",
        )
    if name == OPENVINO_CPU:
        from .openvino_backend import OpenVinoBackend

        return OpenVinoBackend()
    import onnxruntime

    from .onnxruntime_backend import OnnxRuntimeBackend

    providers = {p.removesuffix("ExecutionProvider").lower(): p for p in onnxruntime.get_available_providers()}
    return OnnxRuntimeBackend(providers[name.removeprefix("onnxruntime-")])


@cache
def _why_openvino_is_absent() -> str:
    try:
        import openvino  # noqa: F401
    except Exception as error:  # a broken installation raises more than ImportError
        return f"the openvino package does not import ({error})"
    return ""
