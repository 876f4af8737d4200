"""A plan in sentences and tables: what limits each model, how full each limit is, what was proven and rejected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...formulation import Evaluation, Plan, Problem
from ..given_plans import is_of_this_question
from ..table import Cell, Table, Tone
from ..units import count, mebibytes, milliseconds, percent
from ..whatif import Price
from ..whatif.knobs import knob_of
from .responses import Response, Wait

if TYPE_CHECKING:
    from ...solvers import Candidate, Judgement, Limit

NEARLY_FULL = 0.95
"""Share of a limit in use from which it is marked as tight."""

_POLICIES = {
    "open": "any set of cores and any number of threads that the limits allow",
    "pool": "one thread a segment, on whichever core is free",
    "wide": "every segment may use all cores, one by one or as a gang",
    "lean": "one thread a segment, cut only where that saves time",
}


def proof_sentence(plan: Plan, evaluation: Evaluation) -> str:
    """What the solver proved of the plan, from its stamp; nothing where that was for another problem.

    Parameters
    ----------
    plan : Plan
    evaluation : Evaluation
        Of the plan under the problem that it is explained for.
    """
    stamp = plan.solver
    base, _, variant = stamp.policy.partition(", ")
    within = f" of policy {base} ({_POLICIES.get(base, 'a policy of its own')})" if base else ""
    if not is_of_this_question(plan, evaluation):
        said = f"made it for another question, with an objective of {milliseconds(stamp.objective or 0.0)} ms there"
        said += "; nothing is proven of it here"
    elif stamp.status == "optimal":
        said = f"proved that under the limits it was given no plan{within} has a smaller objective"
    elif stamp.gap is not None:
        said = f"proved that under the limits it was given no plan{within} is more than {percent(stamp.gap)} better"
    else:
        said = f"proved nothing about other plans{within}"
    extra = {
        "gangs": " Segments also have gangs for idle hours, which the objective does not count.",
        "least slack": " Segments are dispatched by least slack, which simulation found better than earliest deadline.",
    }
    added = "".join(extra.get(part.strip(), "") for part in variant.split(",")) if variant else ""
    return f"Solver {stamp.method} ({stamp.runtime_s:.1f} s, seed {stamp.seed}) {said}.{added}"


def model_sentences(problem: Problem, evaluation: Evaluation, parts: Response) -> list[str]:
    """What limits one model, in plain words."""
    response_us = parts.response_us or 1.0
    lines = [f"{parts.model}: {_verdict(problem, parts)}"]
    segments = evaluation.models[parts.model].segments
    chosen = [segments[i] for i in parts.critical]
    longest = max(chosen, key=lambda segment: segment.latency_us)
    at = longest.planned
    work = f"  {percent(parts.latency_us / response_us)} is its own work, {milliseconds(parts.latency_us)} ms"
    if len(chosen) > 1:
        work += (
            f" in {len(chosen)} segments one after the other; the longest is layers {at.start}–{at.stop - 1} "
            f"by {at.configuration.name}, {milliseconds(longest.latency_us)} ms"
        )
    else:
        work += f": layers {at.start}–{at.stop - 1} by {at.configuration.name}"
    work += f", {milliseconds(parts.moving_us)} ms of it moving tensors." if parts.moving_us > 0 else "."
    lines.append(work)
    lines += [f"  {percent(wait.wait_us / response_us)} {_waits(wait)}." for wait in parts.waits]
    cores = sorted({core for segment in segments for core in segment.cores})
    shared = f"shared with {', '.join(parts.shares_cores_with)}" if parts.shares_cores_with else "its own"
    lines.append(
        f"  It uses {_cores(cores)}, {shared}; {mebibytes(parts.resident_bytes)} MiB stay resident, "
        f"{mebibytes(parts.transient_bytes)} MiB more while it runs."
    )
    return lines


def _verdict(problem: Problem, parts: Response) -> str:
    stream = problem.stream_of.get(parts.model)
    if parts.slack_us is None or stream is None or parts.deadline_us is None:
        return f"response {milliseconds(parts.response_us)} ms at the critical instant; no deadline."
    what = "response at the critical instant" if stream.is_hard else "latency behind one other segment"
    text = f"{what} {milliseconds(parts.held_us)} ms of {milliseconds(parts.deadline_us)} ms allowed"
    if parts.slack_us < 0:
        return f"{text}: {milliseconds(-parts.slack_us)} ms too late."
    return f"{text}, {milliseconds(parts.slack_us)} ms to spare."


def _waits(wait: Wait) -> str:
    where = _cores(wait.cores)
    if wait.kind == "blocking":
        return (
            f"waits for a segment of {wait.model} that already runs on {where} and is not interrupted, "
            f"{milliseconds(wait.wait_us)} ms"
        )
    return (
        f"waits for {count(wait.requests, 'request')} of {wait.model} due before it on {where}, "
        f"{milliseconds(wait.wait_us)} ms"
    )


def _cores(cores: Sequence[int]) -> str:
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))}"


def responses_table(parts: Sequence[Response]) -> Table:
    """Every model's response in parts."""
    rows = []
    for part in parts:
        before = sum(wait.wait_us for wait in part.waits if wait.kind == "interference")
        blocked = sum(wait.wait_us for wait in part.waits if wait.kind == "blocking")
        slack = part.slack_us
        rows.append(
            (
                Cell(part.model, "strong"),
                milliseconds(part.latency_us),
                milliseconds(before),
                milliseconds(blocked),
                milliseconds(part.response_us),
                "–" if part.deadline_us is None else milliseconds(part.deadline_us),
                Cell("–") if slack is None else Cell(_signed_ms(slack), "bad" if slack < 0 else ""),
                "; ".join(f"{wait.model} {milliseconds(wait.wait_us)}" for wait in part.waits[:3]) or "nobody",
            )
        )
    columns = (
        "model",
        ">own work ms",
        ">due before ms",
        ">blocked ms",
        ">response ms",
        ">deadline ms",
        ">to spare ms",
        "waits for (ms)",
    )
    note = "Response when all models are asked at once. A soft deadline is held against own work and blocking only."
    return Table("Where each response goes", columns, tuple(rows), note)


