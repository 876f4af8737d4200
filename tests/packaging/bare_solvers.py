"""Run by the tests of a bare environment, in a process of its own: every family of solvers, on what is there.

Prints one JSON object: what each method of each class of problems came to, and each public function beside `solve`;
methods that no problem was for; the libraries that were loaded; and what the examples of pages printed. Arguments:
import names that must not be found, and pages, told apart by their ending.
"""

import contextlib
import importlib.abc
import io
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

HEAVY = {"fastapi", "numba", "onnx", "onnxruntime", "openvino", "platformdirs", "plotly", "psutil", "pymoo", "rich"}
HEAVY |= {"scipy", "sqlalchemy", "starlette", "typer", "uvicorn", "yaml"}


class Missing(importlib.abc.MetaPathFinder):
    """Nothing of these names is installed."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def problems() -> dict[str, object]:
    """One small problem of every class, several where no solver takes all that the class holds."""
    from edgeplan.formulation import Job, JobNetwork, JobProblem
    from edgeplan.solvers.deadlines.testing import JobKind, random_job_problem
    from edgeplan.solvers.operating_points.testing import random_points
    from edgeplan.solvers.partition.testing import PartitionKind, random_partition_problem
    from edgeplan.solvers.tenancy.testing import random_tenancy
    from edgeplan.solvers.testing import ProblemKind, random_problem
    from edgeplan.solvers.throughput.testing import random_throughput

    return {
        "plan": random_problem(ProblemKind(layers=3), 7),
        "plans": random_problem(ProblemKind(models=2, layers=2), 7),
        "front": random_problem(ProblemKind(objective="front", layers=3), 7),
        "partition": random_partition_problem(PartitionKind(nodes=5), 1),
        "partition, free": random_partition_problem(PartitionKind(nodes=5, contiguous=False), 1),
        "partition, latency": random_partition_problem(PartitionKind(nodes=5, objective="latency"), 1),
        "jobs": random_job_problem(JobKind(), 1),
        "jobs, by name": JobProblem.build(
            ["cpu", "gpu"], [JobNetwork.build("net", [[3, 1], [2, 1]])], [Job("job", "net", deadline_us=9)]
        ),
        "tenancy": random_tenancy(2, 3, 4, 0.05, 1),
        "throughput": random_throughput(1),
        "throughput, small": random_throughput(1, models=1, cores={"cpu": 1}),
        "operating points": random_points(2, 3, 1, load=0.1, memory_share=None),
    }


def functions() -> dict[str, Callable[[], object]]:
    """What the solvers offer beside `solve`, each on something small."""
    import numpy as np
    from edgeplan.formulation import Scenario
    from edgeplan.solvers import by_simulation, chain_front, hypervolume, joint_front, measured_front
    from edgeplan.solvers.clustering import ClusteringProblem, choose_columns
    from edgeplan.solvers.deadlines.schedulability import SporadicTask, TaskSegment, schedulability
    from edgeplan.solvers.tenancy import Reallocator
    from edgeplan.solvers.tenancy.testing import random_tenancy
    from edgeplan.solvers.testing import ProblemKind, random_problem

    rng = np.random.default_rng(0)
    costs = rng.integers(1, 9, (4, 2)).astype(float), rng.integers(1, 9, (4, 2)).astype(float)
    streams = random_problem(ProblemKind(objective="response", models=2, layers=2, streams=True), 7)
    task = SporadicTask("task", (TaskSegment("cpu", 10.0),), 100.0, 100.0)
    return {
        "by_simulation": lambda: by_simulation(streams, time_limit_s=4.0),
        "chain_front": lambda: chain_front(*costs),
        "choose_columns": lambda: choose_columns(ClusteringProblem.create([[0.0, 0.2], [0.3, 0.0]], max_columns=1)),
        "hypervolume": lambda: hypervolume(chain_front(*costs).figures, (99.0, 99.0)),
        "joint_front": lambda: joint_front([chain_front(*costs).figures] * 2),
        "measured_front": lambda: measured_front(
            lambda genes: (1.0 + sum(genes), 9.0 - sum(genes)), n_options=(2,) * 4, budget=60
        ),
        "Scenario.load": lambda: Scenario.load("scenario.yaml"),
        "schedulability": lambda: schedulability([task]),
        "Reallocator": lambda: Reallocator(random_tenancy(2, 3, 4, 0.05, 1)).reallocate(),
    }


def outcomes() -> tuple[dict[str, dict[str, str]], list[str]]:
    """What each method came to, by problem, or what it says to install; and methods that no problem was for."""
    from edgeplan.formulation import UnsupportedError
    from edgeplan.solvers import available_methods, solve, solver

    came_to: dict[str, dict[str, str]] = {}
    untried = set()
    for name, problem in problems().items():
        for method in ("auto", *available_methods(type(problem))):
            try:
                if method == "auto" or solver(method, type(problem)).features.unsupported(problem) is None:
                    came_to.setdefault(name, {})[method] = solve(problem, method, time_limit_s=5.0).status
                else:
                    untried.add((type(problem).__name__, method))
            except UnsupportedError as error:
                came_to.setdefault(name, {})[method] = error.remedy
    given = problems()
    tried = {(type(given[name]).__name__, method) for name, methods in came_to.items() for method in methods}
    return came_to, sorted(f"{kind}: {method}" for kind, method in untried - tried)


def called() -> dict[str, str]:
    """What came of each function: that it ran, or what it says to install."""
    from edgeplan.formulation import EdgePlanError

    found = {}
    for name, call in functions().items():
        try:
            call()
            found[name] = "ran"
        except EdgePlanError as error:
            found[name] = error.remedy
    return found


def printed(page: Path) -> str:
    """What the example of a page prints that uses the solvers alone."""
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in examples if "from edgeplan.solvers import solve\n" in block)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(example, page.name, "exec"), {})
    return said.getvalue()


def main() -> None:
    """Solve by every method, and print."""
    pages = [Path(argument) for argument in sys.argv[1:] if argument.endswith(".md")]
    sys.meta_path.insert(0, Missing({argument for argument in sys.argv[1:] if not argument.endswith(".md")}))
    warnings.simplefilter("ignore")  # of interpreted loops; a test of its own holds that it is said
    came_to, untried = outcomes()
    said = {"came_to": came_to, "untried": untried, "functions": called()}
    loaded = sorted(HEAVY & set(sys.modules))
    print(json.dumps({**said, "loaded": loaded, "examples": {page.name: printed(page) for page in pages}}))


if __name__ == "__main__":
    main()
