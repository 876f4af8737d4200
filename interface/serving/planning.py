"""The plan behind the service: what serves, what was decided and why, what is predicted and what is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, StreamingResponse

from ...formulation import Plan
from ..trace import chunks
from .comparison import predicted_and_observed
from .engine import Engine
from .http.refusal import Refusal
from .keeper import decision_data
from .live_view import live_view, recent_trace


def planning_routes(engine: Engine) -> APIRouter:
    """Routes under ``/edgeplan`` that only tell."""
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

    @routes.get("/plans/{version}", responses={404: {"description": "No such plan."}})
    async def plan_of(version: int) -> dict[str, Any]:
        """A plan that this process has served by, by its version."""
        plans = engine.runtime.history.plans
        if version not in plans:
            raise Refusal(404, f"plan version {version}", f"one from {min(plans)} to {max(plans)}")
        return _planned(version, plans[version])

    @routes.get("/scenario")
    async def scenario() -> dict[str, Any]:
        """What is served: models, streams, limits."""
        return {} if engine.case is None else engine.case.scenario.model_dump(mode="json")

    @routes.get("/decisions")
    async def decisions() -> list[dict[str, Any]]:
        """Decisions of the controller with their reasons, the latest last."""
        return [decision_data(decision) for decision in list(engine.decisions)]

    @routes.get("/history")
    def history(limit: int = 100) -> dict[str, Any]:
        """Plans, decisions and faults, those of earlier processes too, the latest first; empty without a state."""
        if engine.keeper is None:
            return {"plans": [], "events": [], "trouble": None}
        store = engine.keeper.store
        kept = max(0, min(limit, 1000))
        return {
            "plans": [
                {
                    "id": row.id,
                    "plan_sha256": row.plan_sha256,
                    "origin": row.origin,
                    "reason": row.reason,
                    "status": row.status,
                    "status_reason": row.status_reason,
                    "begun_at_s": row.begun_at_s,
                }
                for row in store.plans(kept)
            ],
            "events": [
                {"id": each.id, "at_s": each.at_s, "kind": each.kind, "what": each.decision}
                for each in store.decisions(kept)
            ],
            "trouble": store.trouble,
        }

    @routes.get("/faults")
    async def faults() -> list[dict[str, Any]]:
        """What is wrong now: models that are refused, files that were exchanged, memory that is short."""
        return [fault.data for fault in engine.faults]

    @routes.get("/prediction")
    async def prediction() -> dict[str, Any]:
        """What the running plan predicts of each model on an idle device, microseconds and bytes."""
        evaluation = engine.runtime.evaluation
        return {
            "plan_version": engine.runtime.version,
            "memory_bytes": dict(evaluation.memory_bytes),
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

    @routes.get("/observed")
    async def observed() -> dict[str, Any]:
        """Predicted against observed by the last requests: times of each segment by its way of running; responses."""
        return predicted_and_observed(engine)

    return routes


def _planned(version: int, plan: Plan) -> dict[str, Any]:
    return {"version": version, "plan": plan.model_dump(mode="json")}
