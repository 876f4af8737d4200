"""Results of jobs on disk, by the digest of what was asked: what is there need not be solved again."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ...formulation import EdgePlanError
from ...profiles.cache import written_whole
from ..writing import writing
from .jobs import JobResult


class Store:
    """A folder with one file for each question that has an answer. Each appears whole or not at all.

    Answers only: what failed or ran out of time is tried again by the next run.

    Parameters
    ----------
    folder : Path
        Made with the first answer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "results"

    def load(self, digest: str) -> JobResult | None:
        """The answer to a question; None where there is none, or none that can be read."""
        try:
            found = JobResult.model_validate_json(self._path(digest).read_bytes())
        except (OSError, ValidationError, EdgePlanError):
            return None
        return found if found.digest == digest and found.status != "timeout" else None

    def save(self, result: JobResult) -> None:
        """Keep an answer; a job that ran out of time with nothing has none.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        if result.status == "timeout":
            return
        path = self._path(result.digest)
        with writing(self._folder), written_whole(path) as temporary:
            temporary.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"
