"""Where compiled loops are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edgeplan.formulation import compiled
from edgeplan.profiles import cache_root

LOOP = """
from edgeplan.formulation.compiled import njit
@njit(cache=True)
def add(a, b):
    return a + b
print(add(1, 2))
"""


def test_they_are_in_the_cache_folder_and_not_beside_the_module(tmp_path: Path) -> None:
    module = tmp_path / "beside" / "loop.py"
    module.parent.mkdir()
    module.write_text(LOOP)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    cache = tmp_path / "cache"
    for variable, folder in (("EDGEPLAN_CACHE", cache / "compiled"), ("NUMBA_CACHE_DIR", cache / "numba")):
        given = environment | {"EDGEPLAN_CACHE": str(cache), variable: str(folder if "NUMBA" in variable else cache)}
        run = subprocess.run([sys.executable, str(module)], env=given, capture_output=True, text=True, check=True)
        assert run.stdout == "3\n"
        assert list(folder.rglob("*.nbc"))
    assert list(module.parent.rglob("*")) == [module]


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    module, blocked = tmp_path / "loop.py", tmp_path / "blocked"
    module.write_text(LOOP)
    blocked.write_text("a file, where a folder is wanted")
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"EDGEPLAN_CACHE": str(blocked)}
    run = subprocess.run([sys.executable, str(module)], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "3\n"


def test_it_is_the_same_folder_as_for_all_else() -> None:
    assert compiled.cache_folder() == cache_root() / "compiled"
