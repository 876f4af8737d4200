"""Three times the load that the device can carry, over HTTP: what is refused, how fast, and what the accepted get.

`edgeplan serve` runs as it does for a user, with admission and, as the rival, with `--no-admission`, in turns. Capacity
is measured in the same round: callers that ask again as soon as they have an answer, with deadlines that refuse nobody.
Then Poisson requests, as many of each model: calm at half of the capacity, overload, calm again. Times are the
client's, from the instant at which a request was due (no coordinated omission) to the last byte of its answer. A
model's deadline is a multiple of its measured time on one core. Client and server share the machine: what each took is
stated.

    python benchmarks/serving_overload.py --output docs/results/serving_overload.md
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import uvloop
import yaml
from edgeplan.formulation import Poisson, Stream
from edgeplan.interface.serving.load_client import LoadClient, Question, Reply
from edgeplan.profiles import (
    Profile,
    ProfileSettings,
    local_platform,
    machine_fingerprint,
    profile_models,
    resolve_model,
    sample_inputs,
)
from edgeplan.runtime_bridge import Arrivals
from edgeplan.runtime_bridge.clock import now_us

import edgeplan

COMMAND = "python benchmarks/serving_overload.py"
MOST_IN_FLIGHT = 256
ENOUGH_TIME_US = 60_000_000
CALM_S = 4.0
CALM, PLANNED = 0.5, 0.5
"""Shares: of the measured capacity when it is calm, and of the predicted one that the plan is made for."""
BIN_S = 0.5
SET_UPS = {"admission": "--admission", "no admission": "--no-admission"}


@dataclass(frozen=True)
class Files:
    """What `edgeplan serve` is started with, and what is asked."""

    folder: Path
    deadline_us: dict[str, float]
    questions: dict[str, Question]
    patient: tuple[Question, ...]

    @classmethod
    def made(cls, folder: Path, models: Sequence[str], factor: float) -> Files:
        """Profile the models (unless the folder has a profile), and plan them."""
        found = {name: resolve_model(name) for name in models}
        profile_path = folder / "profile.json"
        if not profile_path.exists():
            profile_models(found, local_platform(), ProfileSettings(quick=True), profile_path)
        profile = Profile.load(profile_path)
        alone_us = {}
        for model in profile.to_models():
            times = model.costs.segment_us(0, model.graph.n_layers)
            one = [c.threads == 1 for c in model.costs.configurations]
            alone_us[model.name] = float(times[one].min())
        deadlines = {name: round(us * factor, -3) for name, us in alone_us.items()}
        rate_hz = PLANNED * len(os.sched_getaffinity(0)) * 1e6 / sum(alone_us.values())
        scenario = {
            "schema_version": 1,
            "name": "overload",
            "models": [{"name": name} for name in models],
            "streams": [
                {"model": m, "arrival": {"kind": "poisson", "rate_hz": rate_hz}, "deadline_us": deadlines[m]}
                for m in models
            ],
            "objective": "response",
        }
        (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
        solution = edgeplan.plan(edgeplan.load(folder / "scenario.yaml", profile_path).here())
        if solution.plan is None:
            raise SystemExit(f"no plan: {solution.status}")
        solution.plan.save(folder / "plan.json")
        feeds = {name: sample_inputs(path) for name, path in found.items()}
        patient = tuple(Question.of(name, inputs, ENOUGH_TIME_US) for name, inputs in feeds.items())
        return cls(folder, deadlines, {name: Question.of(name, inputs) for name, inputs in feeds.items()}, patient)

    def unhurried(self) -> Iterator[tuple[Question, str]]:
        """Each model in turn, with a deadline that refuses nobody."""
        return ((ask, f"capacity-{k}") for k, ask in enumerate(itertools.cycle(self.patient)))


@dataclass
class Usage:
    """Core seconds of client, server and the server's planner since the start, and the time."""

    at_s: float
    client_s: float
    server_s: float
    planner_s: float

    @classmethod
    def now(cls, server: psutil.Process) -> Usage:
        return cls(time.monotonic(), _cpu_s(psutil.Process()), _cpu_s(server), sum(map(_cpu_s, server.children(True))))


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


