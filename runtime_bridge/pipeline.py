"""A model ready to run by its plan: one open session a segment and the tensors that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ..formulation import InferenceError, LayerGraph, Order, ScoredSegment, Step, steps_of
from ..profiles import Session


class Runnable(Protocol):
    """What the executor runs: steps that hand named tensors on."""

    @property
    def steps(self) -> Sequence[Step]: ...
    def check(self, feeds: Mapping[str, np.ndarray]) -> None: ...
    def run_step(self, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None: ...
    def outputs(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Pipeline:
    """A planned model with open sessions.

    Attributes
    ----------
    model : str
    graph : LayerGraph
    segments : tuple of ScoredSegment
        With the times the plan predicts.
    sessions : tuple of tuples of Session
        For each segment one for the way it is planned to run, then one for each of its gangs.
    order : {'earliest_deadline', 'least_slack'}
    """

    model: str
    graph: LayerGraph
    segments: tuple[ScoredSegment, ...]
    sessions: tuple[tuple[Session, ...], ...]
    order: Order = "earliest_deadline"

    @property
    def steps(self) -> Sequence[Step]:
        """The segments as the dispatcher sees them."""
        return self._steps

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return steps_of(self.segments, self.order)

    @cached_property
    def work(self) -> tuple[tuple[float, float], ...]:
        """Of each segment its core time, and the least time that it takes, in microseconds."""
        return tuple((s.core_us, min((s.latency_us, *s.gang_us))) for s in self.segments)

    @cached_property
    def _drops(self) -> tuple[tuple[str, ...], ...]:
        """For each segment the tensors that nobody needs after it."""
        last_reader = {name: k for k, (session, *_) in enumerate(self.sessions) for name in session.input_names}
        kept = set(self.graph.outputs)
        return tuple(
            tuple(t for t in session.input_names if last_reader[t] == k and t not in kept)
            for k, (session, *_) in enumerate(self.sessions)
        )

    def check(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Refuse a request whose inputs are not the model's.

        Raises
        ------
        InferenceError
            Names are missing or unknown.
        """
        wanted = {name for name, _ in self.graph.inputs}
        if set(feeds) != wanted:
            raise InferenceError(
                f"request for model {self.model!r}",
                expected=f"inputs {', '.join(sorted(wanted))}",
                got=", ".join(sorted(feeds)) or "none",
                remedy="Name every input of the model and no other.",
            )

    def run_step(self, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
        """Run one segment from the calling thread: read its tensors, add what it writes, drop what nobody needs again.

        It runs as its gang of that number, or as planned where there is none.
        """
        session = self.sessions[index][0 if gang is None else gang + 1]
        tensors.update(session.run({name: tensors[name] for name in session.input_names}))
        for name in self._drops[index]:
            tensors.pop(name, None)

    def outputs(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the request asked for."""
        return {name: tensors[name] for name in self.graph.outputs}
