"""What is told of an allocation: one JSON object, or a table and a sentence."""

from __future__ import annotations

from typing import Any

from ..formulation import Allocation, TenancyEvaluation, TenancyProblem
from ..formulation.tenancy import response_percentiles_us
from ..solvers.tenancy.solution import TenancySolution
from .table import Table
from .units import milliseconds, percent


def allocation_data(problem: TenancyProblem, solution: TenancySolution) -> dict[str, Any]:
    """A solution as one JSON object; times in microseconds."""
    data: dict[str, Any] = {
        "status": solution.status,
        "method": solution.method,
        "objective": solution.objective,
        "bound": solution.bound,
        "gap": solution.gap,
        "seed": solution.seed,
        "runtime_s": solution.runtime_s,
        "clashes": list(solution.clashes),
        "plan": None if solution.allocation is None else solution.allocation.model_dump(mode="json"),
    }
    if solution.allocation is not None and solution.evaluation is not None:
        data["evaluation"] = _evaluation_data(problem, solution.allocation, solution.evaluation)
    return data


def _evaluation_data(problem: TenancyProblem, allocation: Allocation, evaluation: TenancyEvaluation) -> dict[str, Any]:
    """What the formulas predict, as one JSON object."""
    p50, p95, p99 = (response_percentiles_us(problem, allocation, level) for level in (0.5, 0.95, 0.99))
    return {
        "mean_us": evaluation.mean_response_us,
        "accelerator_utilisation": evaluation.accelerator_utilisation,
        "reload_utilisation": evaluation.reload_utilisation,
        "exact_wait": evaluation.exact_wait,
        "models": {
            part.tenant: {
                "mean_us": part.response_us,
                "p50_us": float(p50[i]),
                "p95_us": float(p95[i]),
                "p99_us": float(p99[i]),
                "accelerator_wait_us": part.accelerator_wait_us,
                "swap_probability": part.swap_probability,
                "reload_us": part.reload_us,
                "accelerator_us": part.accelerator_us,
                "handover_us": part.handover_us,
                "cpu_wait_us": part.cpu_wait_us,
                "cpu_us": part.cpu_us,
            }
            for i, part in enumerate(evaluation.tenants)
        },
    }


def allocation_table(problem: TenancyProblem, allocation: Allocation, evaluation: TenancyEvaluation) -> Table:
    """Partition point, cores and predicted response of every tenant."""
    rows = []
    p99_us = response_percentiles_us(problem, allocation, 0.99)
    for tenant, part, seen, late_us in zip(
        problem.tenants, allocation.tenants, evaluation.tenants, p99_us, strict=True
    ):
        named = tenant.points[part.point] if tenant.points else ""
        point = f"{part.point} of {tenant.n_points - 1}" + (f" ({named})" if named else "")
        each = f" ({part.cores // part.threads} × {part.threads} threads)" if part.threads > 1 else ""
        rows.append(
            (
                tenant.name,
                tenant.basis,
                point,
                f"{part.cores}{each}" if part.cores else "–",
                percent(seen.swap_probability) if part.point else "–",
                milliseconds(seen.accelerator_wait_us),
                milliseconds(seen.accelerator_us + seen.reload_us),
                milliseconds(seen.cpu_wait_us + seen.cpu_us + seen.handover_us),
                milliseconds(seen.response_us),
                milliseconds(float(late_us)),
            )
        )
    columns = (
        "tenant",
        "costs",
        "partition point",
        ">cores",
        ">swaps",
        ">wait ms",
        ">accelerator ms",
        ">CPU ms",
        ">response ms",
        ">p99 ms",
    )
    order = "; ".join(", ".join(members) for members in allocation.co_compiled)
    note = f"Co-compiled in this order: {order}. " if order else ""
    kind = "exact for random (Poisson) arrivals" if evaluation.exact_wait else "an approximation"
    mean = milliseconds(evaluation.mean_response_us)
    note += f"Mean response of all requests {mean} ms, predicted; the mean wait for the accelerator is {kind}. "
    note += "Accelerator: with reloading; CPU: with hand-over and wait; cores: requests at once × threads of each."
    return Table("Allocation", columns, tuple(rows), note=note)


def verdict(solution: TenancySolution) -> str:
    """One sentence on what is proven."""
    spent = f"{solution.method}, {solution.runtime_s:.2f} s"
    if solution.status == "optimal":
        return f"Optimal ({spent}): no other partition points and cores have a smaller predicted mean response."
    if solution.bound and solution.objective is not None:
        above = percent(solution.objective / solution.bound - 1)
        return f"Feasible ({spent}): at most {above} above the least possible."
    return f"Feasible ({spent}): nothing is proven about others."
