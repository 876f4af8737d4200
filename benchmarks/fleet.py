"""A fleet's jobs by both engines against the ideal, what more cores would give, and few plans for 1,000 devices.

python benchmarks/fleet.py --output docs/results/fleet.md
"""

from __future__ import annotations

import argparse
import os
import platform
import runpy
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml
from edgeplan.interface.fleet.clusters import cluster
from edgeplan.interface.fleet.engine import Engine, InProcess, Task
from edgeplan.interface.fleet.jobs import Fleet, load_fleet, solve_job
from edgeplan.interface.fleet.processes import Processes
from edgeplan.interface.fleet.ray_cluster import RayCluster
from edgeplan.interface.fleet.run import run_fleet
from edgeplan.interface.fleet.store import Store

COMMAND = "python benchmarks/fleet.py --output docs/results/fleet.md"
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fleet"
WORKERS = 2
PAPER = (2, 4, 8, 16, 32, 64, 128)
CLASSIFIER = {"model": "classifier", "arrival": {"kind": "periodic", "period_us": 100000}, "deadline_us": 60000}
DETECTOR = {"model": "detector", "arrival": {"kind": "periodic", "period_us": 200000}, "deadline_us": 150000}
SMALL = {"name": "one network", "models": [{"name": "classifier"}], "streams": [CLASSIFIER], "objective": "latency"}
LARGE = {
    "name": "two networks",
    "models": [{"name": "detector"}, {"name": "classifier"}],
    "streams": [DETECTOR, CLASSIFIER],
    "limits": {"memory_bytes": {"ram": "72 MiB"}},
}


@dataclass(frozen=True)
class Measured:
    """One engine's run of some jobs.

    Attributes
    ----------
    start_s : float
        From nothing to workers that answer.
    wall_s : float
        Of the jobs, by workers that run.
    work_s : float
        Sum of the jobs' own times on the workers.
    driver_s : float
        Processor time of the process that hands out and collects.
    """

    start_s: float
    wall_s: float
    work_s: float
    driver_s: float


