"""Profile files: what models cost on a machine, as versioned JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..formulation import (
    Configuration,
    CostTable,
    CutChain,
    LayerGraph,
    MeasuredSegment,
    Model,
    Platform,
    ProfileError,
    Provenance,
)
from ..formulation.files import fitting, readable
from .cache import written_whole
from .machine import Fingerprint
from .memory import SessionMemory
from .settings import ProfileSettings

PROFILE_SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CostData(_Part):
    """A cost table as plain data; see `edgeplan.formulation.CostTable`.

    Attributes
    ----------
    configurations : tuple of Configuration
        Ways to execute a segment; figures by configuration stand in this order.
    layer_us : tuple of tuple of float or None
        Microseconds of each layer under each configuration; none where it cannot run.
    fixed_us : tuple of float
        Microseconds that a segment takes besides its layers, by configuration.
    weight_scale : tuple of float
        Bytes that a session keeps for each byte of its weights, by configuration.
    session_bytes : tuple of float
        Bytes that a session keeps besides, by configuration.
    workspace_bytes : tuple of tuple of float
        Bytes that each layer needs while it runs, besides its tensors, under each configuration.
    holds_workspace : tuple of bool
        Whether a session keeps its working memory between runs, by configuration.
    measured : tuple of MeasuredSegment
        Segments that were timed themselves; their medians go before the sum of layers.
    """

    configurations: tuple[Configuration, ...]
    layer_us: tuple[tuple[FiniteFloat | None, ...], ...]
    fixed_us: tuple[FiniteFloat, ...]
    weight_scale: tuple[FiniteFloat, ...]
    session_bytes: tuple[FiniteFloat, ...]
    workspace_bytes: tuple[tuple[FiniteFloat, ...], ...]
    holds_workspace: tuple[bool, ...]
    measured: tuple[MeasuredSegment, ...] = ()

    @classmethod
    def of(cls, table: CostTable) -> CostData:
        """Plain data of a table; times to the nanosecond and bytes whole, which is finer than they are known."""
        layers = [[None if np.isnan(us) else round(float(us), 3) for us in row] for row in table.layer_us]
        return cls(
            configurations=table.configurations,
            layer_us=tuple(tuple(row) for row in layers),
            fixed_us=tuple(round(float(us), 3) for us in table.fixed_us),
            weight_scale=tuple(round(float(scale), 4) for scale in table.weight_scale),
            session_bytes=tuple(float(round(size)) for size in table.session_bytes),
            workspace_bytes=tuple(tuple(float(round(size)) for size in row) for row in table.workspace_bytes),
            holds_workspace=tuple(bool(held) for held in table.holds_workspace),
            measured=table.measured,
        )

    def table(self, provenance: Provenance) -> CostTable:
        """The table.

        Raises
        ------
        CostError
            Costs that are negative or do not fit together.
        """
        return CostTable.create(
            self.configurations,
            np.array([[np.nan if us is None else us for us in row] for row in self.layer_us]),
            fixed_us=self.fixed_us,
            weight_scale=self.weight_scale,
            session_bytes=self.session_bytes,
            workspace_bytes=np.array(self.workspace_bytes),
            holds_workspace=self.holds_workspace,
            measured=self.measured,
            provenance=provenance,
        )


class PredictionError(_Part):
    """How well one configuration's costs predict what was measured.

    Attributes
    ----------
    fit_mape : float, optional
        Mean absolute percentage error, as a fraction, of predicted times on the segments of the fit.
    held_out_mape : float, optional
        The same on segments that were held out of it.
    fit_segments : int
        Segments in the fit.
    held_out_segments : int
        Segments held out of it.
    memory_error : float, optional
        Relative error of the predicted resident memory of a segment outside its fit; positive is too much.
    """

    fit_mape: FiniteFloat | None
    held_out_mape: FiniteFloat | None
    fit_segments: int
    held_out_segments: int
    memory_error: FiniteFloat | None = None


class MeasuredMemory(_Part):
    """Memory of a session on layers ``[start, stop)`` under one configuration.

    Attributes
    ----------
    start : int
        First layer, counted from 0 in the graph's order.
    stop : int
        The layer after the last one.
    configuration : int
        Its position in the table's configurations.
    memory : SessionMemory
        What was measured.
    """

    start: int
    stop: int
    configuration: int
    memory: SessionMemory


class ModelProfile(_Part):
    """One model's costs.

    Attributes
    ----------
    name : str
        By which scenarios and plans speak of it.
    file : str
        Name of the file, without its folder.
    sha256 : str
        Of the file and its external data.
    graph : dict
        Layers with operator type, weight bytes and tensors, and the graph's inputs and outputs, as `LayerGraph.to_dict`
        writes them.
    cuts : tuple of int
        Positions that plans may cut at.
    costs : CostData
        Fitted without the segments held out.
    held_out : tuple of MeasuredSegment
        Measured, and only used for `errors`.
    memory : tuple of MeasuredMemory
        Sessions whose memory was measured.
    errors : tuple of PredictionError
        How far predictions are off, one a configuration.
    """

    name: str
    file: str
    sha256: str
    graph: dict[str, Any]
    cuts: tuple[int, ...]
    costs: CostData
    held_out: tuple[MeasuredSegment, ...] = ()
    memory: tuple[MeasuredMemory, ...] = ()
    errors: tuple[PredictionError, ...] = ()

    def to_model(self, provenance: Provenance) -> Model:
        """The model as a planning problem takes it."""
        graph = LayerGraph.from_dict(self.graph)
        return Model(self.name, graph, self.costs.table(provenance), self.sha256, CutChain(graph, self.cuts))


class Profile(_Part):
    """What models cost on a machine.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    models : tuple of ModelProfile
        What each model costs.
    platform : Platform
        The machine measured on.
    fingerprint : Fingerprint
        What costs depend on there.
    settings : ProfileSettings
        What was asked for.
    created : str
        When, ISO 8601 in UTC.
    absent : dict of str to str
        Backends that could not be measured, and why.
    warnings : tuple of str
        What makes the figures doubtful, for instance other processes at work.
    provenance : Provenance, optional
        Where the costs come from, if they were not measured here but imported.
    """

    schema_version: Literal[1] = PROFILE_SCHEMA_VERSION
    models: tuple[ModelProfile, ...] = Field(min_length=1)
    platform: Platform
    fingerprint: Fingerprint
    settings: ProfileSettings
    created: str
    absent: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: Provenance | None = None

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile.

        Raises
        ------
        ProfileError
            The file cannot be read, is cut short, or is of another schema or schema version.
        """
        subject = f"profile {path}"
        again = "Make it again with `edgeplan profile`."
        with readable(subject, ProfileError, "Check the path, or make the profile."):
            text = Path(path).read_text(encoding="utf-8")
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ProfileError(subject, expected="whole JSON", got=str(error), remedy=again) from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != PROFILE_SCHEMA_VERSION:
            raise ProfileError(
                subject,
                expected=f"schema version {PROFILE_SCHEMA_VERSION}",
                got="none" if version is None else str(version),
                remedy=again,
            )
        expected = "what `edgeplan schema profile` describes"
        with fitting(subject, ProfileError, expected=expected, remedy=again):
            return cls.model_validate(data)

    def save(self, path: str | Path) -> None:
        """Write the profile, whole or not at all."""
        with written_whole(Path(path)) as temporary:
            temporary.write_text(self.model_dump_json() + "\n", encoding="utf-8")

    def to_models(self) -> tuple[Model, ...]:
        """Models as a planning problem takes them.

        Raises
        ------
        GraphError, CostError
            The file was changed so that its parts do not fit together.
        """
        provenance = self.provenance or Provenance(
            kind="measured", source=f"profile of {self.created}", fingerprint=self.platform.fingerprint
        )
        return tuple(model.to_model(provenance) for model in self.models)
