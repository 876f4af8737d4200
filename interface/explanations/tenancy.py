"""Explains an allocation of tenants that share an accelerator: where each response goes, and what each limit costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...formulation import (
    Accelerator,
    Allocation,
    PlatformError,
    Status,
    TenancyProblem,
    TenantEvaluation,
    evaluate_tenancy,
)
from ..allocations import allocation_data, allocation_table, verdict
from ..table import Cell, Table
from ..units import MIB, milliseconds, percent
from .plan import Explained

if TYPE_CHECKING:
    from ...solvers.tenancy.solution import TenancySolution

STEP = 0.1
"""Share by which capacity and rates are turned; cores change by one."""


@dataclass(frozen=True)
class TenancyStep:
    """One limit of a tenancy problem turned by a step, and the problem solved again.

    Attributes
    ----------
    limit, unit : str
    value, turned : float
        Where it stands and where it was turned to, in `unit`.
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
        Of the re-solve.
    before_us, after_us : float or None
        Predicted mean response of the best allocation as it is, and then.
    is_exact : bool
        Whether both are proven.
    """

    limit: str
    unit: str
    value: float
    turned: float
    status: Status
    before_us: float | None
    after_us: float | None
    is_exact: bool

    @property
    def gain_us(self) -> float | None:
        """By how much the mean response becomes shorter."""
        return None if self.before_us is None or self.after_us is None else self.before_us - self.after_us


def tenancy_steps(
    problem: TenancyProblem, method: str = "auto", time_limit_s: float = 3.0, seed: int = 0
) -> tuple[TenancyStep, ...]:
    """Turn cores, capacity and each rate by a step and solve again; nothing where the problem itself has no answer."""
    from ...solvers import solve

    before = solve(problem, method, time_limit_s=time_limit_s, seed=seed)
    if before.objective is None:
        return ()
    found = []
    for limit, unit, value, to, other in _turned(problem):
        after = solve(other, method, time_limit_s=time_limit_s, seed=seed)
        exact = before.status == "optimal" and after.status in ("optimal", "infeasible")
        found.append(TenancyStep(limit, unit, value, to, after.status, before.objective, after.objective, exact))
    return tuple(found)


def _turned(problem: TenancyProblem) -> Iterator[tuple[str, str, float, float, TenancyProblem]]:
    cores, accelerator = problem.cpu_cores, problem.accelerator
    capacity = int(accelerator.weight_capacity_bytes)
    for more in (1, -1):
        if cores + more >= 0 and (other := _runnable(problem, cpu_cores=cores + more)) is not None:
            yield "cpu_cores", "cores", cores, cores + more, other
    for factor in (1 + STEP, 1 - STEP):
        size = int(capacity * factor)
        data = {**accelerator.model_dump(), "weight_capacity_bytes": size}
        other = _runnable(problem, accelerator=Accelerator.model_validate(data))
        if other is not None:
            yield f"memory of {accelerator.name}", "MiB", capacity / MIB, size / MIB, other
    for i, tenant in enumerate(problem.tenants):
        for factor in (1 - STEP, 1 + STEP):
            rates = problem.rate_hz.copy()
            rates[i] *= factor
            yield f"rate of {tenant.name}", "Hz", problem.rate_hz[i], rates[i], problem.at_rates(rates)


def _runnable(problem: TenancyProblem, **changes: Any) -> TenancyProblem | None:
    try:
        return problem.replace(**changes)
    except PlatformError:  # a tenant none of whose partition points could run
        return None


def explained_allocation(
    problem: TenancyProblem, solution: TenancySolution, steps: Sequence[TenancyStep] = ()
) -> Explained:
    """Say where each tenant's response goes and what each limit costs.

    Parameters
    ----------
    problem : TenancyProblem
    solution : TenancySolution
        With an allocation and its evaluation; see `solution_of` for one that was read from a file.
    steps : sequence of TenancyStep
    """
    assert solution.allocation is not None
    assert solution.evaluation is not None
    stable = solution.evaluation.stable
    sentences = [_sentence(part) for part in solution.evaluation.tenants]
    data = {
        **allocation_data(problem, solution),
        **({} if stable else {"status": "violated"}),
        "kind": "allocation",
        "says": sentences,
        "unstable": list(solution.evaluation.unstable),
        "prices": [
            {
                "limit": step.limit,
                "unit": step.unit,
                "value": step.value,
                "turned": step.turned,
                "status": step.status,
                "before_us": step.before_us,
                "after_us": step.after_us,
                "gain_us": step.gain_us,
                "exact": step.is_exact,
            }
            for step in steps
        ],
    }
    items: list[Table | str] = [
        allocation_table(problem, solution.allocation, solution.evaluation),
        *([verdict(solution)] if stable else []),
        *solution.evaluation.unstable,
        *sentences,
    ]
    if steps:
        items.append(_steps_table(steps))
    return Explained(data, tuple(items), stable)


def solution_of(problem: TenancyProblem, allocation: Allocation) -> TenancySolution:
    """An allocation that was read, as what its solver answered, scored for this problem.

    Raises
    ------
    PlanError
        The allocation does not fit the problem.
    """
    from ...solvers.tenancy.solution import TenancySolution

    evaluation = evaluate_tenancy(problem, allocation)
    stamp = allocation.solver
    same = stamp is not None and stamp.objective is not None and _close(stamp.objective, evaluation.mean_response_us)
    return TenancySolution(
        stamp.status if stamp is not None and same else "feasible",
        stamp.method if stamp is not None else "unknown solver",
        evaluation.mean_response_us,
        stamp.bound if stamp is not None and same else None,
        stamp.seed if stamp is not None else 0,
        stamp.runtime_s if stamp is not None else 0.0,
        allocation=allocation,
        evaluation=evaluation,
    )


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * abs(one)


def _sentence(part: TenantEvaluation) -> str:
    shares = {
        "waits for the accelerator": part.accelerator_wait_us,
        f"reloads its weights (with {percent(part.swap_probability)} of its requests)": part.reload_us,
        "runs on the accelerator": part.accelerator_us,
        "is handed over": part.handover_us,
        "waits for a core": part.cpu_wait_us,
        "runs on the CPU": part.cpu_us,
    }
    total = part.response_us
    if not total < float("inf"):
        return f"{part.tenant}: its queue grows without end."
    told = sorted(((us, what) for what, us in shares.items() if us > 0), reverse=True)
    listed = "; ".join(f"{percent(us / total)} {what}, {milliseconds(us)} ms" for us, what in told)
    return f"{part.tenant}: mean response {milliseconds(total)} ms: {listed}."


def _steps_table(steps: Sequence[TenancyStep]) -> Table:
    rows = []
    for step in sorted(steps, key=lambda step: -abs(float("inf") if step.gain_us is None else step.gain_us)):
        gain = step.gain_us
        sign = "" if gain is None or abs(gain) < 1e-3 else "+" if gain > 0 else "−"
        rows.append(
            (
                step.limit,
                f"{step.value:.4g} {step.unit}",
                f"{step.turned:.4g} {step.unit}",
                "–" if step.after_us is None else milliseconds(step.after_us),
                Cell("–") if gain is None else Cell(f"{sign}{milliseconds(abs(gain)) if sign else '0'}"),
                "exact" if step.is_exact and step.after_us is not None else step.status,
            )
        )
    columns = ("limit", ">now", ">turned to", ">mean response ms", ">gain ms", "what is known")
    note = (
        "Each row is a problem of its own, solved again: a difference of two optima over that step, not a slope. The "
        "mean is over all requests: a rate also changes how much its tenant counts."
    )
    return Table("What each limit costs", columns, tuple(rows), note)
