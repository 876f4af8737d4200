"""The planning service over HTTP: profiles, jobs, their events, results and reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import exc
from starlette.concurrency import run_in_threadpool

from ..serving.http.described import DescribedApp
from ..serving.http.gate import AppSettings, Gate
from ..serving.http.refusal import Refusal, answer_status, refusals
from . import schemas
from .answers import is_reportable, report_of
from .example import SCENARIO, example_profile
from .limits import PlannerLimits
from .metrics import registry_of
from .records import JobRecord, ProfileRecord
from .store import JobStore, QueueFull
from .streams import EventStream, stream
from .submissions import asked_question, kept_profile

Found = TypeVar("Found")

DigestPath = Annotated[str, Path(pattern=schemas.DIGEST, description="A digest, in hexadecimal.")]
_AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, exc.IntegrityError)
"""What a store raises that is away, overloaded, or changed meanwhile. All else is an error of ours."""
_NOT_FRAMED = {"Content-Security-Policy": "frame-ancestors 'none'"}
"""Of the page: what lies under another site's buttons could be made to submit and cancel."""
_APART = {"Content-Security-Policy": "sandbox allow-scripts allow-downloads"}
"""Of a report, which is made of what clients sent: whatever it does, it does not do it as the page with the token."""
_LONG_AT_ONCE = 4
"""Requests that are worked on for seconds (a profile is checked, a report drawn): threads are left for all others."""
_ANEW = "Ask again: POST /jobs."
_RETRY_S = 5.0


class PlannerApp(DescribedApp):
    """The application around a store. The store is neither opened nor closed by it.

    Attributes
    ----------
    closing : callable
        Whether the server is about to stop: streams of events then end.
    """

    def __init__(self, jobs: JobStore, limits: PlannerLimits, settings: AppSettings, wake: Callable[[], None]) -> None:
        super().__init__(
            title="EdgePlan planner",
            version=version("edgeplan"),
            description="Plans scenarios: submit a scenario and a profile, follow the search, read plan and report.",
            responses={**refusals(400, 401, 408, 413, 415, 421, 500, 503), **schemas.LONG_HEADER},
        )
        self.front = Gate(self.routed, settings, open_paths=("/health",), pages=("/",))
        self.closing: Callable[[], bool] = lambda: False
        self.jobs = jobs
        self.limits = limits
        self.wake = wake
        self._long = asyncio.Semaphore(_LONG_AT_ONCE)
        for kind in _AWAY:
            self.add_exception_handler(kind, _store_away)
        self.add_exception_handler(QueueFull, self._queue_full)
        _add_general_routes(self)
        _add_profile_routes(self)
        _add_job_routes(self)
        _add_answer_routes(self)

    @property
    def ready(self) -> bool:
        """Whether the server answers at all: a store that is away for a moment is no reason to start it again."""
        return True

    async def in_turn(self, work: Callable[[], Found]) -> Found:
        """Do what takes long in a thread, a few at once."""
        async with self._long:
            return await run_in_threadpool(work)

    def found(self, job_id: str) -> JobRecord:
        """A job by its id.

        Raises
        ------
        Refusal
            There is none.
        """
        job = self.jobs.get(job_id)
        if job is None:
            raise Refusal(404, f"job {job_id[:12]}…", "one that was submitted and is still kept", remedy=_ANEW)
        return job

    async def _queue_full(self, _: Request, __: Exception) -> Response:
        reason = f"jobs: expected fewer than {self.limits.max_queued} that wait, got as many. Ask again later."
        return answer_status(503, reason, {"Retry-After": f"{_RETRY_S:.0f}"})


async def _store_away(_: Request, __: Exception) -> Response:
    # Not in its own words: they name hosts and users, and who asks for health has shown no token. Workers log them.
    reason = "store: expected an answer, got none. Ask again; the service's log says why."
    return answer_status(503, reason, {"Retry-After": "2"})


def create_app(
    jobs: JobStore,
    limits: PlannerLimits | None = None,
    settings: AppSettings | None = None,
    wake: Callable[[], None] = lambda: None,
) -> PlannerApp:
    """The application around a store.

    Parameters
    ----------
    jobs : JobStore
    limits : PlannerLimits, optional
    settings : AppSettings, optional
        Token and limits of bodies.
    wake : callable, optional
        Called when a job was queued.
    """
    return PlannerApp(jobs, limits or PlannerLimits(), settings or AppSettings(), wake)


def _add_general_routes(app: PlannerApp) -> None:
    page = files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")
    registry = registry_of(app.jobs)

    @app.get("/", tags=["page"], response_class=Response, responses=schemas.HTML)
    async def submit_and_watch() -> HTMLResponse:
        """A page to submit a scenario and watch its job."""
        return HTMLResponse(page, headers=_NOT_FRAMED)

    @app.get("/health", tags=["health"])
    def health() -> schemas.Health:
        """Whether the store answers, and what works on its jobs; with 503, it does not."""
        counts = app.jobs.counts()
        queued, running = counts.jobs.get("queued", 0), counts.jobs.get("running", 0)
        return schemas.Health(status="ok", workers=counts.workers, slots=counts.slots, queued=queued, running=running)

    @app.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": schemas.TEXT}}},
    )
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/example", tags=["page"])
    def example() -> schemas.Example:
        """Something to try."""
        return schemas.Example(scenario=SCENARIO, profile=example_profile())


