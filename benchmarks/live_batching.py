"""Live service: batch sizes, instances, windows, admission and priorities on real models of this machine.

Five tables. (1) How many images a second each way of running a model gives, closed loop: the service with one instance
a core and with one instance over all cores, at each batch size, beside plain ONNX Runtime sessions called in a loop.
(2) What a batching window does to responses in open loop. (3) Overload, with admission and without. (4) Priorities at
overload. (5) What a decision costs. The settings of a table take turns, round by round, on the same seeded requests.

    python benchmarks/live_batching.py --output docs/results/live_batching.md
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from edgeplan.formulation import Model, PlannedSegment, Poisson, Problem, SolverStamp, Stream
from edgeplan.formulation.throughput import Instance, ModelService, ServicePlan
from edgeplan.profiles import (
    Profile,
    ProfileSettings,
    local_platform,
    machine_fingerprint,
    profile_models,
    resolve_model,
    sample_inputs,
)
from edgeplan.runtime_bridge import Arrivals, offer
from edgeplan.runtime_bridge.cores import CoreSample, foreign_share
from edgeplan.runtime_bridge.service import (
    Desk,
    Line,
    ServedInstance,
    ServiceRecord,
    ServiceRuntime,
    ServiceSettings,
    Stage,
    summarise_service,
)

MODELS = ("squeezenet", "shufflenet")
BATCHES = (1, 2, 4, 8)
DEADLINE_FACTOR = 5.0
COMMAND = "python benchmarks/live_batching.py"


@dataclass
class Bench:
    """What every table needs."""

    problem: Problem
    files: dict[str, Path]
    feeds: dict[str, dict[str, np.ndarray]]
    cores: tuple[int, ...]
    rounds: int
    round_s: float
    seed: int
    foreign: float = 0.0

    def model(self, name: str) -> Model:
        return next(m for m in self.problem.models if m.name == name)

    def service_us(self, name: str, threads: int = 1, batch: int = 1) -> float:
        """Measured time of a batch on an idle machine, microseconds."""
        model = self.model(name)
        times = model.costs.segment_us(0, model.graph.n_layers)
        chosen = [c.threads == threads and c.batch == batch for c in model.costs.configurations]
        return float(times[chosen].min())

    def plan(self, batch: int, window_us: float = 0.0, gang: bool = False) -> ServicePlan:
        """As many instances of one thread as cores, of every model, or one instance over all cores."""
        services = []
        for model in self.problem.models:
            threads = len(self.cores) if gang else 1
            configuration = next(
                c for c in model.costs.configurations if c.threads == threads and c.batch == max(batch, 1)
            )
            homes = [self.cores] * (1 if gang else len(self.cores))
            instances = tuple(
                Instance(
                    segments=(
                        PlannedSegment(start=0, stop=model.graph.n_layers, configuration=configuration, cores=home),
                    )
                )
                for home in homes
            )
            services.append(
                ModelService(
                    model=model.name, sha256=model.sha256, instances=instances, max_batch=batch, window_us=window_us
                )
            )
        return ServicePlan(services=tuple(services), solver=SolverStamp(method="hand", status="feasible"))

    def runtime(self, plan: ServicePlan, admission: bool = False, **priorities: int) -> ServiceRuntime:
        """A service with deadlines by the problem's streams."""
        settings = ServiceSettings(admission=admission, capacity=100_000)
        return ServiceRuntime(self.problem, plan, self.files, settings, priorities)

    def capacity_hz(self) -> float:
        """Requests a second, half of each model, that the cores can serve one by one, by the profile."""
        mean_us = np.mean([self.service_us(name) for name in self.files])
        return len(self.cores) * 1e6 / float(mean_us)

    def watched(self, run: Callable[[], None]) -> None:
        """Run something and note how much of the machine others took."""
        before = CoreSample.take()
        run()
        share = foreign_share(before, CoreSample.take())
        self.foreign = max(self.foreign, sum(share[core] for core in self.cores) / len(self.cores))

    def open_loop(self, runtime: ServiceRuntime, rate_hz: float, round_number: int) -> list[ServiceRecord]:
        """Poisson requests for one round, as many of each model; every one answered or refused."""
        streams = [Stream(model=name, arrival=Poisson(rate_hz=rate_hz / len(self.files))) for name in self.files]
        arrivals = Arrivals.of(streams, self.round_s * 1e6, self.seed + round_number)
        runtime.records.clear()
        self.watched(lambda: self._offer(runtime, arrivals))
        return list(runtime.records)

    def _offer(self, runtime: ServiceRuntime, arrivals: Arrivals) -> None:
        offer(arrivals, lambda model, at_us: runtime.submit(model, self.feeds[model], arrival_us=at_us))
        runtime.drain()


