"""Solvers and backends of other distributions: those under examples/, registered here, and installed elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import site
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from edgeplan.formulation import UnsupportedError
from edgeplan.profiles import find_backends, open_backend
from edgeplan.profiles.backends.contract import BackendBugError, check_backend
from edgeplan.solvers import available_methods, contract, solve, solver

from ..conftest import write_model

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Register = Callable[..., None]


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Register]:
    """Make a distribution known as an installer does: its metadata and its modules stand on the path."""
    for name in ("edgeplan_annealing", "edgeplan_reference_backend", "plugin"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def known(name: str, entry_points: dict[str, dict[str, str]], folder: Path) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = (
            "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())])
            for group, entries in entry_points.items()
        )
        (info / "entry_points.txt").write_text("\n".join(groups))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.syspath_prepend(folder)

    yield known
    open_backend.cache_clear()


def example(register: Register, folder: str) -> None:
    project = tomllib.loads((EXAMPLES / folder / "pyproject.toml").read_text())["project"]
    register(project["name"], project["entry-points"], EXAMPLES / folder)


def test_the_example_solver_is_found_and_keeps_the_contract(register: Register) -> None:
    example(register, "solver-plugin")
    assert "annealing" in available_methods()
    quick = type(solver("annealing"))(steps=100)
    for kind in ("latency", "response of two", "too late"):
        contract.check_answer(quick, contract.KINDS[kind])
    problem = contract.problem_of(contract.KINDS["latency"])
    assert solve(problem, "annealing", time_limit_s=0.3).plan.solver.method == "annealing"


def test_auto_never_takes_a_solver_of_others(register: Register) -> None:
    example(register, "solver-plugin")
    assert {solve(contract.problem_of(kind)).method for kind in contract.KINDS.values()} <= set(available_methods()) - {
        "annealing"
    }


def test_a_solver_that_answers_under_another_name_is_found() -> None:
    class Impostor:
        """Hands on what another solver says."""

        name, features = "impostor", solver("dynamic_program").features

        def solve(self, problem, stop, seed):
            return solver("dynamic_program").solve(problem, stop, seed)

    with pytest.raises(contract.SolverBugError, match="stamp says something else: 'dynamic_program'"):
        contract.check_answer(Impostor(), contract.KINDS["latency"])


def test_the_example_backend_is_found_and_keeps_the_contract(register: Register) -> None:
    pytest.importorskip("threadpoolctl", reason="the example backend is built on it")
    example(register, "backend-plugin")
    (found,) = (backend for backend in find_backends() if backend.name == "onnx-reference")
    assert found.usable, found.reason
    check_backend(open_backend("onnx-reference"))


WHOLE = "class make:\n    name, version, forms, holds_workspace = 'broken', '1', ('default',), True"


def plugin(tmp_path: Path, body: str) -> Path:
    (tmp_path / "plugin.py").write_text(body)
    return tmp_path


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def make(): raise OSError('no such device')", "OSError: no such device"),
        ("import a_library_that_is_not_there", "a_library_that_is_not_there"),
        ("class make: name, version, forms = 'else', '1', ('default',)", "'else'"),
        ("class make: name, forms, holds_workspace = 'broken', ('default',), True", "no version"),
        ("class make: name, version, forms = 'broken', '1', ('default',)", "no holds_workspace"),
        ("class make: name, version, forms, holds_workspace = 'broken', '1', 'default', True", "no tuple"),
        ("class make: name, version, forms, holds_workspace = 'broken', '1', (), True", "which name none"),
        ("class make: name, version, forms, holds_workspace = 'broken', '1', ('default',), True", "no open"),
        (f"{WHOLE}\n    def open(self, segment): ...", "open(segment)"),
        (f"{WHOLE}\n    def __init__(self, path): ...", "path"),
    ],
)
def test_a_backend_that_does_not_load_is_absent_with_the_reason(
    register: Register, tmp_path: Path, body: str, said: str
) -> None:
    register("broken", {"edgeplan.backends": {"broken": "plugin:make"}}, plugin(tmp_path, body))
    (found,) = (backend for backend in find_backends() if backend.name == "broken")
    assert not found.usable
    assert said in found.reason
    with pytest.raises(UnsupportedError, match="broken"):
        open_backend("broken")


SOLVER = """
from edgeplan.solvers import Features
class make:
    name, features = 'broken', Features(frozenset({'latency'}), False, True, True, True)
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import a_library_that_is_not_there", "a_library_that_is_not_there"),
        ("def make(): raise OSError('no licence')", "OSError: no licence"),
        ("class make: name = 'else'", "'else'"),
        ("class make: name = 'broken'", "features None"),
        (SOLVER, "no solve"),
        (f"{SOLVER}    def solve(self, problem): ...", "solve(problem)"),
    ],
)
def test_a_solver_that_does_not_load_says_why_and_disturbs_nobody(
    register: Register, tmp_path: Path, body: str, said: str
) -> None:
    register("broken", {"edgeplan.solvers": {"broken": "plugin:make"}}, plugin(tmp_path, body))
    problem = contract.problem_of(contract.KINDS["latency"])
    with pytest.raises(UnsupportedError) as refused:
        solve(problem, "broken")
    assert said in refused.value.got
    assert solve(problem).status == "optimal"
    with pytest.raises(UnsupportedError) as refused:
        solve(problem, "nsga2")
    assert "broken" not in refused.value.remedy


