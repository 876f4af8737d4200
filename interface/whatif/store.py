"""Answers kept in a folder by the digest of their question, so that a sweep goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...formulation import Problem
from ...profiles.cache import written_whole
from ...profiles.profile import CostData
from ..identity import digest_of, planned_with
from ..writing import writing
from .answers import Reply

STORE_SCHEMA_VERSION = 1


class Kept(BaseModel):
    """One answer as it is kept: the digest of what was asked, and the reply with its plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = STORE_SCHEMA_VERSION
    digest: str
    reply: Reply


def models_digest(problem: Problem) -> str:
    """Of the models of a problem: their graphs, cuts and costs."""
    return digest_of(
        [
            {
                "name": model.name,
                "sha256": model.sha256,
                "graph": model.graph.sha256,
                "cuts": [int(position) for position in model.cuts.positions],
                "costs": CostData.of(model.costs),
            }
            for model in problem.models
        ]
    )


def question_of(problem: Problem, models: str, **settings: object) -> str:
    """Digest of a problem and of the settings that it is solved with, and of the versions that may change the answer.

    Parameters
    ----------
    problem : Problem
    models : str
        `models_digest` of it, which is the same for every point of a sweep.
    **settings : object
        Plain data.
    """
    return digest_of(
        {
            "models": models,
            "platform": problem.platform,
            "streams": problem.streams,
            "limits": problem.limits,
            "objective": problem.objective,
            "settings": settings,
            "versions": planned_with(str(settings.get("method", "auto"))),
        }
    )


class Store:
    """A folder of answers.

    Parameters
    ----------
    folder : Path or None
        Made where it is not there; None keeps nothing.

    Raises
    ------
    OutputError
        The folder cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)

    def find(self, digest: str) -> Reply | None:
        """The answer to a question, where it is kept and whole; a damaged file counts as none and is written again."""
        if self._folder is None:
            return None
        try:
            kept = Kept.model_validate_json(self._path(digest).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept.reply if kept.digest == digest else None

    def keep(self, digest: str, reply: Reply) -> None:
        """Write an answer down; it appears whole or not at all. One that ran out of time with nothing is not kept.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        if self._folder is None or reply.status == "timeout":
            return
        with writing(self._folder), written_whole(self._path(digest)) as temporary:
            temporary.write_text(Kept(digest=digest, reply=reply).model_dump_json(indent=1), encoding="utf-8")

    def _path(self, digest: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{digest[:32]}.json"
