"""What to measure, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..formulation import Configuration, Processor, UnsupportedError, capped
from .backends import FoundBackend, find_backends
from .measure import StopRule


class DesignSizes(NamedTuple):
    """Most units of a model, and how many random segments are in the fit and out of it."""

    units: int
    random_segments: int
    held_out: int


class ProfileSettings(BaseModel):
    """What to measure, and how well.

    Attributes
    ----------
    backends : tuple of str, optional
        Backends to measure; all that load where left out.
    threads : tuple of int, optional
        Thread counts. Powers of two up to the number of cores, and that number, where left out.
    forms : tuple of str, optional
        Session forms. Left out, every form; with `quick`, forms but a backend's first only on one thread.
    batches : tuple of int
        Samples in one run.
    quick : bool
        Fewer repeats, units and segments: seconds a model.
    max_units : int, optional
        Most units that a model is cut into. 16, with `quick` 12.
    random_segments : int, optional
        Random longer segments in the fit. 4, with `quick` 1.
    held_out : int, optional
        Random segments that only check the fit. 6, with `quick` 3.
    relative_interval : float, optional
        A measurement ends once the 95 % interval of its median is at most this share of it (0.02, with `quick` 0.05).
    budget_s : float, optional
        Seconds for timing, all models together. Measurements still have their least number of repeats, so that it may
        take longer.
    seed : int
        Of the random segments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backends: tuple[str, ...] | None = None
    threads: tuple[int, ...] | None = None
    forms: tuple[str, ...] | None = None
    batches: tuple[int, ...] = (1,)
    quick: bool = False
    max_units: int | None = Field(default=None, ge=1)
    random_segments: int | None = Field(default=None, ge=0)
    held_out: int | None = Field(default=None, ge=0)
    relative_interval: FiniteFloat | None = Field(default=None, gt=0)
    budget_s: FiniteFloat | None = Field(default=None, gt=0)
    seed: int = 0

    @property
    def sizes(self) -> DesignSizes:
        """Sizes of the design, those left out filled in."""
        usual = DesignSizes(12, 1, 3) if self.quick else DesignSizes(16, 4, 6)
        return DesignSizes(
            usual.units if self.max_units is None else self.max_units,
            usual.random_segments if self.random_segments is None else self.random_segments,
            usual.held_out if self.held_out is None else self.held_out,
        )

    def stop_rule(self, seconds: float | None = None) -> StopRule:
        """When a measurement ends; `seconds` is its share of the budget."""
        if self.quick:
            rule = StopRule(self.relative_interval or 0.05, min_repeats=5, max_repeats=30, max_s=0.25, warm_up=1)
        else:
            rule = StopRule(self.relative_interval or 0.02, min_repeats=9, max_repeats=100, max_s=1.0, warm_up=2)
        return rule if seconds is None else rule.within(seconds)

    def configurations(
        self, processor: Processor, found: Sequence[FoundBackend] | None = None
    ) -> tuple[Configuration, ...]:
        """Configurations to measure on a processor, in a fixed order.

        Raises
        ------
        UnsupportedError
            A backend that is named does not load, no backend has a form that is named, or nothing is left.
        """
        found = find_backends() if found is None else found
        known = {backend.name: backend for backend in found}
        for name in self.backends or ():
            if name not in known or not known[name].usable:
                raise UnsupportedError(
                    f"backend {name!r}",
                    expected=f"one of {capped(b.name for b in found if b.usable)}",
                    got=known[name].reason if name in known else "an unknown name",
                    remedy="Install it (for OpenVINO: pip install 'edgeplan[openvino]'), or leave it out.",
                )
        chosen = [known[name] for name in self.backends] if self.backends else [b for b in found if b.usable]
        threads = self._threads(len(processor.cores))
        made = tuple(
            Configuration(processor=processor.name, backend=backend.name, threads=count, batch=batch, form=form)
            for backend in chosen
            for form in backend.forms
            for count in threads
            for batch in self.batches
            if self._wants(backend, form, count, min(threads))
        )
        unknown = sorted(set(self.forms or ()) - {form for backend in chosen for form in backend.forms})
        if unknown or not made:
            raise UnsupportedError(
                "session forms",
                expected=f"forms among {capped(f'{form} of {b.name}' for b in chosen for form in b.forms)}",
                got=capped(unknown) or "none that fits",
                remedy="Correct the forms or the thread counts.",
            )
        return made

    def _threads(self, cores: int) -> tuple[int, ...]:
        wanted = self.threads or tuple(sorted({2**k for k in range(cores.bit_length()) if 2**k <= cores} | {cores}))
        too_many = [count for count in wanted if not 1 <= count <= cores]
        if too_many:
            raise UnsupportedError(
                "thread counts",
                expected=f"1 … {cores}, the cores of the processor",
                got=capped(too_many),
                remedy="Ask for no more threads than there are cores.",
            )
        return wanted

    def _wants(self, backend: FoundBackend, form: str, threads: int, fewest: int) -> bool:
        if self.forms is not None:
            return form in self.forms
        return not self.quick or form == backend.forms[0] or threads == fewest
