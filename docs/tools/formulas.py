"""Formulas as MathML, which browsers draw by themselves: no script and nothing from another host.

Pages write TeX between dollars, as code hosts render it too. `pymdownx.arithmatex` finds it while the page is read;
here docutils translates what it found.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from functools import cache
from typing import Any

from mkdocs.exceptions import PluginError

_FOUND = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_MATH = re.compile(r"<math.*?</math>", re.DOTALL)
_NAMED = re.compile(r"&(?!(?:lt|gt|amp|quot);)\w+;")
"""Entities that HTML knows and XML does not."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Indent what belongs to a list item by four spaces: code hosts take two or three, Python's Markdown four."""
    lines, fenced = [], False
    for line in markdown.split("\n"):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        within = re.match(r" {2,3}(?=\S)", line)
        lines.append(f"    {line[within.end() :]}" if within and not fenced else line)
    return "\n".join(lines)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Translate the formulas of a page."""

    def translated(found: re.Match[str]) -> str:
        return mathml(_unescape(found[3]), block=found[2] == "[", where=page.file.src_uri)

    return _FOUND.sub(translated, html)


def _unescape(text: str) -> str:
    return html.unescape(text).strip()


@cache
def mathml(tex: str, block: bool, where: str) -> str:
    """MathML of a formula.

    Raises
    ------
    PluginError
        The formula uses what docutils does not know; the message names the page.
    """
    from docutils.core import publish_parts

    # Docutils knows each kind of dots by its own name only, and large delimiters by the side they stand on.
    one_line = re.sub(r"\\dots(?![a-z])", r"\\ldots", " ".join(tex.split()))
    one_line = re.sub(r"\\([Bb]igg?)(?=\s*(?:[(\[]|\\[{]|\\l[a-z]+))", r"\\\1l", one_line)
    one_line = re.sub(r"\\([Bb]igg?)(?![a-z])", r"\\\1r", one_line)
    source = f".. math:: {one_line}" if block else f":math:`{one_line}`"
    settings = {"math_output": "MathML", "report_level": 5, "halt_level": 5, "file_insertion_enabled": False}
    body = publish_parts(source, writer_name="html5", settings_overrides=settings)["body"]
    found = _MATH.search(body)
    if found is None or "math-error" in body or "system-message" in body:
        raise PluginError(f"{where}: no MathML for the formula {one_line!r}")
    plain = _NAMED.sub(lambda entity: html.unescape(entity[0]), found[0])
    ET.fromstring(plain)  # whole, or the page would be broken from here on
    return plain
