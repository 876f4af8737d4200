"""What to measure side by side, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import Configuration, Processor, UnsupportedError, capped
from ..backends import FoundBackend, find_backends
from ..settings import ProfileSettings


class ContentionSettings(BaseModel):
    """What to measure side by side, and for how long.

    Attributes
    ----------
    backends : tuple of str, optional
        Backends to measure; all that load where left out.
    threads : tuple of int, optional
        Thread counts; 1 and the number of cores where left out.
    forms : tuple of str, optional
        Session forms; each backend's first where left out.
    batches : tuple of int
        Samples in one run.
    co_run_batches : tuple of int, optional
        Those of the batches that are measured beside others, too. All where left out, but above the smallest on the
        fewest threads only.
    instances : tuple of int, optional
        Concurrent instances of one model in the table of throughput. Powers of two, and as many as the cores take,
        where left out.
    probes : int
        Activities that every activity is measured beside.
    held_out_pairs : int
        Co-runs of two that are measured and kept out of the fit.
    held_out_triples : int
        Co-runs of three that are measured and kept out of the fit.
    most_oversubscribed : float
        Largest number of threads for each core in a co-run.
    window_s : float
        Seconds that members run side by side in one round; half of it alone, three times it where threads outnumber
        cores.
    rounds : int
        Rounds of each measurement.
    budget_s : float, optional
        Seconds for everything; the windows shrink to fit, but not below a fifth of a second.
    seed : int
        Of what is drawn at random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backends: tuple[str, ...] | None = None
    threads: tuple[int, ...] | None = None
    forms: tuple[str, ...] | None = None
    batches: tuple[int, ...] = Field(default=(1,), min_length=1)
    co_run_batches: tuple[int, ...] | None = None
    instances: tuple[int, ...] | None = None
    probes: int = Field(default=3, ge=1)
    held_out_pairs: int = Field(default=10, ge=0)
    held_out_triples: int = Field(default=10, ge=0)
    most_oversubscribed: FiniteFloat = Field(default=2.0, ge=1)
    window_s: FiniteFloat = Field(default=0.6, gt=0)
    rounds: int = Field(default=3, ge=1)
    budget_s: FiniteFloat | None = Field(default=None, gt=0)
    seed: int = 0

    def configurations(
        self, processor: Processor, found: Sequence[FoundBackend] | None = None
    ) -> tuple[Configuration, ...]:
        """Configurations of every model, named as a profile names them.

        Raises
        ------
        UnsupportedError
            A backend that is named does not load, no backend has a form that is named, too many threads, a batch below
            1, or one in co-runs that is not measured at all.
        """
        if min(self.batches) < 1:
            raise UnsupportedError(
                "batch sizes", expected="1 or more", got=capped(self.batches), remedy="Correct the batch sizes."
            )
        missing = sorted(set(self.co_run_batches or ()) - set(self.batches))
        if missing or self.co_run_batches == ():
            raise UnsupportedError(
                "batch sizes in co-runs",
                expected=f"some of {capped(self.batches)}",
                got=capped(missing) or "none",
                remedy="Measure these batches, too, or leave them out.",
            )
        found = find_backends() if found is None else found
        cores = len(processor.cores)
        wanted = ProfileSettings(
            backends=self.backends,
            threads=self.threads or tuple(sorted({1, cores})),
            forms=self.forms,
            batches=tuple(sorted(set(self.batches))),
        )
        first = {backend.name: backend.forms[0] for backend in found if backend.usable}
        return tuple(
            c for c in wanted.configurations(processor, found) if self.forms is not None or c.form == first[c.backend]
        )

    def contended(self, configurations: Sequence[Configuration]) -> tuple[Configuration, ...]:
        """Those of the configurations that are measured beside others."""
        if self.co_run_batches is not None:
            return tuple(c for c in configurations if c.batch in self.co_run_batches)
        fewest = min(c.threads for c in configurations)
        smallest = min(c.batch for c in configurations)
        return tuple(c for c in configurations if c.threads == fewest or c.batch == smallest)

    def instance_counts(self, configurations: Sequence[Configuration], cores: int) -> tuple[int, ...]:
        """Numbers of concurrent instances to measure, ascending.

        Raises
        ------
        UnsupportedError
            More instances than the cores take, each with cores of its own.
        """
        most = cores // min(c.threads for c in configurations)
        if self.instances is None:
            return tuple(sorted({2**k for k in range(most.bit_length()) if 2**k <= most} | {most}))
        wrong = [count for count in self.instances if not 1 <= count <= most]
        if wrong:
            raise UnsupportedError(
                "concurrent instances",
                expected=f"1 … {most}, each on cores of its own ({cores} in all)",
                got=capped(wrong),
                remedy="Ask for fewer instances, or for fewer threads each.",
            )
        return tuple(sorted(set(self.instances)))
