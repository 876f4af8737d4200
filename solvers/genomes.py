"""Plans of one model as rows of integers, scored all at once, for population-based search.

A genome has one gene a unit, the option (configuration on a core set) it runs under, and one flag for each cut between
two units, whether to cut there even if both run under the same option. A cut is where options differ or the flag is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .assemble import Choice
from .fronts.layered import LayeredModel
from .label_space import LabelSpace
from .limits import highest_accepted, limits_of


@dataclass(frozen=True, eq=False)
class Genomes:
    """How genomes of one model are read, over K units and O options.

    Attributes
    ----------
    space : LabelSpace
    """

    space: LabelSpace

    @property
    def n_units(self) -> int:
        """Number K of units."""
        return self.space.chain.n_units

    @property
    def n_genes(self) -> int:
        """Length of a genome, 2 K − 1."""
        return 2 * self.n_units - 1

    @cached_property
    def allowed(self) -> tuple[NDArray[np.int64], ...]:
        """For each unit the options that run it by itself; all where none does and only longer segments can."""
        units = np.arange(self.n_units)
        runs = np.isfinite(self.space.added[units, units + 1, :, 0])
        return tuple(np.flatnonzero(row) if row.any() else np.arange(len(row)) for row in runs)

    @cached_property
    def is_allowed(self) -> NDArray[np.bool_]:
        """`allowed` as a table, shape (K, O)."""
        table = np.zeros((self.n_units, len(self.space.configuration)), dtype=bool)
        for unit, options in enumerate(self.allowed):
            table[unit, options] = True
        return table

    @cached_property
    def cuts_can_pay(self) -> bool:
        """Whether to cut between units under the same option can be better in anything; else flags stay down.

        It cannot where no segment takes longer, or keeps or needs more bytes, than any two parts of it together.
        """
        if LayeredModel.of(self.space.problem, self.space.chain.model) is not None and not self.space.load_cores:
            return False
        added = self.space.added
        transient = added[..., self.space.transient]
        for middle in range(1, self.n_units):
            whole, first, second = (
                added[:middle, middle + 1 :],
                added[:middle, middle, None],
                added[middle, middle + 1 :],
            )
            parts = first + second
            parts[..., self.space.transient] = np.maximum(
                transient[:middle, middle, None], transient[middle, middle + 1 :]
            )
            if np.any((parts < whole) & np.isfinite(parts[..., :1])):
                return True
        return False

    def labels(self, genomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Label of each genome, summed in the evaluator's order, shape (p, width); infinite where it cannot run.

        Parameters
        ----------
        genomes : ndarray of int, shape (p, 2 K − 1)
        """
        from .fronts.scoring import label_rows

        space, last = self.space, self.n_units
        options, flags = genomes[:, :last], genomes[:, last:]
        ends = np.ones((len(genomes), last), dtype=bool)
        ends[:, :-1] = (options[:, 1:] != options[:, :-1]) | (flags == 1)
        transient = space.transient
        return label_rows(
            np.ascontiguousarray(options, dtype=np.int64),
            ends,
            space.added,
            space.memory,
            space.chain.move_us,
            space.chain.arrive_us,
            space.chain.leave_us,
            transient.start,
            transient.stop,
        )

    def excess(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each label exceeds limits, in shares of them, 0 where it keeps all; infinite where it cannot run."""
        total = np.where(np.isfinite(labels[:, 0]), 0.0, np.inf)
        for limit, value in limits_of(self.space.problem).items():
            total += np.maximum(self.space.figures(labels, limit) / highest_accepted(value) - 1.0, 0.0)
        return total

    def choices(self, genome: NDArray[np.int64]) -> tuple[Choice, ...]:
        """Segments of one genome in order of execution."""
        last, start, found = self.n_units, 0, []
        for unit in range(last):
            if unit == last - 1 or genome[unit] != genome[unit + 1] or genome[last + unit]:
                found.append(self.space.choice(start, unit + 1, int(genome[unit])))
                start = unit + 1
        return tuple(found)

    def of_choices(self, choices: tuple[Choice, ...]) -> NDArray[np.int64]:
        """Genome of some segments, shape (2 K − 1,)."""
        cut = {position: k for k, position in enumerate(self.space.chain.positions)}
        options = {
            (self.space.chain.configurations[c], cores): option
            for option, (c, cores) in enumerate(zip(self.space.configuration, self.space.cores, strict=True))
        }
        genome = np.zeros(self.n_genes, dtype=np.int64)
        for choice in choices:
            first, end = cut[choice.start], cut[choice.stop]
            genome[first:end] = options[choice.configuration, choice.cores]
            if first > 0 and self.cuts_can_pay:
                genome[self.n_units + first - 1] = genome[first] == genome[first - 1]
        return genome

    def random(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random genomes of few to many segments, shape (count, 2 K − 1)."""
        genomes = np.zeros((count, self.n_genes), dtype=np.int64)
        for genome in genomes:
            cut_share = rng.uniform(0, 0.5)
            for unit in range(self.n_units):
                allowed = self.allowed[unit]
                keep = unit > 0 and rng.random() > cut_share and self.is_allowed[unit, genome[unit - 1]]
                genome[unit] = genome[unit - 1] if keep else rng.choice(allowed)
            if self.cuts_can_pay:
                genome[self.n_units :] = rng.random(self.n_units - 1) < cut_share / 4
        return genomes
