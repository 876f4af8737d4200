"""Examples in the documentation run, its scenarios are scenarios, its links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml
from edgeplan.formulation import Scenario
from edgeplan.formulation.tenancy import TenancyScenario

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CLASSES = sorted((ROOT / "docs" / "problems").glob("*.md"))
PAGES += CLASSES


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_solver_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (block for block in blocks(ROOT / "README.md", "python") if "edgeplan.solvers" in block)
    exec(compile(example, "README.md", "exec"), {})
    front = eval(capsys.readouterr().out)
    assert len(front) > 1
    assert front == sorted(front)


@pytest.mark.parametrize("page", CLASSES, ids=lambda page: page.name)
def test_examples_of_problem_classes_run(page: Path) -> None:
    examples = blocks(page, "python")
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scenarios_fit_the_schema(page: Path) -> None:
    for block in blocks(page, "yaml"):
        data = yaml.safe_load(block)
        (TenancyScenario if "accelerator" in data else Scenario).model_validate(data)


def test_example_scenarios_load() -> None:
    examples = sorted((ROOT / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        Scenario.load(path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
