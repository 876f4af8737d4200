"""Random problems with a seed, for testing solvers: ours, and those of other distributions.

Limits are multiples of what a random plan of the problem needs, so that loose ones can be kept and tight ones need not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..formulation import (
    Configuration,
    CostTable,
    LatencySummary,
    Layer,
    LayerGraph,
    Limits,
    Link,
    MeasuredSegment,
    Memory,
    Model,
    Objective,
    Periodic,
    Plan,
    Platform,
    Poisson,
    Problem,
    Processor,
    Stream,
    evaluate,
)
from .assemble import Choice, model_plan, plan_of
from .core_sets import families, fitting

_AMPLE_BYTES = 1 << 40


@dataclass(frozen=True)
class ProblemKind:
    """What random problems to draw.

    Attributes
    ----------
    objective : {'latency', 'response', 'front'}
    models, layers, cores : int
    two_memories : bool
        An accelerator with its own memory, and links both ways.
    streams : bool
        Whether models have requests, deadlines and so a limit on utilisation; ``response`` needs them.
    memory_slack, deadline_slack : float or None
        Limits as multiples of what a random plan needs, None for none.
    unsupported : float
        Share of costs that are missing.
    """

    objective: Objective = "latency"
    models: int = 1
    layers: int = 5
    cores: int = 2
    two_memories: bool = False
    streams: bool = False
    memory_slack: float | None = 1.1
    deadline_slack: float | None = None
    unsupported: float = 0.1


def random_problem(kind: ProblemKind, seed: int) -> Problem:
    """Draw a problem.

    Parameters
    ----------
    kind : ProblemKind
    seed : int
        The same kind and seed give the same problem.
    """
    rng = np.random.default_rng(seed)
    models = tuple(_model(f"m{i}", kind, rng) for i in range(kind.models))
    streams = tuple(_stream(model, kind, rng) for model in models) if kind.streams else ()
    problem = Problem(models, _platform(kind), streams, objective=kind.objective)
    scored = evaluate(problem, random_plan(problem, rng))
    if kind.deadline_slack is not None:
        slack = kind.deadline_slack
        deadlines = {name: float(np.ceil(slack * model.response_us)) for name, model in scored.models.items()}
        streams = tuple(s.model_copy(update={"deadline_us": deadlines[s.model]}) for s in streams)
    limits = Limits()
    if kind.memory_slack is not None:
        sizes = {name: int(kind.memory_slack * used) for name, used in scored.memory_bytes.items() if used > 0}
        limits = Limits.model_validate({"memory_bytes": sizes})
    return problem.replace(streams=streams, limits=limits)


def _platform(kind: ProblemKind) -> Platform:
    cpu = Processor(name="cpu", cores=tuple(range(kind.cores)), memory="host")
    host = Memory.model_validate({"name": "host", "capacity_bytes": _AMPLE_BYTES})
    if not kind.two_memories:
        return Platform(name="random", processors=(cpu,), memories=(host,))
    npu = Processor(name="npu", kind="npu", cores=(kind.cores,), memory="npu")
    local = Memory.model_validate({"name": "npu", "capacity_bytes": _AMPLE_BYTES})
    links = (
        Link(source="host", target="npu", fixed_us=3, bytes_per_us=4),
        Link(source="npu", target="host", fixed_us=5, bytes_per_us=4),
    )
    return Platform(name="random", processors=(cpu, npu), memories=(host, local), links=links)


def _model(name: str, kind: ProblemKind, rng: np.random.Generator) -> Model:
    graph = _graph(name, kind.layers, rng)
    configurations = [
        Configuration(backend="plain"),
        Configuration(backend="packed"),
        Configuration(backend="plain", threads=2),
    ][: 2 if kind.cores == 1 else 3]
    if kind.two_memories:
        configurations = [*configurations[::2], Configuration(backend="npu", processor="npu")]
    work = rng.integers(20, 200, kind.layers)
    speed = rng.uniform(0.4, 1.4, (kind.layers, len(configurations)))
    layer_us = np.maximum(1, np.round(work[:, None] * speed))
    missing = rng.random(layer_us.shape) < kind.unsupported
    missing[:, 0] = False
    layer_us[missing] = np.nan
    start = int(rng.integers(0, max(kind.layers - 1, 1)))
    stop = int(rng.integers(start + 1, kind.layers + 1))
    median_us = float(rng.integers(50, 300))
    latency = LatencySummary(median_us=median_us, low_us=median_us, high_us=median_us, spread_us=0, repeats=9)
    n = len(configurations)
    costs = CostTable.create(
        configurations,
        layer_us,
        fixed_us=rng.integers(0, 30, n),
        weight_scale=rng.choice([1.0, 1.5, 2.0], n),
        session_bytes=rng.integers(0, 200, n),
        workspace_bytes=rng.integers(0, 300, layer_us.shape),
        holds_workspace=rng.random(n) < 0.3,
        measured=[MeasuredSegment(start=start, stop=stop, configuration=0, latency=latency)],
    )
    return Model(name, graph, costs)


def _graph(name: str, n_layers: int, rng: np.random.Generator) -> LayerGraph:
    """A chain in which every few layers form a diamond: one layer feeds two, and a third joins them."""
    layers: list[Layer] = []
    last = "x"
    while len(layers) < n_layers:
        i = len(layers)
        weights = [int(w) for w in rng.integers(0, 1000, 3)]
        sizes = [int(size) for size in rng.integers(1, 400, 3)]
        if i > 0 and n_layers - i >= 3 and rng.random() < 0.4:
            layers.append(Layer(f"{name}.{i}", "Left", weights[0], (last,), ((f"t{i}", sizes[0]),)))
            layers.append(Layer(f"{name}.{i + 1}", "Right", weights[1], (last,), ((f"t{i + 1}", sizes[1]),)))
            joined = (f"t{i}", f"t{i + 1}")
            layers.append(Layer(f"{name}.{i + 2}", "Join", weights[2], joined, ((f"t{i + 2}", sizes[2]),)))
        else:
            layers.append(Layer(f"{name}.{i}", "Op", weights[0], (last,), ((f"t{i}", sizes[0]),)))
        last = layers[-1].outputs[0][0]
    return LayerGraph.build(name, layers, {"x": int(rng.integers(1, 400))}, (last,))


def _stream(model: Model, kind: ProblemKind, rng: np.random.Generator) -> Stream:
    """Requests that ask for about half of the cores, all models together."""
    us = float(np.nansum(model.costs.layer_us[:, 0]))
    period_us = float(np.round(us * kind.models / kind.cores / rng.uniform(0.3, 0.7)))
    arrival = Periodic(period_us=period_us) if rng.random() < 0.7 else Poisson(rate_hz=1e6 / period_us)
    return Stream(model=model.name, arrival=arrival, weight=float(rng.integers(1, 4)))


def random_plan(problem: Problem, rng: np.random.Generator) -> Plan:
    """Draw a plan that can run, whatever limits it breaks."""
    sets = families(problem)
    parts = {}
    for model in problem.models:
        at, usable = model.cuts.positions, problem.usable[model.name]
        finite = np.isfinite(model.costs.interval_us(at)[:, :, usable])
        ends = np.zeros(len(at), dtype=bool)
        ends[-1] = True
        for a in range(len(at) - 2, -1, -1):
            ends[a] = bool(np.any(ends & finite[a].any(axis=1)))
        a, choices = 0, []
        while a < len(at) - 1:
            b = int(rng.choice(np.flatnonzero(ends & finite[a].any(axis=1))))
            configuration = model.costs.configurations[usable[int(rng.choice(np.flatnonzero(finite[a, b])))]]
            options = fitting(sets[configuration.processor], configuration.threads)
            choices.append(Choice(at[a], at[b], configuration, options[int(rng.integers(len(options)))]))
            a = b
        parts[model.name] = model_plan(model, choices)
    return plan_of(problem, parts, "random")
