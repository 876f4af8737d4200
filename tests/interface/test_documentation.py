"""Examples in the documentation run or say why not, its scenarios are scenarios, its links lead somewhere."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from edgeplan.formulation import Scenario
from edgeplan.formulation.tenancy import TenancyScenario
from edgeplan.interface.tenancy import load_tenancy
from edgeplan.interface.tenancy_files import has_accelerator

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
QUICK = ["catalogue.md", "plugins.md", *(f"problems/{path.name}" for path in sorted(DOCS.glob("problems/*.md")))]
# Pages that measure, serve or compile: in order, in a folder of their own.
THOROUGH = [
    "README.md",
    "emulated-accelerator.md",
    "library.md",
    "scenario-accelerator.md",
    "service.md",
    "tutorial.md",
]
# Pages whose examples other tests run, with what they need.
ELSEWHERE = {
    "ci.md": "tests of the commands",
    "fleet.md": "tests of the command",
    "planner.md": "tests of the service",
    "reports.md": "tests of the reports",
    "serve.md": "tests/interface/serving",
    "what-if.md": "tests of the command",
}


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix() if page.is_relative_to(DOCS) else page.name


def page_of(name: str) -> Path:
    return ROOT / name if name in ("README.md", "CONTRIBUTING.md") else DOCS / name


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


@pytest.mark.slow
@pytest.mark.parametrize("name", THOROUGH)
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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_example_is_run_or_says_why_not(page: Path) -> None:
    name = name_of(page)
    if name in ELSEWHERE:
        return
    run = [*QUICK, *THOROUGH]
    idle = [b for b in blocks(page, *RUNNABLE) if not b.not_run and name not in run]
    assert not idle, "run these in a test, or say in a comment before them why not"
    if name in QUICK:
        assert not [b for b in blocks(page, "sh") if not b.not_run], "shell commands run on pages in THOROUGH only"
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    commands = re.findall(r"^    (?:edgeplan|pip|make|python|curl|git) .*$", prose, re.MULTILINE)
    assert not commands, "commands stand between fences, so that this test sees them"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scenarios_fit_the_schema(page: Path) -> None:
    for block in blocks(page, "yaml"):
        data = yaml.safe_load(block.text)
        if (isinstance(data, dict) and "models" in data) or "tenants" in data:
            (TenancyScenario if "accelerator" in data else Scenario).model_validate(data)


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
