"""The example of the documentation runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "service.md"


def test_the_example_serves(capsys: pytest.CaptureFixture[str]) -> None:
    example, _sketch = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})
    assert "(1, 1000, 1, 1)" in capsys.readouterr().out
