"""The packages import in one direction only, relatively inside and by the facade's name outside."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# package -> what it may import of ours (the table in docs/architecture.md)
ARROWS: dict[str, set[str]] = {
    "formulation": set(),
    "profiles": {"formulation"},
    "solvers": {"formulation"},
    "runtime_bridge": {"formulation", "profiles", "solvers"},
    "interface": {"formulation", "profiles", "solvers", "runtime_bridge"},
}
# package -> the only third-party libraries that it may import, even inside a function (docs/library.md tells of them)
THIRD_PARTY: dict[str, set[str]] = {
    "formulation": {"numba", "numpy", "pydantic", "yaml"},
    "solvers": {"numpy", "ortools", "pydantic", "pymoo", "scipy"},
}
# package -> third-party libraries that it must never import, even inside a function
FORBIDDEN: dict[str, set[str]] = {
    "profiles": {"ortools", "pymoo", "typer", "rich", "plotly"},
    "runtime_bridge": {"typer", "rich", "plotly"},
}
# import name -> distribution name, where they differ
DISTRIBUTIONS = {"google": "protobuf", "prometheus_client": "prometheus-client", "yaml": "pyyaml"}


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (line, relative level, dotted module) of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                for alias in node.names:
                    yield node.lineno, node.level, alias.name
            else:
                yield node.lineno, node.level, node.module


def standard(name: str) -> bool:
    """Whether a module is Python's own: of its library, or what it knows of its own build."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top.startswith("_sysconfigdata")


def may_import(package: str, top: str) -> bool:
    """Whether a package may import a module of this first name: of some packages all libraries are named."""
    return package not in THIRD_PARTY or top in sys.stdlib_module_names or top in THIRD_PARTY[package]


@pytest.mark.parametrize("package", ARROWS)
def test_imports_follow_the_arrows(package: str) -> None:
    wrong = []
    for path in sources(ROOT / package):
        depth = len(path.relative_to(ROOT).parts) - 1  # 1 for a module directly in the package
        for line, level, module in imports(path):
            top = module.split(".")[0]
            where = f"{path.relative_to(ROOT)}:{line} imports {'.' * level}{module}"
            if level == 0:
                if top == "edgeplan" or top in ARROWS:
                    wrong.append(f"{where}: inside the packages imports of ours are relative")
                elif top in FORBIDDEN.get(package, ()) or not may_import(package, top):
                    wrong.append(f"{where}: {package} must not import {top}")
            elif level == depth + 1 and top not in ARROWS[package] and top != package:
                wrong.append(f"{where}: {package} may import {sorted(ARROWS[package]) or 'none of the others'}")
            elif level > depth + 1:
                wrong.append(f"{where}: leaves the project")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["tests", "examples", "benchmarks"])
def test_users_code_imports_the_installed_names(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(ROOT / folder)
        for line, level, module in imports(path)
        if level == 0 and module.split(".")[0] in ARROWS
    ]
    assert not wrong, "\n".join(wrong)


def test_every_third_party_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    declared = {"".join(c for c in r.split(">=")[0] if c not in "[]").strip().lower() for r in requirements}
    # A benchmark in several parts imports them from a folder beside it; a plug-in is a package of its own.
    beside = {path.name for pattern in ("benchmarks/*", "examples/*/*") for path in ROOT.glob(pattern) if path.is_dir()}
    missing = {
        f"{top} ({path.relative_to(ROOT)}:{line})"
        for package in [*ARROWS, "tests", "examples", "benchmarks"]
        for path in sources(ROOT / package)
        for line, level, module in imports(path)
        if level == 0
        and (top := module.split(".")[0]) not in sys.stdlib_module_names
        and top != "edgeplan"
        and not (package in ("benchmarks", "examples") and top in beside)
        and DISTRIBUTIONS.get(top, top).lower() not in declared
    }
    assert not missing, sorted(missing)


@pytest.mark.parametrize("package", ["formulation", "solvers"])
def test_importing_it_loads_numpy_and_pydantic_and_nothing_else(package: str) -> None:
    script = (
        "import numpy, pydantic, sys\n"
        "before = set(sys.modules)\n"
        f"import edgeplan.{package}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    others = [name for name in loaded.stdout.split() if not standard(name)]
    ours = [name for name in others if name.partition(".")[0] == "edgeplan"]
    packages = {".".join(name.split(".")[:2]) for name in ours}
    assert packages <= {"edgeplan", "edgeplan.formulation", f"edgeplan.{package}"}
    # Of the second line are libraries that pydantic itself is built on.
    known = {"edgeplan", "numpy", "pydantic", "pydantic_core"}
    known |= {"annotated_types", "typing_extensions", "typing_inspection"}
    assert {name.partition(".")[0] for name in others} <= known


def test_facade_names_resolve_and_others_do_not() -> None:
    import edgeplan

    assert all(getattr(edgeplan, name) is not None for name in edgeplan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = edgeplan.nonsense
