"""The HTTP service: the Open Inference Protocol, the plan behind it, health and metrics."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from . import schemas
from .engine import PLATFORM, Engine
from .http.described import DescribedApp
from .http.front import AppSettings as AppSettings
from .http.front import Front
from .http.refusal import refusals
from .planning import planning_routes
from .protocol.infer import describe, served_model
from .steering import steering_routes

PROTOCOL_VERSION = "2"
_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{model_version}"


def create_app(engine: Engine, settings: AppSettings | None = None) -> FastAPI:
    """The application around an engine. The engine is neither started nor closed by it."""
    app = _Service(
        title="EdgePlan",
        version=version("edgeplan"),
        description="Open Inference Protocol, version 2, and the plan that serves it.",
        responses=refusals(400, 401, 408, 413, 415, 421, 500, 503),
    )
    app.front = Front(app.routed, engine, settings or AppSettings())

    @app.get("/v2", tags=["inference"])
    async def server_metadata() -> schemas.ServerMetadata:
        """Name, version and extensions of the server."""
        extensions = ["binary_tensor_data", "statistics"]
        return schemas.ServerMetadata(name="edgeplan", version=app.version, extensions=extensions)

    @app.get("/v2/health/live", tags=["health"])
    async def live() -> schemas.Live:
        """Whether the server answers."""
        return schemas.Live(live=True)

    @app.get("/v2/health/ready", tags=["health"], responses={503: {"model": schemas.Ready}})
    async def ready(response: Response) -> schemas.Ready:
        """Whether all models are served; with 503, not."""
        response.status_code = 200 if engine.ready else 503
        return schemas.Ready(ready=engine.ready)

    @app.get("/v2/models/stats", tags=["inference"], response_model=schemas.Statistics)
    async def all_statistics() -> dict[str, Any]:
        """Counts and times of all models."""
        return {"model_stats": [engine.statistics.of(m.name, m.version) for m in engine.models.values()]}

    @app.get(_MODEL, tags=["inference"], responses=refusals(404), response_model=schemas.ModelMetadata)
    @app.get(_VERSION, tags=["inference"], responses=refusals(404), response_model=schemas.ModelMetadata)
    async def metadata(model: str, model_version: str | None = None) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        return served_model(engine, model, model_version).metadata

    @app.get(f"{_MODEL}/ready", tags=["health"], responses={**refusals(404), 503: {"model": schemas.ModelReady}})
    @app.get(f"{_VERSION}/ready", tags=["health"], responses={**refusals(404), 503: {"model": schemas.ModelReady}})
    async def model_ready(response: Response, model: str, model_version: str | None = None) -> schemas.ModelReady:
        """Whether a model is served; with 503, not."""
        served_model(engine, model, model_version)
        ready = engine.serves(model)
        response.status_code = 200 if ready else 503
        return schemas.ModelReady(name=model, ready=ready)

    @app.get(f"{_MODEL}/config", tags=["inference"], responses=refusals(404))
    @app.get(f"{_VERSION}/config", tags=["inference"], responses=refusals(404))
    async def config(model: str, model_version: str | None = None) -> schemas.ModelConfiguration:
        """What clients read of a model's configuration: one request is one sample batch as the model takes it."""
        described = served_model(engine, model, model_version)
        return schemas.ModelConfiguration(name=described.name, platform=PLATFORM, max_batch_size=0)

    @app.get(f"{_MODEL}/stats", tags=["inference"], responses=refusals(404), response_model=schemas.Statistics)
    @app.get(f"{_VERSION}/stats", tags=["inference"], responses=refusals(404), response_model=schemas.Statistics)
    async def statistics(model: str, model_version: str | None = None) -> dict[str, Any]:
        """Counts and times of a model since the start, in nanoseconds."""
        described = served_model(engine, model, model_version)
        return {"model_stats": [engine.statistics.of(described.name, described.version)]}

    @app.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(engine.statistics.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(planning_routes(engine))
    app.include_router(steering_routes(engine))
    return app


class _Service(DescribedApp):
    """Described with the route that infers, which the front answers."""

    def describe(self, document: dict[str, Any]) -> None:
        describe(document)
