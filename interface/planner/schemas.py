"""What the planning service takes and tells, as its description says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..serving.http.refusal import Refused

DIGEST = r"^[0-9a-f]{64}$"
Digest = Annotated[str, Field(pattern=DIGEST)]
MAX_SEED = 2**31 - 1
TEXT: dict[str, Any] = {"schema": {"type": "string"}}
HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": TEXT}}}
LONG_HEADER: dict[int | str, dict[str, Any]] = {431: {"model": Refused, "description": "The header is too long."}}
EVENT: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "Each event; `data` is JSON.",
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "event": {"enum": ["status", "progress"]},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
        "required": ["id", "event", "data"],
    }
}


class AskJob(BaseModel):
    """A question: a scenario, a profile (or the id of an uploaded one), and how to solve.

    `scenario` is YAML as text, or the same as an object. Its own `profile` key is not looked at. `objective` is `plan`
    for a plan, `front` for the front of latency and memory of each model alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: Annotated[str, Field(min_length=1)] | dict[str, Any]
    profile: dict[str, Any] | None = None
    profile_id: Digest | None = None
    objective: Literal["plan", "front"] = "plan"
    method: Annotated[str, Field(min_length=1, max_length=100)] = "auto"
    time_limit_s: FiniteFloat = Field(default=10.0, gt=0)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)


class ProfileView(BaseModel):
    """An uploaded profile: the digest of what it measured, and its models."""

    id: str
    models: list[str]
    created_s: float


class ProgressView(BaseModel):
    """How far a job has come, as it was last told. Objective and bound are those of one policy and model."""

    elapsed_s: float | None = None
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    policy: str = ""
    model: str = ""
    hypervolume: float | None = None


class JobView(BaseModel):
    """A job; times are Unix seconds by the store's clock, 0 before it came to that.

    `outcome` of a job that is done is the solution's status: optimal, feasible, infeasible or timeout.
    """

    id: str
    name: str
    objective: str
    method: str
    time_limit_s: float
    seed: int
    profile_id: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    attempt: int
    asked: int
    created_s: float
    started_s: float
    ended_s: float
    outcome: str
    progress: ProgressView
    error: str


class PointView(BaseModel):
    """A point of a front; of a long front only some come with their plan."""

    latency_us: float
    memory_bytes: float
    plan: dict[str, Any] | None


class FrontView(BaseModel):
    """The front of one model."""

    model: str
    status: str
    method: str
    objective: float | None
    bound: float | None
    gap: float | None
    seed: int
    runtime_s: float
    clashes: list[dict[str, Any]]
    n_points: int
    points: list[PointView]


class ResultView(BaseModel):
    """What a job found: as `edgeplan plan --format json` prints it, or the front of each model."""

    status: str
    method: str
    seed: int
    runtime_s: float
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    clashes: list[dict[str, Any]] = Field(default_factory=list)
    policies: list[dict[str, Any]] = Field(default_factory=list)
    evaluation: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    fronts: list[FrontView] = Field(default_factory=list)


class Health(BaseModel):
    """Whether the store answers, and what works on its jobs."""

    status: Literal["ok"]
    workers: int
    slots: int
    queued: int
    running: int


class Example(BaseModel):
    """Something to try: a scenario as YAML, and a profile with invented costs."""

    scenario: str
    profile: dict[str, Any]
