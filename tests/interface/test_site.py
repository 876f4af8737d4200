"""The site of the documentation builds without a warning, fetches nothing, and holds what the code says."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from .test_documentation import PAGES, blocks

ROOT = Path(__file__).resolve().parents[2]
needs_mkdocs = pytest.mark.skipif(
    not all(find_spec(name) for name in ("mkdocs", "material", "mkdocstrings", "docutils")),
    reason="builds the site with the packages of the extra `docs`, which are not installed",
)


def hook(name: str) -> ModuleType:
    """A module of the site, which no package holds."""
    spec = spec_from_file_location(name, ROOT / "docs" / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    pytest.importorskip(
        "mkdocs", reason="builds the site with the packages of the extra `docs`, which are not installed"
    )
    return hook("generated")


def test_every_command_and_option_has_its_place(generated: ModuleType) -> None:
    from edgeplan.interface.cli import app
    from typer.main import get_command

    page = generated.options_page()
    for name, command in generated.commands(get_command(app)):
        assert f"## edgeplan {name}\n" in page
        section = page.partition(f"## edgeplan {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in section


def test_every_key_of_every_file_has_its_place(generated: ModuleType) -> None:
    from edgeplan.interface.commands.schema import Document

    page = generated.files_page()
    assert all(f"## {document.value}\n" in page for document in Document)
    assert "| `deadline_us` | number or null |" in page
    assert "| `layer_us` |" in page
    # What a key means stands in the docstring of the class behind it.
    assert "Profile file, relative to the scenario file." in page


@pytest.mark.parametrize("package", ["formulation", "profiles", "solvers", "runtime_bridge", "interface"])
def test_every_public_name_has_its_place(generated: ModuleType, package: str) -> None:
    page = generated.package_page(package)
    missing = []
    for init in sorted((ROOT / package).rglob("__init__.py")):
        module = import_module(f"edgeplan.{'.'.join(init.parent.relative_to(ROOT).parts)}")
        for name in re.findall(r"^from \.\w[\w.]* import (\w+) as \1$", init.read_text(encoding="utf-8"), re.MULTILINE):
            if is_documented(getattr(module, name)) and not in_reference(page, module.__name__, name):
                missing.append(f"{module.__name__}.{name}")
    assert not missing


def test_what_the_examples_import_is_in_the_reference(generated: ModuleType) -> None:
    reference = "\n".join(generated.package_page(package) for package in generated.PACKAGES)
    missing = []
    for page in PAGES:
        for block in blocks(page, "python"):
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeplan."):
                    module = import_module(node.module)
                    names = [alias.name for alias in node.names if is_documented(getattr(module, alias.name, None))]
                    missing += [f"{node.module}.{n}" for n in names if not in_reference(reference, node.module, n)]
    assert not missing


def is_documented(value: object) -> bool:
    """Whether it has a signature to tell: aliases of types, constants and modules have none."""
    return inspect.isclass(value) or inspect.isfunction(value)


def in_reference(page: str, module: str, name: str) -> bool:
    """Whether a page has a name, or the whole module that it is imported from."""
    entries = re.findall(r"^::: (\S+)$", page, re.MULTILINE)
    return module in entries or any(entry.endswith(f".{name}") for entry in entries)


def test_every_page_is_in_the_menu() -> None:
    class Loader(yaml.SafeLoader):
        """Knows nothing of tags for Python."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    menu = str(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"])  # a SafeLoader
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if path.parent.name != "results"}
    assert not {page for page in pages if f"'{page}'" not in menu}


@needs_mkdocs
def test_formulas_become_mathml() -> None:
    from mkdocs.exceptions import PluginError

    formulas = hook("formulas")
    assert "<mfrac>" in formulas.mathml(r"\frac{a}{b}", block=True, where="here")
    large = formulas.mathml(r"\Big( x \big\rfloor \dots", block=False, where="here")
    signs = [element.text.strip() for element in ET.fromstring(large).iter() if (element.text or "").strip()]
    assert signs == ["(", "x", "⌋", "…"]
    assert large.count("maxsize") == 2, "both delimiters are large"
    with pytest.raises(PluginError, match="here"):
        formulas.mathml(r"\nosuchcommand{x}", block=False, where="here")


class Fetched(HTMLParser):
    """What a browser fetches for a page by itself: links that people follow are not among it."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.urls.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.urls.append(given.get("href") or "")


@needs_mkdocs
@pytest.mark.slow
def test_the_site_builds_and_needs_no_network(tmp_path: Path) -> None:
    shutil.rmtree(ROOT / "build" / "api", ignore_errors=True)  # as in a fresh clone
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert built.returncode == 0, built.stderr[-4000:]
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        html = page.read_text(encoding="utf-8")
        fetched = Fetched()
        fetched.feed(html)
        assert not [url for url in fetched.urls if "//" in url and not url.startswith("data:")], page
        assert 'class="arithmatex"' not in html, page
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style
