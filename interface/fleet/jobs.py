"""One job for each device and workload: what it is made from, how it is solved, and what comes of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import EdgePlanError, Plan, Scenario, ScenarioError, Status, capped
from ...profiles import Profile
from ..case import Case
from ..identity import digest_of, question_digest
from ..tenancy_files import has_accelerator
from .devices import Device, Variant, devices_of, files_of, is_pattern, problem_on, refuse_repeats
from .spec import FleetSpec, Pairing, WorkloadEntry

JobStatus = Literal["optimal", "feasible", "infeasible", "timeout", "failed"]

_NO_FILE_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Workload:
    """A scenario under the name that the fleet knows it by."""

    name: str
    scenario: Scenario

    @property
    def file_name(self) -> str:
        """The name as a part of file names."""
        return _NO_FILE_NAME.sub("-", self.name).strip("-.") or "workload"


@dataclass(frozen=True)
class Job:
    """A device with a workload.

    Attributes
    ----------
    device : Device
    workload : Workload
    digest : str
        Of all that the answer depends on; empty where the two do not even make a problem.
    refusal : str
        Why they do not.
    """

    device: Device
    workload: Workload
    digest: str
    refusal: str = ""


class JobResult(BaseModel):
    """What came of a job.

    Attributes
    ----------
    digest : str
        Of the question.
    status : {'optimal', 'feasible', 'infeasible', 'timeout', 'failed'}
    reason : str
        Limits that clash, or what failed.
    method : str
    objective, bound, gap : float, optional
        In the objective's own unit (microseconds).
    runtime_s : float
        Of the solver.
    job_s : float
        Of the whole job on its worker.
    memory_bytes : dict of str to float
    plan : Plan, optional
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    digest: str
    status: JobStatus
    reason: str = ""
    method: str = ""
    objective: FiniteFloat | None = None
    bound: FiniteFloat | None = None
    gap: FiniteFloat | None = None
    runtime_s: FiniteFloat = 0.0
    job_s: FiniteFloat = 0.0
    memory_bytes: dict[str, FiniteFloat] = Field(default_factory=dict)
    plan: Plan | None = None


@dataclass(frozen=True)
class Question:
    """What a worker needs besides the profile."""

    digest: str
    variant: Variant
    scenario: Scenario
    method: str
    time_limit_s: float
    seed: int


@dataclass(frozen=True)
class Fleet:
    """A fleet file with all that it names.

    Attributes
    ----------
    spec : FleetSpec
    devices : tuple of Device
    workloads : tuple of Workload
    jobs : tuple of Job
        By device, then by workload, in the order of the file.
    profiles : dict of str to Profile
        By path; what cannot be read is missing, and its jobs say why.
    """

    spec: FleetSpec
    devices: tuple[Device, ...]
    workloads: tuple[Workload, ...]
    jobs: tuple[Job, ...]
    profiles: Mapping[str, Profile]

    def question(self, job: Job) -> Question:
        """What the job asks, besides its profile."""
        spec = self.spec
        return Question(
            job.digest, job.device.variant, job.workload.scenario, spec.method, spec.time_limit_s, spec.seed
        )


def load_fleet(path: str | Path) -> Fleet:
    """Read a fleet file, its scenarios and its profiles.

    A profile that cannot be read, or that lacks a model, refuses its own jobs only.

    Raises
    ------
    ScenarioError
        The fleet file or a scenario cannot be read or does not fit; a pattern or pairing fits nothing; no job is left.
    """
    spec = FleetSpec.load(path)
    folder = Path(path).parent
    devices = devices_of(spec, folder)
    workloads = _workloads(spec, folder)
    _refuse_idle_pairings(spec, devices, workloads)
    profiles: dict[str, Profile] = {}
    refused: dict[str, str] = {}
    for file in dict.fromkeys(str(device.profile) for device in devices):
        try:
            profiles[file] = Profile.load(file)
        except EdgePlanError as error:
            refused[file] = str(error)
    questions: dict[tuple[str, str], tuple[str, str]] = {}
    jobs = []
    for device in devices:
        file = str(device.profile)
        for workload in workloads:
            if not spec.pairs(device.name, workload.name):
                continue
            if file in refused:
                jobs.append(Job(device, workload, "", refused[file]))
                continue
            at = (file, workload.name)
            if at not in questions:
                questions[at] = _question_of(spec, workload, profiles[file], folder)
            asked, refusal = questions[at]
            jobs.append(Job(device, workload, _digest(asked, device.variant) if asked else "", refusal))
    if not jobs:
        raise ScenarioError(
            f"fleet {path}", expected="at least one job", got="none", remedy="Correct `include` and `exclude`."
        )
    return Fleet(spec, devices, workloads, tuple(jobs), profiles)