def test_two_solvers_of_one_name_are_refused(register: Register, tmp_path: Path) -> None:
    folder = plugin(tmp_path, f"{SOLVER}    def solve(self, problem, stop, seed): ...")
    for name in ("one", "two"):
        register(name, {"edgeplan.solvers": {"broken": "plugin:make"}}, folder)
    with pytest.raises(UnsupportedError, match="one, two"):
        solver("broken")


def test_a_class_is_no_solver() -> None:
    with pytest.raises(UnsupportedError, match="an object with all that"):
        solve(contract.problem_of(contract.KINDS["latency"]), type(solver("greedy")))


def test_two_backends_of_one_name_are_refused(register: Register, tmp_path: Path) -> None:
    folder = plugin(tmp_path, "class make: name, version, forms = 'twice', '1', ('default',)")
    for name in ("one", "two"):
        register(name, {"edgeplan.backends": {"twice": "plugin:make"}}, folder)
    with pytest.raises(UnsupportedError, match="one, two"):
        open_backend("twice")


def test_ours_keep_their_names(register: Register, tmp_path: Path) -> None:
    folder = plugin(tmp_path, "def make(): raise AssertionError('not asked')")
    register("usurper", {"edgeplan.backends": {"onnxruntime-cpu": "plugin:make"}}, folder)
    assert type(open_backend("onnxruntime-cpu")).__name__ == "OnnxRuntimeCpu"


def test_ours_keep_the_contract_and_a_broken_promise_is_found() -> None:
    check_backend(open_backend("onnxruntime-cpu"))
    ours = open_backend("onnxruntime-cpu")

    class Forgetful:
        """Hands out the same arrays again and again."""

        name, version, forms, holds_workspace = ours.name, ours.version, ours.forms, ours.holds_workspace

        def open(self, segment, configuration, cores):
            session = ours.open(segment, configuration, cores)
            run, held = session.run, {}

            def again(feeds):
                for name, value in run(feeds).items():
                    held.setdefault(name, value)[...] = value
                return dict(held)

            session.run = again
            return session

    with pytest.raises(BackendBugError, match="belong to the caller"):
        check_backend(Forgetful())


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two threads need two cores")
def test_a_backend_that_is_right_on_one_thread_only_is_found() -> None:
    ours = open_backend("onnxruntime-cpu")

    class Racing:
        """Adds one to every answer where it has helpers."""

        name, version, forms, holds_workspace = ours.name, ours.version, ours.forms, ours.holds_workspace

        def open(self, segment, configuration, cores):
            session = ours.open(segment, configuration, cores)
            if configuration.threads > 1:
                run = session.run
                session.run = lambda feeds: {name: value + 1 for name, value in run(feeds).items()}
            return session

    with pytest.raises(BackendBugError, match="whole on 2 threads"):
        check_backend(Racing())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment that is lent what this one has, so that only the plug-ins themselves are installed there."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (packages,) = (folder / "lib").glob("python3*/site-packages")
    lent = [path for path in {*site.getsitepackages(), *sys.path} if path.endswith("site-packages")]
    (packages / "lent.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in sorted(lent)))
    return folder


def installed(environment: Path, folder: str, tmp_path: Path, *requirements: str) -> Path:
    """Build and install a plug-in; returns a copy of its sources, so that no build is left beside the real ones."""
    copy = tmp_path / folder
    shutil.copytree(EXAMPLES / folder, copy)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    if requirements:
        subprocess.run([*pip, *requirements], check=True)
    subprocess.run([*pip, "--no-deps", str(copy)], check=True)
    return copy


def edgeplan(environment: Path, folder: Path, *arguments: str) -> str:
    script = "from edgeplan.interface.cli import main; main()"
    command = [environment / "bin" / "python", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def scenario_of(tmp_path: Path) -> Path:
    write_model(tmp_path / "toy.onnx", 0)
    data = {
        "name": "one toy",
        "models": [{"name": "toy", "path": "toy.onnx"}],
        "streams": [{"model": "toy", "arrival": {"kind": "poisson", "rate_hz": 5}, "deadline_us": 500_000}],
    }
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(data))
    return tmp_path


@pytest.mark.slow
def test_the_example_solver_installed(environment: Path, tmp_path: Path) -> None:
    copy = installed(environment, "solver-plugin", tmp_path)
    tests = [environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(copy / "tests")]
    subprocess.run(tests, check=True, cwd=copy)
    folder = scenario_of(tmp_path)
    profile = ["profile", "toy.onnx", "--quick", "--threads", "1", "--form", "mapped", "-o", "profile.json"]
    edgeplan(environment, folder, *profile)
    readme = (copy / "README.md").read_text()
    (command,) = re.findall(r"^edgeplan (.*)$", readme, re.MULTILINE)
    said = edgeplan(environment, folder, *shlex.split(command), "--format", "json")
    assert '"method": "annealing"' in said


@pytest.mark.slow
def test_the_example_backend_installed(environment: Path, tmp_path: Path) -> None:
    copy = installed(environment, "backend-plugin", tmp_path, "threadpoolctl")
    tests = [environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(copy / "tests")]
    subprocess.run(tests, check=True, cwd=copy)
    folder = scenario_of(tmp_path)
    profile = ["profile", "toy.onnx", "--quick", "--threads", "1", "--backend", "onnx-reference", "-o", "profile.json"]
    edgeplan(environment, folder, *profile)
    given = ("scenario.yaml", "--profile", "profile.json")
    edgeplan(environment, folder, "plan", *given, "-o", "plan.json")
    assert "onnx-reference" in (folder / "plan.json").read_text()
    run = edgeplan(environment, folder, "run", *given, "--plan", "plan.json", "--duration", "2", "--format", "json")
    assert '"status": "done"' in run or '"answered"' in run, run
