"""The plan behind the service: what serves, what was decided and why, what is predicted and what is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, StreamingResponse

from ...formulation import Plan
from ...runtime_bridge import Decision
from ..trace import chunks
from .engine import Engine
from .live_view import live_view, recent_trace
from .refusal import Refusal


def planning_routes(engine: Engine) -> APIRouter:
    """Routes under ``/edgeplan``."""
    routes = APIRouter(prefix="/edgeplan", tags=["planning"])

    page = Path(__file__).with_name("dashboard.html").read_text(encoding="utf-8")

    @routes.get("/", response_class=HTMLResponse)
    async def dashboard() -> HTMLResponse:
        """A page that shows the service as it runs."""
        return HTMLResponse(page)

    @routes.get("/live")
    def live() -> dict[str, Any]:
        """What the page shows: the last seconds by model and core, memory, decisions."""
        return live_view(engine)

    @routes.get("/trace")
    def trace(seconds: Annotated[float, Query(gt=0, le=3600)] = 5.0) -> StreamingResponse:
        """What each core ran for the requests that ended lately, for https://ui.perfetto.dev or chrome://tracing."""
        headers = {"Content-Disposition": 'attachment; filename="edgeplan-trace.json"'}
        return StreamingResponse(chunks(recent_trace(engine, seconds)), media_type="application/json", headers=headers)

    @routes.get("/plan")
    async def plan() -> dict[str, Any]:
        """The plan that serves new requests, with its version."""
        return _planned(engine.runtime.version, engine.runtime.plan)

    @routes.get("/plans/{version}")
    async def plan_of(version: int) -> dict[str, Any]:
        """A plan that has served, by its version."""
        plans = engine.runtime.history.plans
        if version not in plans:
            raise Refusal(404, f"plan version {version}", f"one from {min(plans)} to {max(plans)}")
        return _planned(version, plans[version])

    @routes.get("/decisions")
    async def decisions() -> list[dict[str, Any]]:
        """Decisions of the controller with their reasons, the latest last."""
        return [_decided(decision) for decision in list(engine.decisions)]

    @routes.get("/prediction")
    async def prediction() -> dict[str, Any]:
        """What the running plan predicts of each model on an idle device, microseconds and bytes."""
        evaluation = engine.runtime.evaluation
        return {
            "plan_version": engine.runtime.version,
            "models": {
                name: {
                    "latency_us": scored.latency_us,
                    "segments": [
                        {"latency_us": s.latency_us, "configuration": s.planned.configuration.name}
                        for s in scored.segments
                    ],
                }
                for name, scored in evaluation.models.items()
            },
        }

    return routes


def _planned(version: int, plan: Plan) -> dict[str, Any]:
    return {"version": version, "plan": plan.model_dump(mode="json")}


def _decided(decision: Decision) -> dict[str, Any]:
    return {
        "at_us": decision.at_us,
        "drifts": [str(drift) for drift in decision.drifts],
        "action": decision.action,
        "reason": decision.reason,
        "plan_version": decision.plan_version,
        "solve_s": decision.solve_s,
        "swap_s": decision.swap_s,
    }
