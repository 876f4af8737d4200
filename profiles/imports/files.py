"""Foreign JSON files, read with care: what is wrong in them is said with the file, the place and a remedy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ...formulation import ProfileError
from ...formulation.files import readable

MAX_IMPORT_BYTES = 1 << 28
"""No more is read, and larger files are refused: the formats here are tables of figures, a few megabytes at most."""

MAX_NUMBER = 1e18
"""Larger figures are refused: 30,000 years in microseconds, an exabyte. Sums of what is below stay finite."""

_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class _NotPlainJson(ValueError):
    pass


@dataclass(frozen=True)
class ForeignFile:
    """A parsed file of another tool, with the words for what is wrong in it.

    Attributes
    ----------
    path : Path
    kind : str
        What the file should be, for people, for instance ``exec_time.json of onert``.
    remedy : str
        How to make such a file.
    data : object
        The parsed JSON.
    """

    path: Path
    kind: str
    remedy: str
    data: Any

    @classmethod
    def read(cls, path: str | Path, kind: str, remedy: str) -> ForeignFile:
        """Read JSON; keys twice, NaN and Infinity, which Python lets pass, are refused.

        Raises
        ------
        ProfileError
            The file cannot be read, is empty, larger than `MAX_IMPORT_BYTES`, cut short, not JSON, names a key twice
            in one object, or holds NaN or Infinity.
        """
        path = Path(path)
        file = cls(path, kind, remedy, None)
        with readable(f"{kind} {path}", ProfileError):
            with path.open("rb") as handle:
                raw = handle.read(MAX_IMPORT_BYTES + 1)
            if len(raw) > MAX_IMPORT_BYTES:
                file.refuse(f"at most {MAX_IMPORT_BYTES:,} bytes", "more")
            text = raw.decode("utf-8")
        if not text.strip():
            file.refuse("JSON", "an empty file")
        try:
            data = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ProfileError(f"{kind} {path}", expected="JSON", got="nesting without end", remedy=remedy) from error
        except ValueError as error:
            expected = "finite numbers and no key twice" if isinstance(error, _NotPlainJson) else "whole JSON"
            raise ProfileError(f"{kind} {path}", expected=expected, got=str(error), remedy=remedy) from error
        return cls(path, kind, remedy, data)

    def refuse(self, expected: str, got: str, where: str = "") -> NoReturn:
        """Raise `ProfileError` about this file, or a place in it."""
        place = f", {where}" if where else ""
        raise ProfileError(f"{self.kind} {self.path}{place}", expected=expected, got=got, remedy=self.remedy)

    def mapping(self, value: object, where: str = "") -> Mapping[str, Any]:
        """The value, which must be an object."""
        if not isinstance(value, dict):
            self.refuse("an object", _KINDS.get(type(value), "something else"), where)
        return value

    def sequence(self, value: object, where: str = "") -> Sequence[Any]:
        """The value, which must be a list."""
        if not isinstance(value, list):
            self.refuse("a list", _KINDS.get(type(value), "something else"), where)
        return value

    def text(self, value: object, where: str = "") -> str:
        """The value, which must be text that is not empty."""
        if not isinstance(value, str) or not value:
            self.refuse("text", repr(value) if value == "" else _KINDS.get(type(value), "something else"), where)
        return value

    def key(self, holder: Mapping[str, Any], name: str, where: str = "") -> Any:
        """What an object holds under a key that must be there."""
        if name not in holder:
            self.refuse(f"the key {name!r}", f"keys {', '.join(sorted(holder)[:5]) or 'none'}", where)
        return holder[name]

    def number(self, value: object, where: str = "") -> float:
        """The value, which must be a number from 0 to `MAX_NUMBER`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse("a number", _KINDS.get(type(value), "something else"), where)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not 0 <= number <= MAX_NUMBER:
            self.refuse(f"a number from 0 to {MAX_NUMBER:g}", f"{number:g}", where)
        return number

    def count(self, value: object, where: str = "", most: int = 2**53) -> int:
        """The value, which must be a whole number from 0 to `most`."""
        number = self.number(value, where)
        if number != int(number) or number > most:
            self.refuse(f"a whole number of at most {most}", f"{number:g}", where)
        return int(number)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _NotPlainJson(f"key {next(name for name in names if names.count(name) > 1)!r} twice")
    return made


def _refuse_constant(text: str) -> NoReturn:
    raise _NotPlainJson(text)
