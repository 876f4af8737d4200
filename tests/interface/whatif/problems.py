"""Small random problems that brute force can answer."""

from __future__ import annotations

from edgeplan.formulation import Problem
from edgeplan.solvers.testing import ProblemKind, random_problem

KINDS = {
    "latency of one": ProblemKind(layers=2),
    "latency of two": ProblemKind(models=2, layers=2),
    "response of one": ProblemKind(objective="response", layers=2, streams=True, deadline_slack=1.3),
    "response of two": ProblemKind(objective="response", models=2, layers=2, streams=True, deadline_slack=1.3),
}
SEED = 7
CASES = [(kind, SEED) for kind in KINDS]


def problem_of(kind: str, seed: int) -> Problem:
    return random_problem(KINDS[kind], seed)
