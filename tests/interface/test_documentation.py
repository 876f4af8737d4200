"""Examples in the documentation run or say why not, what it names is there, its scenarios fit, its links lead on."""

from __future__ import annotations

import ast
import doctest
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from edgeplan.formulation import (
    Accelerator,
    Limits,
    ModelPlan,
    Periodic,
    Plan,
    PlannedSegment,
    Poisson,
    Scenario,
    ScenarioModel,
    SolverStamp,
    Stream,
    Trace,
)
from edgeplan.formulation.tenancy import TenancyScenario
from edgeplan.formulation.tenancy.batching import Batching
from edgeplan.formulation.tenancy.scenario import PointCosts, TenantEntry, WholeCosts
from edgeplan.interface.cli import app
from edgeplan.interface.commands.schema import Document
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.fleet.spec import FleetSpec
from edgeplan.interface.tenancy import load_tenancy
from edgeplan.interface.tenancy_files import has_accelerator
from edgeplan.profiles import ModelProfile, Profile
from edgeplan.profiles.backends import ENTRY_POINT_GROUP
from edgeplan.profiles.contention import MeasuredContention
from edgeplan.solvers.problem_classes import PROBLEM_CLASSES
from pydantic import BaseModel
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _examples() -> ModuleType:
    """What runs examples; it stands with the documentation, in no package."""
    spec = spec_from_file_location("examples", DOCS / "tools" / "examples.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the module of theirs
    spec.loader.exec_module(module)
    return module


examples = _examples()
blocks, FENCE, RUNNABLE = examples.blocks, examples.FENCE, examples.RUNNABLE
RESULTS = sorted((DOCS / "results").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("problems/*.md"))]
PLUGINS = sorted((ROOT / "examples").glob("*/README.md"))

# Pages whose examples need nothing but this process and a moment.
QUICK = [
    "catalogue.md",
    "plugins.md",
    *(f"problems/{path.name}" for path in sorted(DOCS.glob("problems/*.md"))),
]
# Pages with commands, in order, in a folder of their own; those that measure models take their time.
IN_FOLDERS = ["scenario-accelerator.md"]
THOROUGH = ["README.md", "emulated-accelerator.md", "library.md", "tutorial.md"]
# Pages whose examples need files or a service: the tests beside this one that have them and run these examples.
ELSEWHERE = {
    "ci.md": "ci/test_ci_page.py",
    "contention.md": "test_contention_page.py",
    "fleet.md": "fleet/test_fleet_page.py",
    "importing.md": "test_importing_page.py",
    "planner.md": "planner/test_documentation.py",
    "reports.md": "test_report_documentation.py",
    "serve.md": "serving/test_serve_page.py",
    "service.md": "../runtime_bridge/service/test_documentation.py",
    "what-if.md": "whatif/test_what_if_page.py",
}
# Pages with commands in indented blocks: nothing runs those, but their options are held below.
INDENTED = ["planner.md"]


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix() if page.is_relative_to(DOCS) else page.name


def where_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def page_of(name: str) -> Path:
    return ROOT / name if name in ("README.md", "CONTRIBUTING.md") else DOCS / name


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    return FENCE.sub("", text_of(page))


def test_the_solver_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (block for block in blocks(ROOT / "README.md", "python") if "edgeplan.solvers" in block.text)
    exec(compile(example.text, "README.md", "exec"), {})
    front = eval(capsys.readouterr().out)
    assert len(front) > 1
    assert front == sorted(front)


@pytest.mark.parametrize("name", QUICK)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = blocks(page_of(name), "python")
    assert examples
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "documentation"}
    for example in examples:
        if not example.not_run:
            exec(compile(example.text, name, "exec"), names)


@pytest.mark.parametrize("name", [*IN_FOLDERS, *(pytest.param(name, marks=pytest.mark.slow) for name in THOROUGH)])
def test_examples_run_one_after_the_other(name: str, tmp_path: Path) -> None:
    found = blocks(page_of(name))
    for k, said in examples.run(page_of(name), tmp_path):
        shown = examples.output_of(found, k)
        if shown is not None:
            missing = [line for line in steady(found[shown].text) if line not in steady(said)]
            assert not missing, (missing, said)


