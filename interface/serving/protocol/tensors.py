"""Tensors of the Open Inference Protocol, version 2: data types, JSON data and the binary extension."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np

from ..http.refusal import Refusal

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""numpy's types by the protocol's names. BF16 is not among them, for numpy has none."""

_NAMES = {dtype: name for name, dtype in NUMPY_TYPES.items()}
_LENGTH = struct.Struct("<I")
_MOST_DIMENSIONS = 32
_LARGEST_SIZE = 2**40


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a numpy type; texts of any kind are BYTES."""
    return "BYTES" if dtype.kind in "OSU" else _NAMES[dtype]


def shown(shape: object) -> str:
    """A shape as it came, or the beginning of a long one."""
    sizes = shape[: _MOST_DIMENSIONS + 1] if isinstance(shape, list) else shape
    return repr(sizes)[:80]


def n_elements(subject: str, shape: object) -> int:
    """Number of elements of a shape as it came, checked before anything is made of that size.

    Raises
    ------
    Refusal
        It is not a list of sizes, or absurdly large.
    """
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(size) is int and 0 <= size <= _LARGEST_SIZE for size in shape)
        or math.prod(shape) > _LARGEST_SIZE
    ):
        raise Refusal(400, subject, "a shape: a list of sizes", got=shown(shape))
    return math.prod(shape)


def from_json(subject: str, name: str, shape: list[int], data: bytes) -> np.ndarray:
    """A tensor from the text of its JSON data, flat or nested as its shape says.

    Raises
    ------
    Refusal
        The data does not have that type or as many elements as the shape says.
    """
    count = n_elements(subject, shape)
    dtype = NUMPY_TYPES[name]
    elements = f"elements of type {name}, flat or nested as its shape says"
    # No list is made of elements that the shape does not have: in memory they take many times their text.
    most_commas = math.prod(max(size, 1) for size in shape)
    if dtype.kind != "O" and (commas := data.count(b",")) > most_commas:
        raise Refusal(400, subject, f"{count} elements, as its shape says", got=f"{commas} commas")
    opening = re.match(rb"[\[\s]*", data)
    depth = opening.group().count(b"[") if opening else 0
    if depth not in (1, len(shape)):
        raise Refusal(400, subject, elements, got=f"{depth} dimensions")
    try:
        values = _decoder(dtype.kind, depth).decode(data)
        with np.errstate(over="raise"):
            array = np.array(_encoded(values) if dtype.kind == "O" else values, dtype=dtype)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError) as error:
        raise Refusal(400, subject, elements, got=str(error)[:120]) from error
    if array.shape != (tuple(shape) if depth == len(shape) else (count,)):
        raise Refusal(400, subject, f"{count} elements, as its shape says", got=f"shape {list(array.shape)}")
    return array.reshape(shape)


@cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    """For lists in lists of what a numpy type of that kind is made of."""
    wanted: Any = {"b": bool, "O": str, "f": float}.get(kind, int)
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted)


def _encoded(values: Any) -> Any:
    return values.encode() if isinstance(values, str) else [_encoded(value) for value in values]


def from_bytes(subject: str, name: str, shape: list[int], data: memoryview) -> np.ndarray:
    """A tensor from raw little-endian bytes; its memory is the request's.

    Raises
    ------
    Refusal
        There are not as many bytes as the shape says.
    """
    count = n_elements(subject, shape)
    dtype = NUMPY_TYPES[name]
    if dtype.kind == "O":
        return _texts(subject, count, data).reshape(shape)
    if len(data) != count * dtype.itemsize:
        raise Refusal(400, subject, f"{count * dtype.itemsize} bytes, as its shape says", got=f"{len(data)}")
    array = np.frombuffer(data, dtype=dtype)
    if dtype.kind == "b" and np.any(array.view(np.uint8) > 1):
        raise Refusal(400, subject, "bytes of 0 and 1", got="others")
    return array.reshape(shape)


def _texts(subject: str, count: int, data: memoryview) -> np.ndarray:
    array = np.empty(min(count, len(data) // _LENGTH.size), dtype=np.object_)
    position = 0
    for k in range(len(array)):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size + length
        if position > len(data) - (len(array) - k - 1) * _LENGTH.size:
            raise Refusal(400, subject, "texts, each after its length in four bytes", got="fewer bytes")
        array[k] = bytes(data[position - length : position])
    if len(array) != count or position != len(data):
        raise Refusal(400, subject, f"{count} texts and no bytes after them", got=f"{len(data)} bytes")
    return array


def to_json(array: np.ndarray) -> list[Any]:
    """Elements in one flat list."""
    if array.dtype.kind in "OSU":
        return [_text(value).decode(errors="replace") for value in array.ravel()]
    return array.ravel().tolist()


def to_bytes(array: np.ndarray) -> bytes | memoryview:
    """Raw little-endian bytes; the array's own memory where it is laid out so."""
    if array.dtype.kind in "OSU":
        texts: Sequence[bytes] = [_text(value) for value in array.ravel()]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.ravel().view(np.uint8).data


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
