"""onert's settings of backends: read from text, written to text, and what they say about one operator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...formulation import ProfileError, capped

_ALL = "OP_BACKEND_ALLOPS"
_MAP = "OP_BACKEND_MAP"
_TYPE = "OP_BACKEND_"
_SETTING = re.compile(r'\s*(?:export\s+)?([A-Z][A-Za-z0-9_]*)=(?:"([^"]*)"|\'([^\']*)\'|([^\s"\']*))(?=\s|$)')
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class BackendSettings:
    """Which backend onert runs each operator on.

    Attributes
    ----------
    backends : tuple of str
        Backends to load (``BACKENDS``); empty where that is left to onert.
    everywhere : str
        Backend of all operators (``OP_BACKEND_ALLOPS``), empty for none.
    by_type : dict of str to str
        Backend of an operator type (``OP_BACKEND_Conv2D``); goes before `everywhere`.
    by_index : dict of int to str
        Backend of one operator by its index in the model (``OP_BACKEND_MAP``); goes before both.

    Raises
    ------
    ProfileError
        A name that is no name of a backend or operator, a negative index, a backend that is not loaded, no setting.
    """

    backends: tuple[str, ...] = ()
    everywhere: str = ""
    by_type: Mapping[str, str] = field(default_factory=dict)
    by_index: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        used = [*self.by_index.values(), *self.by_type.values(), *([self.everywhere] if self.everywhere else [])]
        wrong = [name for name in (*self.backends, *used, *self.by_type) if not _NAME.fullmatch(name)]
        wrong += [str(index) for index in self.by_index if index < 0]
        if wrong or len(set(self.backends)) < len(self.backends):
            raise _refusal("names of backends and operators, each backend once", capped(wrong) or "one twice")
        strange = sorted(set(used) - set(self.backends)) if self.backends else []
        if strange:
            raise _refusal(f"backends among BACKENDS ({capped(self.backends)})", capped(strange))
        if not self.backends and not used:
            raise _refusal("at least one setting", "none")

    @classmethod
    def parse(cls, text: str) -> BackendSettings:
        """Read settings as a shell would be given them: ``BACKENDS="acl_cl;cpu" OP_BACKEND_Conv2D=acl_cl``.

        Raises
        ------
        ProfileError
            Something else, a setting or an index twice, or names that do not fit.
        """
        found = _assignments(text)
        backends = tuple(part for part in found.pop("BACKENDS", "").split(";") if part)
        everywhere = found.pop(_ALL, "")
        by_index = _index_map(found.pop(_MAP, ""))
        by_type = {name.removeprefix(_TYPE): backend for name, backend in found.items()}
        return cls(backends, everywhere, by_type, by_index)

    def text(self) -> str:
        """The settings on one line, as `parse` reads them."""
        parts = [f'BACKENDS="{";".join(self.backends)}"'] if self.backends else []
        parts += [f"{_ALL}={self.everywhere}"] if self.everywhere else []
        parts += [f"{_TYPE}{operator}={backend}" for operator, backend in self.by_type.items()]
        if self.by_index:
            pairs = ";".join(f"{index}={backend}" for index, backend in sorted(self.by_index.items()))
            parts.append(f'{_MAP}="{pairs}"')
        return " ".join(parts)

    def backend_of(self, index: int, operator: str) -> str | None:
        """Backend of an operator: by its index, else by its type, else that of all; None where onert chooses."""
        return self.by_index.get(index) or self.by_type.get(operator) or self.everywhere or None


def _assignments(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        match = _SETTING.match(text, at)
        if match is None:
            raise _refusal("NAME=value, separated by spaces", repr(text[at : at + 40].strip()))
        name, value = match.group(1), next((g for g in match.groups()[1:] if g is not None), "")
        if name in found:
            raise _refusal("every setting once", f"{name} twice")
        if name != "BACKENDS" and not name.startswith(_TYPE):
            raise _refusal("BACKENDS and OP_BACKEND_…", name)
        found[name] = value
        at = match.end()
    return found


def _index_map(text: str) -> dict[int, str]:
    by_index: dict[int, str] = {}
    for part in text.split(";"):
        if not part:
            continue
        index, _, backend = part.partition("=")
        if not (index.isascii() and index.isdigit() and len(index) <= 9 and backend):
            raise _refusal("index=backend, separated by semicolons", repr(part)[:40])
        if int(index) in by_index:
            raise _refusal("every index once", f"{index} twice")
        by_index[int(index)] = backend
    return by_index


def _refusal(expected: str, got: str) -> ProfileError:
    return ProfileError(
        "onert backend settings",
        expected=expected,
        got=got,
        remedy='Write them as BACKENDS="cpu;acl_cl" OP_BACKEND_Conv2D=acl_cl OP_BACKEND_MAP="0=cpu;1=acl_cl".',
    )
