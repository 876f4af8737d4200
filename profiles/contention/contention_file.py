"""Contention files: what activities cost each other on a machine, as versioned JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...formulation import Activity, ContentionModel, Platform, ProfileError, capped
from ...formulation.files import read_json
from ..cache import written_whole
from ..machine import Fingerprint
from .assessment import ContentionError
from .fit import ContentionFit, Prediction, fit_contention
from .measuring import MeasuredCoRun
from .settings import ContentionSettings
from .throughput import ThroughputCell

CONTENTION_SCHEMA_VERSION = 1


class ContendedModel(BaseModel):
    """A model that was measured.

    Attributes
    ----------
    name : str
        By which activities speak of it.
    file : str
        Name of its file, without the folder.
    sha256 : str
        Of the file and its external data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: str
    sha256: str


class MeasuredContention(BaseModel):
    """Co-runs of a machine, what was fitted to them, and how far that can be trusted.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    platform : Platform
        The machine measured on.
    fingerprint : Fingerprint
        What contention depends on there.
    settings : ContentionSettings
        What was asked for.
    created : str
        When, ISO 8601 in UTC.
    models : tuple of ContendedModel
        What was measured.
    contention : ContentionModel
        Fitted. Positions of activities count here.
    probes : tuple of int
        Activities that every activity was measured beside, as positions.
    fitted : tuple of MeasuredCoRun
        Co-runs that the figures were fitted to.
    held_out : tuple of MeasuredCoRun
        Co-runs that only check the fit.
    errors : tuple of ContentionError
        How far predictions are off, by kind of co-run.
    throughput : tuple of ThroughputCell
        Of one model, by configuration (batch) and number of instances.
    absent : dict of str to str
        Backends that could not be measured, and why.
    warnings : tuple of str
        What makes the figures doubtful.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = CONTENTION_SCHEMA_VERSION
    platform: Platform
    fingerprint: Fingerprint
    settings: ContentionSettings
    created: str
    models: tuple[ContendedModel, ...] = Field(min_length=1)
    contention: ContentionModel
    probes: tuple[int, ...]
    fitted: tuple[MeasuredCoRun, ...] = Field(min_length=1)
    held_out: tuple[MeasuredCoRun, ...] = ()
    errors: tuple[ContentionError, ...] = ()
    throughput: tuple[ThroughputCell, ...] = ()
    absent: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @cached_property
    def fit(self) -> ContentionFit:
        """The file's figures with their uncertainty, which comes from fitting its co-runs again."""
        activities = self.contention.activities
        again = fit_contention(self.fitted, activities, len(self.platform.processors[0].cores))
        return replace(again, activities=activities)

    def predict(self, activities: Sequence[Activity]) -> tuple[Prediction, ...]:
        """Slowdowns of activities side by side, with 95 % intervals.

        Parameters
        ----------
        activities : sequence of Activity
            Known by model, configuration and processor.

        Raises
        ------
        ProfileError
            One was not measured: there is nothing to say how sure a prediction is.
        """
        known = {(a.model, a.configuration, a.processor): i for i, a in enumerate(self.contention.activities)}
        keys = [(a.model, a.configuration, a.processor) for a in activities]
        unknown = [f"{key[0]} {key[1]}" for key in keys if key not in known]
        if unknown:
            raise ProfileError(
                "activities to predict",
                expected=f"some of the {len(known)} that were measured",
                got=capped(unknown),
                remedy="Measure these models with `edgeplan co-run`.",
            )
        return self.fit.predict([known[key] for key in keys])

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        with written_whole(Path(path)) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> MeasuredContention:
        """Read a contention file.

        Raises
        ------
        ProfileError
            The file cannot be read, is cut short, or is of another schema or schema version.
        """
        return read_json(
            cls,
            path,
            f"contention file {path}",
            ProfileError,
            expected=f"a contention file of schema version {CONTENTION_SCHEMA_VERSION}",
            remedy="Measure again with `edgeplan co-run`.",
        )
