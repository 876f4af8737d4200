"""Lanes: what one tenant's requests pass through under one allocation, with everything opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

import numpy as np

from ...formulation import Configuration
from ...formulation.tenancy import Allocation, Demands, TenancyProblem
from ...profiles import Session
from .models import TenantModel
from .parameter_memory import ResidentPart, resident_parts
from .records import TenantRecord
from .segments import SegmentPool

Tensors = dict[str, np.ndarray]


@dataclass(eq=False)
class Request:
    """A request on its way: its record, the tensors made so far, and when the CPU may begin."""

    record: TenantRecord
    lane: Lane
    tensors: Tensors
    future: Future[Tensors] = field(default_factory=Future)
    ready_us: float = 0.0


@dataclass(eq=False)
class Lane:
    """One tenant under one allocation.

    Attributes
    ----------
    tenant : str
    version : int
        Of the allocation.
    outputs : tuple of str
        The model's.
    prefix : Session or None
        None where the accelerator runs nothing.
    part : ResidentPart or None
    reload_us, streaming_us, handover_us : float
        What a request waits for.
    table_us : float or None
        Time on the accelerator that is waited instead of running the prefix, which then hands on `recorded`.
    recorded : mapping of str to ndarray
        What the prefix made of sample inputs; only with `table_us`.
    suffixes : tuple of (cores, Session)
        One a server; none where the CPU runs nothing.
    inbox : SimpleQueue
        Requests for the servers; None ends one server.
    """

    tenant: str
    version: int
    outputs: tuple[str, ...]
    prefix: Session | None
    part: ResidentPart | None
    reload_us: float
    streaming_us: float
    handover_us: float
    table_us: float | None
    recorded: Mapping[str, np.ndarray]
    suffixes: tuple[tuple[tuple[int, ...], Session], ...]
    inbox: SimpleQueue[Request | None] = field(default_factory=SimpleQueue)

    def run_prefix(self, tensors: Tensors) -> None:
        """Compute the prefix on the calling thread, or take what was recorded."""
        if self.prefix is None:
            return
        if self.table_us is None:
            tensors.update(self.prefix.run({name: tensors[name] for name in self.prefix.input_names}))
        else:
            tensors.update(self.recorded)


@dataclass(frozen=True)
class Emulation:
    """How the stand-in makes the accelerator's times.

    Attributes
    ----------
    service : {'run', 'table'}
        ``run``: a prefix is run on the accelerator's core, and its time there counts `time_scale` times. ``table``: it
        is not run; the problem's own times are waited, and what the prefix made of sample inputs is handed on, so that
        suffixes really run but answers are those of the sample inputs.
    time_scale : float
        How long the emulated accelerator takes where its core takes 1. Above 1 it is slower: the difference is waited.
        Below 1 it is faster, and a computation cannot be had before it is done: everything else (suffixes, reloading,
        streaming, hand-over, and the caller's arrivals through `TenantRuntime.offer`) is slowed down by 1 / time_scale
        instead, and recorded times are divided by that. Always 1 with a table.
    accelerator, cpu : Configuration
        Backend, form and threads of prefixes; backend and form of suffixes.
    """

    service: Literal["run", "table"] = "run"
    time_scale: float = 1.0
    accelerator: Configuration = field(default_factory=lambda: Configuration(backend="onnxruntime-cpu", form="mapped"))
    cpu: Configuration = field(default_factory=lambda: Configuration(backend="onnxruntime-cpu", form="mapped"))

    @property
    def stretch(self) -> float:
        """Real microseconds an emulated one takes."""
        return max(1.0, 1.0 / self.time_scale)


class LaneOpener:
    """Opens the lanes of allocations and closes them.

    Parameters
    ----------
    models : mapping of str to TenantModel
    emulation : Emulation
    accelerator_cores, cpu_cores : tuple of int
    """

    def __init__(
        self,
        models: Mapping[str, TenantModel],
        emulation: Emulation,
        accelerator_cores: tuple[int, ...],
        cpu_cores: tuple[int, ...],
    ) -> None:
        self._models = models
        self._emulation = emulation
        self._accelerator_cores = accelerator_cores
        self._cpu_cores = cpu_cores
        self._pool = SegmentPool(models)
        self._keys: dict[int, list] = {}

    def open(self, problem: TenancyProblem, allocation: Allocation, asked: Demands, version: int) -> dict[str, Lane]:
        """Open the lanes of an allocation, warmed up, by tenant.

        Raises
        ------
        EdgePlanError
            A backend does not load or refuses a segment; what was opened is closed again.
        """
        self._keys[version] = []
        parts = resident_parts(problem, allocation, asked)
        try:
            first_core, lanes = 0, {}
            for i, planned in enumerate(allocation.tenants):
                cores = self._cpu_cores[first_core : first_core + planned.cores]
                first_core += planned.cores
                servers = [cores[k * planned.threads : (k + 1) * planned.threads] for k in range(int(asked.servers[i]))]
                lanes[planned.tenant] = self._lane(problem, i, planned.point, parts[i], asked, version, servers)
            return lanes
        except BaseException:
            self.close(version)
            raise

    def close(self, version: int) -> None:
        """Close what only this version's lanes use."""
        for key in self._keys.pop(version, ()):
            self._pool.release(key)

    def _lane(
        self,
        problem: TenancyProblem,
        i: int,
        point: int,
        part: ResidentPart | None,
        asked: Demands,
        version: int,
        servers: Sequence[tuple[int, ...]],
    ) -> Lane:
        tenant = problem.tenants[i]
        model = self._models[tenant.name]
        cut, n_layers = model.positions[point], model.graph.n_layers
        prefix = None
        if part is not None:
            prefix = self._session(tenant.name, (0, cut), self._emulation.accelerator, self._accelerator_cores, version)
        suffixes = []
        for cores in servers:
            threaded = self._emulation.cpu.model_copy(update={"threads": len(cores)})
            suffixes.append((cores, self._session(tenant.name, (cut, n_layers), threaded, cores, version)))
        recorded = self._warm_up(tenant.name, prefix, [session for _, session in suffixes])
        tabled = self._emulation.service == "table"
        service_us = float(tenant.accelerator_us[point])
        return Lane(
            tenant.name,
            version,
            model.graph.outputs,
            prefix,
            part,
            float(asked.reload_us[i]),
            float(asked.service_us[i]) - service_us if part is not None else 0.0,
            float(asked.handover_us[i]),
            service_us if tabled else None,
            recorded if tabled else {},
            tuple(suffixes),
        )

    def _session(
        self, tenant: str, layers: tuple[int, int], configuration: Configuration, cores: tuple[int, ...], version: int
    ) -> Session:
        key = self._pool.acquire(tenant, *layers, configuration, cores)
        self._keys[version].append(key)
        return self._pool.session(key)

    def _warm_up(self, tenant: str, prefix: Session | None, suffixes: Sequence[Session]) -> Tensors:
        """Run everything once, for first runs are slow; returns what the prefix made."""
        tensors = dict(self._pool.sample(tenant))
        made: Tensors = {}
        if prefix is not None:
            made = prefix.run({name: tensors[name] for name in prefix.input_names})
            tensors.update(made)
        for session in suffixes:
            session.run({name: tensors[name] for name in session.input_names})
        return made
