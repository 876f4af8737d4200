"""What may be asked of a service besides inference: re-solves, other scenarios, earlier plans, fronts. All are jobs."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import Limits, Model, PlannerCancelled, Platform
from ...runtime_bridge import Decision
from .beside import run_beside
from .changes import ScenarioChange, changed_case, changed_scenario, refuse_outside
from .engine import Engine
from .http.refusal import Refusal
from .jobs import Job, JobFailed
from .keeper import decision_data

FRONT_GRACE_S = 60.0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resolve(_Part):
    """A re-solve for the world as it is assumed now."""

    time_limit_s: FiniteFloat = Field(default=10.0, gt=0, le=300)


class RollBack(_Part):
    """Back to an earlier plan: that of this version, or left out the one before."""

    version: int | None = Field(default=None, ge=0)


class AskFront(_Part):
    """The front of latency and memory of one model, alone on the device."""

    model: str
    time_limit_s: FiniteFloat = Field(default=10.0, gt=0, le=300)


class JobView(BaseModel):
    """A job as it is told; times are Unix seconds, 0 before it came to that."""

    id: int
    kind: str
    status: str
    created_s: float
    started_s: float
    ended_s: float
    result: Any = None
    error: str = ""


_JOB: dict[int | str, dict[str, Any]] = {503: {"description": "Too many jobs wait."}}
_NO_JOB: dict[int | str, dict[str, Any]] = {404: {"description": "No such job."}}
_NO_PLAN: dict[int | str, dict[str, Any]] = {404: {"description": "No such plan, or none before."}}
_NO_MODEL: dict[int | str, dict[str, Any]] = {404: {"description": "No such model."}}
_NO_CASE: dict[int | str, dict[str, Any]] = {
    400: {"description": "The change does not fit the scenario."},
    409: {"description": "What is served did not come from a scenario."},
}


def steering_routes(engine: Engine) -> APIRouter:
    """Routes under ``/edgeplan`` that change something or take long."""
    routes = APIRouter(prefix="/edgeplan", tags=["planning"])
    jobs = engine.jobs

    def taken(job: Job, response: Response) -> dict[str, Any]:
        response.headers["Location"] = f"/edgeplan/jobs/{job.id}"
        return job.data

    @routes.post("/resolve", status_code=202, response_model=JobView, responses=_JOB)
    async def resolve(response: Response, asked: Resolve | None = None) -> dict[str, Any]:
        """Re-solve; the plan is exchanged where a better one is found."""
        limit_s = (asked or Resolve()).time_limit_s

        def work(job: Job) -> dict[str, Any]:
            return _told(engine.controller.resolve("asked for", time_limit_s=limit_s, cancelled=job.cancelled))

        return taken(jobs.submit("resolve", work, engine.controller.cancel), response)

    @routes.post("/rollback", status_code=202, response_model=JobView, responses=_JOB | _NO_PLAN)
    async def roll_back(response: Response, asked: RollBack | None = None) -> dict[str, Any]:
        """Serve by an earlier plan again. Versions are those of `/edgeplan/plans`."""
        plans = list(engine.runtime.history.plans)
        version = asked.version if asked and asked.version is not None else plans[-2] if len(plans) > 1 else -1
        if version not in plans:
            raise Refusal(
                404, "plan version", "one that has served before", got="none" if version < 0 else f"{version}"
            )

        def work(job: Job) -> dict[str, Any]:
            return _told(engine.controller.go_back(version, f"plan {version} was asked for"))

        return taken(jobs.submit("rollback", work), response)

    @routes.post("/changes", status_code=202, response_model=JobView, responses=_JOB | _NO_CASE)
    async def change(response: Response, asked: ScenarioChange) -> dict[str, Any]:
        """Add or remove models, change rates and deadlines: planned first, then served; or nothing changes."""
        if engine.case is None:
            raise Refusal(409, "scenario change", "a service that was started from a scenario")
        changed_scenario(engine.case.scenario, asked)
        refuse_outside(engine.case.folder, asked)
        job = jobs.submit("change", partial(_change, engine, asked), engine.controller.cancel)
        return taken(job, response)

    @routes.post("/fronts", status_code=202, response_model=JobView, responses=_JOB | _NO_MODEL)
    async def front(response: Response, asked: AskFront) -> dict[str, Any]:
        """Find a model's front of latency and memory. The job's result has its points, and where the plan lies."""
        problem = engine.runtime.problem
        model = next((model for model in problem.models if model.name == asked.model), None)
        if model is None:
            raise Refusal(404, f"model {asked.model!r}"[:80], f"one of {', '.join(engine.models)}")
        limits = Limits(memory_bytes=problem.limits.memory_bytes)

        def work(job: Job) -> dict[str, Any]:
            found = run_beside(
                find_front,
                model,
                problem.platform,
                limits,
                asked.time_limit_s,
                engine.settings.seed,
                cancelled=job.cancelled,
                limit_s=asked.time_limit_s + FRONT_GRACE_S,
                what="front",
                own_pids=engine.runtime.observer.own_pids,
            )
            return {"model": asked.model, **found, "plan": _point(engine, asked.model)}

        return taken(jobs.submit("front", work), response)

    @routes.get("/jobs", response_model=list[JobView])
    async def all_jobs() -> list[dict[str, Any]]:
        """The last jobs, the latest first."""
        return [job.data for job in jobs.all]

    @routes.get("/jobs/{number}", response_model=JobView, responses=_NO_JOB)
    async def one_job(number: int) -> dict[str, Any]:
        """A job: whether it waits, runs or has ended, and how."""
        return jobs.get(number).data

    @routes.delete("/jobs/{number}", response_model=JobView, responses=_NO_JOB)
    def cancel(number: int) -> dict[str, Any]:
        """Cancel a job. One that has ended stays as it is; one that exchanges plans by now goes on."""
        return jobs.cancel(number).data

    return routes


def _change(engine: Engine, asked: ScenarioChange, job: Job) -> dict[str, Any]:
    assert engine.case is not None, "refused before"
    case = changed_case(engine.case, asked, job.cancelled, engine.runtime.observer.own_pids)
    decision = engine.change(
        case,
        asked.words,
        time_limit_s=asked.time_limit_s,
        best_effort=asked.best_effort,
        cancelled=job.cancelled,
    )
    return _told(decision)


def _told(decision: Decision) -> dict[str, Any]:
    """A decision as the result of a job, which fails and is cancelled with it."""
    data = decision_data(decision)
    if decision.action == "cancelled":
        raise PlannerCancelled("job", expected="an end", got=decision.reason, remedy="Ask again.")
    if decision.action == "failed":
        raise JobFailed(decision.reason, data)
    return data


def find_front(model: Model, platform: Platform, limits: Limits, time_limit_s: float, seed: int) -> dict[str, Any]:
    """A model's front as plain data."""
    from ..fronts import front_problem, solve_front

    solution = solve_front(front_problem(model, platform, limits), "auto", time_limit_s, seed)
    return {
        "status": solution.status,
        "method": solution.method,
        "points": [
            {
                "latency_us": point.latency_us,
                "memory_bytes": point.memory_bytes,
                "segments": len(point.plan.models[0].segments),
            }
            for point in solution.front
        ],
    }


def _point(engine: Engine, model: str) -> dict[str, float]:
    """Where the plan that serves lies: as if it had the device to itself."""
    from ..fronts import point_of

    latency_us, memory_bytes = point_of(engine.runtime.evaluation, model)
    return {"latency_us": latency_us, "memory_bytes": memory_bytes}
