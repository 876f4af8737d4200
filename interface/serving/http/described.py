"""An application behind its gate: described with all that is answered, and no answer to bad requests but ours."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ....formulation import EdgePlanError
from .refusal import REASONS, Refusal, answer_of, answer_status


class DescribedApp(FastAPI):
    """FastAPI whose every refusal has a status code and a reason, and says so in its description.

    Attributes
    ----------
    front : ASGIApp
        What requests come to first; it passes them on to `routed`.
    """

    front: ASGIApp

    def __init__(self, **of_fastapi: Any) -> None:
        super().__init__(**of_fastapi)
        _answer_errors(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.front(scope, receive, send)

    async def routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What passes the front."""
        await super().__call__(scope, receive, send)

    def describe(self, document: dict[str, Any]) -> None:
        """Add to the description what FastAPI does not know of; nothing by default."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            self.describe(document)
            for path in document["paths"].values():
                for operation in path.values():
                    _complete(operation["responses"])
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        return super().openapi()


def _complete(responses: dict[str, Any]) -> None:
    """What every refusal says; bad requests are answered with 400."""
    responses.pop("422", None)
    for status, response in responses.items():
        if status.isdigit() and int(status) >= 400:
            response.setdefault("description", REASONS.get(int(status), ""))
            response.setdefault("content", {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}})


def _answer_errors(app: FastAPI) -> None:
    """Every error becomes a status code and a reason."""

    @app.exception_handler(Refusal)
    @app.exception_handler(EdgePlanError)
    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return answer_of(error)

    @app.exception_handler(RequestValidationError)
    async def misfit(_: Request, error: RequestValidationError) -> Response:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        return answer_status(400, f"request: expected what /openapi.json says, got {found}.")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        remedy = "GET /openapi.json lists every address and what it answers."
        reason = f"{request.method} {request.url.path[:200]}: {error.detail}. {remedy}"
        return answer_status(error.status_code, reason, dict(error.headers or {}))
