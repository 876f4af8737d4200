"""ONNX Runtime on any other execution provider that loads.

Such a provider may drive a device of its own; its sessions still occupy a core of the CPU while they run, for the
calling thread waits there, and that is how they are planned.
"""

from __future__ import annotations

from ...formulation import Configuration, UnsupportedError
from ..segments import SegmentFiles
from .base import Session
from .checks import check_cores, check_form, refused
from .onnxruntime_cpu import OnnxRuntimeSession, session_options

_NOT_EXECUTION = frozenset({"CPUExecutionProvider", "AzureExecutionProvider"})
"""Not listed: the CPU has a backend of its own, and Azure sends requests to a remote service."""


def backend_name(provider: str) -> str:
    """``DnnlExecutionProvider`` → ``onnxruntime-dnnl``."""
    return f"onnxruntime-{provider.removesuffix('ExecutionProvider').lower()}"


def other_providers() -> dict[str, str]:
    """Providers of the installed ONNX Runtime by backend name. Whether one loads shows when it is asked to."""
    import onnxruntime

    return {backend_name(p): p for p in onnxruntime.get_available_providers() if p not in _NOT_EXECUTION}


class OnnxRuntimeProvider:
    """Backend ``onnxruntime-<provider>``.

    Raises
    ------
    UnsupportedError
        The provider does not load. ONNX Runtime itself would silently take the CPU instead.
    """

    forms = ("default",)
    holds_workspace = True

    def __init__(self, name: str) -> None:
        import onnxruntime

        self.name = name
        self.version: str = onnxruntime.__version__
        self._provider = other_providers()[name]
        self._open_smallest()

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """See `Backend.open`."""
        check_form(self, configuration)
        check_cores(configuration, cores)
        options = session_options(configuration.threads, cores, "ORT_ENABLE_ALL")
        with refused(self.name, segment):
            session = OnnxRuntimeSession(segment.source, options, self._provider)
        self._refuse_fallback(session.provider)
        return session

    def _open_smallest(self) -> None:
        import onnxruntime
        from onnx import TensorProto, helper

        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "smallest", ends[:1], ends[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(1, ()), providers=[self._provider]
        )
        self._refuse_fallback(session.get_providers()[0])

    def _refuse_fallback(self, provider: str) -> None:
        if provider != self._provider:
            raise UnsupportedError(
                f"backend {self.name!r}",
                expected=f"{self._provider} to load",
                got=f"a session on {provider}",
                remedy="Install what the provider needs, or use another backend.",
            )
