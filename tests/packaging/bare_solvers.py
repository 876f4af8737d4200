"""Run by the tests of a bare environment, in a process of its own: every family of solvers, on what is there.

Prints one JSON object: what each method of each class of problems came to, the libraries that were loaded, and what the
example in the README printed. Arguments: the README, then import names that must not be found.
"""

import importlib.abc
import json
import re
import sys
import warnings
from pathlib import Path

HEAVY = {"fastapi", "numba", "onnx", "onnxruntime", "openvino", "platformdirs", "plotly", "psutil", "pymoo", "rich"}
HEAVY |= {"scipy", "starlette", "typer", "uvicorn", "yaml"}


class Missing(importlib.abc.MetaPathFinder):
    """Nothing of these names is installed."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def problems() -> dict[str, object]:
    """One small problem of every class."""
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
        "jobs": random_job_problem(JobKind(), 1),
        "tenancy": random_tenancy(2, 3, 4, 0.05, 1),
        "throughput": random_throughput(1),
        "operating points": random_points(2, 3, 1, load=0.1, memory_share=None),
    }


def main() -> None:
    """Solve by every method, and print."""
    readme, *missing = sys.argv[1:]
    sys.meta_path.insert(0, Missing(set(missing)))
    warnings.simplefilter("ignore")  # of interpreted loops; a test of its own holds that it is said
    from edgeplan.formulation import UnsupportedError
    from edgeplan.solvers import available_methods, solve, solver

    came_to: dict[str, dict[str, str]] = {}
    for name, problem in problems().items():
        for method in available_methods(type(problem)):
            try:
                if solver(method, type(problem)).features.unsupported(problem) is None:
                    came_to.setdefault(name, {})[method] = solve(problem, method, time_limit_s=5.0).status
            except UnsupportedError as error:
                came_to.setdefault(name, {})[method] = error.remedy
    examples = re.findall(r"```python\n(.*?)```", Path(readme).read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in examples if "edgeplan.solvers" in block)
    printed: list[object] = []
    exec(compile(example, "README.md", "exec"), {"print": lambda *values: printed.extend(values)})
    print(json.dumps({"came_to": came_to, "loaded": sorted(HEAVY & set(sys.modules)), "example": repr(printed[0])}))


if __name__ == "__main__":
    main()
