"""The route that infers, as plain ASGI: a framework's routing and checking takes longer than the request itself."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Future
from typing import Any

import msgspec

from ..engine import Engine
from ..http.refusal import REASONS, Refusal
from . import messages
from .inference import HEADER_LENGTH, ServedModel, parse_request, response_of

PATHS = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{model_version}/infer")
_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()


def asked_model(path: str) -> tuple[str, str | None] | None:
    """Name and version of the model that a path asks to infer; None for other paths."""
    found = _PATH.fullmatch(path)
    return (found[1], found[2]) if found else None


def served_model(engine: Engine, name: str, version: str | None = None) -> ServedModel:
    """A model by its name, and by its version where one is asked for.

    Raises
    ------
    Refusal
        There is none.
    """
    model = engine.models.get(name)
    if model is None:
        raise Refusal(404, f"model {name[:80]!r}", f"one of {', '.join(engine.models)}")
    if version not in (None, model.version):
        raise Refusal(404, f"model {name!r}", f"version {model.version}", got=repr(version)[:40])
    return model


async def infer(
    engine: Engine, model: ServedModel, body: bytes, headers: dict[bytes, bytes]
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Ask a model. Returns the answer's body and header.

    Raises
    ------
    Refusal, EdgePlanError
        There is no answer.
    """
    length = headers.get(_HEADER_LENGTH)
    asked = parse_request(model, body, None if length is None else length.decode("latin-1"))
    outputs = await _ended(engine.submit(model.name, asked.feeds, asked.timeout_us, asked.request_id))
    content, json_length = response_of(model, asked, outputs)
    if json_length is None:
        return content, [(b"content-type", b"application/json")]
    return content, [(b"content-type", b"application/octet-stream"), (_HEADER_LENGTH, b"%d" % json_length)]


async def _ended(future: Future[Any]) -> Any:
    """The result of a request, as soon as a worker has it.

    `asyncio.wrap_future` does this too, and could cancel; a request that was taken is not taken back.
    """
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def tell(_: Future[Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_wake, ended)

    future.add_done_callback(tell)
    await ended
    try:
        return future.result()
    finally:
        del future  # else it, its error and this frame would be a cycle, which keeps tensors, and sessions that hung


def _wake(ended: asyncio.Future[None]) -> None:
    if not ended.done():  # who waited may have been cancelled
        ended.set_result(None)


def describe(document: dict[str, Any]) -> None:
    """Add the route to an OpenAPI document, from the types that its bodies are read and written by."""
    (request, response), parts = msgspec.json.schema_components(
        (messages.InferenceRequest, messages.InferenceResponse), ref_template="#/components/schemas/{name}"
    )
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(parts)
    raw = {"schema": {"type": "string", "format": "binary"}}
    for path in PATHS:
        names = re.findall(r"{(\w+)}", path)
        document["paths"][path] = {
            "post": {
                "tags": ["inference"],
                "summary": "Infer",
                "operationId": "infer" if len(names) == 1 else "infer_version",
                "description": (
                    "Ask a model. Tensors are JSON, or bytes after it (the binary tensor data extension); the header "
                    f"`{HEADER_LENGTH}` then says how long the JSON is."
                ),
                "parameters": [
                    *({"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names),
                    {"name": HEADER_LENGTH, "in": "header", "required": False, "schema": {"type": "integer"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": request}, "application/octet-stream": raw},
                },
                "responses": {
                    "200": {
                        "description": "The outputs.",
                        "content": {"application/json": {"schema": response}, "application/octet-stream": raw},
                    },
                    **{
                        str(status): {"description": REASONS[status]}
                        for status in (400, 401, 404, 405, 408, 413, 415, 421, 500, 503)
                    },
                },
            }
        }
