"""Plans and partitions for other tools: backend settings of onert, and tables as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from ..formulation import ModelPlan, Partition, PartitionProblem, Plan, PlanError, capped
from .imports.onert_profile import PREFIX
from .imports.onert_settings import BackendSettings
from .profile import Profile

LAYER_COLUMNS = (
    "model",
    "layer",
    "name",
    "op_type",
    "segment",
    "processor",
    "backend",
    "threads",
    "batch",
    "form",
    "cores",
)
"""Columns of `plan_csv`; ``name`` and ``op_type`` are empty where no profile was given, ``cores`` is ``0+1``."""

PARTITION_COLUMNS = ("node", "device", "block")
"""Columns of `partition_csv`."""


def onert_settings(plan: ModelPlan, operators: Sequence[str] | None = None) -> BackendSettings:
    """Backend of every layer as onert takes it.

    Parameters
    ----------
    plan : ModelPlan
        Made from a profile that was imported from onert, whose backends are called ``onert-…``.
    operators : sequence of str, optional
        What onert calls the operator of each layer. Given, the settings are ``OP_BACKEND_<operator>``. Left out, they
        are ``OP_BACKEND_MAP`` with layers counted in the order of the profile's graph, which is onert's own index
        where the model that onert loads has the same operators in the same order.

    Raises
    ------
    PlanError
        The plan uses a backend that is not onert's; one operator runs on two backends, which cannot be said by type;
        `operators` are more or fewer than the layers.
    """
    foreign = sorted({s.configuration.backend for s in plan.segments if not s.configuration.backend.startswith(PREFIX)})
    if foreign:
        raise PlanError(
            f"plan of model {plan.model!r}",
            expected=f"backends of onert, called {PREFIX}…",
            got=capped(foreign),
            remedy="Plan with a profile imported by `edgeplan import onert`, or export to csv.",
        )
    by_index = {
        layer: segment.configuration.backend.removeprefix(PREFIX)
        for segment in plan.segments
        for layer in range(segment.start, segment.stop)
    }
    backends = tuple(dict.fromkeys(by_index.values()))
    if operators is None:
        return BackendSettings(backends, by_index=by_index)
    if len(operators) != len(by_index):
        raise PlanError(
            f"plan of model {plan.model!r}",
            expected=f"the operators of {len(by_index)} layers",
            got=f"{len(operators)}",
            remedy="Name the operator of every layer.",
        )
    by_type: dict[str, str] = {}
    split = [
        operator
        for layer, operator in enumerate(operators)
        if by_type.setdefault(operator, by_index[layer]) != by_index[layer]
    ]
    if split:
        raise PlanError(
            f"plan of model {plan.model!r}",
            expected="every operator type on one backend",
            got=f"{capped(dict.fromkeys(split))} on several",
            remedy="Export backends by index.",
        )
    return BackendSettings(backends, by_type=by_type)


def plan_csv(plan: Plan, profile: Profile | None = None) -> str:
    """One row a layer with the columns `LAYER_COLUMNS`.

    Parameters
    ----------
    plan : Plan
    profile : Profile, optional
        That the plan was made from; names the layers.

    Raises
    ------
    PlanError
        The profile has no such model, or one with another number of layers.
    """
    graphs = {} if profile is None else {model.name: model.graph["layers"] for model in profile.models}
    rows = []
    for model in plan.models:
        layers = _layers(model, graphs) if profile is not None else None
        for number, segment in enumerate(model.segments):
            c = segment.configuration
            for layer in range(segment.start, segment.stop):
                named = (layers[layer]["name"], layers[layer]["op_type"]) if layers else ("", "")
                cores = "+".join(str(core) for core in segment.cores)
                ran = (c.processor, c.backend, c.threads, c.batch, c.form, cores)
                rows.append((model.model, layer, *named, number, *ran))
    return _table(LAYER_COLUMNS, rows)


def partition_csv(problem: PartitionProblem, partition: Partition) -> str:
    """One row a node with the columns `PARTITION_COLUMNS`; devices by their names.

    Raises
    ------
    PlanError
        The partition is for another number of nodes.
    """
    if partition.device.shape != (problem.n_nodes,):
        raise PlanError(
            f"partition of {problem.name!r}",
            expected=f"{problem.n_nodes} nodes",
            got=f"{len(partition.device)}",
            remedy="Take a partition that was made for this problem.",
        )
    rows = [
        (node, problem.device_name(int(device)), int(block))
        for node, device, block in zip(problem.ids, partition.device, partition.block, strict=True)
    ]
    return _table(PARTITION_COLUMNS, rows)


def _layers(plan: ModelPlan, graphs: Mapping[str, list[dict]]) -> list[dict]:
    layers = graphs.get(plan.model)
    covered = plan.segments[-1].stop
    if layers is None or len(layers) != covered:
        raise PlanError(
            f"plan of model {plan.model!r}",
            expected=f"a profile with this model of {covered} layers",
            got=f"one with {len(layers)} layers" if layers is not None else f"models {capped(graphs)}",
            remedy="Give the profile that the plan was made from.",
        )
    return layers


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()
