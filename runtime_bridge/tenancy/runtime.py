"""The live runtime of tenants on an emulated accelerator: no accelerator is driven, its times are imitated."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ...formulation import InferenceError
from ...formulation.tenancy import Allocation, TenancyProblem, demands
from ..clock import now_us
from ..load import Arrivals, offer
from .checks import available_cores, check_cores, check_emulation, misfit, unknown_tenant
from .lanes import Emulation, Lane, LaneOpener, Request, Tensors
from .models import TenantModel, match_models
from .parameter_memory import parameter_memory
from .records import TenantRecord
from .stages import AcceleratorStage, CpuStage
from .timebase import Timebase


@dataclass(frozen=True, eq=False)
class _Generation:
    """What serves new requests: one allocation's lanes and servers."""

    version: int
    allocation: Allocation
    lanes: Mapping[str, Lane]
    cpu: CpuStage


class TenantRuntime:
    """Serves tenants by an allocation on cores of this machine, one of which stands in for the accelerator.

    Use it as a context manager. Requests in flight when the allocation is exchanged end under the one they began with;
    none is lost. Nothing else should run on the accelerator's cores: keep the calling thread off them
    (`os.sched_setaffinity`), and the threads it starts with it.

    Parameters
    ----------
    problem : TenancyProblem
        Its accelerator says how long reloading, streaming and handing over take, and its tenants (with `Emulation`
        ``table``) how long the prefixes.
    allocation : Allocation
    models : mapping of str to TenantModel
        By tenant.
    accelerator_cores : sequence of int
        Cores that stand in for the accelerator.
    cpu_cores : sequence of int
        Cores of the suffixes, as many as the problem has; an allocation's tenants get theirs in order.
    emulation : Emulation, optional
    max_in_flight : int
        Requests accepted and not finished; more are refused at once.
    on_finish : callable, optional
        Called with every record as its request ends, on a worker's thread; must be quick.

    Raises
    ------
    PlatformError
        A core that is not there, is named twice, or too few of them.
    PlanError
        The allocation does not fit the problem, or cannot run.
    WorkloadError, StalePlanError
        Models that are not the tenants'.
    EdgePlanError
        A backend does not load.
    """

    def __init__(
        self,
        problem: TenancyProblem,
        allocation: Allocation,
        models: Mapping[str, TenantModel],
        *,
        accelerator_cores: Sequence[int],
        cpu_cores: Sequence[int],
        emulation: Emulation | None = None,
        max_in_flight: int = 10_000,
        on_finish: Callable[[TenantRecord], None] | None = None,
    ) -> None:
        emulation = emulation or Emulation()
        check_cores(accelerator_cores, cpu_cores, problem.cpu_cores)
        check_emulation(emulation, accelerator_cores)
        match_models(problem, models)
        self.problem = problem
        self.models = models
        self.timebase = Timebase(emulation.stretch)
        self.records: list[TenantRecord] = []
        self._on_finish = on_finish
        self._max_in_flight = max_in_flight
        self._cpu_cores = tuple(cpu_cores)
        self._opener = LaneOpener(models, emulation, tuple(accelerator_cores), tuple(cpu_cores))
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._in_flight: dict[int, int] = {}
        self._arrived: dict[str, int] = {}
        self._retired: dict[int, _Generation] = {}
        self._reapers: list[threading.Thread] = []
        self._closed = False
        self._exchange_lock = threading.Lock()
        self._generation = self._prepare(allocation, 0)
        device = problem.accelerator
        memory = parameter_memory(device.residency, int(device.weight_capacity_bytes))
        scale = emulation.time_scale
        self._accelerator = AcceleratorStage(accelerator_cores, memory, self.timebase, scale, self._left_accelerator)

    def __enter__(self) -> TenantRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def allocation(self) -> Allocation:
        """The allocation that serves new requests."""
        return self._generation.allocation

    @property
    def version(self) -> int:
        """How many times the allocation was exchanged."""
        return self._generation.version

    @property
    def in_flight(self) -> int:
        """Requests accepted and not finished."""
        with self._lock:
            return sum(self._in_flight.values())

    def submit(
        self, tenant: str, feeds: Mapping[str, np.ndarray], arrival_us: float | None = None
    ) -> Future[dict[str, np.ndarray]]:
        """Ask a tenant's model.

        Parameters
        ----------
        tenant : str
        feeds : mapping of str to ndarray
            Every input of the model by name.
        arrival_us : float, optional
            When the request was due, emulated microseconds; now where left out.

        Returns
        -------
        Future
            Of the outputs by name; fails with `InferenceError`.

        Raises
        ------
        InferenceError
            No such tenant.
        """
        arrived_us = self.timebase.now_us() if arrival_us is None else arrival_us
        record = TenantRecord(next(self._ids), tenant, -1, arrived_us)
        refusal: InferenceError | None = None
        with self._lock:
            generation = self._generation
            lane = generation.lanes.get(tenant)
            if lane is None:
                raise unknown_tenant(tenant, generation.lanes)
            record.version = generation.version
            self._arrived[tenant] = self._arrived.get(tenant, 0) + 1
            request = Request(record, lane, dict(feeds))
            refusal = misfit(self.models[tenant], feeds) or self._full(tenant)
            if refusal is None:
                self._in_flight[generation.version] = self._in_flight.get(generation.version, 0) + 1
                # Queued under the lock, so that the accelerator's order is the order of arrival.
                if lane.part is not None:
                    self._accelerator.submit(request)
                else:
                    lane.inbox.put(request)
        if refusal is not None:
            record.error = str(refusal)
            self._note(request, refusal)
        return request.future

    def offer(
        self,
        arrivals: Arrivals,
        feeds: Mapping[str, Mapping[str, np.ndarray]],
        stop: threading.Event | None = None,
    ) -> float:
        """Send requests when they are due in emulated time.

        Parameters
        ----------
        arrivals : Arrivals
            Its models are tenants.
        feeds : mapping of str to mapping
            Inputs by tenant.
        stop : threading.Event, optional
            Set it to end early.

        Returns
        -------
        float
            Emulated instant that the offsets count from.
        """
        stretched = Arrivals(arrivals.models, arrivals.offsets_us * self.timebase.stretch)
        started_us = offer(stretched, lambda t, due: self.submit(t, feeds[t], self.timebase.emulated_us(due)), stop)
        return self.timebase.emulated_us(started_us)

    def exchange(self, allocation: Allocation) -> float:
        """Exchange the allocation: open its sessions, serve new requests by it, close what nobody needs any more.

        Returns
        -------
        float
            Microseconds it took to open the new sessions, on this machine's clock.

        Raises
        ------
        EdgePlanError
            The allocation does not fit or a session cannot be opened. The old allocation goes on serving.
        """
        with self._exchange_lock:
            began_us = now_us()
            prepared = self._prepare(allocation, self._generation.version + 1)
            took_us = now_us() - began_us
            with self._lock:
                old, self._generation = self._generation, prepared
                self._retired[old.version] = old
            self._release_retired()
            return took_us

    def take_arrivals(self) -> dict[str, int]:
        """How many requests of each tenant came since this was last asked; tenants without any are left out."""
        with self._lock:
            taken, self._arrived = self._arrived, {}
            return taken

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until every accepted request has ended; False where `timeout_s` passed first."""
        with self._idle:
            return self._idle.wait_for(lambda: not any(self._in_flight.values()), timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Refuse further requests, end those in flight, stop threads, close sessions. Returns what `drain` does."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        drained = self.drain(timeout_s)
        if drained:
            self._accelerator.close()
            for reaper in self._reapers:
                reaper.join()
            with self._lock:
                self._retired[self._generation.version] = self._generation
            self._release_retired()
        return drained

    def _full(self, tenant: str) -> InferenceError | None:
        if not self._closed and sum(self._in_flight.values()) < self._max_in_flight:
            return None
        return InferenceError(
            f"request for tenant {tenant!r}",
            expected=f"fewer than {self._max_in_flight} requests in flight and an open runtime",
            got="a closed runtime" if self._closed else "as many in flight",
            remedy="Ask less often, or allocate for this load.",
        )

    def _prepare(self, allocation: Allocation, version: int) -> _Generation:
        asked = demands(self.problem, allocation)
        lanes = self._opener.open(self.problem, allocation, asked, version)
        return _Generation(version, allocation, lanes, CpuStage(lanes.values(), self.timebase, self._finish))

    def _left_accelerator(self, request: Request) -> None:
        if request.record.error or not request.lane.suffixes:
            self._finish(request)
        else:
            request.ready_us = request.record.accelerator_end_us + request.lane.handover_us
            request.lane.inbox.put(request)

    def _finish(self, request: Request) -> None:
        record = request.record
        error = None
        if record.error:
            error = InferenceError(
                f"request for tenant {record.tenant!r}",
                expected="prefix and suffix to run",
                got=record.error,
                remedy="Look at the backend's message.",
            )
        self._note(request, error)
        with self._idle:
            self._in_flight[record.version] -= 1
            last = self._in_flight[record.version] == 0
            if last and record.version in self._retired:
                # Started before anybody can find the runtime drained, who would join it.
                reaper = threading.Thread(target=self._reap, name="edgeplan-reaper", daemon=True)
                reaper.start()
                self._reapers.append(reaper)
            if last:
                self._idle.notify_all()

    def _note(self, request: Request, error: InferenceError | None) -> None:
        """Write a request's end down and answer it."""
        record = request.record
        record.finish_us = self.timebase.now_us()
        self.records.append(record)
        if self._on_finish is not None:
            self._on_finish(record)
        if error is not None:
            request.future.set_exception(error)
        else:
            request.future.set_result(self._answer(request.lane, request.tensors))

    @staticmethod
    def _answer(lane: Lane, tensors: Tensors) -> Tensors:
        return {name: tensors[name] for name in lane.outputs}

    def _release_retired(self) -> None:
        with self._lock:
            ended = [v for v in self._retired if not self._in_flight.get(v)]
            generations = [self._retired.pop(v) for v in ended]
        for generation in generations:
            generation.cpu.stop()
            self._opener.close(generation.version)

    def _reap(self) -> None:
        """Release what is retired, on a core where closing sessions delays no prefix."""
        os.sched_setaffinity(0, self._cpu_cores or available_cores())
        self._release_retired()
