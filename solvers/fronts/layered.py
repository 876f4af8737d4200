"""A model of a problem as a chain whose costs add up layer by layer, where they do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...formulation import Model, ModelPlan, PlannedSegment, Problem
from ..chain import not_serial, transfers
from ..core_sets import CoreSet, widest
from ..limits import Limit, highest_accepted, limits_of
from .chain_costs import ChainCosts
from .labels import Caps


@dataclass(frozen=True, eq=False)
class LayeredModel:
    """Costs of one model over K units (layers between neighbouring cuts), C configurations and M memories.

    Attributes
    ----------
    problem : Problem
    model : Model
    usable : ndarray of int, shape (C,)
        Configurations, as indices into the model's cost table.
    memory : ndarray of int, shape (C,)
        Index of the memory of each.
    cores : tuple of CoreSet
    prefix_us : ndarray, shape (K + 1, C)
        Microseconds of all layers before each cut.
    unsupported : ndarray of int, shape (K + 1, C)
        How many layers before each cut a configuration cannot run.
    weight_bytes : ndarray, shape (K + 1,)
        Of all layers before each cut.
    workspace_bytes : ndarray, shape (K, C)
        Largest need of each unit while it runs.
    move_us : ndarray, shape (K + 1, M, M)
    arrive_us, leave_us : ndarray, shape (M,)
    """

    problem: Problem
    model: Model
    usable: NDArray[np.int64]
    memory: NDArray[np.int64]
    cores: tuple[CoreSet, ...]
    prefix_us: NDArray[np.float64]
    unsupported: NDArray[np.int64]
    weight_bytes: NDArray[np.float64]
    workspace_bytes: NDArray[np.float64]
    move_us: NDArray[np.float64]
    arrive_us: NDArray[np.float64]
    leave_us: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, model: Model) -> LayeredModel | None:
        """Read a model; None where something does not add up layer by layer, and general label setting is needed.

        That is so where segments were measured themselves, where a configuration holds its workspace, where segments
        may overlap, or where a limit binds that is not on latency or on the only memory.
        """
        costs, usable, at = model.costs, problem.usable[model.name], np.array(model.cuts.positions)
        if np.any(costs.holds_workspace[usable]) or not_serial(problem, model) is not None:
            return None
        cuts, wanted = {int(p) for p in at}, {int(c) for c in usable}
        if any(s.start in cuts and s.stop in cuts and s.configuration in wanted for s in costs.measured):
            return None
        processors = problem.platform.processor_by_name
        configurations = [costs.configurations[c] for c in usable]
        names = [processors[c.processor].memory for c in configurations]
        memories = tuple(m.name for m in problem.platform.memories if m.name in names)
        layer_us = costs.layer_us[:, usable]
        zeros = np.zeros((1, len(usable)))
        prefix_us = np.concatenate([zeros, np.cumsum(np.nan_to_num(layer_us), axis=0)])[at]
        unsupported = np.concatenate([zeros.astype(np.int64), np.cumsum(np.isnan(layer_us), axis=0)])[at]
        needs = model.graph.live_bytes[:, None] + costs.workspace_bytes[:, usable]
        layered = cls(
            problem,
            model,
            usable,
            np.array([memories.index(name) for name in names], dtype=np.int64),
            tuple(widest(processors[c.processor], c.threads) for c in configurations),
            prefix_us,
            unsupported,
            np.concatenate([[0], np.cumsum(model.graph.weight_bytes)])[at].astype(np.float64),
            np.maximum.reduceat(needs.astype(np.float64), at[:-1], axis=0),
            *transfers(problem, model.graph, model.cuts.positions, memories),
        )
        return layered if layered._adds_up(memories) else None

    def _adds_up(self, memories: tuple[str, ...]) -> bool:
        if len(memories) > 1 and (np.any(self.workspace_bytes) or self._memory_can_bind(memories)):
            return False
        stream = self.problem.stream_of.get(self.model.name)
        if stream is None:
            return True
        threads = np.array([self.model.costs.configurations[c].threads for c in self.usable])
        longest = (np.diff(self.prefix_us, axis=0) + self.fixed_us) * threads
        return bool(stream.rate_hz * longest.max(axis=1).sum() / 1e6 <= self.problem.limits.max_utilisation)

    def _memory_can_bind(self, memories: tuple[str, ...]) -> bool:
        held = np.diff(self.weight_bytes)[:, None] * self.weight_scale + self.session_bytes
        return any(
            held[:, self.memory == m].max(axis=1).sum() > self.problem.memory_limit[name]
            for m, name in enumerate(memories)
        )

    @property
    def n_units(self) -> int:
        """Number K of units."""
        return len(self.prefix_us) - 1

    @property
    def fixed_us(self) -> NDArray[np.float64]:
        """Microseconds a segment costs besides, shape (C,)."""
        return self.model.costs.fixed_us[self.usable]

    @property
    def weight_scale(self) -> NDArray[np.float64]:
        """Resident bytes for each byte of weights, shape (C,)."""
        return self.model.costs.weight_scale[self.usable]

    @property
    def session_bytes(self) -> NDArray[np.float64]:
        """Resident bytes a segment costs besides, shape (C,)."""
        return self.model.costs.session_bytes[self.usable]

    def chain_costs(self) -> ChainCosts:
        """The same costs, layer by layer."""
        us = np.where(np.diff(self.unsupported, axis=0) > 0, np.inf, np.diff(self.prefix_us, axis=0))
        moved = self.move_us[:-1][:, self.memory][:, :, self.memory]
        return ChainCosts.of(
            np.maximum(us, 0.0),
            np.diff(self.weight_bytes)[:, None] * self.weight_scale,
            switch_us=moved,
            fixed_us=self.fixed_us,
            fixed_bytes=self.session_bytes,
            start_us=self.arrive_us[self.memory],
            end_us=self.leave_us[self.memory],
            third=self.workspace_bytes,
            third_is="max",
        )

    def caps(self) -> Caps:
        """Latency and memory that the evaluator would let pass."""
        limits = limits_of(self.problem)
        deadline_us = limits.get(Limit("deadline", self.model.name), np.inf)
        names = {self.problem.platform.processor_by_name[c.processor].memory for c in self._configurations()}
        bytes_ = self.problem.memory_limit[next(iter(names))] if len(names) == 1 else np.inf
        return Caps(highest_accepted(deadline_us), highest_accepted(bytes_))

    def figures(self, choices: NDArray[np.integer]) -> NDArray[np.float64]:
        """Latency and memory of some ways in the evaluator's own order of sums, shape (p, 2); see `Genomes`.

        Parameters
        ----------
        choices : ndarray of int, shape (p, K)
            Configuration of each unit, as an index into `usable`; neighbours under the same one are one segment.
        """
        from .scoring import score_layered

        return score_layered(
            np.ascontiguousarray(choices),
            self.prefix_us,
            self.unsupported,
            self.fixed_us,
            self.weight_bytes,
            self.weight_scale,
            self.session_bytes,
            self.workspace_bytes,
            self.memory,
            self.move_us,
            self.arrive_us,
            self.leave_us,
        )

    def model_plan(self, choices: NDArray[np.integer]) -> ModelPlan:
        """Plan of the model from the configuration of each unit, shape (K,)."""
        at = self.model.cuts.positions
        starts = [0, *(np.flatnonzero(np.diff(choices)) + 1).tolist(), self.n_units]
        configurations = self._configurations()
        segments = tuple(
            PlannedSegment(
                start=at[first],
                stop=at[end],
                configuration=configurations[choices[first]],
                cores=self.cores[choices[first]],
            )
            for first, end in pairwise(starts)
        )
        return ModelPlan(model=self.model.name, sha256=self.model.sha256, segments=segments)

    def _configurations(self):
        return [self.model.costs.configurations[c] for c in self.usable]
