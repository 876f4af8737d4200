"""Triton's own client, unchanged, against a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from ...conftest import Toys
from .process import Served, serving

triton: Any = pytest.importorskip("tritonclient.http", reason="the client is an extra")
OUTPUT = "sum3"


@pytest.fixture(scope="module")
def served(toys: Toys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(toys, tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}", concurrency=4) as client:
        yield client


def image_of(toys: Toys, seed: int = 0, binary: bool = True) -> Any:
    image = triton.InferInput("image", [1, 8, 12, 12], "FP32")
    image.set_data_from_numpy(toys.feeds(seed)["image"], binary_data=binary)
    return image


def assert_answers(toys: Toys, answer: Any, model: str, seed: int = 0) -> None:
    np.testing.assert_allclose(
        answer.as_numpy(OUTPUT), *toys.unsplit(model, toys.feeds(seed)).values(), rtol=1e-4, atol=1e-5
    )


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("left")
    assert client.is_model_ready("left", "1")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "edgeplan"
    assert client.get_model_metadata("left")["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [1, 8, 12, 12]}
    ]
    assert client.get_model_config("right", "1")["max_batch_size"] == 0


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_inference_in_bytes_and_in_json(toys: Toys, client: Any, binary_in: bool, binary_out: bool | None) -> None:
    outputs = None if binary_out is None else [triton.InferRequestedOutput(OUTPUT, binary_data=binary_out)]
    for model in toys.files:
        answer = client.infer(
            model, [image_of(toys, 3, binary_in)], request_id="mine", outputs=outputs, timeout=10_000_000, priority=1
        )
        assert_answers(toys, answer, model, 3)
        assert answer.get_response()["id"] == "mine"
        assert answer.get_response()["model_name"] == model


def test_many_at_once(toys: Toys, client: Any) -> None:
    waiting = [client.async_infer("left", [image_of(toys, seed)], request_id=str(seed)) for seed in range(20)]
    for seed, asked in enumerate(waiting):
        answer = asked.get_result()
        assert answer.get_response()["id"] == str(seed)
        assert_answers(toys, answer, "left", seed)


def test_statistics(toys: Toys, client: Any) -> None:
    def count() -> int:
        (stats,) = client.get_inference_statistics("right")["model_stats"]
        return stats["inference_stats"]["success"]["count"]

    before = count()
    client.infer("right", [image_of(toys)])
    assert count() == before + 1
    assert {m["name"] for m in client.get_inference_statistics()["model_stats"]} == set(toys.files)


def test_refusals_come_with_our_reason(toys: Toys, client: Any) -> None:
    wrong = triton.InferInput("image", [1, 8, 12, 11], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 8, 12, 11), np.float32))
    for ask, status, reason in (
        (lambda: client.infer("nobody", [image_of(toys)]), "404", "one of left, right"),
        (lambda: client.infer("left", [image_of(toys)], model_version="2"), "404", "version 1"),
        (lambda: client.infer("left", [wrong]), "400", r"shape \[1, 8, 12, 12\]"),
        (lambda: client.infer("left", [image_of(toys), image_of(toys)]), "400", "once"),
        (
            lambda: client.infer("left", [image_of(toys)], outputs=[triton.InferRequestedOutput("nothing")]),
            "400",
            f"outputs among {OUTPUT}",
        ),
        (
            lambda: client.infer(
                "left", [image_of(toys)], outputs=[triton.InferRequestedOutput(OUTPUT, class_count=2)]
            ),
            "400",
            "classification",
        ),
        (lambda: client.get_model_metadata("nobody"), "404", "one of left, right"),
    ):
        with pytest.raises(triton.InferenceServerException, match=reason) as caught:
            ask()
        assert caught.value.status() == status


def test_requests_are_not_compressed_and_answers_need_not_be(toys: Toys, client: Any) -> None:
    for way in ("gzip", "deflate"):
        with pytest.raises(triton.InferenceServerException, match="no compression") as caught:
            client.infer("left", [image_of(toys)], request_compression_algorithm=way)
        assert caught.value.status() == "415"
        assert_answers(toys, client.infer("left", [image_of(toys)], response_compression_algorithm=way), "left")
