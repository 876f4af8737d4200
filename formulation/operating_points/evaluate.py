"""The one evaluator of choices of operating points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import PlanError
from .problem import OperatingPointProblem
from .tables import miss_probability


@dataclass(frozen=True)
class ModelAtPoint:
    """What is predicted of one model.

    Attributes
    ----------
    model, point : str
    execution_us : float
        From the start of a request to its end, beside the others.
    response_us : float
        From its arrival; ∞ where the model cannot keep up.
    miss_probability : float
    switch_us : float
        Time to make the point ready; 0 where it is in force.
    """

    model: str
    point: str
    execution_us: float
    response_us: float
    miss_probability: float
    switch_us: float


@dataclass(frozen=True)
class PointsEvaluation:
    """What a choice of operating points is worth.

    Attributes
    ----------
    models : tuple of ModelAtPoint
    objective : float
        Weighted mean response in microseconds, or weighted share of misses; switches included. ∞ where not feasible.
    response_us, miss_ratio : float
        Weighted means without switches.
    utilisation : mapping of str to float
        Of each processor, as a share of what background leaves of it.
    memory_bytes : mapping of str to float
        Of each limited memory.
    violations : tuple of str
        Limits that are broken, each as a sentence.
    """

    models: tuple[ModelAtPoint, ...]
    objective: float
    response_us: float
    miss_ratio: float
    utilisation: Mapping[str, float]
    memory_bytes: Mapping[str, float]
    violations: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """Whether every limit holds and every queue stays finite."""
        return not self.violations


def evaluate_points(problem: OperatingPointProblem, choice: Sequence[int]) -> PointsEvaluation:
    """Score a choice of one point a model.

    Notes
    -----
    With busy time b (beside the background: `SharedProcessor.stretch`), cores c, sensitivity s of a request on
    processor p, ρ the share that other models ask for of the cores that background leaves
    (`SharedProcessor.cores_left`), and P the pressure of the other models (each times the share of time it runs):

        execution = other + Σ_p b (1 + s P) (1 + ρ^(√(2(m+1)) − 1) / (m (1 − ρ))),   m = cores left of p / c, 1 or more
        response  = execution + λ execution² / (2 (1 − λ execution))

    The first factor is that of `co_run_slowdowns`; the second is the mean response of m servers over their service time
    (Sakasegawa 1977, doi 10.1007/BF02532249), for one server that of processor sharing, 1 / (1 − ρ). The last line is
    the wait of a model's requests for each other, one at a time, for services that hardly vary (M/D/1). Everything
    grows with the use of every processor. A switch that takes t within the horizon H delays the requests that arrive
    meanwhile by t / 2 on average, t² / (2 H) over all; counting misses, it loses a share t / H of them.

    Parameters
    ----------
    problem : OperatingPointProblem
    choice : sequence of int, length n

    Raises
    ------
    PlanError
        Not one existing point for every model.
    """
    tables = problem.tables
    sizes = [len(model.points) for model in problem.models]
    if len(choice) != len(sizes) or any(not 0 <= j < size for j, size in zip(choice, sizes, strict=False)):
        raise PlanError(
            "choice of operating points",
            expected=f"one index for each model, below {sizes}",
            got=f"{[int(j) for j in choice]}",
            remedy="Choose again for this problem.",
        )
    at = np.array([choice], dtype=np.int64)
    level = tables.levels(at)
    execution, response = (times[0] for times in tables.times_us(level[:, None, :], np.arange(len(sizes))[None], at))
    missed = np.where(np.isfinite(response), miss_probability(execution, response, tables.deadline_us), 1.0)
    p = tables.n_processors
    use = level[0]
    violations = [
        f"utilisation of {name}: {used:.3g} is above the limit of {tables.highest[k]:.3g}"
        for k, (name, used) in enumerate(zip(tables.processors, use[:p], strict=True))
        if used > tables.highest[k]
    ]
    violations += [
        f"memory {name}: {used:,.0f} bytes are above the limit of {tables.highest[2 * p + k]:,.0f}"
        for k, (name, used) in enumerate(zip(tables.memories, use[2 * p :], strict=True))
        if used > tables.highest[2 * p + k]
    ]
    violations += [
        f"model {model.model}: {model.rate_hz:.4g} requests a second are more than one at a time can be served"
        for model, response_us in zip(problem.models, response, strict=True)
        if not np.isfinite(response_us)
    ]
    return PointsEvaluation(
        tuple(
            ModelAtPoint(
                model.model,
                model.points[j].name,
                float(execution[i]),
                float(response[i]),
                float(missed[i]),
                float(tables.switch_us[i, j]),
            )
            for i, (model, j) in enumerate(zip(problem.models, choice, strict=True))
        ),
        float(tables.objectives(at)[0]),
        float(tables.factor @ response),
        float(tables.factor @ missed),
        dict(zip(tables.processors, use[:p].tolist(), strict=True)),
        dict(zip(tables.memories, use[2 * p :].tolist(), strict=True)),
        tuple(violations),
    )