def closed_loop_hz(bench: Bench, runtime: ServiceRuntime, name: str, batch: int) -> float:
    """Images a second with always enough waiting to fill every instance's next batch."""
    ahead = threading.Semaphore(2 * batch * len(bench.cores))
    runtime.records.clear()

    def run() -> None:
        until = time.monotonic() + bench.round_s
        while time.monotonic() < until:
            ahead.acquire()
            runtime.submit(name, bench.feeds[name]).add_done_callback(lambda _: ahead.release())
        runtime.drain()

    bench.watched(run)
    records = runtime.records
    span_us = max(r.finish_us for r in records) - min(r.arrival_us for r in records)
    return len(records) * 1e6 / span_us


def plain_hz(bench: Bench, name: str, batch: int, sessions: int, threads: int) -> float:
    """Images a second of plain ONNX Runtime sessions, each called in a loop by a thread of its own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    opened = [
        onnxruntime.InferenceSession(str(bench.files[name]), options, providers=["CPUExecutionProvider"])
        for _ in range(sessions)
    ]
    feeds = {key: np.repeat(value, batch, axis=0) for key, value in bench.feeds[name].items()}
    runs = [0] * sessions

    def loop(k: int) -> None:
        until = time.monotonic() + bench.round_s
        while time.monotonic() < until:
            opened[k].run(None, feeds)
            runs[k] += 1

    for session in opened:
        session.run(None, feeds)
    threads_ = [threading.Thread(target=loop, args=(k,)) for k in range(sessions)]
    began = time.monotonic()

    def run() -> None:
        for thread in threads_:
            thread.start()
        for thread in threads_:
            thread.join()

    bench.watched(run)
    return sum(runs) * batch / (time.monotonic() - began)


def batch_table(bench: Bench) -> list[str]:
    """Images a second by batch size and by instances."""
    n = len(bench.cores)
    rows = []
    for name in bench.files:
        base = None
        for batch in BATCHES:
            measured: dict[str, list[float]] = {}
            with (
                bench.runtime(bench.plan(batch, 1e6)) as each,
                bench.runtime(bench.plan(batch, 1e6, gang=True)) as gang,
            ):
                ways: dict[str, Callable[[], float]] = {
                    "each": partial(closed_loop_hz, bench, each, name, batch),
                    "gang": partial(closed_loop_hz, bench, gang, name, batch),
                    "plain": partial(plain_hz, bench, name, batch, n, 1),
                    "default": partial(plain_hz, bench, name, batch, 1, 0),
                }
                for _ in range(bench.rounds):
                    for way, run in ways.items():
                        measured.setdefault(way, []).append(run())
            hz = {way: float(np.median(values)) for way, values in measured.items()}
            base = base or hz["each"]
            predicted = n * batch * 1e6 / bench.service_us(name, 1, batch)
            rows.append(
                f"| {name} | {batch} | {hz['each']:.1f} | {hz['each'] / base:.2f} | {predicted:.1f} | "
                f"{hz['gang']:.1f} | {hz['plain']:.1f} | {hz['default']:.1f} | {hz['each'] / hz['plain']:.2f} | "
                f"{hz['each'] / hz['default']:.2f} |"
            )
    return [
        f"| model | batch | service, {n} instances of 1 thread: images/s | × its batch 1 | predicted "
        f"| service, 1 instance of {n} threads | plain, {n} sessions of 1 thread | plain, 1 default session "
        "| service / plain | service / default |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def window_table(bench: Bench, loads: Sequence[float]) -> list[str]:
    """Responses by window and load."""
    rows = []
    for load in loads:
        settings = [(1, 0.0), (8, 0.0), (8, 5e3), (8, 20e3)]
        runtimes = [bench.runtime(bench.plan(batch, window_us)) for batch, window_us in settings]
        records: list[list[ServiceRecord]] = [[] for _ in settings]
        for k in range(bench.rounds):
            for number, runtime in enumerate(runtimes):
                records[number] += bench.open_loop(runtime, load * bench.capacity_hz(), k)
        for (batch, window_us), runtime, seen in zip(settings, runtimes, records, strict=True):
            runtime.close()
            s = summarise_service(seen, bench.rounds * bench.round_s)
            rows.append(
                f"| {load:.1f} | {batch} | {window_us / 1e3:.0f} | {s.offered} | {s.served_hz:.1f} | "
                f"{s.mean_batch:.2f} | {s.p50_us / 1e3:.1f} | {s.p99_us / 1e3:.1f} | {s.queue_us / 1e3:.1f} | "
                f"{s.missed_share:.1%} |"
            )
    return [
        "| load | max batch | window ms | requests | served/s | mean batch | p50 ms | p99 ms | mean queue ms "
        "| missed |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def admission_table(bench: Bench, loads: Sequence[float]) -> list[str]:
    """Overload with and without admission, one by one and in batches."""
    rows = []
    for load in loads:
        settings = [(batch, admission) for batch in (1, 4) for admission in (False, True)]
        runtimes = [bench.runtime(bench.plan(batch), admission) for batch, admission in settings]
        records: list[list[ServiceRecord]] = [[] for _ in settings]
        for runtime in runtimes:  # to come to the machine's pace
            bench.open_loop(runtime, bench.capacity_hz() / 2, bench.rounds)
        for k in range(bench.rounds):
            for number, runtime in enumerate(runtimes):
                records[number] += bench.open_loop(runtime, load * bench.capacity_hz(), k)
        base = None
        for (batch, admission), runtime, seen in zip(settings, runtimes, records, strict=True):
            runtime.close()
            s = summarise_service(seen, bench.rounds * bench.round_s)
            base = s.in_time_hz if base is None else base
            rows.append(
                f"| {load:.1f} | {batch} | {'yes' if admission else 'no'} | {s.offered} | {s.refused_share:.1%} | "
                f"{s.missed_share:.1%} | {s.in_time_hz:.1f} | {s.in_time_hz / base if base else float('nan'):.2f} | "
                f"{s.p50_us / 1e3:.1f} | {s.p99_us / 1e3:.1f} |"
            )
    return [
        "| load | max batch | admission | requests | refused | accepted that missed | in time/s "
        "| × first row of the load | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def priority_table(bench: Bench, load: float) -> list[str]:
    """The second model at the same priority as the first, and above it."""
    rows = []
    low, high = bench.files
    settings = [("same", 0), ("above", 1)]
    runtimes = [bench.runtime(bench.plan(1), True, **{high: priority}) for _, priority in settings]
    records: list[list[ServiceRecord]] = [[] for _ in settings]
    for runtime in runtimes:
        bench.open_loop(runtime, bench.capacity_hz() / 2, bench.rounds)
    for k in range(bench.rounds):
        for number, runtime in enumerate(runtimes):
            records[number] += bench.open_loop(runtime, load * bench.capacity_hz(), k)
    for (label, _), runtime, seen in zip(settings, runtimes, records, strict=True):
        runtime.close()
        for name in (high, low):
            s = summarise_service([r for r in seen if r.model == name], bench.rounds * bench.round_s)
            rows.append(
                f"| {label} | {name} | {s.offered} | {s.refused_share:.1%} | {s.missed_share:.1%} | "
                f"{s.p50_us / 1e3:.1f} | {s.p99_us / 1e3:.1f} |"
            )
    return [
        f"| priority of {high} | model | requests | refused | accepted that missed | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def decision_table() -> list[str]:
    """Processor time of deciding about one request, by how many wait."""
    rows = []
    for waiting in (0, 5, 20, 100):
        costs = []
        for _ in range(20):
            instances = tuple(ServedInstance("m", k, (Stage(1, (0, 1), (1e3, 2e3, 3e3, 4e3)),)) for k in range(2))
            desk = Desk[int]({"m": Line(instances, 4, 0.0)})
            for number in range(2 * (waiting > 0) + waiting):  # two run
                desk.arrive("m", number, 0.0, deadline_us=1e9)
                desk.departures(0.0)
            began = time.process_time_ns()
            desk.arrive("m", -1, 1.0, deadline_us=1e9)
            desk.departures(1.0)
            costs.append((time.process_time_ns() - began) / 1e3)
        rows.append(f"| {waiting} | {np.median(costs):.0f} |")
    return ["| requests that wait | µs |", "|---|---|", *rows]


def bench_of(arguments: argparse.Namespace) -> tuple[Bench, Profile]:
    """Profile the models, or read the profile."""
    files = {name: resolve_model(name) for name in MODELS}
    platform = local_platform()
    cores = platform.processors[0].cores
    if arguments.profile and arguments.profile.is_file():
        profile = Profile.load(arguments.profile)
    else:
        settings = ProfileSettings(
            quick=True,
            backends=("onnxruntime-cpu",),
            forms=("mapped",),
            threads=tuple(sorted({1, len(cores)})),
            batches=BATCHES,
            max_units=1,
            random_segments=0,
            held_out=0,
            seed=arguments.seed,
        )
        path = arguments.profile or Path(tempfile.mkdtemp()) / "profile.json"
        profile = profile_models(files, platform, settings, path)
    models = profile.to_models()
    feeds = {name: sample_inputs(path, seed=arguments.seed) for name, path in files.items()}
    bench = Bench(
        Problem(models, platform, objective="latency"),
        files,
        feeds,
        cores,
        arguments.rounds,
        arguments.round_s,
        arguments.seed,
    )
    streams = tuple(
        Stream(
            model=name,
            arrival=Poisson(rate_hz=bench.capacity_hz() / len(files)),
            deadline_us=DEADLINE_FACTOR * bench.service_us(name),
        )
        for name in files
    )
    bench.problem = bench.problem.replace(streams=streams)
    return bench, profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of every setting")
    parser.add_argument("--round-s", type=float, default=0.6, help="seconds of a turn; three times that in open loop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=Path, help="measure once and keep it here; default: a temporary file")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    bench, _ = bench_of(arguments)
    alone = ", ".join(f"{name} {bench.service_us(name) / 1e3:.1f} ms" for name in bench.files)

    tables = {"Batch sizes and instances, closed loop": batch_table(bench)}
    bench.round_s = 3 * arguments.round_s
    tables["Batching windows, open loop"] = window_table(bench, (0.7,))
    tables["Overload, with admission and without"] = admission_table(bench, (0.8, 1.5, 3.0))
    tables["Priorities at load 1.5, with admission"] = priority_table(bench, 1.5)

    tables["Deciding about one request: two instances, admission on"] = decision_table()

    lines = [
        "# Live service: batching, instances, admission, priorities",
        "",
        *(__doc__ or "").strip().splitlines()[2:6],
        "",
        f"- command: `{COMMAND}`; {arguments.rounds} rounds of {arguments.round_s:g} s (closed loop; medians) and "
        f"{bench.round_s:g} s (open loop; all rounds together), seed {arguments.seed}",
        f"- machine: {machine_fingerprint().cpu}, {os.cpu_count()} cores; {machine_fingerprint().versions_text}",
        f"- models (real architectures, seeded random weights), one request on one thread by the profile: {alone}",
        f"- load 1 is {bench.capacity_hz():.1f} requests a second, half of each model: what the cores can serve one by "
        "one by the profile. A deadline is five times the model's one-thread time.",
        "- overload and priorities: every service first had a turn at load 0.5 that is not counted",
        "- requests are made in the serving process; others took at most "
        f"{bench.foreign:.1%} of the machine in any turn",
        "",
    ]
    for title, table in tables.items():
        lines += [f"## {title}", "", *table, ""]
    print("\n".join(lines))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