def _question_of(spec: FleetSpec, workload: Workload, profile: Profile, folder: Path) -> tuple[str, str]:
    """Digest of the workload with the profile as it was measured, or why they do not make a problem."""
    try:
        case = Case.of(workload.scenario, profile, folder)
    except EdgePlanError as error:
        return "", str(error)
    return question_digest(case, spec.method, spec.time_limit_s, spec.seed), ""


def _digest(asked: str, variant: Variant) -> str:
    """Of the same question on a device that may differ from the profile's."""
    return asked if variant.is_measured else digest_of({"question": asked, "device": variant.model_dump(mode="json")})


def _workloads(spec: FleetSpec, folder: Path) -> tuple[Workload, ...]:
    found = []
    for entry in spec.workloads:
        if entry.scenario is None:
            found.append(Workload(str(entry.name), _inline(entry)))
            continue
        files = files_of(folder, entry.scenario, "scenario of a workload")
        for file in files:
            if has_accelerator(file):
                raise ScenarioError(
                    f"scenario {file}",
                    expected="a scenario without an accelerator",
                    got="one with it",
                    remedy="Plan tenants of an accelerator by `edgeplan plan`.",
                )
            if entry.name is None:
                name = file.stem
            else:
                name = f"{entry.name}-{file.stem}" if is_pattern(entry.scenario) else entry.name
            found.append(Workload(name, Scenario.load(file)))
    refuse_repeats("workload", [workload.name for workload in found])
    # "a b" and "a-b" would write their plans over each other; so would "A" and "a" on some file systems.
    refuse_repeats("workload's plan files", [workload.file_name.casefold() for workload in found])
    _refuse_fronts(found)
    return tuple(found)


def _refuse_fronts(workloads: Iterable[Workload]) -> None:
    fronts = [workload.name for workload in workloads if workload.scenario.objective == "front"]
    if fronts:
        raise ScenarioError(
            "objective of a workload",
            expected="one objective, so that two plans can be told apart by it",
            got=f"a front of latency and memory for {capped(fronts)}",
            remedy="Set `objective` to `response` or `latency`; fronts are for `edgeplan pareto`.",
        )


def _inline(entry: WorkloadEntry) -> Scenario:
    parts: dict[str, Any] = {"limits": entry.limits, "objective": entry.objective}
    given = {key: value for key, value in parts.items() if value is not None}
    return Scenario(name=str(entry.name), models=entry.models, streams=entry.streams, **given)


def _refuse_idle_pairings(spec: FleetSpec, devices: tuple[Device, ...], workloads: tuple[Workload, ...]) -> None:
    """A pairing that fits nothing is a mistake in writing."""

    def fits(pairing: Pairing) -> bool:
        return any(pairing.matches(d.name, w.name) for w in workloads for d in devices)

    idle = [pairing for pairing in (*spec.include, *spec.exclude) if not fits(pairing)]
    if idle:
        raise ScenarioError(
            "include and exclude",
            expected="patterns that fit a device and a workload",
            got=capped(f"{pairing.device} with {pairing.workload}" for pairing in idle),
            remedy="Correct the patterns.",
        )


def solve_job(profile: Profile, question: Question) -> JobResult:
    """Plan one workload for one device; what a worker does.

    Raises
    ------
    EdgePlanError
        The two make no problem, or the method does not support it.
    """
    from ...solvers import solve

    began_s = time.perf_counter()
    problem = problem_on(profile, question.variant, question.scenario)
    solution = solve(problem, question.method, question.time_limit_s, question.seed)
    status: Status = solution.status
    if status == "timeout":
        reason = f"{solution.method} found no plan within {question.time_limit_s:g} s"
    else:
        reason = "; ".join(clash.sentence for clash in solution.clashes)
    return JobResult(
        digest=question.digest,
        status=status,
        reason=reason,
        method=solution.method,
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        runtime_s=solution.runtime_s,
        job_s=time.perf_counter() - began_s,
        memory_bytes=dict(solution.evaluation.memory_bytes) if solution.evaluation else {},
        plan=solution.plan,
    )
