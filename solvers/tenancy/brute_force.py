"""Every allocation there is, scored by the evaluator: the oracle for small problems."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from ...formulation import Allocation, PlanError, TenancyProblem, TenantAllocation, evaluate_tenancy
from ..stop import Stop
from .features import TenancyFeatures
from .outcome import no_stable_allocation, solution_of
from .solution import TenancySolution


def allocations(problem: TenancyProblem) -> Iterator[Allocation]:
    """All allocations that can run; co-compiled tenants in one set, in every order."""
    choices = []
    for i, tenant in enumerate(problem.tenants):
        own = []
        for k in map(int, np.flatnonzero(problem.runnable[i])):
            if tenant.cpu_us[k] == 0:
                own.append(TenantAllocation(tenant=tenant.name, point=k))
                continue
            for cores in range(1, problem.cpu_cores + 1):
                for threads in range(1, min(cores, len(tenant.speedup)) + 1):
                    if cores % threads == 0:
                        own.append(TenantAllocation(tenant=tenant.name, point=k, cores=cores, threads=threads))
        choices.append(own)
    shared = problem.accelerator.residency.kind == "co_compiled"
    for parts in product(*choices):
        if sum(part.cores for part in parts) > problem.cpu_cores:
            continue
        on = [part.tenant for part in parts if part.point > 0]
        for order in permutations(on) if shared and on else [()]:
            yield Allocation(tenants=parts, co_compiled=(order,) if order else ())


class BruteForce:
    """Scores everything; for small problems and as the oracle of tests."""

    name = "brute_force"
    features = TenancyFeatures(exact=True, max_allocations=20_000)

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Enumerate; without a proof where time runs out."""
        best, least = None, np.inf
        stopped = False
        for allocation in allocations(problem):
            if stop():
                stopped = True
                break
            try:
                value = evaluate_tenancy(problem, allocation).mean_response_us
            except PlanError:  # not enough memory beside the others, on a device that cannot stream
                continue
            if value < least:
                best, least = allocation, value
        if best is None:
            return TenancySolution("timeout", self.name) if stopped else no_stable_allocation(self.name, problem)
        return solution_of(self.name, problem, best, proven=not stopped)
