"""Co-runs on the live backends: whole models, opened as they are served."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...formulation import Configuration, UnsupportedError
from ..backends import Session, open_backend
from ..inputs import sample_inputs
from ..measure import on_core
from ..onnx_file import OnnxFile, has_open_batch
from ..onnx_import import import_onnx
from ..segments import SegmentStore
from .closed_loop import Loop, rates_hz
from .measuring import Placement

MIN_RUNS = 2
"""Whole runs of each member in a window, at least."""

WARM_UP_RUNS = 2


class LiveModel:
    """A model as its sessions need it.

    Parameters
    ----------
    name : str
    path : Path
        Static but for an open leading dimension.
    seed : int
        Of the inputs drawn.

    Raises
    ------
    ModelError, GraphError
        The file is no model that can be planned.
    """

    def __init__(self, name: str, path: Path, seed: int = 0) -> None:
        self.name, self.path, self._seed = name, path, seed
        self.graph = import_onnx(path, name=name)
        self.store = SegmentStore(path, self.graph)
        self._feeds: dict[int, Mapping[str, np.ndarray]] = {}

    @cached_property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return float(np.sum(self.graph.weight_bytes))

    def refuse_fixed_batch(self, batches: Sequence[int]) -> None:
        """Refuse batches that the graph cannot take.

        Raises
        ------
        UnsupportedError
            A batch other than 1, and the model's leading dimension is fixed.
        """
        larger = [batch for batch in batches if batch != 1]
        if larger and not has_open_batch(OnnxFile.read(self.path)):
            raise UnsupportedError(
                f"batch {larger[0]} of model {self.name}",
                expected="a leading dimension left open at every input",
                got="fixed sizes",
                remedy="Measure it with batch 1 only, or export the model with a dynamic batch dimension.",
            )

    def open(self, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """Open a session on the whole model and warm it up on its cores."""
        files = self.store.segment(0, self.graph.n_layers, configuration.batch)
        session = open_backend(configuration.backend).open(files, configuration, cores)
        for _ in range(WARM_UP_RUNS):
            on_core(cores[0], self.inference(session, configuration.batch))
        return session

    def inference(self, session: Session, batch: int) -> functools.partial[object]:
        """One run of a session."""
        if batch not in self._feeds:
            self._feeds[batch] = sample_inputs(self.path, batch=batch, seed=self._seed)
        return functools.partial(session.run, self._feeds[batch])


@dataclass(frozen=True)
class LiveStage:
    """Contenders on the live backends.

    Attributes
    ----------
    models : sequence of LiveModel
        The model of each contender.
    configurations : sequence of Configuration
        The configuration of each contender.
    cores : tuple of int
        Of the processor.
    """

    models: Sequence[LiveModel]
    configurations: Sequence[Configuration]
    cores: tuple[int, ...]

    @contextlib.contextmanager
    def open(self, placements: Sequence[Placement]) -> Iterator[LiveCompany]:
        """See `Stage.open`; each member has a session of its own."""
        with contextlib.ExitStack() as stack:
            loops = []
            for placement in placements:
                model, configuration = self.models[placement.contender], self.configurations[placement.contender]
                session = model.open(configuration, placement.cores)
                stack.callback(session.close)
                loops.append(Loop(model.inference(session, configuration.batch), placement.cores))
            yield LiveCompany(tuple(loops), self.cores)


@dataclass(frozen=True)
class LiveCompany:
    """Sessions that are open."""

    loops: tuple[Loop, ...]
    cores: tuple[int, ...]

    def rates_hz(self, members: Sequence[int], window_s: float, floating: bool) -> Sequence[float]:
        """See `Company.rates_hz`. A pinned caller has the first of its cores; what helps it sits on the others."""
        loops = [Loop(self.loops[k].run, self.cores if floating else self.loops[k].cores[:1]) for k in members]
        return rates_hz(loops, window_s, MIN_RUNS)
