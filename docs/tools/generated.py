"""Pages made from the code while the site is built, so that they cannot go stale: options, file formats, Python API.

Also the menu of results, the files outside `docs/` that pages link to, and pages of the menu that are not there.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
API = ROOT / "build" / "api"
"""Where the packages stand under the names that users import them by, as links; named in mkdocs.yml."""

PACKAGES = ("formulation", "profiles", "solvers", "runtime_bridge", "interface")
FACADE = ("load", "plan", "run")
MODULES = {
    "formulation": ("queueing.swapping", "queueing.residency", "queueing.multi_server", "queueing.percentiles"),
    "profiles": ("backends.contract", "catalogue.calibrate", "exports"),
    "solvers": (
        "contract",
        "testing",
        "dynamic_program",
        "deadlines.schedulability",
        "throughput.limiting",
        "throughput.testing",
    ),
    "interface": ("report.forecast",),
}
"""Modules of a package that users import from by their own names; a test holds that those of the examples are here."""

ROOT_PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "changes.md": "CHANGELOG.md",
    "examples/solver-plugin.md": "examples/solver-plugin/README.md",
    "examples/backend-plugin.md": "examples/backend-plugin/README.md",
}
"""Pages of the site whose files stand elsewhere in the project."""

CODE = "sources"
"""Folder of the site for files that pages link to and that are no pages."""

_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_startup(**_: Any) -> None:
    """Lay the packages out as they are installed; mkdocstrings looks for them as soon as it is configured."""
    (API / "edgeplan").mkdir(parents=True, exist_ok=True)
    for name, folder in {**{p: ROOT / p for p in PACKAGES}, "__init__.py": ROOT / "src/edgeplan/__init__.py"}.items():
        link = API / "edgeplan" / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(folder, link.parent))  # it holds where the project is moved to


def on_config(config: Any) -> Any:
    """Complete the menu."""
    config.nav = list(_present(config.nav))
    return config


def _present(entries: list[Any]) -> Iterator[Any]:
    """Entries whose pages are there; the one named `results` becomes all results, by title."""
    for entry in entries:
        title, target = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(target, list):
            yield {title: list(_present(target))}
        elif target == "results":
            yield {title: sorted(f"results/{path.name}" for path in (DOCS / "results").glob("*.md"))}
        elif target in pages() or (DOCS / target).is_file():
            yield entry


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here, and the files that pages link to."""
    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    for path in sorted(_linked()):
        files.append(File.generated(config, f"{CODE}/{path.relative_to(ROOT)}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links that leave `docs/` to where their targets are in the site."""
    here = _origin(page.file.src_uri)

    def moved(found: re.Match[str]) -> str:
        target = (here.parent / found[1]).resolve()
        if target.is_relative_to(DOCS) and here.is_relative_to(DOCS):
            return found[1]
        place = _place(target)
        return posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".") if place else found[1]

    return _LINK.sub(moved, markdown)


def _origin(uri: str) -> Path:
    """File that a page was made from."""
    return ROOT / ROOT_PAGES[uri] if uri in ROOT_PAGES else DOCS / uri


def _place(target: Path) -> str | None:
    """Where a file of the project is in the site; None where it is not."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    for uri, source in ROOT_PAGES.items():
        if target == ROOT / source:
            return uri
    return f"{CODE}/{target.relative_to(ROOT).as_posix()}" if target.is_file() else None


def _linked() -> set[Path]:
    """Files outside `docs/` that pages link to."""
    sources = [*DOCS.rglob("*.md"), *(ROOT / source for source in ROOT_PAGES.values())]
    found = set()
    for source in sources:
        for link in _LINK.findall(source.read_text(encoding="utf-8")):
            target = (source.parent / link).resolve()
            if target.is_file() and target.is_relative_to(ROOT) and not target.is_relative_to(DOCS):
                found.add(target)
    return found - {ROOT / source for source in ROOT_PAGES.values()}


@cache
def pages() -> dict[str, str]:
    """Content of each page that is made here, by name."""
    return dict(_pages())


def _pages() -> Iterator[tuple[str, str]]:
    for uri, source in ROOT_PAGES.items():
        yield uri, (ROOT / source).read_text(encoding="utf-8")
    yield "reference/options.md", options_page()
    yield "reference/files.md", files_page()
    yield "reference/api/edgeplan.md", facade_page()
    for package in PACKAGES:
        yield f"reference/api/{package}.md", package_page(package)


def options_page() -> str:
    """Every command with its arguments and options, as the command line itself describes them."""
    from edgeplan.interface.cli import app
    from typer.main import get_command

    parts = [
        "# Options of the commands",
        "What `edgeplan COMMAND --help` prints. [Commands](../commands.md) says what they are for,"
        " and what exit codes mean.",
    ]
    for name, command in commands(get_command(app)):
        context = typer.Context(command, info_name=f"edgeplan {name}")
        parts += [f"## edgeplan {name}", " ".join((command.help or "").split())]
        parts.append(f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```")
        rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
        parts.append("\n".join(["| argument or option | meaning | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Commands of a command line by name, those of groups within it too."""
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _row(parameter: Any, context: Any) -> str:
    names, text = parameter.get_help_record(context)
    meaning = parameter.help or ""
    default = text.removeprefix(meaning).strip().strip("\\[]").replace("default: ", "")
    return f"| <code>{_cell(names)}</code> | {_cell(meaning)} | {_cell(default)} |"


def _cell(text: str) -> str:
    """Text of a cell of a table, with nothing that ends it or begins a tag."""
    return re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("|", "&#124;").replace("<", "&lt;")


def files_page() -> str:
    """Every file with a schema: its keys, as `edgeplan schema` gives them."""
    from edgeplan.interface.commands.schema import Document, model_of
    from edgeplan.interface.json_schema import json_schema

    parts = [
        "# Files",
        "Made from the JSON Schemas that `edgeplan schema DOCUMENT` prints; unknown keys are refused, with the place.",
    ]
    for document in Document:
        schema = json_schema(model_of(document))
        parts += [f"## {document.value}", _described(schema)]
        for name, part in sorted(schema.get("$defs", {}).items()):
            if "properties" in part:
                # Documents share parts, and a page may not have two headings of one name.
                parts += [f"### {name} ({document.value})", _described(part)]
    return "\n\n".join(parts) + "\n"


def _described(schema: dict[str, Any]) -> str:
    summary = schema.get("description", "")
    if "properties" not in schema:
        return summary
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else _default(value)
        rows.append(f"| `{key}` | {_cell(_type(value))} | {default} | {_cell(value.get('description', ''))} |")
    return f"{summary}\n\n" + "\n".join(rows)


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return ""
    text = json.dumps(value["default"], ensure_ascii=False)
    return f"<code>{_cell(text)}</code>" if len(text) < 60 else "see the schema"


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    if "const" in value:
        return json.dumps(value["const"])
    if "enum" in value:
        return ", ".join(json.dumps(choice) for choice in value["enum"])
    for key, joint in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if key in value:
            return joint.join(dict.fromkeys(_type(part) for part in value[key]))
    kind = value.get("type", "any")
    if kind == "array":
        return f"list of {_type(value['items'])}" if "items" in value else "list"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"{_type(value['additionalProperties'])} by name"
    return kind


def facade_page() -> str:
    """The functions of the package itself."""
    functions = [f"::: edgeplan.interface.facade.{name}" for name in FACADE]
    opening = "# edgeplan\n\n`edgeplan.load`, `edgeplan.plan` and `edgeplan.run`: from files to a plan that serves."
    return "\n\n".join([opening, *functions, "::: edgeplan.interface.case.Case"]) + "\n"


def package_page(package: str) -> str:
    """The public names of a package in the order of its modules, then what the packages and modules in it have more."""
    top = ROOT / package
    parts = [f"# edgeplan.{package}"]
    told: set[str] = set()
    for folder in (top, *sorted({path.parent for path in top.rglob("__init__.py")} - {top})):
        init = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        names = [name for name in dict.fromkeys(_exported(folder, init)) if name not in told]
        told |= set(names)
        summary = (ast.get_docstring(init) or "").replace("`edgeplan`", "edgeplan")
        if folder == top:
            parts += [summary, *(f"::: {name}" for name in names)]
        elif names:
            parts += [f"## {_dotted(folder)}", summary]
            parts += [f"::: {name}\n    options: {{heading_level: 3}}" for name in names]
    for module in MODULES.get(package, ()):
        parts.append(f"::: edgeplan.{package}.{module}\n    options: {{show_root_full_path: true}}")
    return "\n\n".join(parts) + "\n"


def _exported(folder: Path, init: ast.Module) -> Iterator[str]:
    """Dotted paths of the classes and functions that a package hands on from its modules."""
    for node in ast.walk(init):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            for alias in node.names:
                found = _defined(folder, node.module, alias.name)
                if found is not None:
                    yield found


def _dotted(path: Path) -> str:
    """Name that users import a folder or a module by."""
    return f"edgeplan.{path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}".removesuffix(".__init__")


def _defined(folder: Path, module: str, name: str) -> str | None:
    """Dotted path of where a name is defined, its re-exports followed; None for what is no class and no function."""
    path = folder.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return f"{_dotted(file)}.{name}"
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _defined(file.parent, node.module, alias.name)
    return None
