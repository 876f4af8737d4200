"""The example of the documentation runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "service.md"


@pytest.mark.slow
def test_the_example_serves(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[
        0
    ]  # the second is a sketch
    exec(compile(example, str(PAGE), "exec"), {})
    assert "(1, 1000, 1, 1)" in capsys.readouterr().out
