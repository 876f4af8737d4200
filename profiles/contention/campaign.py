"""The order of measurements: co-runs of the design, then the table of throughput; what is done is remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from ...formulation import Activity, Configuration, UnsupportedError
from ..journal import Journal
from ..profiling import NOISY
from .design import CoRun, CoRunDesign, design_co_runs, threads_per_core
from .measuring import CROWDED_WINDOWS, MeasuredCoRun, Stage, measure_co_run
from .settings import ContentionSettings
from .throughput import ThroughputCell, cells_of, measure_cell

LEAST_WINDOW_S = 0.2
"""No budget shrinks windows below this: time slices must average out, and the load of others be seen, which the system
counts in hundredths of a second."""

TIMED_SHARE = 0.7
"""Share of a budget that windows may take; the rest is for opening sessions and for runs longer than a window."""

MOST_AGAIN = 0.25
"""Part of the co-runs that may be measured again because others were at work."""

Progress = Callable[[int, int, str], None]
Kept = TypeVar("Kept", bound=BaseModel)


@dataclass(frozen=True)
class Contender:
    """A model under a configuration.

    Attributes
    ----------
    model : str
    configuration : Configuration
    weight_bytes : float
        Of the model.
    """

    model: str
    configuration: Configuration
    weight_bytes: float

    @property
    def activity(self) -> Activity:
        """As contention sees it, without figures."""
        c = self.configuration
        return Activity(model=self.model, configuration=c.name, processor=c.processor, threads=c.threads)


@dataclass(frozen=True)
class Results:
    """Everything a campaign measured, in the order of its design."""

    fitted: tuple[MeasuredCoRun, ...]
    held_out: tuple[MeasuredCoRun, ...]
    throughput: tuple[ThroughputCell, ...]


class Campaign:
    """What is to be measured.

    Parameters
    ----------
    contenders : sequence of Contender
        Every model under every configuration, as the stage numbers them.
    cores : tuple of int
        Ids of the processor's cores.
    settings : ContentionSettings

    Raises
    ------
    UnsupportedError
        More instances than the cores take, or no pair may be measured.
    """

    def __init__(self, contenders: Sequence[Contender], cores: tuple[int, ...], settings: ContentionSettings) -> None:
        self._contenders = tuple(contenders)
        self._cores, self._settings = cores, settings
        configurations = tuple(dict.fromkeys(c.configuration for c in contenders))
        contended = settings.contended(configurations)
        # Activities are numbered among themselves; the stage knows the contenders.
        self._on_stage = tuple(i for i, c in enumerate(contenders) if c.configuration in contended)
        self.activities = tuple(contenders[i].activity for i in self._on_stage)
        self.design: CoRunDesign = design_co_runs(
            self.activities,
            [contenders[i].weight_bytes for i in self._on_stage],
            len(cores),
            n_probes=settings.probes,
            n_pairs=settings.held_out_pairs,
            n_triples=settings.held_out_triples,
            most_oversubscribed=settings.most_oversubscribed,
            seed=settings.seed,
        )
        if not self.design.fitted:
            raise UnsupportedError(
                f"co-runs of {len(self.activities)} activities on {len(cores)} cores",
                expected=f"pairs with at most {settings.most_oversubscribed:g} threads for each core",
                got="none",
                remedy="Ask for fewer threads.",
            )
        counts = settings.instance_counts(configurations, len(cores))
        index = {(c.model, c.configuration): i for i, c in enumerate(contenders)}
        self.cells = tuple(
            (index[model, configurations[c]], index[model, configurations[base]], count)
            for model in dict.fromkeys(c.model for c in contenders)
            for c, base, count in cells_of(configurations, counts, len(cores))
        )

    @property
    def window_s(self) -> float:
        """Seconds of a window that the budget allows."""
        settings = self._settings
        if settings.budget_s is None:
            return settings.window_s
        co_runs = (*self.design.fitted, *self.design.held_out)
        crowded = [threads_per_core(c, self.activities, len(self._cores)) > 1 for c in co_runs]
        together = len(co_runs) + (CROWDED_WINDOWS - 1) * sum(crowded)
        windows = together + sum(len(c) for c in co_runs) / 2 + 1.5 * len(self.cells)
        return min(settings.window_s, max(LEAST_WINDOW_S, TIMED_SHARE * settings.budget_s / windows / settings.rounds))

    def measure(self, stage: Stage, journal: Journal | None = None, report: Progress | None = None) -> Results:
        """Measure all of it; what the journal has already is not measured again.

        Parameters
        ----------
        stage : Stage
            Numbers the contenders as they were given.
        journal : Journal, optional
        report : callable, optional
            Called with steps done, steps in all, and what is being done.
        """
        co_runs = (*self.design.fitted, *self.design.held_out)
        total = len(co_runs) + len(self.cells)
        tell = report or (lambda done, total, label: None)
        measured: dict[CoRun, MeasuredCoRun] = {}
        # In random order, so that what changes with time does not set those held out apart from the fit.
        order = np.random.default_rng(self._settings.seed).permutation(len(co_runs))
        for done, co_run in enumerate(co_runs[k] for k in order):
            tell(done, total, " + ".join(self.activities[i].model for i in co_run))
            key = f"co-run {'-'.join(map(str, co_run))}"
            measured[co_run] = _remembered(journal, key, MeasuredCoRun, lambda c=co_run: self._co_run(c, stage))
        for co_run in disturbed(measured):
            key = f"again {'-'.join(map(str, co_run))}"
            again = _remembered(journal, key, MeasuredCoRun, lambda c=co_run: self._co_run(c, stage))
            measured[co_run] = min(measured[co_run], again, key=lambda run: run.foreign_share)
        table = []
        for done, cell in enumerate(self.cells, len(co_runs)):
            contender = self._contenders[cell[0]]
            tell(done, total, f"{contender.model}: batch {contender.configuration.batch} × {cell[2]}")
            key = f"cell {cell[0]} × {cell[2]}"
            table.append(_remembered(journal, key, ThroughputCell, lambda c=cell: self._cell(c, stage)))
        tell(total, total, "done")
        return Results(
            tuple(measured[c] for c in self.design.fitted),
            tuple(measured[c] for c in self.design.held_out),
            tuple(table),
        )

    def _co_run(self, co_run: CoRun, stage: Stage) -> MeasuredCoRun:
        contenders = tuple(self._on_stage[i] for i in co_run)
        return measure_co_run(
            co_run,
            contenders,
            [self.activities[i].threads for i in co_run],
            self._cores,
            stage,
            window_s=self.window_s,
            rounds=self._settings.rounds,
        )

    def _cell(self, cell: tuple[int, int, int], stage: Stage) -> ThroughputCell:
        member, base, count = cell
        contender = self._contenders[member]
        return measure_cell(
            contender.model,
            contender.configuration,
            self._contenders[base].configuration,
            count,
            (member, base),
            self._cores,
            stage,
            window_s=self.window_s,
            rounds=self._settings.rounds,
        )


def disturbed(measured: Mapping[CoRun, MeasuredCoRun]) -> list[CoRun]:
    """Co-runs to measure again, the most disturbed by other processes first; a bounded part of all."""
    noisy = [c for c, run in measured.items() if run.foreign_share > NOISY]
    most = math.ceil(MOST_AGAIN * len(measured))
    return sorted(noisy, key=lambda c: -measured[c].foreign_share)[:most]


def _remembered(journal: Journal | None, key: str, kind: type[Kept], measure: Callable[[], Kept]) -> Kept:
    """What the journal has for this key, else what `measure` gives, noted."""
    if journal is None:
        return measure()
    if key not in journal:
        journal.note(key, measure().model_dump(mode="json"))
    return kind.model_validate(journal[key])
