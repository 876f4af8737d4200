"""From a scenario to throughput planning, and what commands show of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formulation import Configuration, ContentionModel, CostError, Model, capped
from ..formulation.files import read_json, readable
from ..formulation.throughput import ServiceEvaluation, ServicePlan, ThroughputObjective, ThroughputProblem
from .case import Case
from .table import Cell, Table
from .units import mebibytes, milliseconds, percent

if TYPE_CHECKING:
    from ..solvers.throughput.limiting import Relaxation
    from ..solvers.throughput.solution import ThroughputSolution


def load_throughput(
    scenario: Path, profile: Path | None, contention: Path | None, objective: ThroughputObjective | None = None
) -> ThroughputProblem:
    """Read scenario, profile and contention; models whose file has a fixed batch dimension run at no other.

    Raises
    ------
    EdgePlanError
        A file cannot be read or does not fit, or the parts do not make a problem.
    """
    case = Case.load(scenario, profile)
    service = case.scenario.service
    if objective is not None:
        service = service.model_copy(update={"objective": objective})
    fixed = {**_fixed_batches(case), **service.fixed_batch}
    return ThroughputProblem(
        case.problem.models,
        case.problem.platform,
        case.scenario.streams,
        case.scenario.limits,
        service.model_copy(update={"fixed_batch": fixed}),
        ContentionModel()
        if contention is None
        else covering(load_contention(contention), case.problem.models, str(contention)),
    )


def load_contention(path: Path) -> ContentionModel:
    """Read what `edgeplan co-run` measured, or a contention model by itself.

    Raises
    ------
    CostError, ProfileError
        It cannot be read, or is neither.
    """
    from ..profiles.contention import MeasuredContention

    with readable(f"contention file {path}", CostError):
        text = path.read_text(encoding="utf-8")
    # Only a measured file holds a fingerprint; what is not JSON at all is for the reader below to complain of.
    if '"fingerprint"' in text and '"fitted"' in text:
        return MeasuredContention.load(path).contention
    return read_json(
        ContentionModel,
        path,
        f"contention file {path}",
        CostError,
        expected="activities with sensitivities and pressures",
        remedy="Measure it with `edgeplan co-run`.",
    )


def covering(measured: ContentionModel, models: Sequence[Model], source: str) -> ContentionModel:
    """The model with every configuration on a processor where the model was measured at all.

    A configuration that was not measured would count as one that costs others nothing, and be chosen for that. It
    takes the figures of the one nearest to it: same backend if there is one, then threads, form, batch.

    Raises
    ------
    CostError
        A model of which nothing was measured.
    """
    found = list(measured.activities)
    for model in models:
        known = {(a.processor, a.configuration): a for a in measured.activities if a.model == model.name}
        held = [c for c in model.costs.configurations if (c.processor, c.name) in known]
        if not held:
            raise CostError(
                f"contention file {source}",
                expected=f"model {model.name!r} under one of its configurations "
                f"{capped(c.name for c in model.costs.configurations)}",
                got=capped(sorted({f"{a.model} {a.configuration}" for a in measured.activities})) or "none",
                remedy="Measure it with `edgeplan co-run`, under the name that the scenario gives it.",
            )
        for c in model.costs.configurations:
            there = [other for other in held if other.processor == c.processor]
            if there and (c.processor, c.name) not in known:
                nearest = min(there, key=lambda other: _distance(c, other))
                figures = {"configuration": c.name, "threads": c.threads}
                found.append(known[nearest.processor, nearest.name].model_copy(update=figures))
    return measured.model_copy(update={"activities": tuple(found)})


def _distance(one: Configuration, other: Configuration) -> tuple[bool, int, bool, int]:
    return (
        one.backend != other.backend,
        abs(one.threads - other.threads),
        one.form != other.form,
        abs(one.batch - other.batch),
    )


def _fixed_batches(case: Case) -> dict[str, int]:
    """Models whose ONNX file is there and has a fixed leading dimension; light models never do."""
    from ..profiles.onnx_file import OnnxFile, has_open_batch

    found = {}
    for model in case.scenario.models:
        path = case.folder / (model.path or model.name)
        if path.is_file() and not has_open_batch(OnnxFile.read(path)):
            sizes = {c.batch for c in case.problem_model(model.name).costs.configurations}
            found[model.name] = min(sizes)
    return found


def plan_data(
    problem: ThroughputProblem, solution: ThroughputSolution, relaxations: Sequence[Relaxation]
) -> dict[str, Any]:
    """An answer as one JSON object."""
    evaluation = solution.evaluation
    return {
        "status": solution.status,
        "method": solution.method,
        "goal": problem.service.objective,
        "objective": solution.objective,
        "bound": solution.bound,
        "gap": solution.gap,
        "seed": solution.seed,
        "runtime_s": solution.runtime_s,
        "clashes": [
            {"kind": c.limit.kind, "subject": c.limit.subject, "message": c.sentence} for c in solution.clashes
        ],
        "value": None if evaluation is None else evaluation.value,
        "total_rate_hz": None if evaluation is None else sum(m.rate_hz for m in evaluation.models),
        "models": {} if evaluation is None else _models_data(problem, evaluation),
        "utilisation": {} if evaluation is None else evaluation.utilisation,
        "memory_bytes": {} if evaluation is None else evaluation.memory_bytes,
        "largest_slowdown": None if evaluation is None else evaluation.slowdown,
        "limits": [
            {
                "kind": r.kind,
                "subject": r.subject,
                "change": r.change,
                "value": r.value,
                "gain": r.gain,
                "binds": r.binds,
            }
            for r in relaxations
        ],
        "plan": None if solution.plan is None else solution.plan.model_dump(mode="json"),
    }


def _models_data(problem: ThroughputProblem, evaluation: ServiceEvaluation) -> dict[str, Any]:
    return {
        m.model: {
            "rate_hz": m.rate_hz,
            "mean_batch": m.mean_batch,
            "mean_response_us": m.mean_response_us,
            "percentile": float(problem.level[i]),
            "percentile_us": m.percentile_us(float(problem.level[i])),
            "deadline_us": float(problem.deadline_us[i]),
        }
        for i, m in enumerate(evaluation.models)
    }


def capacity_table(problem: ThroughputProblem, plan: ServicePlan, evaluation: ServiceEvaluation) -> Table:
    """Every model: what it gets, how it batches, where its instances are, and how long requests take."""
    rows: list[tuple[str | Cell, ...]] = []
    for i, (model, seen) in enumerate(zip(problem.models, evaluation.models, strict=True)):
        service = plan.service(model.name)
        deadline = problem.deadline_us[i]
        rows.append(
            (
                Cell(model.name, "strong"),
                f"{problem.mix_hz[i]:,.4g}",
                f"{seen.rate_hz:,.4g}",
                str(service.max_batch),
                milliseconds(service.window_us),
                f"{seen.mean_batch:.2f}",
                _places(service.instances),
                milliseconds(seen.mean_response_us),
                f"{milliseconds(seen.percentile_us(float(problem.level[i])))} (p{100 * problem.level[i]:g})",
                milliseconds(float(deadline)) if deadline < float("inf") else "–",
            )
        )
    asked, served = float(problem.mix_hz.sum()), sum(m.rate_hz for m in evaluation.models)
    rows.append(("all", f"{asked:,.4g}", Cell(f"{served:,.4g}", "strong"), *[""] * 7))
    columns = ("model", ">asked/s", ">can serve/s", ">batch", ">window ms", ">mean batch", "instances")
    return Table(
        "Capacity",
        (*columns, ">mean ms", ">percentile ms", ">deadline ms"),
        tuple(rows),
        note=_goal(problem, evaluation),
        groups=(len(rows) - 1,),
    )


def _places(instances: Sequence[Any]) -> str:
    """Instances by where they run, for instance ``4 × cpu, 1 × gpu → tpu``."""
    counts: dict[str, int] = {}
    for instance in instances:
        stages = []
        for segment in instance.segments:
            c = segment.configuration
            threads = f" ({c.threads} threads)" if c.threads > 1 else ""
            stages.append(f"{c.processor}{threads}")
        place = " → ".join(stages)
        counts[place] = counts.get(place, 0) + 1
    return ", ".join(f"{n} × {place}" for place, n in counts.items())


def _goal(problem: ThroughputProblem, evaluation: ServiceEvaluation) -> str:
    value = evaluation.value
    return {
        "capacity": f"{value:.4g} times the mix that the scenario asks for.",
        "throughput": f"Weighted sum of rates: {value:.4g}.",
        "fair": f"Every model gets at least {value:.4g} requests a second for each unit of weight.",
        "cost": f"Cost of what is used: {value:.4g}.",
    }[problem.service.objective]


def resources_table(problem: ThroughputProblem, evaluation: ServiceEvaluation) -> Table:
    """Processors by core time and memories by bytes."""
    rows = [
        (f"processor {p}", percent(share), f"busiest lane {percent(evaluation.busiest[p])}")
        for p, share in evaluation.utilisation.items()
    ]
    rows += [
        (
            f"memory {m}",
            percent(used / problem.memory_limit[m]),
            f"{mebibytes(used)} of {mebibytes(problem.memory_limit[m])} MiB",
        )
        for m, used in evaluation.memory_bytes.items()
    ]
    return Table("What is used", ("resource", ">share", "detail"), tuple(rows))


def limits_table(problem: ThroughputProblem, relaxations: Sequence[Relaxation]) -> Table:
    """What relaxing each limit by itself would buy."""
    rows = tuple(
        (
            Cell(r.name, "strong" if r.binds else ""),
            r.change,
            "not known" if r.value is None else f"{r.value:.4g}",
            "not known"
            if r.gain is None
            else f"{'−' if problem.service.objective == 'cost' else '+'}{percent(r.gain)}",
        )
        for r in relaxations
    )
    return Table("What limits it", ("limit", "relaxed to", ">value then", ">gain"), rows)


def verdict(solution: ThroughputSolution, relaxations: Sequence[Relaxation]) -> str:
    """What was proven, and the binding limit by name."""
    gap = "" if solution.gap is None else f", gap {percent(solution.gap)}"
    proven = f"{solution.method}: {solution.status}{gap}, {solution.runtime_s:.1f} s."
    if not relaxations:
        return proven
    binding = [r for r in relaxations if r.binds]
    if not binding:
        return f"{proven} No limit by itself: relaxing any single one buys next to nothing."
    first = binding[0]
    others = f"; also {', '.join(r.name for r in binding[1:])}" if len(binding) > 1 else ""
    assert first.gain is not None
    return f"{proven} Limited by {first.name}: {first.change} would buy {percent(first.gain)}{others}."