def fleet_of(folder: Path, devices: int, workload: dict[str, object], name: str) -> Fleet:
    """Devices of the example's board, no two equally fast, with one workload."""
    runpy.run_path(str(EXAMPLE / "write_profile.py"))["write_profile"](folder / "board.json")
    variants = {"spread": {"cpu": 0.1}, "copies": devices, "seed": 1}
    spec = {
        "name": name,
        "devices": [{"name": "board", "profile": "board.json", "variants": variants}],
        "workloads": [workload],
        "time_limit_s": 120,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return load_fleet(path)


def tasks_of(fleet: Fleet) -> list[Task]:
    """The fleet's questions as tasks."""
    return [Task(job.digest, str(job.device.profile), fleet.question(job)) for job in fleet.jobs]


def alone_s(fleet: Fleet) -> list[float]:
    """Seconds of every job by itself, one after the other in one process; libraries are loaded before."""
    tasks = tasks_of(fleet)
    engine = InProcess()
    list(engine.run(solve_job, fleet.profiles, tasks[:1]))
    return [done.seconds for done in engine.run(solve_job, fleet.profiles, tasks)]


def measured(make: Callable[[], Engine], fleet: Fleet) -> Measured:
    """Run the jobs by an engine whose workers have loaded their libraries before the clock starts."""
    tasks = tasks_of(fleet)
    began_s = time.perf_counter()
    with make() as engine:
        list(engine.run(max, {"all": 0}, [Task(str(k), "all", k) for k in range(2 * WORKERS)]))
        start_s = time.perf_counter() - began_s
        list(engine.run(solve_job, fleet.profiles, tasks[: 2 * WORKERS]))
        began_s, driver_s = time.perf_counter(), time.process_time()
        ended = list(engine.run(solve_job, fleet.profiles, tasks))
        wall_s, driver_s = time.perf_counter() - began_s, time.process_time() - driver_s
    failed = [done.failure for done in ended if done.failure]
    if failed:
        raise RuntimeError(f"{len(failed)} jobs failed: {failed[0]}")
    seconds = [done.seconds for done in ended]
    return Measured(start_s, wall_s, sum(seconds), driver_s)


def paper_s(found: Measured, alone: Sequence[float], jobs: int, workers: int) -> float:
    """Seconds that a number of jobs would take by more workers; see `FORMULA`."""
    n = len(alone)
    handed_s = found.driver_s / n
    beside_s = max(0.0, (WORKERS * found.wall_s - (WORKERS - 1) * max(alone) - sum(alone)) / n)
    shared_s = jobs * (np.mean(alone) + beside_s) / workers + (1 - 1 / workers) * max(alone)
    return max(jobs * handed_s, float(shared_s))


FORMULA = (
    "T(W) = max(N·h, N·(s + o)/W + (1 − 1/W)·s_max), efficiency = N·s / (W·T(W)): N jobs of s seconds in the mean and "
    "s_max at most, as each takes by itself; h the processor time that the handing process spends on a job (it is one "
    "process, so it bounds the throughput at 1/h whatever W: Amdahl's serial part); o what a job costs on its worker "
    "beside its own time, from the run on two workers; the last term is Graham's bound on how unevenly workers end "
    "(doi 10.1137/0117039). It knows nothing of memory bandwidth or networks of larger machines."
)


def engines() -> dict[str, Callable[[], Engine]]:
    """Engines that can run here."""
    found: dict[str, Callable[[], Engine]] = {"processes": lambda: Processes(WORKERS)}
    if find_spec("ray") is not None:
        found["ray"] = lambda: RayCluster(WORKERS)
    return found


def against_the_ideal(cases: Sequence[tuple[str, Fleet]]) -> tuple[list[str], list[str]]:
    """Tables: measured efficiency on two workers, and what the formula says of more."""
    rows, paper = [], []
    for name, fleet in cases:
        alone = alone_s(fleet)
        ideal_s = sum(alone) / WORKERS
        for engine, make in engines().items():
            found = measured(make, fleet)
            rows.append(
                (
                    name,
                    len(alone),
                    f"{1e3 * float(np.mean(alone)):.0f}",
                    engine,
                    f"{ideal_s:.2f}",
                    f"{found.wall_s:.2f}",
                    f"{ideal_s / found.wall_s:.1%}",
                    f"{found.work_s / sum(alone):.2f}",
                    f"{1e3 * found.driver_s / len(alone):.2f}",
                    f"{found.start_s:.1f}",
                )
            )
            jobs = 100 * len(alone)
            cells = [jobs * float(np.mean(alone)) / (w * paper_s(found, alone, jobs, w)) for w in PAPER]
            paper.append((name, f"{jobs:,}", engine, *(f"{cell:.0%}" for cell in cells)))
            print(rows[-1], flush=True)
    head = (
        "jobs",
        "number",
        "mean, ms",
        "engine",
        "ideal, s",
        "took, s",
        "efficiency",
        "work over alone",
        "driver, ms a job",
        "start, s",
    )
    return table(head, rows), table(("jobs", "number", "engine", *(f"{w} workers" for w in PAPER)), paper)


def thousand(folder: Path, copies: int) -> Iterator[Sequence[object]]:
    """A fleet of about a thousand different devices, and few plans for it."""
    runpy.run_path(str(EXAMPLE / "write_profile.py"))["write_profile"](folder / "board.json")
    variants = {
        "spread": {"cpu": 0.2},
        "memory_bytes": {"ram": ["48 MiB", "64 MiB", "96 MiB", "192 MiB"]},
        "cores": {"cpu": [2, 4]},
        "copies": copies,
    }
    path = folder / "thousand.yaml"
    spec = {
        "name": "thousand",
        "devices": [{"name": "board", "profile": "board.json", "variants": variants}],
        "workloads": [LARGE | {"limits": {}}],
    }
    path.write_text(yaml.safe_dump(spec))
    fleet = load_fleet(path)
    with Processes(WORKERS) as engine:
        began_s = time.perf_counter()
        run = run_fleet(fleet, Store(folder / "thousand"), engine, lambda done, total, label: None)
        solve_s = time.perf_counter() - began_s
        for limits in ({"max_loss": 0.02}, {"max_loss": 0.1}, {"most_plans": 3}):
            began_s = time.perf_counter()
            (found,) = cluster(
                fleet,
                run.results,
                engine,
                **{"most_plans": None, "max_loss": None, **limits},
                time_limit_s=30,
            )
            choose_s = time.perf_counter() - began_s
            worst = max((plan.worst_loss for plan in found.chosen), default=float("nan"))
            mean = float(np.average([p.mean_loss for p in found.chosen], weights=[p.devices for p in found.chosen]))
            yield (
                len(fleet.jobs),
                ", ".join(f"{key} {value}" for key, value in limits.items()),
                f"{found.devices} with a plan",
                found.distinct_plans,
                len(found.candidates),
                len(found.chosen),
                f"{mean:.2%}",
                f"{worst:.2%}",
                found.status,
                f"{solve_s:.1f}",
                f"{choose_s:.1f}",
            )


def table(head: Sequence[str], rows: Sequence[Sequence[object]] | Iterator[Sequence[object]]) -> list[str]:
    """Lines of a markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)]


def machine() -> str:
    """Processor, cores and versions."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")]
    versions = []
    for name in ("ortools", "numpy", "ray"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {', '.join(versions)}"


def main() -> None:
    """Run everything, print it, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/fleet.md"))
    parser.add_argument("--quick", action="store_true", help="few jobs, to see that it runs; writes nothing")
    given = parser.parse_args()
    small, large, copies = (40, 4, 5) if given.quick else (1500, 24, 125)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cases = (
            ("many small", fleet_of(folder, small, SMALL, "small")),
            ("few large", fleet_of(folder, large, LARGE, "large")),
        )
        ideal, paper = against_the_ideal(cases)
        many = table(
            (
                "device types",
                "limits",
                "of them",
                "distinct plans",
                "tried on all",
                "plans kept",
                "mean loss",
                "worst loss",
                "choice",
                "solving all, s",
                "choosing, s",
            ),
            thousand(folder, copies),
        )
    lines = [
        "# Fleets",
        "",
        f"`{COMMAND}` on {machine()}.",
        "",
        "## Two workers against the ideal",
        "",
        "Made-up networks on a made-up board (`examples/fleet/write_profile.py`), every device with a time factor of "
        "its own, so that every job is another problem. Ideal: the sum of the jobs' times one after the other in one "
        "process, over two. Work over alone: by how much jobs take longer beside each other and beside what hands them "
        "out. Workers had solved something before the clock started; `start` is the time to the first answers of all.",
        "",
        *ideal,
        "",
        "## More workers, on paper",
        "",
        f"Efficiency with a hundred times as many jobs. {FORMULA}",
        "",
        *paper,
        "",
        "## Few plans for many devices",
        "",
        *many,
    ]
    print("\n".join(lines))
    if not given.quick:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
