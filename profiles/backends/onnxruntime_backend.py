"""ONNX Runtime as a backend: the CPU provider in two forms, and any other provider that really loads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from ...formulation import Configuration, UnsupportedError, capped
from ..segments import SegmentFiles

MAPPED, PREPACKED = "mapped", "prepacked"


class OnnxRuntimeSession:
    """An open session. `InferenceSession.run` is used: it copies no inputs, allocates outputs that the caller owns, and
    costs 8 µs a call, where IO binding costs 4 µs but binds buffers that concurrent callers would share."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self.input_names = tuple(i.name for i in session.get_inputs())
        self.output_names = tuple(o.name for o in session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once."""
        assert self._session is not None, "the session is closed"
        return dict(zip(self.output_names, self._session.run(None, dict(feeds)), strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None


class OnnxRuntimeBackend:
    """ONNX Runtime with one execution provider.

    The CPU provider opens the optimised file of a segment without optimising again. Form ``mapped`` leaves the weights as
    pages mapped from that file, shared by all sessions; form ``prepacked`` copies them into the layout that kernels like
    best, which costs that much memory again and creation time. Other providers optimise the plain file themselves.

    Parameters
    ----------
    provider : str
        For instance ``CPUExecutionProvider``.
    """

    holds_workspace = True  # the arena stays as large as the largest run made it

    def __init__(self, provider: str = "CPUExecutionProvider") -> None:
        self.provider = provider
        self.name = "onnxruntime-" + provider.removesuffix("ExecutionProvider").lower()
        self.version = onnxruntime.__version__
        self.forms = (MAPPED, PREPACKED) if provider == "CPUExecutionProvider" else ("default",)

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> OnnxRuntimeSession:
        """Open a segment; see `Backend.open`."""
        if configuration.form not in self.forms:
            raise UnsupportedError(
                f"form {configuration.form!r} of backend {self.name}",
                expected=f"one of {capped(self.forms)}",
                got=configuration.form,
                remedy="Profile again with a form that the backend has.",
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_mem_pattern = False
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = configuration.threads
        if configuration.threads > 1:
            # One group a further thread, counted from 1; the calling thread is pinned by the caller. Threads spin while
            # a run lasts, for operators are short, and stop with it, for the cores then belong to others.
            affinities = ";".join(str(core + 1) for core in cores[1 : configuration.threads])
            options.add_session_config_entry("session.intra_op_thread_affinities", affinities)
            options.add_session_config_entry("session.force_spinning_stop", "1")
        path = segment.plain
        if self.provider == "CPUExecutionProvider":
            path = segment.optimised
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            prepack = "0" if configuration.form == PREPACKED else "1"
            options.add_session_config_entry("session.disable_prepacking", prepack)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=[self.provider])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise UnsupportedError(
                f"segment {path.parent.name} on {self.name}",
                expected="a session that opens",
                got=" ".join(str(error).split())[:300],
                remedy="Plan without this backend.",
            ) from error
        if self.provider not in session.get_providers():
            raise UnsupportedError(
                f"provider {self.provider}",
                expected="to be loaded",
                got=f"a session on {capped(session.get_providers())}: ONNX Runtime falls back without a word",
                remedy="Install what the provider needs, or plan without it.",
            )
        return OnnxRuntimeSession(session)
