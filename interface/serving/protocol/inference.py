"""An inference request of the Open Inference Protocol in and its response out; nothing here knows HTTP's server.

Source: KServe, Open Inference Protocol (REST, version 2), and Triton's extension for binary tensor data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..http.refusal import Refusal
from . import messages
from .tensors import datatype, from_bytes, from_json, shown, to_bytes, to_json

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Name of the header that says where the JSON ends and the bytes of tensors begin."""

MAX_JSON_BYTES = 16 * 2**20
"""Longest JSON part: reading it holds up everybody, and takes more memory than the text."""


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
        asked = _DECODER.decode(json_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, subject, "JSON as the protocol says", got=str(error)[:120]) from error
    return InferenceRequest(
        asked.id,
        _feeds(subject, model, asked.inputs, rest),
        _wanted(subject, model, asked),
        asked.parameters.priority,
        None if asked.parameters.timeout is None else float(asked.parameters.timeout),
    )


_DECODER = msgspec.json.Decoder(messages.InferenceRequest)
_ENCODER = msgspec.json.Encoder()


def _split(subject: str, body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    whole = memoryview(body)
    length = len(body)
    if header_length is not None:
        # No longer than the number can be: Python refuses to read very long ones.
        digits = header_length.isascii() and header_length.isdigit() and len(header_length) <= len(str(length))
        if not digits or int(header_length) > length:
            expected = f"{HEADER_LENGTH} to be at most the {length} bytes sent"
            raise Refusal(400, subject, expected, got=repr(header_length[:20]))
        length = int(header_length)
    if length > MAX_JSON_BYTES:
        remedy = "Send tensors as bytes after the JSON (the binary tensor data extension)."
        raise Refusal(413, subject, f"at most {MAX_JSON_BYTES} bytes of JSON", got=f"{length}", remedy=remedy)
    return whole[:length], whole[length:]


def _feeds(
    subject: str, model: ServedModel, inputs: list[messages.InputTensor], rest: memoryview
) -> dict[str, np.ndarray]:
    forms = {form.name: form for form in model.inputs}
    feeds: dict[str, np.ndarray] = {}
    position = 0
    for item in inputs:
        form = forms.get(item.name)
        if form is None or form.name in feeds:
            raise Refusal(400, subject, f"each of the inputs {', '.join(forms)} once", got=repr(item.name[:80]))
        about = f"{subject}, input {form.name!r}"
        wanted = datatype(form.dtype)
        if item.datatype != wanted:
            raise Refusal(400, about, f"datatype {wanted}", got=repr(item.datatype[:40]))
        if not _fits(item.shape, form.shape):
            raise Refusal(400, about, f"shape {list(form.shape)}", got=shown(item.shape))
        size = item.parameters.binary_data_size
        if size is None:
            if item.data is msgspec.UNSET:
                raise Refusal(400, about, "data, or binary_data_size and bytes after the JSON", got="neither")
            feeds[form.name] = from_json(about, wanted, item.shape, bytes(item.data))
            continue
        if item.data is not msgspec.UNSET:
            raise Refusal(400, about, "data or binary_data_size", got="both")
        if size > len(rest) - position:
            raise Refusal(400, about, f"binary_data_size of at most {len(rest) - position}", got=repr(size)[:40])
        feeds[form.name] = from_bytes(about, wanted, item.shape, rest[position : position + size])
        position += size
    if len(feeds) < len(forms):
        missing = [name for name in forms if name not in feeds]
        raise Refusal(400, subject, f"inputs {', '.join(forms)}", got=f"none for {', '.join(missing)}")
    if position != len(rest):
        raise Refusal(400, subject, f"{position} bytes after the JSON", got=f"{len(rest)}")
    return feeds


def _fits(shape: list[int], form: tuple[int, ...]) -> bool:
    return len(shape) == len(form) and all(
        size == wanted or (wanted == -1 and size > 0) for size, wanted in zip(shape, form, strict=True)
    )


def _wanted(subject: str, model: ServedModel, asked: messages.InferenceRequest) -> dict[str, bool]:
    known = [form.name for form in model.outputs]
    as_bytes = asked.parameters.binary_data_output
    wanted: dict[str, bool] = {}
    for item in asked.outputs:
        if item.name not in known or item.name in wanted:
            raise Refusal(400, subject, f"outputs among {', '.join(known)}, each once", got=repr(item.name[:80]))
        if item.parameters.classification is not None:
            raise Refusal(400, subject, "outputs without the classification extension", got="classification")
        own = item.parameters.binary_data
        wanted[item.name] = as_bytes if own is None else own
    return wanted or dict.fromkeys(known, as_bytes)


def response_of(
    model: ServedModel, request: InferenceRequest, outputs: Mapping[str, np.ndarray]
) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON part where bytes follow it.

    Raises
    ------
    Refusal
        JSON is wanted of numbers that it does not have: infinities, and what is no number.
    """
    described: list[messages.OutputTensor] = []
    parts: list[bytes | memoryview] = []
    for name, as_bytes in request.wanted.items():
        array = np.asarray(outputs[name])
        entry = messages.OutputTensor(name, datatype(array.dtype), array.shape)
        if as_bytes:
            parts.append(part := to_bytes(array))
            entry.parameters = messages.Size(len(part))
        else:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                remedy = "Ask for it as bytes (binary_data)."
                raise Refusal(400, f"output {name!r} as JSON", "finite numbers", got="others", remedy=remedy)
            entry.data = to_json(array)
        described.append(entry)
    answer = messages.InferenceResponse(model.name, model.version, described, request.request_id)
    head = _ENCODER.encode(answer)
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)