def _add_profile_routes(app: PlannerApp) -> None:
    @app.post("/profiles", tags=["profiles"], status_code=201, responses={200: {"model": schemas.ProfileView}})
    async def upload(response: Response, asked: dict[str, Any]) -> schemas.ProfileView:
        """Keep a profile; jobs may then name it by its id. 200 where it was there already."""
        record, new = await app.in_turn(lambda: kept_profile(app.jobs, asked))
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"/profiles/{record.id}"
        return _profile_view(record)

    @app.get("/profiles/{profile_id}", tags=["profiles"], responses=refusals(404))
    def profile(profile_id: DigestPath) -> schemas.ProfileView:
        """Which models a profile has."""
        record = app.jobs.profile(profile_id)
        if record is None:
            remedy = "Upload it: POST /profiles."
            raise Refusal(404, f"profile {profile_id[:12]}…", "one that was uploaded and is still kept", remedy=remedy)
        return _profile_view(record)


def _add_job_routes(app: PlannerApp) -> None:
    @app.post("/jobs", tags=["jobs"], status_code=202, responses={200: {"model": schemas.JobView}, **refusals(404)})
    async def submit(response: Response, asked: schemas.AskJob) -> schemas.JobView:
        """Ask a question. Who asks the same again gets the same job; with 200, it has been answered."""
        job = await app.in_turn(lambda: app.jobs.submit(asked_question(app.jobs, app.limits, asked)))
        if job.status == "queued":
            app.wake()
        response.status_code = 200 if job.has_ended else 202
        response.headers["Location"] = f"/jobs/{job.id}"
        return _job_view(job)

    @app.get("/jobs", tags=["jobs"])
    def all_jobs(
        status: Annotated[str | None, Query(pattern="^(queued|running|done|failed|cancelled)$")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[schemas.JobView]:
        """The jobs that were asked for last, the latest first."""
        return [_job_view(job) for job in app.jobs.jobs(status, limit)]

    @app.get("/jobs/{job_id}", tags=["jobs"], responses=refusals(404))
    def one_job(job_id: DigestPath) -> schemas.JobView:
        """A job: whether it waits, runs or has ended, and how far it has come."""
        return _job_view(app.found(job_id))

    @app.delete("/jobs/{job_id}", tags=["jobs"], responses=refusals(404))
    def cancel(job_id: DigestPath) -> schemas.JobView:
        """Cancel a job; one that runs is ended within a second or so. One that has ended stays as it is."""
        return _job_view(app.jobs.cancel(job_id) or app.found(job_id))

    followed = 0

    @app.get(
        "/jobs/{job_id}/events",
        tags=["jobs"],
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": schemas.EVENT}},
            204: {"description": "The client has all events of a job that has ended."},
            **refusals(404),
        },
    )
    async def events(
        job_id: DigestPath,
        last_event_id: Annotated[int | None, Header(ge=0, le=schemas.MAX_SEED)] = None,
        after: Annotated[int, Query(ge=0, le=schemas.MAX_SEED)] = 0,
    ) -> Response:
        """Follow a job: server-sent events `status` and `progress` until it has ended, from the one after
        `Last-Event-ID` (or `after`) on."""
        nonlocal followed
        await run_in_threadpool(app.found, job_id)
        last = after if last_event_id is None else last_event_id
        waiting, over = await run_in_threadpool(app.jobs.events, job_id, last)
        if over and not waiting:
            return Response(status_code=204)
        if followed >= app.limits.max_streams:
            most, remedy = app.limits.max_streams, "Ask again later, or for the job itself now and then."
            raise Refusal(503, "events", f"fewer than {most} that follow", remedy=remedy, retry_after_s=_RETRY_S)
        followed += 1  # at once: others come in before the first event is asked for

        def ended() -> None:
            nonlocal followed
            followed -= 1

        return EventStream(stream(app.jobs, job_id, last, app.closing), ended)


def _add_answer_routes(app: PlannerApp) -> None:
    @app.get("/jobs/{job_id}/result", tags=["jobs"], response_model=schemas.ResultView, responses=refusals(404, 409))
    def result(job_id: DigestPath) -> Response:
        """What a job found: plan and evaluation, or fronts, with what the solver proved."""
        _refuse_unanswered(app.found(job_id))
        text = app.jobs.result(job_id)
        if text is None:
            raise Refusal(404, f"result of job {job_id[:12]}…", "one that is still kept", remedy=_ANEW)
        return Response(text, media_type="application/json")

    @app.get(
        "/jobs/{job_id}/report",
        tags=["jobs"],
        response_class=Response,
        responses={**schemas.HTML, **refusals(404, 409)},
    )
    async def report(job_id: DigestPath) -> HTMLResponse:
        """The answer as one self-contained page."""
        return HTMLResponse(await app.in_turn(lambda: drawn(job_id)), headers=_APART)

    def drawn(job_id: str) -> str:
        job = app.found(job_id)
        _refuse_unanswered(job)
        answer = app.jobs.answer(job_id)
        if answer is None:
            raise Refusal(404, f"result of job {job_id[:12]}…", "one that is still kept", remedy=_ANEW)
        question, profile, text = answer
        found = json.loads(text)
        if not is_reportable(found):
            subject, wanted = f"report on job {job_id[:12]}…", "an answer with a plan or a front"
            raise Refusal(409, subject, wanted, got=job.outcome, remedy="Read its result: it says why.")
        return report_of(question, profile, found)


def _refuse_unanswered(job: JobRecord) -> None:
    if job.status != "done":
        got = f"one that {'failed: ' + job.error if job.status == 'failed' else 'is ' + job.status}"
        remedy = _ANEW if job.has_ended else "Follow its events, or ask again later."
        raise Refusal(409, f"job {job.id[:12]}…", "one that is done", got=got, remedy=remedy)


def _job_view(job: JobRecord) -> schemas.JobView:
    return schemas.JobView.model_validate({**vars(job), "progress": job.progress})


def _profile_view(record: ProfileRecord) -> schemas.ProfileView:
    return schemas.ProfileView(id=record.id, models=list(record.models), created_s=record.created_s)