def steady(output: str) -> list[str]:
    """What of an output is the same on every machine: heads of tables, files written, exit codes."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    heads = [lines[k - 1] for k in range(1, len(lines)) if lines[k].startswith("───")]
    return heads + [line for line in lines if " written to " in line or line.startswith("exit code")]


@pytest.mark.parametrize("page", [*PAGES, *PLUGINS], ids=where_of)
def test_every_example_is_run_or_says_why_not(page: Path) -> None:
    name = name_of(page)
    found = blocks(page)
    noted = [block for block in found if block.not_run]
    comments = re.findall(r"^<!-- not run:", text_of(page), re.MULTILINE)
    assert len(noted) == len(comments), "the comment stands right before the fence"
    assert all(block.language for block in found), "a fence says its language, so that this test knows what it is"
    if page in PLUGINS:
        return  # installed and run by tests/packaging/test_plugins.py
    if name in ELSEWHERE:
        assert f'"{name}"' in text_of(Path(__file__).parent / ELSEWHERE[name])
    else:
        idle = [
            b
            for b in found
            if b.language in RUNNABLE and not b.not_run and name not in (*QUICK, *IN_FOLDERS, *THOROUGH)
        ]
        assert not idle, "run these in a test, or say in a comment before them why not"
    if name in QUICK:
        assert not [b for b in found if b.language in ("sh", "bash") and not b.not_run], "these run in a folder"
    commands = re.findall(r"^    (?:edgeplan|pip|make|python|curl|git|from|import) .*$", prose_of(page), re.MULTILINE)
    assert not commands or name in INDENTED, "commands stand between fences, so that this test sees them"


def command_lines(page: Path) -> Iterator[str]:
    """Every command line of ours on a page: in fences, in indented blocks, and in the text."""
    for block in blocks(page):
        if block.language != "python":
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from re.findall(r"(?:^|[\s=(])(edgeplan [a-z].*)", line)
    yield from re.findall(r"^    (edgeplan [a-z].*)$", prose_of(page), re.MULTILINE)
    yield from re.findall(r"`(edgeplan [a-z][^`]*)`", prose_of(page))


@pytest.mark.parametrize("page", [*PAGES, *PLUGINS, *RESULTS], ids=where_of)
def test_commands_and_options_exist(page: Path) -> None:
    whole = get_command(app)
    for line in command_lines(page):
        command: Any = whole
        words = [word.strip("[](),.;:'\"") for word in re.split(r"\s(?:[>|#]|&&)", line)[0].split()[1:]]
        while words and hasattr(command, "commands") and re.fullmatch("[a-z][a-z-]*", words[0]):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {"--help", "-h", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}
        options = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
        assert options <= known, line


@pytest.mark.parametrize("page", [*PAGES, *PLUGINS], ids=where_of)
def test_names_and_paths_exist(page: Path) -> None:
    text = text_of(page)
    groups = {ENTRY_POINT_GROUP, *(known.entry_point_group for known in PROBLEM_CLASSES)}
    for dotted in set(re.findall(r"`(edgeplan(?:\.\w+)+)", text)) - groups:
        assert resolved(dotted) is not None
    folders = "benchmarks|deploy|examples|formulation|interface|profiles|runtime_bridge|solvers|tests"
    paths = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w/.*-]*\.(?:py|service|yaml))", text)
    assert not [path for path in paths if not list(ROOT.glob(path))]


def resolved(dotted: str) -> object:
    """What a dotted name stands for: the longest part of it that is a module, and attributes of that."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_that_are_not_run_import_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block.text)) if block.not_run else ():
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    assert hasattr(import_module(node.module), alias.name)


