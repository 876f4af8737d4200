"""Instance files of the device placement study, as partition problems, and back.

Tarnawski et al., NeurIPS 2020, arXiv 2006.16423: one JSON object with ``maxSizePerFPGA`` (bytes), ``maxFPGAs``,
``maxCPUs``, ``nodes`` and ``edges``. Times have no unit; they are taken as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..formulation import PartitionObjective, PartitionProblem, ProfileError, capped
from .cache import written_whole
from .imports.files import ForeignFile

COST_TOLERANCE = 1e-6
"""Largest relative difference of two edge costs that are the same: the files hold rounded figures."""

MAX_DEVICES = 1 << 16
"""Most accelerators or CPU cores; there is no use in more than there are nodes."""

_KIND = "partition instance"
_REMEDY = "Correct the file; docs/importing.md describes the format."


def read_dnn_partitioning(
    path: str | Path,
    *,
    objective: PartitionObjective = "max-load",
    contiguous: bool = True,
    blocks: int = 1,
) -> PartitionProblem:
    """Read an instance file.

    Parameters
    ----------
    path : str or Path
    objective, contiguous, blocks
        As for `PartitionProblem`; the file does not say them.

    Returns
    -------
    PartitionProblem
        Named after the file. A node that is not supported on accelerators has an infinite time there. ``colorClass``
        (none: a colour of its own), ``size`` (0) and ``isBackwardNode`` (false) may be missing.

    Raises
    ------
    ProfileError
        The file cannot be read, is not JSON, lacks a key, or holds a value of the wrong kind, a negative one or one
        that is not finite; two edges of one source cost differently; two nodes have one id.
    GraphError
        An edge names a node that there is not, or the edges form a cycle.
    PlatformError
        No device at all.
    """
    file = ForeignFile.read(path, _KIND, _REMEDY)
    root = file.mapping(file.data)
    nodes = [file.mapping(n, f"nodes[{i}]") for i, n in enumerate(file.sequence(file.key(root, "nodes"), "nodes"))]
    ids = [_id(file, file.key(node, "id", f"nodes[{i}]"), f"nodes[{i}].id") for i, node in enumerate(nodes)]
    _refuse_repeats(file, ids)
    edges, transfers = _edges(file, root)
    return PartitionProblem.build(
        Path(path).stem,
        ids,
        [_time(file, node, "cpuLatency", ids[i]) for i, node in enumerate(nodes)],
        [
            _time(file, node, "fpgaLatency", ids[i]) if _flag(file, node, "supportedOnFpga", ids[i]) else math.inf
            for i, node in enumerate(nodes)
        ],
        edges,
        transfer_time=transfers,
        size_bytes=[file.number(node.get("size", 0.0), f"size of node {ids[i]}") for i, node in enumerate(nodes)],
        backward=[_flag(file, node, "isBackwardNode", ids[i], False) for i, node in enumerate(nodes)],
        colour=[_colour(file, node, ids[i]) for i, node in enumerate(nodes)],
        n_accelerators=file.count(file.key(root, "maxFPGAs"), "maxFPGAs", MAX_DEVICES),
        n_cpus=file.count(file.key(root, "maxCPUs"), "maxCPUs", MAX_DEVICES),
        accelerator_bytes=file.number(file.key(root, "maxSizePerFPGA"), "maxSizePerFPGA"),
        objective=objective,
        contiguous=contiguous,
        blocks=blocks,
    )


def write_dnn_partitioning(problem: PartitionProblem, path: str | Path) -> None:
    """Write an instance file that `read_dnn_partitioning` reads back as the same problem.

    Objective, contiguity and blocks are not part of the format. Nodes come in their order, every key is written, and
    ids are text.

    Parameters
    ----------
    problem : PartitionProblem
    path : str or Path

    Raises
    ------
    ProfileError
        The accelerators' memory is not limited, for which the format has no value.
    """
    if math.isinf(problem.accelerator_bytes):
        raise ProfileError(
            f"{_KIND} {problem.name!r}",
            expected="a finite memory of each accelerator",
            got="no limit",
            remedy="Replace `accelerator_bytes` by the sum of all sizes, which limits nothing.",
        )
    with written_whole(Path(path)) as temporary:
        temporary.write_text(json.dumps(_plain(problem), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _plain(problem: PartitionProblem) -> dict[str, Any]:
    able = [math.isfinite(t) for t in problem.accelerator_time]
    return {
        "maxSizePerFPGA": problem.accelerator_bytes,
        "maxFPGAs": problem.n_accelerators,
        "maxCPUs": problem.n_cpus,
        "nodes": [
            {
                "id": problem.ids[i],
                "supportedOnFpga": able[i],
                "cpuLatency": float(problem.cpu_time[i]),
                "fpgaLatency": float(problem.accelerator_time[i]) if able[i] else 0.0,
                "isBackwardNode": bool(problem.backward[i]),
                "colorClass": int(problem.colour[i]),
                "size": float(problem.size_bytes[i]),
            }
            for i in range(problem.n_nodes)
        ],
        "edges": [
            {"sourceId": problem.ids[u], "destId": problem.ids[v], "cost": float(problem.transfer_time[u])}
            for u, v in problem.edges.tolist()
        ],
    }


def _edges(file: ForeignFile, root: Mapping[str, Any]) -> tuple[list[tuple[str, str]], dict[object, float]]:
    """Edges by ids, and the cost of each source's edges, which must be one."""
    pairs: list[tuple[str, str]] = []
    costs: dict[object, float] = {}
    for i, item in enumerate(file.sequence(file.key(root, "edges"), "edges")):
        where = f"edges[{i}]"
        edge = file.mapping(item, where)
        source, target = (_id(file, file.key(edge, end, where), f"{where}.{end}") for end in ("sourceId", "destId"))
        cost = file.number(file.key(edge, "cost", where), f"{where}.cost")
        first = costs.setdefault(source, cost)
        if abs(cost - first) > COST_TOLERANCE * max(abs(cost), abs(first)):
            file.refuse(
                f"one cost for all edges of source {source}, for its output is moved once",
                f"{first:g} and {cost:g}",
                f"{where}.cost",
            )
        pairs.append((source, target))
    return pairs, costs


def _id(file: ForeignFile, value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        file.refuse("an id: a whole number or text", repr(value)[:40], where)
    return str(value)


def _colour(file: ForeignFile, node: Mapping[str, Any], name: str) -> str | None:
    value = node.get("colorClass")
    return None if value is None else _id(file, value, f"colorClass of node {name}")


def _time(file: ForeignFile, node: Mapping[str, Any], key: str, name: str) -> float:
    where = f"node {name}"
    return file.number(file.key(node, key, where), f"{key} of {where}")


def _flag(file: ForeignFile, node: Mapping[str, Any], key: str, name: str, default: bool | None = None) -> bool:
    """Files write 0 and 1 as well as false and true."""
    where = f"node {name}"
    value = node.get(key, default) if default is not None else file.key(node, key, where)
    if value not in (0, 1):  # which True and False are equal to
        file.refuse("true, false, 1 or 0", repr(value)[:40], f"{key} of {where}")
    return bool(value)


def _refuse_repeats(file: ForeignFile, ids: list[str]) -> None:
    seen: set[str] = set()
    twice = [i for i in ids if i in seen or seen.add(i)]
    if twice:
        file.refuse("unique ids of nodes", f"{capped(twice)} twice", "nodes")
