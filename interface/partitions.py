"""What is told of a solved partition problem: one JSON object, or a table and a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..formulation import PartitionProblem, capped
from ..solvers.partition import PartitionSolution
from .table import Table


def partition_data(problem: PartitionProblem, solution: PartitionSolution) -> dict[str, Any]:
    """The answer as one JSON object, in the time unit of the instance.

    ``assignment`` maps each node to its device; ``blocks`` is there where accelerators may run several.
    """
    data: dict[str, Any] = {
        "status": solution.status,
        "objective": solution.objective,
        "bound": solution.bound,
        "gap": solution.gap,
        "runtime_s": solution.runtime_s,
        "method": solution.method,
        "seed": solution.seed,
        "assignment": None,
    }
    if solution.clashes:
        data["clashes"] = list(solution.clashes)
    if solution.partition is not None and solution.evaluation is not None:
        names = [problem.device_name(int(d)) for d in solution.partition.device]
        data["assignment"] = dict(zip(problem.ids, names, strict=True))
        if problem.objective == "latency" and problem.blocks > 1:
            data["blocks"] = dict(zip(problem.ids, solution.partition.block.tolist(), strict=True))
        loads = solution.evaluation.loads.tolist()
        data["loads"] = {problem.device_name(d): load for d, load in enumerate(loads)}
        memory = solution.evaluation.memory_bytes.tolist()
        data["memory_bytes"] = {problem.device_name(d): size for d, size in enumerate(memory)}
    return data


def partition_table(problem: PartitionProblem, solution: PartitionSolution) -> Table:
    """One row a device: nodes, load, memory."""
    assert solution.partition is not None
    assert solution.evaluation is not None
    rows = []
    for device, load in enumerate(solution.evaluation.loads.tolist()):
        nodes = int(np.count_nonzero(solution.partition.device == device))
        on_accelerator = device < problem.n_accelerators
        memory = f"{solution.evaluation.memory_bytes[device] / 2**20:.1f}" if on_accelerator else "-"
        rows.append((problem.device_name(device), str(nodes), f"{load:.6g}", memory))
    return Table(f"{problem.name}: {problem.objective}", ("device", ">nodes", ">load", ">memory (MiB)"), tuple(rows))


def partition_verdict(solution: PartitionSolution) -> str:
    """One sentence on what was found and what is proven."""
    spent = f"{solution.method}, {solution.runtime_s:.2f} s"
    if solution.status == "infeasible":
        return f"Infeasible ({spent}): {capped(solution.clashes)}."
    if solution.objective is None:
        return f"No partition found in time ({spent}); none is below {solution.bound or 0:.6g}."
    if solution.status == "optimal":
        return f"Optimal: {solution.objective:.9g} ({spent})."
    return (
        f"Found {solution.objective:.9g}; none is below {solution.bound or 0:.6g}: "
        f"a gap of {(solution.gap or 0) * 100:.2f} % ({spent})."
    )
