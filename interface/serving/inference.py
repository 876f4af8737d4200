"""An inference request of the Open Inference Protocol in and its response out; nothing here knows HTTP's server.

Source: KServe, Open Inference Protocol (REST, version 2), and Triton's extension for binary tensor data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .refusal import Refusal
from .tensors import datatype, from_bytes, from_json, to_bytes, to_json

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Name of the header that says where the JSON ends and the bytes of tensors begin."""


@dataclass(frozen=True)
class TensorForm:
    """What a model's input or output looks like.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
    shape : tuple of int
        −1 where any size is taken.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """As the protocol writes it."""
        return {"name": self.name, "datatype": datatype(self.dtype), "shape": list(self.shape)}


@dataclass(frozen=True)
class ServedModel:
    """A model as clients see it.

    Attributes
    ----------
    name, version, platform : str
    inputs, outputs : tuple of TensorForm
    path : Path
        Its file.
    """

    name: str
    version: str
    platform: str
    inputs: tuple[TensorForm, ...]
    outputs: tuple[TensorForm, ...]
    path: Path = Path()

    @property
    def metadata(self) -> dict[str, Any]:
        """As the protocol writes it."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": self.platform,
            "inputs": [form.metadata for form in self.inputs],
            "outputs": [form.metadata for form in self.outputs],
        }


@dataclass(frozen=True)
class InferenceRequest:
    """A request that fits its model.

    Attributes
    ----------
    request_id : str
        The client's; empty where there is none.
    feeds : mapping of str to ndarray
    wanted : mapping of str to bool
        Outputs that are wanted, in their order, and whether as bytes.
    priority : int
    timeout_us : float, optional
        The client's own deadline.
    """

    request_id: str
    feeds: Mapping[str, np.ndarray]
    wanted: Mapping[str, bool]
    priority: int
    timeout_us: float | None


def parse_request(model: ServedModel, body: bytes, header_length: str | None) -> InferenceRequest:
    """Read a request and hold it against the model.

    Parameters
    ----------
    model : ServedModel
    body : bytes
    header_length : str, optional
        Of the header `HEADER_LENGTH`; without it all of the body is JSON.

    Raises
    ------
    Refusal
        It is not a request, or does not fit the model.
    """
    subject = f"request for model {model.name!r}"
    json_bytes, rest = _split(subject, body, header_length)
    try:
        data = json.loads(json_bytes)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, subject, "JSON", got=str(error)[:120] or "something else") from error
    data = _object(subject, "a request", data)
    parameters = _object(subject, "parameters", data.get("parameters", {}))
    request_id = data.get("id", "")
    if not isinstance(request_id, str):
        raise Refusal(400, subject, "a text as id", got=type(request_id).__name__)
    return InferenceRequest(
        request_id,
        _feeds(subject, model, _objects(subject, "inputs", data.get("inputs")), rest),
        _wanted(subject, model, data, parameters),
        int(_number(subject, parameters, "priority") or 0),
        _number(subject, parameters, "timeout"),
    )


def _split(subject: str, body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not (header_length.isascii() and header_length.isdigit() and int(header_length) <= len(body)):
        raise Refusal(
            400, subject, f"{HEADER_LENGTH} to be at most the {len(body)} bytes sent", got=repr(header_length[:20])
        )
    length = int(header_length)
    return body[:length], memoryview(body)[length:]


def _feeds(subject: str, model: ServedModel, inputs: list[dict[str, Any]], rest: memoryview) -> dict[str, np.ndarray]:
    forms = {form.name: form for form in model.inputs}
    feeds: dict[str, np.ndarray] = {}
    position = 0
    for item in inputs:
        name = item.get("name")
        form = forms.get(name) if isinstance(name, str) else None
        if form is None or form.name in feeds:
            raise Refusal(400, subject, f"each of the inputs {', '.join(forms)} once", got=repr(name)[:80])
        about = f"{subject}, input {form.name!r}"
        wanted, shape = datatype(form.dtype), item.get("shape")
        if item.get("datatype") != wanted:
            raise Refusal(400, about, f"datatype {wanted}", got=repr(item.get("datatype"))[:40])
        if not isinstance(shape, list) or not _fits(shape, form.shape):
            raise Refusal(400, about, f"shape {list(form.shape)}", got=repr(shape)[:80])
        size = _object(about, "parameters", item.get("parameters", {})).get("binary_data_size")
        if size is None:
            feeds[form.name] = from_json(about, wanted, shape, item.get("data"))
            continue
        if type(size) is not int or not 0 <= size <= len(rest) - position:
            raise Refusal(400, about, f"binary_data_size of at most {len(rest) - position}", got=repr(size)[:40])
        feeds[form.name] = from_bytes(about, wanted, shape, rest[position : position + size])
        position += size
    if len(feeds) < len(forms):
        missing = [name for name in forms if name not in feeds]
        raise Refusal(400, subject, f"inputs {', '.join(forms)}", got=f"none for {', '.join(missing)}")
    if position != len(rest):
        raise Refusal(400, subject, f"{position} bytes after the JSON", got=f"{len(rest)}")
    return feeds


def _fits(shape: list[Any], form: tuple[int, ...]) -> bool:
    return len(shape) == len(form) and all(
        type(size) is int and (size == wanted or (wanted == -1 and size > 0))
        for size, wanted in zip(shape, form, strict=True)
    )


def _wanted(subject: str, model: ServedModel, data: dict[str, Any], parameters: dict[str, Any]) -> dict[str, bool]:
    known = [form.name for form in model.outputs]
    as_bytes = parameters.get("binary_data_output", False) is True
    if "outputs" not in data:
        return dict.fromkeys(known, as_bytes)
    wanted: dict[str, bool] = {}
    for item in _objects(subject, "outputs", data["outputs"]):
        name = item.get("name")
        if name not in known:
            raise Refusal(400, subject, f"outputs among {', '.join(known)}", got=repr(name)[:80])
        own = _object(subject, "parameters", item.get("parameters", {}))
        if "classification" in own:
            raise Refusal(400, subject, "outputs without the classification extension", got="classification")
        wanted[name] = own.get("binary_data", as_bytes) is True
    return wanted or dict.fromkeys(known, as_bytes)


def _object(subject: str, what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, subject, f"{what}: an object", got=type(value).__name__)
    return value


def _objects(subject: str, what: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Refusal(400, subject, f"{what}: a list", got=type(value).__name__)
    return [_object(subject, f"each of the {what}", item) for item in value]


def _number(subject: str, parameters: dict[str, Any], name: str) -> float | None:
    value = parameters.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 2**53:
        raise Refusal(400, subject, f"parameter {name}: a whole number from 0", got=repr(value)[:40])
    return float(value)


def response_of(
    model: ServedModel, request: InferenceRequest, outputs: Mapping[str, np.ndarray]
) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON part where bytes follow it."""
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, as_bytes in request.wanted.items():
        array = np.asarray(outputs[name])
        entry: dict[str, Any] = {"name": name, "datatype": datatype(array.dtype), "shape": list(array.shape)}
        if as_bytes:
            parts.append(to_bytes(array))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = to_json(array)
        described.append(entry)
    answer: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": described}
    if request.request_id:
        answer["id"] = request.request_id
    head = json.dumps(answer, separators=(",", ":")).encode()
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)
