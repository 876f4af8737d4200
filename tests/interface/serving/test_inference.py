"""Requests of the Open Inference Protocol: what fits is read exactly, what does not is refused with a reason."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from edgeplan.interface.serving.inference import ServedModel, TensorForm, parse_request, response_of
from edgeplan.interface.serving.refusal import Refusal
from edgeplan.interface.serving.tensors import NUMPY_TYPES, datatype, from_bytes, from_json, to_bytes, to_json
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
        ("none", {}, "a list"),
        ([X], {}, "none for ids"),
        ([X, X, IDS], {}, "once"),
        ([X, {**IDS, "name": ["ids"]}], {}, "once"),
        ([{**X, "datatype": "FP64"}, IDS], {}, "datatype FP32"),
        ([{**X, "shape": [2, 1]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [1, True]}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "shape": [10**9] * 9}, IDS], {}, r"shape \[1, 2\]"),
        ([{**X, "data": [1.0]}, IDS], {}, "2 elements"),
        ([{**X, "data": [1.0, 2.0, 3.0]}, IDS], {}, "2 elements"),
        ([{**X, "data": [1.0, "2"]}, IDS], {}, "type FP32"),
        ([X, {**IDS, "data": [1, 2.5]}], {}, "type INT64"),
        ([X, {**IDS, "data": [1, 2**70]}], {}, "type INT64"),
        ([X, {**IDS, "data": [1, True]}], {}, "type INT64"),
        ([{**X, "parameters": {"binary_data_size": 8}}, IDS], {}, "at most 0"),
        ([{**X, "parameters": {"binary_data_size": -1}}, IDS], {}, "at most 0"),
        (None, {"outputs": [{"name": "w"}]}, "among y, z"),
        (None, {"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        (None, {"id": 7}, "text as id"),
        (None, {"parameters": {"timeout": -1}}, "timeout"),
        (None, {"parameters": []}, "an object"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: object, more: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        parse(inputs, **more)
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"inputs": 1}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        parse_request(MODEL, body, None)


@pytest.mark.parametrize("header_length", ["-1", "x", "9" * 30, "²", ""])
def test_a_wrong_header_length_is_refused(header_length: str) -> None:
    with pytest.raises(Refusal, match="Inference-Header-Content-Length"):
        parse_request(MODEL, b"{}", header_length)


def test_bytes_that_nobody_claims_are_refused() -> None:
    with pytest.raises(Refusal, match="0 bytes after"):
        parse(tail=b"abc")


def test_a_shape_is_checked_before_memory_is_taken_for_it() -> None:
    for shape in ([2**62, 2**62], [2**41], [1] * 33, [-1], [1.0], "12"):
        with pytest.raises(Refusal, match="shape"):
            from_json("tensor", "FP32", shape, [])
        with pytest.raises(Refusal, match="shape"):
            from_bytes("tensor", "BYTES", shape, memoryview(b""))
    with pytest.raises(Refusal, match="texts"):
        from_bytes("tensor", "BYTES", [2**30], memoryview(b"\0\0\0\0"))
    with pytest.raises(Refusal, match="texts"):
        from_bytes("tensor", "BYTES", [1], memoryview(b"\xff\xff\xff\xff"))


NUMERIC = [dtype for dtype in NUMPY_TYPES.values() if dtype.kind != "O"]


@given(st.sampled_from(NUMERIC).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_side=4))))
def test_every_type_goes_there_and_back(array: np.ndarray) -> None:
    name, shape = datatype(array.dtype), list(array.shape)
    np.testing.assert_array_equal(from_bytes("t", name, shape, memoryview(to_bytes(array))), array)
    back = from_json("t", name, shape, json.loads(json.dumps(to_json(array))))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_texts_go_there_and_back(texts: list[bytes]) -> None:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    assert from_bytes("t", "BYTES", [len(texts)], memoryview(to_bytes(array))).tolist() == texts