@dataclass
class Run:
    """One set-up through calm, overload and calm."""

    capacity_hz: float
    overload_us: tuple[float, float]
    replies: list[Reply]
    usage: list[Usage]
    most_outstanding: int
    most_in_flight: int
    peak_mib: float
    counted: dict[str, int] = field(default_factory=dict)

    def in_overload(self, models: Iterable[str]) -> list[Reply]:
        """Replies to requests that were due while too many came."""
        begin, end = self.overload_us
        chosen = set(models)
        return [r for r in self.replies if begin <= r.due_us < end and r.model in chosen]

    def recovered_s(self, deadline_us: dict[str, float]) -> float:
        """From the end of the overload to that of the last half second in which a request was late or refused and that
        follows no half second without; infinite where that never came."""
        end = self.overload_us[1]
        after = sorted((r.due_us - end, r.in_time(deadline_us[r.model])) for r in self.replies if r.due_us >= end)
        for number, group in itertools.groupby(after, lambda both: int(both[0] / 1e6 / BIN_S)):
            if all(in_time for _, in_time in group):
                return number * BIN_S
        return float("inf")

    def disturbed_later(self, deadline_us: dict[str, float]) -> float:
        """Share of the requests after recovery that were late or refused."""
        from_us = self.overload_us[1] + self.recovered_s(deadline_us) * 1e6
        later = [r.in_time(deadline_us[r.model]) for r in self.replies if r.due_us >= from_us]
        return 1 - float(np.mean(later)) if later else 0.0

    def share(self, who: str) -> float:
        """Cores that someone took during the overload."""
        before, after = self.usage
        return (getattr(after, who) - getattr(before, who)) / (after.at_s - before.at_s)