@pytest.mark.parametrize("page", RESULTS, ids=name_of)
def test_results_stand_beside_the_command_that_makes_them(page: Path) -> None:
    assert f"`python benchmarks/{page.stem}.py" in text_of(page)
    assert (ROOT / "benchmarks" / f"{page.stem}.py").exists()


def test_examples_in_docstrings_run() -> None:
    found = 0
    for package in ("formulation", "profiles", "solvers", "runtime_bridge", "interface"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if ">>> " in text_of(path):
                module = import_module(f"edgeplan.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}")
                outcome = doctest.testmod(module)
                assert outcome.attempted
                assert not outcome.failed
                found += 1
    assert found


def test_every_class_of_problems_is_on_the_pages_that_list_them() -> None:
    for page in ("architecture.md", "plugins.md"):
        for known in PROBLEM_CLASSES:
            assert f"`{known.problem.__name__}`" in text_of(DOCS / page)
    for known in PROBLEM_CLASSES:
        assert f"`{known.entry_point_group}`" in text_of(DOCS / "plugins.md")


KEYS: dict[str, tuple[type[BaseModel], ...]] = {
    "contention.md": (MeasuredContention,),
    "plan.md": (Plan, ModelPlan, PlannedSegment, SolverStamp),
    "profile.md": (Profile, ModelProfile),
    "scenario.md": (Scenario, ScenarioModel, Stream, Limits, Periodic, Poisson, Trace),
    "scenario-accelerator.md": (TenancyScenario, TenantEntry, Accelerator, WholeCosts, PointCosts, Batching),
}


@pytest.mark.parametrize("name", KEYS)
def test_pages_on_files_have_every_key(name: str) -> None:
    rows = "\n".join(line for line in text_of(DOCS / name).splitlines() if line.startswith("|"))
    keys = [(model.__name__, key) for model in KEYS[name] for key in model.model_fields if key != "kind"]
    missing = [f"{model}.{key}" for model, key in keys if not re.search(rf"\b{key}\b", rows)]
    assert not missing


def test_every_command_file_and_exit_code_is_on_its_page() -> None:
    page = text_of(DOCS / "commands.md")
    for name in get_command(app).commands:
        assert f"`edgeplan {name}" in page
    (files,) = re.findall(r"^\| `edgeplan schema DOCUMENT` \|.*$", page, re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", files)) == {document.value for document in Document}
    for code in ExitCode:
        assert re.search(rf"^\| {int(code)} \|", page, re.MULTILINE)


# What a file in YAML is, by the first of these keys that it has.
FILES: dict[str, type[BaseModel]] = {
    "devices": FleetSpec,
    "accelerator": TenancyScenario,
    "models": Scenario,
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scenarios_fit_the_schema(page: Path) -> None:
    for block in blocks(page, "yaml"):
        data = yaml.safe_load(block.text)
        kind = next((kind for key, kind in FILES.items() if key in data), None)
        assert kind is not None, f"a file of a kind that this test does not know: {block.text}"
        kind.model_validate(data)


def test_example_scenarios_load() -> None:
    examples = sorted((ROOT / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        if has_accelerator(path):
            load_tenancy(path).problem()
        else:
            Scenario.load(path)


@pytest.mark.parametrize("page", [*PAGES, *RESULTS, *PLUGINS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    missing = []
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        # Pages that are made with the site are held by its own build.
        if "://" in link or (page.name == "index.md" and link.startswith("reference/")):
            continue
        target = page if not link else page.parent / link
        if not target.exists():
            missing.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            missing.append(f"{link}#{anchor}")
    assert not missing


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts and the site make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *RESULTS], ids=name_of)
def test_markdown_is_read_alike_by_all(page: Path) -> None:
    """Lists and tables begin after an empty line, without which some readers make them part of the paragraph before."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    begins = re.compile(r"^(?:[-*] |\d+\. |\| )")
    wrong = []
    for before, line in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if begins.match(line) and before and not begins.match(before) and before[0] not in " #|":
            wrong.append(line)
    assert not wrong


def test_every_page_has_one_title() -> None:
    for page in [*PAGES, *RESULTS]:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1, page
