"""Requests of the Open Inference Protocol: what fits is read exactly, what does not is refused with a reason."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from edgeplan.interface.serving.http.refusal import Refusal
from edgeplan.interface.serving.protocol.inference import (
    MAX_JSON_BYTES,
    ServedModel,
    TensorForm,
    parse_request,
    response_of,
)
from edgeplan.interface.serving.protocol.tensors import NUMPY_TYPES, datatype, from_bytes, from_json, to_bytes, to_json
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

MODEL = ServedModel(
    "m",
    "1",
    "edgeplan_onnx",
    (TensorForm("x", np.dtype(np.float32), (1, 2)), TensorForm("ids", np.dtype(np.int64), (2,))),
    (TensorForm("y", np.dtype(np.float32), (1, 2)), TensorForm("z", np.dtype(np.float32), (1,))),
)
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]}
WITHOUT_DATA = {k: v for k, v in X.items() if k != "data"}
IDS = {"name": "ids", "datatype": "INT64", "shape": [2], "data": [3, 4]}


def parse(inputs: object = None, header_length: str | None = None, tail: bytes = b"", **more: Any) -> Any:
    head = json.dumps({"inputs": [X, IDS] if inputs is None else inputs, **more}).encode()
    return parse_request(MODEL, head + tail, header_length or (str(len(head)) if tail else None))


def test_json_and_bytes_make_the_same_tensors() -> None:
    tail = np.array([1.5, -2.0], np.float32).tobytes() + np.array([3, 4], np.int64).tobytes()
    as_bytes = [
        {**{k: v for k, v in item.items() if k != "data"}, "parameters": {"binary_data_size": size}}
        for item, size in ((X, 8), (IDS, 16))
    ]
    for request in (parse(), parse(as_bytes, tail=tail), parse([IDS, {**X, "data": [[1.5, -2.0]]}])):
        np.testing.assert_array_equal(request.feeds["x"], np.array([[1.5, -2.0]], np.float32))
        np.testing.assert_array_equal(request.feeds["ids"], [3, 4])
        assert request.feeds["x"].dtype == np.float32
        assert dict(request.wanted) == {"y": False, "z": False}


def test_outputs_come_as_they_were_asked_for() -> None:
    request = parse(id="7", outputs=[{"name": "z", "parameters": {"binary_data": True}}, {"name": "y"}])
    outputs = {"y": np.array([[1.0, 2.0]], np.float32), "z": np.array([9.0], np.float32)}
    body, length = response_of(MODEL, request, outputs)
    assert length is not None
    head = json.loads(body[:length])
    assert (head["id"], head["model_name"], head["model_version"]) == ("7", "m", "1")
    assert head["outputs"][0] == {
        "name": "z",
        "datatype": "FP32",
        "shape": [1],
        "parameters": {"binary_data_size": 4},
    }
    assert head["outputs"][1]["data"] == [1.0, 2.0]
    assert body[length:] == struct.pack("<f", 9.0)


@pytest.mark.parametrize(
    ("inputs", "more", "said"),
    [
        ("none", {}, "Expected `array`"),
        ([X], {}, "none for ids"),
        ([X, X, IDS], {}, "once"),
        ([X, {**IDS, "name": ["ids"]}], {}, "Expected `str`"),
        ([X, {**IDS, "name": "x" * 10**5}], {}, "once"),
        ([{**X, "datatype": "FP64"}, IDS], {}, "datatype FP32"),
        ([{**X, "shape": [2, 1]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [1, True]}, IDS], {}, "Expected `int`"),
        ([{**X, "shape": [1, 2.0]}, IDS], {}, "Expected `int`"),
        ([{**X, "shape": [-1, -2]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [2**62, 2]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [1, 0]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [1] * 10**6}, IDS], {}, r"shape \[1, 2\], got \[1, 1"),
        ([{**X, "shape": [10**4000, 2]}, IDS], {}, r"JSON|shape"),
        ([{**X, "shape": [10**9] * 9}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "data": [1.0]}, IDS], {}, "2 elements"),
        ([{**X, "data": [1.0, 2.0, 3.0]}, IDS], {}, "2 elements"),
        ([{**X, "data": [1.0, "2"]}, IDS], {}, "type FP32"),
        ([X, {**IDS, "data": [1, 2.5]}], {}, "type INT64"),
        ([X, {**IDS, "data": [1, 2**70]}], {}, "type INT64"),
        ([X, {**IDS, "data": [1, True]}], {}, "type INT64"),
        ([{**X, "data": [[1.0, 2.0], [3.0]]}, IDS], {}, "2 elements|nested"),
        ([{**X, "data": [[1.0], 2.0]}, IDS], {}, "nested"),
        ([{**X, "data": [[[1.0, 2.0]]]}, IDS], {}, "3 dimensions"),
        ([{**X, "data": 1.0}, IDS], {}, "0 dimensions"),
        ([{**X, "data": {"a": 1}}, IDS], {}, "0 dimensions"),
        ([{**X, "data": [1.0, 1e39]}, IDS], {}, "type FP32"),
        ([{**X, "data": [1.0, 10**400]}, IDS], {}, "type FP32"),
        ([{**X, "data": [1.0] * 10**6}, IDS], {}, "2 elements"),
        ([{**X, "data": [None, None]}, IDS], {}, "type FP32"),
        ([X, {**IDS, "data": [1, 10**400]}], {}, "type INT64"),
        ([WITHOUT_DATA, IDS], {}, "neither"),
        ([{**X, "parameters": {"binary_data_size": 8}}, IDS], {}, "both"),
        ([{**WITHOUT_DATA, "parameters": {"binary_data_size": 8}}, IDS], {}, "at most 0"),
        ([{**WITHOUT_DATA, "parameters": {"binary_data_size": -1}}, IDS], {}, "`int` >= 0"),
        ([{**WITHOUT_DATA, "parameters": {"binary_data_size": 10**30}}, IDS], {}, "Expected|range"),
        ([{**WITHOUT_DATA, "parameters": {"binary_data_size": 1.5}}, IDS], {}, "Expected `int"),
        ([{**WITHOUT_DATA, "parameters": {"binary_data_size": True}}, IDS], {}, "Expected `int"),
        (None, {"outputs": [{"name": "y"}, {"name": "y"}]}, "each once"),
        (None, {"outputs": [{"name": "w"}]}, "among y, z"),
        (None, {"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        (None, {"id": 7}, "Expected `str`"),
        (None, {"parameters": {"timeout": -1}}, "timeout"),
        (None, {"parameters": {"timeout": 1e300}}, "timeout"),
        (None, {"parameters": {"priority": "1"}}, "priority"),
        (None, {"parameters": []}, "Expected `object`"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: object, more: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        parse(inputs, **more)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1e400",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
        b"\xff",
        b'{"id": "\xff", "inputs": []}',
        b'{"id": "\\ud800", "inputs": []}',
        b'{"inputs": 1}',
        b'{"inputs": [], "id": NaN}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [NaN, Infinity]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, ' + b"9" * 5000 + b'], "data": [1, 2]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1e400], "data": [1, 2]}]}',
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_request(MODEL, body, None)
    assert caught.value.status == 400


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    head = json.dumps({"inputs": [X, IDS], "id": "a"})
    assert parse_request(MODEL, f'{head[:-1]}, "id": "b"}}'.encode(), None).request_id == "b"


def test_bombs_take_no_more_memory_than_their_text() -> None:
    tensor = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": '
    for bomb in (b"[" + b"[]," * 10**6 + b"[]]", b"[" + b"{}," * 10**6 + b"{}]", b"[" + b"0," * 10**6 + b"0]"):
        tracemalloc.start()
        try:
            with pytest.raises(Refusal):
                parse_request(MODEL, tensor + bomb + b"}]}", None)
            assert tracemalloc.get_traced_memory()[1] < 2 * len(bomb) + 10**6
        finally:
            tracemalloc.stop()


def test_json_of_a_length_that_holds_others_up_is_refused() -> None:
    with pytest.raises(Refusal, match="binary tensor data") as caught:
        parse_request(MODEL, b" " * (MAX_JSON_BYTES + 1), None)
    assert caught.value.status == 413
    body = b"{}" + bytes(MAX_JSON_BYTES)
    with pytest.raises(Refusal, match="inputs"):
        parse_request(MODEL, body, "2")


def test_numbers_that_json_does_not_have_are_bytes_only() -> None:
    outputs = {"y": np.array([[1.0, np.nan]], np.float32), "z": np.array([np.inf], np.float32)}
    with pytest.raises(Refusal, match="Ask for it as bytes"):
        response_of(MODEL, parse(), outputs)
    body, length = response_of(MODEL, parse(parameters={"binary_data_output": True}), outputs)
    assert body[length:] == outputs["y"].tobytes() + outputs["z"].tobytes()


@pytest.mark.parametrize("header_length", ["-1", "x", "9" * 30, "²", ""])
def test_a_wrong_header_length_is_refused(header_length: str) -> None:
    with pytest.raises(Refusal, match="Inference-Header-Content-Length"):
        parse_request(MODEL, b"{}", header_length)


def test_bytes_that_nobody_claims_are_refused() -> None:
    with pytest.raises(Refusal, match="0 bytes after"):
        parse(tail=b"abc")


def test_a_shape_is_checked_before_memory_is_taken_for_it() -> None:
    for shape in ([2**62, 2**62], [2**62, 2], [2**41], [0, 2**80], [1] * 33, [1] * 10**6, [-1], [1.0], "12"):
        with pytest.raises(Refusal, match="shape"):
            from_json("tensor", "FP32", shape, b"[]")
        with pytest.raises(Refusal, match="shape"):
            from_bytes("tensor", "BYTES", shape, memoryview(b""))
    with pytest.raises(Refusal, match="texts"):
        from_bytes("tensor", "BYTES", [2**30], memoryview(b"\0\0\0\0"))
    for data in (b"\xff\xff\xff\xff", b"\2\0\0\0a", b"\1\0\0", b"\0\0\0\0x", b""):
        with pytest.raises(Refusal, match="text"):
            from_bytes("tensor", "BYTES", [1], memoryview(data))


@pytest.mark.parametrize("name", ["INT8", "FP16", "BOOL", "UINT64"])
def test_bytes_of_another_length_are_refused(name: str) -> None:
    size = NUMPY_TYPES[name].itemsize
    for length in (0, 1, 3 * size - 1, 3 * size + 1):
        with pytest.raises(Refusal, match=f"{3 * size} bytes"):
            from_bytes("tensor", name, [3], memoryview(bytes(length)))


def test_nested_data_is_what_flat_data_is() -> None:
    for shape in ([2, 3], [0, 3], [2, 0], [1, 1, 2], []):
        array = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
        nested = json.dumps(array.tolist()).encode()
        np.testing.assert_array_equal(from_json("t", "INT32", list(shape), nested), array)
    texts = from_json("t", "BYTES", [2, 1], b'[["a,b"], ["\\u00e9"]]')
    assert texts.tolist() == [[b"a,b"], ["é".encode()]]
    with pytest.raises(Refusal):
        from_json("t", "BYTES", [2, 1], b'[["a"], ["b", "c"]]')


NUMERIC = [dtype for dtype in NUMPY_TYPES.values() if dtype.kind != "O"]


@given(
    st.sampled_from(NUMERIC).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None,
        )
    )
)
def test_every_type_goes_there_and_back(array: np.ndarray) -> None:
    name, shape = datatype(array.dtype), list(array.shape)
    np.testing.assert_array_equal(from_bytes("t", name, shape, memoryview(to_bytes(array))), array)
    back = from_json("t", name, shape, json.dumps(to_json(array)).encode())
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_texts_go_there_and_back(texts: list[bytes]) -> None:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    assert from_bytes("t", "BYTES", [len(texts)], memoryview(to_bytes(array))).tolist() == texts
