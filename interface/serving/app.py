"""The HTTP service: the Open Inference Protocol, the plan behind it, health and metrics."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from ...formulation import AdmissionError, EdgePlanError
from .engine import PLATFORM, Engine
from .inference import HEADER_LENGTH, ServedModel, parse_request, response_of
from .planning import planning_routes
from .refusal import Refusal
from .steering import steering_routes

VERSION = "2"
_OPEN_PATHS = ("/v2/health/",)
"""Paths that need no token: whether a server lives is no secret, and what watches it should need none."""


@dataclass(frozen=True)
class AppSettings:
    """Limits of the service.

    Attributes
    ----------
    token : str, optional
        Bearer token that every request must bring but those for health.
    max_request_bytes : int
        Longest body.
    body_timeout_s : float
        Longest time that a client may take to send its body.
    """

    token: str | None = None
    max_request_bytes: int = 64 * 2**20
    body_timeout_s: float = 30.0


class TokenNeeded:
    """Refuses requests without the bearer token; plain ASGI, for a framework's middleware takes longer than parsing.

    Parameters
    ----------
    app : ASGIApp
    token : str, optional
        None lets everybody in.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._wanted = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if self._wanted is not None and scope["type"] == "http" and not scope["path"].startswith(_OPEN_PATHS):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._wanted):
                refusal = JSONResponse({"error": "A bearer token is needed."}, 401, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(engine: Engine, settings: AppSettings | None = None) -> FastAPI:
    """The application around an engine. The engine is neither started nor closed by it."""
    from importlib.metadata import version

    limits = settings or AppSettings()
    app = FastAPI(
        title="EdgePlan",
        version=version("edgeplan"),
        description="Open Inference Protocol, version 2, and the plan that serves it.",
    )

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> JSONResponse:
        after = refusal.retry_after_s
        headers = {} if after is None else {"Retry-After": f"{max(1, round(after))}"}
        return JSONResponse({"error": str(refusal)}, refusal.status, headers)

    @app.exception_handler(EdgePlanError)
    async def fail(_: Request, error: EdgePlanError) -> JSONResponse:
        if isinstance(error, AdmissionError):
            return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})
        return JSONResponse({"error": str(error)}, 500)

    app.add_middleware(TokenNeeded, token=limits.token)

    def served(name: str, model_version: str | None = None) -> ServedModel:
        model = engine.models.get(name)
        if model is None:
            raise Refusal(404, f"model {name!r}", f"one of {', '.join(engine.models)}")
        if model_version not in (None, model.version):
            raise Refusal(404, f"model {name!r}", f"version {model.version}", got=repr(model_version)[:40])
        return model

    @app.get("/v2", tags=["inference"])
    async def server_metadata() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "edgeplan", "version": app.version, "extensions": ["binary_tensor_data", "statistics"]}

    @app.get("/v2/health/live", tags=["health"])
    async def live() -> dict[str, bool]:
        """Whether the server answers."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["health"], responses={503: {"description": "Not taking requests."}})
    async def ready() -> JSONResponse:
        """Whether all models are served."""
        return JSONResponse({"ready": engine.ready}, 200 if engine.ready else 503)

    @app.get("/v2/models/stats", tags=["inference"])
    async def all_statistics() -> dict[str, Any]:
        """Counts and times of all models."""
        return {"model_stats": [engine.statistics.of(m.name, m.version) for m in engine.models.values()]}

    @app.get("/v2/models/{model}", tags=["inference"])
    @app.get("/v2/models/{model}/versions/{model_version}", tags=["inference"])
    async def metadata(model: str, model_version: str | None = None) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        return served(model, model_version).metadata

    @app.get("/v2/models/{model}/ready", tags=["health"])
    @app.get("/v2/models/{model}/versions/{model_version}/ready", tags=["health"])
    async def model_ready(model: str, model_version: str | None = None) -> JSONResponse:
        """Whether a model is served."""
        served(model, model_version)
        return JSONResponse({"name": model, "ready": engine.ready}, 200 if engine.ready else 503)

    @app.get("/v2/models/{model}/config", tags=["inference"])
    @app.get("/v2/models/{model}/versions/{model_version}/config", tags=["inference"])
    async def config(model: str, model_version: str | None = None) -> dict[str, Any]:
        """What clients read of a model's configuration: one request is one sample batch as the model takes it."""
        described = served(model, model_version)
        return {"name": described.name, "platform": PLATFORM, "max_batch_size": 0}

    @app.get("/v2/models/{model}/stats", tags=["inference"])
    @app.get("/v2/models/{model}/versions/{model_version}/stats", tags=["inference"])
    async def statistics(model: str, model_version: str | None = None) -> dict[str, Any]:
        """Counts and times of a model since the start, in nanoseconds."""
        described = served(model, model_version)
        return {"model_stats": [engine.statistics.of(described.name, described.version)]}

    @app.post("/v2/models/{model}/infer", tags=["inference"], openapi_extra=_INFER)
    @app.post("/v2/models/{model}/versions/{model_version}/infer", tags=["inference"], openapi_extra=_INFER)
    async def infer(request: Request, model: str, model_version: str | None = None) -> Response:
        """Ask a model. Tensors are JSON, or bytes after it (the binary tensor data extension)."""
        described = served(model, model_version)
        body = await _body(request, limits)
        asked = parse_request(described, body, request.headers.get(HEADER_LENGTH))
        future = engine.submit(model, asked.feeds, asked.timeout_us, asked.request_id)
        outputs = await asyncio.wrap_future(future)
        content, length = response_of(described, asked, outputs)
        if length is None:
            return Response(content, media_type="application/json")
        return Response(content, media_type="application/octet-stream", headers={HEADER_LENGTH: str(length)})

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(engine.statistics.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(planning_routes(engine))
    app.include_router(steering_routes(engine))
    return app


_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "parameters": {"type": "object"},
                        "inputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name", "shape", "datatype"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                                    "datatype": {"type": "string"},
                                    "parameters": {"type": "object"},
                                    "data": {"type": "array", "items": {}},
                                },
                            },
                        },
                        "outputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                            },
                        },
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "responses": {
        code: {"description": reason}
        for code, reason in {
            "400": "Not a request, or one that does not fit the model.",
            "404": "No such model or version.",
            "408": "The body took too long to come.",
            "413": "The body is too long.",
            "415": "The body is compressed.",
            "500": "A segment failed.",
            "503": "Refused: too many wait, or the deadline cannot be kept.",
        }.items()
    },
}


async def _body(request: Request, limits: AppSettings) -> bytes:
    """The whole body, as long as it keeps the limits."""
    subject = "body"
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, subject, "no compression", got=request.headers["content-encoding"][:40])
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.max_request_bytes:
                    raise Refusal(413, subject, f"at most {limits.max_request_bytes} bytes")
                chunks.append(chunk)
    except TimeoutError as error:
        raise Refusal(408, subject, f"all of it within {limits.body_timeout_s:g} s") from error
    return b"".join(chunks)