@contextmanager
def serving(files: Files, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    """`edgeplan serve` in a process of its own, on a free port."""
    command = [
        sys.executable,
        "-c",
        "from edgeplan.interface.cli import main; main()",
        "serve",
        str(files.folder / "scenario.yaml"),
        "--profile",
        str(files.folder / "profile.json"),
        "--plan",
        str(files.folder / "plan.json"),
        "--port",
        "0",
        "--max-in-flight",
        str(MOST_IN_FLIGHT),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"http://[^:]+:(\d+)/", line):
                break
        else:
            raise SystemExit(f"edgeplan serve has ended:\n{said}")
        try:
            yield psutil.Process(process.pid), int(found[1])
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


async def one_run(files: Files, server: psutil.Process, port: int, options: argparse.Namespace, seed: int) -> Run:
    """Capacity, then calm, overload, calm."""
    models = list(files.questions)
    replies: list[Reply] = []

    def ended(reply: Reply) -> None:
        reply.outputs = {}
        replies.append(reply)

    async with LoadClient(port, connections=options.connections) as client:
        asks, callers = files.unhurried(), 2 * len(os.sched_getaffinity(0))
        await client.ask_in_turn(asks, callers, 1e6, lambda _: None)
        answered: list[Reply] = []
        began_us = now_us()
        await client.ask_in_turn(asks, callers, options.capacity_s * 1e6, answered.append)
        capacity_hz = sum(not r.error for r in answered) / (now_us() - began_us) * 1e6
        arrivals, (first_s, last_s) = phases(models, capacity_hz, options, seed)

        stop = asyncio.Event()
        most_outstanding, most_in_flight = 0, 0

        async def watch() -> None:
            nonlocal most_outstanding, most_in_flight
            for tick in itertools.count():
                most_outstanding = max(most_outstanding, client.outstanding)
                if tick % 20 == 0:
                    _, seen = await client.call("GET", "/edgeplan/live")
                    most_in_flight = max(most_in_flight, seen["in_flight"])
                if stop.is_set():
                    return
                await asyncio.sleep(0.05)

        usage: list[Usage] = []

        async def account() -> None:
            await asyncio.sleep(first_s)
            usage.append(Usage.now(server))
            await asyncio.sleep(last_s - first_s)
            usage.append(Usage.now(server))

        before = await counts(client)
        watching, accounting = asyncio.create_task(watch()), asyncio.create_task(account())
        start_us = await client.offer(arrivals, lambda k, model: (files.questions[model], f"{k}"), ended)
        stop.set()
        await watching
        await accounting
        after = await counts(client)
    status = Path(f"/proc/{server.pid}/status").read_text()
    peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    return Run(
        capacity_hz,
        (start_us + first_s * 1e6, start_us + last_s * 1e6),
        replies,
        usage,
        most_outstanding,
        most_in_flight,
        peak_kib / 1024,
        {outcome: after.get(outcome, 0) - before.get(outcome, 0) for outcome in after},
    )


def phases(
    models: Sequence[str], capacity_hz: float, options: argparse.Namespace, seed: int
) -> tuple[Arrivals, tuple[float, float]]:
    """Arrivals of all phases, and when the overload begins and ends, in seconds."""
    names, offsets, from_us = [], [], 0.0
    lengths_s = (CALM_S, options.overload_s, options.recovery_s)
    for number, (load, length_s) in enumerate(zip((CALM, options.load, CALM), lengths_s, strict=True)):
        rate_hz = load * capacity_hz / len(models)
        streams = [Stream(model=name, arrival=Poisson(rate_hz=rate_hz)) for name in models]
        drawn = Arrivals.of(streams, length_s * 1e6, seed + number)
        names += drawn.models
        offsets.append(drawn.offsets_us + from_us)
        from_us += length_s * 1e6
    return Arrivals(tuple(names), np.concatenate(offsets)), (CALM_S, CALM_S + options.overload_s)


async def counts(client: LoadClient) -> dict[str, int]:
    """Requests by outcome as the server counts them."""
    _, text = await client.call("GET", "/metrics")
    found: dict[str, int] = {}
    for outcome, value in re.findall(r'edgeplan_requests_total\{.*?outcome="(\w+)"\} ([\d.e+]+)', text):
        found[outcome] = found.get(outcome, 0) + int(float(value))
    return found


def quantiles_ms(times_us: Sequence[float]) -> str:
    """Median and 99th percentile."""
    if not times_us:
        return "– | –"
    median, tail = np.quantile(times_us, [0.5, 0.99]) / 1e3
    return f"{median:.1f} | {tail:.1f}"


def model_rows(set_up: str, runs: Sequence[Run], files: Files, overload_s: float) -> list[str]:
    """One line a model, and one of all."""
    rows = []
    names = list(files.questions)
    for label, chosen in [*((name, [name]) for name in names), ("all", names)]:
        replies = [reply for run in runs for reply in run.in_overload(chosen)]
        served = [r for r in replies if not r.error]
        refused = [r.response_us for r in replies if r.status == 503]
        in_time = [r for r in served if r.in_time(files.deadline_us[r.model])]
        other = len(replies) - len(served) - len(refused)
        late = 1 - len(in_time) / len(served) if served else 0.0
        seconds = overload_s * len(runs)
        capacity_hz = np.mean([run.capacity_hz for run in runs]) * len(chosen) / len(names)
        rows.append(
            f"| {set_up} | {label} | {len(replies) / seconds:.0f} | {len(in_time) / seconds:.1f} | "
            f"{len(in_time) / seconds / capacity_hz:.0%} | {late:.1%} | "
            f"{quantiles_ms([r.response_us for r in served])} | {len(refused) / len(replies):.1%} | "
            f"{quantiles_ms(refused)} | {other} |"
        )
    return rows


def run_row(set_up: str, runs: Sequence[Run], files: Files) -> str:
    """Bounds, recovery and what everybody took."""
    recovered = [run.recovered_s(files.deadline_us) for run in runs]
    later = max(run.disturbed_later(files.deadline_us) for run in runs)
    counted = {outcome: sum(run.counted.get(outcome, 0) for run in runs) for outcome in ("in_time", "late")}
    late_there = counted["late"] / max(1, sum(counted.values()))
    lag_ms = np.quantile([(r.sent_us - r.due_us) / 1e3 for run in runs for r in run.replies], [0.5, 0.99])
    return (
        f"| {set_up} | {max(r.most_in_flight for r in runs)} | {max(r.most_outstanding for r in runs)} | "
        f"{max(r.peak_mib for r in runs):.0f} | {' '.join(f'{s:.1f}' for s in recovered)} | {later:.1%} | "
        f"{late_there:.1%} | {lag_ms[0]:.1f} / {lag_ms[1]:.1f} | "
        + " | ".join(f"{np.mean([r.share(who) for r in runs]):.2f}" for who in ("client_s", "server_s", "planner_s"))
        + " |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["squeezenet", "shufflenet", "inception_v1"])
    parser.add_argument("--load", type=float, default=3.0, help="of the measured capacity")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--capacity-s", type=float, default=6.0)
    parser.add_argument("--overload-s", type=float, default=20.0)
    parser.add_argument("--recovery-s", type=float, default=15.0)
    parser.add_argument("--deadline-factor", type=float, default=10.0, help="of a model's time on one core")
    parser.add_argument("--connections", type=int, default=512, help="most that the client opens")
    parser.add_argument("--no-adapt", action="store_true", help="serve without re-planning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep profile, scenario and plan there, and use what is there")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    options = parser.parse_args()

    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    files = Files.made(folder, options.models, options.deadline_factor)
    adapt = ["--no-adapt"] if options.no_adapt else []
    runs: dict[str, list[Run]] = {name: [] for name in SET_UPS}
    for number in range(options.rounds):
        for name, option in SET_UPS.items():
            with serving(files, option, *adapt) as (server, port):
                runs[name].append(uvloop.run(one_run(files, server, port, options, options.seed + 10 * number)))
            print(f"round {number + 1}, {name}: capacity {runs[name][-1].capacity_hz:.0f} Hz", file=sys.stderr)

    fingerprint = machine_fingerprint()
    deadlines = ", ".join(f"{name} {us / 1e3:.0f} ms" for name, us in files.deadline_us.items())
    capacities = " ".join(f"{run.capacity_hz:.0f}" for each in runs.values() for run in each)
    lines = [
        "# Overload",
        "",
        *(__doc__ or "").strip().splitlines()[2:8],
        "",
        f"- command: `{COMMAND}{' --no-adapt' if options.no_adapt else ''}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- {options.rounds} rounds; {options.load:g} × capacity for {options.overload_s:g} s, {CALM:g} × before "
        f"({CALM_S:g} s) and after ({options.recovery_s:g} s); seed {options.seed}",
        f"- deadlines ({options.deadline_factor:g} × the time on one core): {deadlines}",
        f"- capacity by round, requests a second: {capacities}",
        f"- at most {MOST_IN_FLIGHT} requests taken and not ended (`--max-in-flight`), {options.connections} "
        "connections",
        "",
        "While too many came, requests a second and milliseconds; goodput is what was answered in time:",
        "",
        "| set-up | model | offered | goodput | of capacity | late of the accepted | response p50 | p99 | refused | "
        "refusal p50 | p99 | no answer |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(row for name in SET_UPS for row in model_rows(name, runs[name], files, options.overload_s)),
        "",
        "Over the whole run. Recovery is the time, by round, from the end of the overload to the first half second in "
        "which no request is late or refused; then the share of later ones that still is. Late by the server's clock "
        "counts from when a request has been read. Cores are those taken during the overload.",
        "",
        "| set-up | most taken at a time | most outstanding at the client | server peak, MiB | recovery, s | "
        "disturbed later | late by the server's clock | sent late, ms p50 / p99 | cores: client | server | planner |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(run_row(name, runs[name], files) for name in SET_UPS),
        "",
    ]
    print("\n".join(lines))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
