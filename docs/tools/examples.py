"""The examples of a page: what they are, and how they are run as a reader would.

As a script it runs a page and writes what its commands print into the page's `text` blocks, so that they can be
made again on a quiet machine::

    python docs/tools/examples.py docs/tutorial.md
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
RUNNABLE = ("python", "sh", "bash")


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands in it, in which language, under which title, and why it is not run."""

    language: str
    title: str
    text: str
    not_run: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """Blocks of a page in order, of some languages or all."""
    found = (
        Block(m["language"], m["title"] or "", textwrap.dedent(m["text"]), m["why"] or "")
        for m in FENCE.finditer(page.read_text(encoding="utf-8"))
    )
    return [block for block in found if not languages or block.language in languages]


def run(page: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """Run a page in a folder: files saved under their titles, then shell commands and Python in order.

    Yields the position of each block that was run, and what it printed.

    Raises
    ------
    RuntimeError
        One fails; the message holds it with what it printed.
    """
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    (folder / "examples").symlink_to(ROOT / "examples")
    found = blocks(page)
    for block in found:
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
    for k, block in enumerate(found):
        if block.not_run or block.language not in RUNNABLE:
            continue
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        if block.language == "python":
            # A file, for processes that it starts read it again.
            (folder / f"block{k}.py").write_text(block.text, encoding="utf-8")
            command = [sys.executable, f"block{k}.py"]
        done = subprocess.run(
            command, cwd=folder, env=tools, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{page.name}: exit code {done.returncode} of\n{block.text}\n{done.stdout[-4000:]}")
        yield k, done.stdout


def output_of(found: list[Block], k: int) -> int | None:
    """Position of the block that shows what block k prints; None where none does."""
    return k + 1 if k + 1 < len(found) and found[k + 1].language == "text" else None


def refresh(page: Path) -> None:
    """Write what a page's commands print into it."""
    found = blocks(page)
    with tempfile.TemporaryDirectory() as folder:
        printed = {output_of(found, k): said for k, said in run(page, Path(folder))}
    position = iter(range(len(found)))

    def filled(match: re.Match[str]) -> str:
        said = printed.get(next(position))
        if said is None:
            return match[0]
        lines = "\n".join(line.rstrip() for line in said.strip("\n").splitlines())
        return textwrap.indent(f"```text\n{lines}\n```", match["indent"])

    page.write_text(FENCE.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        refresh(Path(name))
