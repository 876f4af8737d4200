"""Tensors of the Open Inference Protocol, version 2: data types, JSON data and the binary extension."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .refusal import Refusal

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
        raise Refusal(400, subject, "a shape: a list of sizes", got=repr(shape)[:80])
    return math.prod(shape)


def from_json(subject: str, name: str, shape: list[int], data: object) -> np.ndarray:
    """A tensor from JSON data, flat or nested.

    Raises
    ------
    Refusal
        The data does not have that type or as many elements as the shape says.
    """
    count = n_elements(subject, shape)
    flat = _flat(subject, data, count)
    if len(flat) != count:
        raise Refusal(400, subject, f"{count} elements, as its shape says", got=f"{len(flat)}")
    dtype = NUMPY_TYPES[name]
    fits = {"b": bool, "O": str, "f": (int, float)}.get(dtype.kind, int)
    for value in flat:
        if not isinstance(value, fits) or (isinstance(value, bool) and dtype.kind != "b"):
            raise Refusal(400, subject, f"elements of type {name}", got=repr(value)[:80])
    try:
        if dtype.kind == "O":
            array = np.empty(count, dtype=dtype)
            array[:] = [value.encode() for value in flat]
        else:
            array = np.array(flat, dtype=dtype)
    except (OverflowError, ValueError) as error:
        raise Refusal(400, subject, f"elements of type {name}", got=str(error)[:80]) from error
    return array.reshape(shape)


def _flat(subject: str, data: object, most: int) -> list[Any]:
    """Elements of nested lists, row by row; no more is looked at than one above `most`."""
    if not isinstance(data, list):
        raise Refusal(400, subject, "data: a list, or bytes after the JSON", got=type(data).__name__)
    found: list[Any] = []
    stack = [iter(data)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list):
                if len(stack) >= _MOST_DIMENSIONS:
                    raise Refusal(400, subject, f"at most {_MOST_DIMENSIONS} dimensions", got="more")
                stack.append(iter(item))
                break
            found.append(item)
            if len(found) > most:
                return found
        else:
            stack.pop()
    return found


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


def to_bytes(array: np.ndarray) -> bytes:
    """Raw little-endian bytes."""
    if array.dtype.kind in "OSU":
        texts: Sequence[bytes] = [_text(value) for value in array.ravel()]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
