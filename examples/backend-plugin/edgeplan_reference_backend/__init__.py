"""ONNX's reference evaluator as a backend of EdgePlan.

It is what ONNX itself says its operators mean, in numpy: tens to thousands of times slower than a runtime, and the one
to ask when two runtimes disagree. It runs on one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
from edgeplan.formulation import Configuration, UnsupportedError
from edgeplan.profiles import SegmentFiles, Session
from edgeplan.profiles.backends import check_cores, check_form, refused


class ReferenceBackend:
    """Backend ``onnx-reference``. The evaluator is imported when a segment is opened."""

    name = "onnx-reference"
    forms = ("default",)
    holds_workspace = False  # numpy gives every intermediate tensor back

    def __init__(self) -> None:
        self.version = version("onnx")

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """See `edgeplan.profiles.Backend.open`."""
        check_form(self, configuration)
        check_cores(configuration, cores)
        if configuration.threads > 1:
            raise UnsupportedError(
                f"configuration {configuration.name}",
                expected="one thread, which is all that the reference evaluator has",
                got=str(configuration.threads),
                remedy="Plan this backend with one thread.",
            )
        with refused(self.name, segment):
            return ReferenceSession(segment)


class ReferenceSession:
    """An open segment."""

    def __init__(self, segment: SegmentFiles) -> None:
        from onnx.reference import ReferenceEvaluator
        from threadpoolctl import ThreadpoolController

        self.input_names, self.output_names = segment.input_names, segment.output_names
        self._evaluator = ReferenceEvaluator(str(segment.source))
        self._blas = ThreadpoolController()
        # The evaluator promises nothing about several threads, and the interpreter would not let them run side by side.
        self._one_at_a_time = threading.Lock()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `edgeplan.profiles.Session.run`."""
        # Products of matrices would otherwise be taken on every core, behind the planner's back.
        with self._one_at_a_time, self._blas.limit(limits=1, user_api="blas"):
            values = self._evaluator.run(list(self.output_names), dict(feeds))
        # Copies: what an operator hands on may be a view of what it was given, or of a weight.
        return {name: np.array(value) for name, value in zip(self.output_names, values, strict=True)}

    def close(self) -> None:
        """See `edgeplan.profiles.Session.close`."""
        del self._evaluator
