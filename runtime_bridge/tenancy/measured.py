"""Tenants with measured costs: prefixes timed on the accelerator's core, suffixes on the CPU's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...formulation import Configuration, CostError, LatencySummary, Model
from ...formulation.tenancy import Tenant
from ...profiles import SegmentStore, Session, import_onnx, open_backend, sample_inputs
from ...profiles.design import design_segments
from ...profiles.layer_times import onnxruntime_layer_us
from ...profiles.measure import StopRule, on_core, summarise_latency, time_session
from .lanes import Emulation
from .models import TenantModel

QUICK = StopRule(relative_interval=0.03, min_repeats=7, max_repeats=40, max_s=0.25)
"""For a segment; a model with k partition points has 2 (k − 1) of them."""


def read_by_time(name: str, path: Path, core: int, max_points: int = 8) -> TenantModel:
    """Read a model and offer cuts that are evenly much time apart and tear no fused layers.

    Parameters
    ----------
    name : str
    path : Path
    core : int
        Where the layers are timed, once, by ONNX Runtime's own profile.
    max_points : int
        Most partition points, the two ends counted; 2 or more.

    Raises
    ------
    ModelError, GraphError
        The file is no model that can be cut.
    """
    graph = import_onnx(path, name=name)
    files = SegmentStore(path, graph).segment(0, graph.n_layers)
    layer_us = on_core(core, lambda: onnxruntime_layer_us(files, graph, sample_inputs(path)))
    times = np.ones(graph.n_layers) if layer_us is None else np.asarray(layer_us)
    design = design_segments(graph, times, max_units=max_points - 1, n_tiny=0, n_random=0, n_held_out=0, seed=0)
    return TenantModel(name, path, graph, design.chain.positions)


def measure_tenant(
    model: TenantModel,
    *,
    accelerator_core: int,
    cpu_cores: Sequence[int],
    emulation: Emulation | None = None,
    rule: StopRule = QUICK,
    idle_us: float = 0.0,
) -> Tenant:
    """Time every prefix and every suffix of a model the way the live runtime runs them.

    Parameters
    ----------
    model : TenantModel
    accelerator_core : int
        Where prefixes run; their times count `Emulation.time_scale` times.
    cpu_cores : sequence of int
        Where suffixes run. One: on one thread. Of several the speed-up on more threads is measured too, with the whole
        model. None: suffixes cost ∞.
    emulation : Emulation, optional
        Its backends; only with service ``run``.
    rule : StopRule
    idle_us : float
        For so long the core stands idle before every run. A core that waited for weights has lost caches and clock: a
        prefix of a few milliseconds takes up to a seventh longer after 15 ms (what a reload takes) than in a row.

    Returns
    -------
    Tenant
        With medians. Its spread is that of the repeated timings of the whole model.
    """
    emulation = emulation or Emulation()
    store, n_layers = SegmentStore(model.path, model.graph), model.graph.n_layers
    n = len(model.positions)
    prefix_us, suffix_us = np.zeros(n), np.full(n, np.inf)
    suffix_us[-1] = 0.0
    accelerator_scv = cpu_scv = 0.0
    for k, position in enumerate(model.positions):
        tensors = sample_inputs(model.path)
        if position > 0:
            with_threads = emulation.accelerator
            session = open_backend(with_threads.backend).open(
                store.segment(0, position), with_threads, (accelerator_core,)
            )
            feeds = {name: tensors[name] for name in session.input_names}
            taken = _timed(session, feeds, accelerator_core, rule, idle_us)
            prefix_us[k] = taken.median_us * emulation.time_scale
            accelerator_scv = _scv(taken.spread_us, taken.median_us)
            tensors.update(session.run(feeds))
            session.close()
        if position < n_layers and cpu_cores:
            session = open_backend(emulation.cpu.backend).open(
                store.segment(position, n_layers), emulation.cpu, tuple(cpu_cores)
            )
            taken = _timed(session, {name: tensors[name] for name in session.input_names}, cpu_cores[0], rule, idle_us)
            suffix_us[k] = taken.median_us
            if position == 0:
                cpu_scv = _scv(taken.spread_us, taken.median_us)
            session.close()
    return Tenant(
        model.name,
        prefix_us,
        suffix_us,
        *_bytes(model),
        points=model.point_names,
        speedup=_speedup(store, model, cpu_cores, emulation.cpu, rule, suffix_us[0], idle_us),
        source=f"measured: prefixes on core {accelerator_core} × {emulation.time_scale:g}, suffixes on cores "
        f"{', '.join(map(str, cpu_cores)) or 'none'}, each run after {idle_us / 1e3:g} ms of idleness",
        accelerator_scv=accelerator_scv,
        cpu_scv=cpu_scv,
    )


def tenant_of_model(
    model: Model, accelerator: Configuration, cpu: Configuration, *, name: str | None = None, time_scale: float = 1.0
) -> Tenant:
    """Make a tenant from a profiled model: one partition point at every cut of its chain.

    Parameters
    ----------
    model : Model
        As `Profile.to_models` gives it.
    accelerator, cpu : Configuration
        Of its cost table: what prefixes and suffixes are run with.
    name : str, optional
        Of the tenant; the model's where left out.
    time_scale : float
        See `Emulation`.

    Returns
    -------
    Tenant
        Its costs are the profile's predictions; `basis` is ``measured`` only where each was timed itself.

    Raises
    ------
    CostError
        The profile has no costs for a configuration.
    """
    known = model.costs.configurations
    for wanted in (accelerator, cpu):
        if wanted not in known:
            raise CostError(
                f"model {model.name!r}",
                expected=f"one of its configurations {', '.join(c.name for c in known[:5])}",
                got=wanted.name,
                remedy="Profile the model with that configuration.",
            )
    positions, n_layers = model.cuts.positions, model.graph.n_layers
    first, second = known.index(accelerator), known.index(cpu)
    prefix_us = [float(model.costs.segment_us(0, p)[first]) if p > 0 else 0.0 for p in positions]
    suffix_us = [float(model.costs.segment_us(p, n_layers)[second]) if p < n_layers else 0.0 for p in positions]
    timed = {(m.start, m.stop, m.configuration) for m in model.costs.measured}
    needed = {(0, p, first) for p in positions[1:]} | {(p, n_layers, second) for p in positions[:-1]}
    chain = TenantModel(name or model.name, Path(), model.graph, positions)
    return Tenant(
        chain.name,
        np.array(prefix_us) * time_scale,
        np.array(suffix_us),
        *_bytes(chain),
        points=chain.point_names,
        basis="measured" if needed <= timed else "estimated",
        source=f"{model.costs.provenance.kind} costs of {model.name}: {accelerator.name} × {time_scale:g}, {cpu.name}",
    )


def _bytes(model: TenantModel) -> tuple[np.ndarray, np.ndarray]:
    """Weights of each prefix, and what crosses each cut."""
    weights = np.concatenate([[0], np.cumsum(model.graph.weight_bytes)])[list(model.positions)]
    crossing = np.array([int(model.graph.frontier_bytes[p]) for p in model.positions], dtype=np.int64)
    crossing[[0, -1]] = 0
    return weights.astype(np.int64), crossing


class _Rested:
    """A session whose core stands idle before every run that is timed."""

    def __init__(self, session: Session, idle_us: float) -> None:
        self.input_names, self.output_names = session.input_names, session.output_names
        self._session, self._idle_us = session, idle_us
        self.times_us: list[float] = []

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Session.run`."""
        time.sleep(self._idle_us / 1e6)
        began_ns = time.perf_counter_ns()
        outputs = self._session.run(feeds)
        self.times_us.append((time.perf_counter_ns() - began_ns) / 1e3)
        return outputs

    def close(self) -> None:
        """See `Session.close`."""


def _timed(session: Session, feeds: dict[str, np.ndarray], core: int, rule: StopRule, idle_us: float) -> LatencySummary:
    if idle_us == 0:
        return on_core(core, lambda: time_session(session, feeds, rule))
    rested = _Rested(session, idle_us)
    on_core(core, lambda: time_session(rested, feeds, rule))
    return summarise_latency(rested.times_us[rule.warm_up :])


def _scv(spread_us: float, median_us: float) -> float:
    return (spread_us / median_us) ** 2


def _speedup(
    store: SegmentStore,
    model: TenantModel,
    cpu_cores: Sequence[int],
    configuration: Configuration,
    rule: StopRule,
    one_thread_us: float,
    idle_us: float,
) -> tuple[float, ...]:
    found = [1.0]
    for threads in range(2, len(cpu_cores) + 1):
        threaded = configuration.model_copy(update={"threads": threads})
        files = store.segment(0, model.graph.n_layers)
        session = open_backend(threaded.backend).open(files, threaded, tuple(cpu_cores[:threads]))
        taken = _timed(session, sample_inputs(model.path), cpu_cores[0], rule, idle_us)
        session.close()
        found.append(one_thread_us / taken.median_us)
    return tuple(found)
