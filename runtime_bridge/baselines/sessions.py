"""Plain ONNX Runtime sessions, one a model, with the options that people set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True)
class SessionOptions:
    """How each session is opened.

    Attributes
    ----------
    threads : int
        0 keeps ONNX Runtime's default: as many as cores.
    spinning : bool
        Whether helper threads spin while they wait, which is the default.
    shared_pool : bool
        Whether all sessions of the process use one global pool of threads. Set once a process, before its first
        session.
    """

    threads: int = 0
    spinning: bool = True
    shared_pool: bool = False

    def start_pool(self) -> None:
        """Make the global pool, where sessions are to share one."""
        if self.shared_pool:
            import onnxruntime

            onnxruntime.set_global_thread_pool_sizes(self.threads or len(os.sched_getaffinity(0)), 1)

    def open(self, path: Path) -> onnxruntime.InferenceSession:
        """Open one model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        if self.shared_pool:
            options.use_per_session_threads = False
        if not self.spinning:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
