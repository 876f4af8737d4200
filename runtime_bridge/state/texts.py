"""Texts as they are stored: documents compressed under their digest, short ones made fit whatever they hold."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import NamedTuple

_LONGEST = 2000


class Document(NamedTuple):
    """A text as it is stored: compressed, and known by the digest of what it was."""

    sha256: str
    body: bytes

    @classmethod
    def of(cls, text: str) -> Document:
        """Pack a text."""
        plain = text.encode("utf-8", "surrogatepass")  # JSON may hold halves of characters
        return cls(hashlib.sha256(plain).hexdigest(), zlib.compress(plain))

    def text(self) -> str | None:
        """The text; None where the body is not what the digest was made of."""
        try:
            plain = zlib.decompress(self.body)
        except zlib.error:
            return None
        return plain.decode("utf-8", "surrogatepass") if hashlib.sha256(plain).hexdigest() == self.sha256 else None


def clean(text: object) -> str:
    """A short text that a database takes."""
    whole = str(text)
    short = whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]} …"
    return short.encode("utf-8", "replace").decode("utf-8")


def as_json(value: object, longest: int) -> str:
    """JSON of whatever it is; what is too long or no data at all is cut to a note that says so.

    Numbers that JSON has no word for become null: a NaN in a record would be an error to who reads it.
    """
    # A value's own methods may raise anything, and its record must not fail the caller.
    try:
        text = json.dumps(value, default=str)
        if "NaN" in text or "Infinity" in text:
            text = json.dumps(json.loads(text, parse_constant=lambda _: None))
    except Exception as error:
        return json.dumps({"unreadable": clean(repr(error))})
    return text if len(text) <= longest else json.dumps({"too_long": len(text), "begins": text[: longest // 2]})
