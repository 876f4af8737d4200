"""The classes of problems that `solve` takes, each with its solvers and its checks."""

from __future__ import annotations

from dataclasses import dataclass

from ..formulation import (
    JobProblem,
    PartitionProblem,
    Problem,
    TenancyProblem,
    ThroughputProblem,
    UnsupportedError,
    capped,
)
from ..formulation.operating_points import OperatingPointProblem


@dataclass(frozen=True)
class ProblemClass:
    """A class of problems.

    Attributes
    ----------
    problem : type
        Its problems are instances of this.
    checks : str
        Module, below this package, with ``refuse_unrunnable(problem)``, which runs before the clock of a time limit
        starts, and ``verified(problem, answer)``.
    built_in : dict
        Module and class of each solver by method name, in the order in which ``auto`` prefers them. Modules load on
        first use, so that listing solvers loads no library.
    entry_point_group : str
        Entry points of this group name solver classes of other distributions.
    """

    problem: type
    checks: str
    built_in: dict[str, tuple[str, str]]
    entry_point_group: str


PROBLEM_CLASSES = (
    ProblemClass(
        Problem,
        checks="verify",
        built_in={
            "dynamic_program": ("dynamic_program", "DynamicProgram"),
            "cp_sat": ("cp_sat", "CpSat"),
            "nsga2": ("nsga2", "Nsga2"),
            "greedy": ("greedy", "Greedy"),
            "brute_force": ("brute_force", "BruteForce"),
            "spea2": ("fronts.spea2", "Spea2"),
            "hlps": ("fronts.hlps", "Hlps"),
        },
        entry_point_group="edgeplan.solvers",
    ),
    ProblemClass(
        PartitionProblem,
        checks="partition.verify",
        built_in={
            "ideals": ("partition.ideals", "IdealLattice"),
            "portfolio": ("partition.portfolio", "Portfolio"),
            "blocks": ("partition.blocks", "Blocks"),
            "cp_sat": ("partition.cp_sat", "CpSat"),
            "mip": ("partition.mip", "Mip"),
            "local_search": ("partition.local_search", "LocalSearch"),
            "brute_force": ("partition.brute_force", "BruteForce"),
        },
        entry_point_group="edgeplan.solvers.partition",
    ),
    ProblemClass(
        JobProblem,
        checks="deadlines.verify",
        built_in={
            "cp_sat": ("deadlines.cp_sat", "CpSat"),
            "dynamic_program": ("deadlines.dynamic_program", "DynamicProgram"),
            "best_whole_model": ("deadlines.dynamic_program", "BestWholeModel"),
            "latency_optimal_cut": ("deadlines.policies", "LatencyOptimalCut"),
            "heft": ("deadlines.heft", "Heft"),
            "cpu_edf": ("deadlines.policies", "CpuEdf"),
            "gpu_edf": ("deadlines.policies", "GpuEdf"),
            "fifo": ("deadlines.policies", "Fifo"),
            "least_slack": ("deadlines.policies", "LeastSlack"),
            "random_search": ("deadlines.random_search", "RandomSearch"),
            "brute_force": ("deadlines.brute_force", "BruteForce"),
        },
        entry_point_group="edgeplan.solvers.deadlines",
    ),
    ProblemClass(
        TenancyProblem,
        checks="tenancy.verify",
        built_in={
            "branch_and_bound": ("tenancy.branch_and_bound", "BranchAndBound"),
            "local_search": ("tenancy.local_search", "LocalSearch"),
            "swapless_greedy": ("tenancy.baselines", "SwaplessGreedy"),
            "no_swap": ("tenancy.baselines", "NoSwap"),
            "threshold": ("tenancy.baselines", "Threshold"),
            "parameter_split": ("tenancy.baselines", "ParameterSplit"),
            "all_on_accelerator": ("tenancy.baselines", "AllOnAccelerator"),
            "cpu_only": ("tenancy.baselines", "CpuOnly"),
            "brute_force": ("tenancy.brute_force", "BruteForce"),
        },
        entry_point_group="edgeplan.solvers.tenancy",
    ),
    ProblemClass(
        ThroughputProblem,
        checks="throughput.verify",
        built_in={
            "cp_sat": ("throughput.cp_sat", "CpSat"),
            "greedy": ("throughput.greedy", "Greedy"),
            "single_instance": ("throughput.baselines", "SingleInstance"),
            "equal_cores": ("throughput.baselines", "EqualCores"),
            "largest_batch": ("throughput.baselines", "LargestBatch"),
            "each_alone": ("throughput.baselines", "EachAlone"),
            "brute_force": ("throughput.brute_force", "BruteForce"),
        },
        entry_point_group="edgeplan.solvers.throughput",
    ),
    ProblemClass(
        OperatingPointProblem,
        checks="operating_points.verify",
        built_in={
            "dynamic_program": ("operating_points.dynamic_program", "DynamicProgram"),
            "cp_sat": ("operating_points.cp_sat", "CpSat"),
            "greedy": ("operating_points.greedy", "Greedy"),
            "static_fastest": ("operating_points.baselines", "StaticFastest"),
            "static_smallest": ("operating_points.baselines", "StaticSmallest"),
            "all_cores": ("operating_points.baselines", "AllCores"),
            "brute_force": ("operating_points.brute_force", "BruteForce"),
        },
        entry_point_group="edgeplan.solvers.operating_points",
    ),
)


def class_of(problem: type) -> ProblemClass:
    """Class that a type of problem belongs to.

    Raises
    ------
    UnsupportedError
        No solver takes such an object.
    """
    for known in PROBLEM_CLASSES:
        if issubclass(problem, known.problem):
            return known
    raise UnsupportedError(
        "problem",
        expected=f"an instance of {capped(c.problem.__name__ for c in PROBLEM_CLASSES)}",
        got=f"{problem.__name__}",
        remedy="Build one of these from `edgeplan.formulation`.",
    )