def _signed_ms(us: float) -> str:
    return f"{'−' if us < 0 else ''}{milliseconds(abs(us))}"


@dataclass(frozen=True)
class LimitUse:
    """A limit, what the plan uses of it and what it allows, in the limit's own unit."""

    limit: Limit
    used: float
    allowed: float

    @property
    def share(self) -> float:
        """Of what is allowed."""
        return self.used / self.allowed if self.allowed else math.inf if self.used else 0.0


def limits_use(problem: Problem, evaluation: Evaluation) -> tuple[LimitUse, ...]:
    """Every limit with what the plan uses of it; the fullest first."""
    from ...solvers.limits import limits_of, value_of

    uses = (LimitUse(of, value_of(problem, evaluation, of), allowed) for of, allowed in limits_of(problem).items())
    return tuple(sorted(uses, key=lambda use: -use.share))


def limits_table(problem: Problem, evaluation: Evaluation, prices: Sequence[Price]) -> Table:
    """How full every limit is, and whether it is proven to bind."""
    known = {price.knob: price.verdict for price in prices if price.direction == "relaxed"}
    said = {"binds": "changes the optimum", "free": "gains nothing", "open": "not known"}
    rows = []
    for use in limits_use(problem, evaluation):
        knob = knob_of(use.limit)
        tone: Tone = "bad" if use.share > 1 + 1e-6 else "strong" if use.share > NEARLY_FULL else ""
        rows.append(
            (
                knob.name,
                knob.shown(use.used),
                knob.shown(use.allowed),
                Cell(percent(use.share), tone),
                said[known[knob]] if knob in known else "–",
            )
        )
    return Table(
        "Limits",
        ("limit", ">used", ">allowed", ">share", "a step looser"),
        tuple(rows),
        note="Fullest first. A limit may be far from full and bind all the same, for what would use it comes in lumps.",
    )


def prices_sentence(prices: Sequence[Price]) -> str:
    """Which relaxation buys most."""
    relaxed = [p for p in prices if p.direction == "relaxed" and p.verdict != "free" and (p.gain_us or 0.0) > 1e-3]
    if not relaxed:
        return "No limit by itself: relaxing any single one by a step buys nothing that was found."
    best = max(relaxed, key=lambda price: price.gain_us or 0.0)
    gain, before = best.gain_us or 0.0, best.before.objective_us or 1.0
    low = best.interval_us[0]
    proven = "proven" if best.is_exact else f"at least {milliseconds(low)} ms proven" if low > 0 else "not proven"
    return (
        f"{best.knob.name} buys most for a step: {best.knob.shown(best.value)} to {best.knob.shown(best.turned)} takes "
        f"{milliseconds(gain)} ms ({percent(gain / before)}) off the objective ({proven})."
    )


def alternatives_table(
    chosen: Judgement | None, plan: Plan, objective_us: float, candidates: Sequence[Candidate]
) -> Table:
    """Plans of other policies, and by how much they lose against this one."""
    rows = []
    for candidate in candidates:
        solution, judged = candidate.solution, candidate.judgement
        same = solution.plan is not None and solution.plan.models == plan.models and solution.plan.order == plan.order
        rows.append(
            (
                Cell(candidate.policy.name, "strong" if same else ""),
                candidate.policy.description,
                "–" if solution.objective is None else milliseconds(solution.objective),
                "–" if solution.objective is None else _loss(solution.objective - objective_us),
                "–" if judged is None else percent(judged.miss_ratio),
                "–" if judged is None or chosen is None else _points(judged.miss_ratio - chosen.miss_ratio),
                "–" if judged is None else f"{judged.stretch:.2f}",
                "this plan" if same else solution.status,
            )
        )
    columns = (
        "policy",
        "cores",
        ">objective ms",
        ">against this plan",
        ">misses",
        ">against this plan",
        ">stretch",
        "",
    )
    note = (
        "Best first: fewest simulated misses, then least stretch (response over the latency "
        "of the model whole in its fastest configuration, which cuts may undercut). "
        "A plan with a smaller objective is rejected where it misses more."
    )
    return Table("What was rejected", columns, tuple(rows), note)


def _loss(us: float) -> str:
    return "same" if abs(us) < 1e-3 else f"{'+' if us > 0 else '−'}{milliseconds(abs(us))}"


def _points(share: float) -> str:
    return "same" if abs(share) < 5e-5 else f"{'+' if share > 0 else '−'}{percent(abs(share))}"
