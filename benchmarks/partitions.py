"""Partitions of operator graphs: optima, bounds, time and memory of `edgeplan solve`, method against method.

python benchmarks/partitions.py --output docs/results/partitions.md

Every figure is of a process of its own that runs the command line. `--data FOLDER` adds the published instances of the
device placement study (folders `throughput` and `latency`, https://github.com/msr-fiddle/dnn-partitioning).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

OWN = Path(__file__).parent / "data" / "partition"
COMMAND = "python benchmarks/partitions.py"
# Best known before: the authors' program where it ended, and prototypes; non-contiguous after 60 s, 2 cores.
CONTIGUOUS = {
    "LayerGraphs/bert24_inference": 17.789906,
    "LayerGraphs/bert24_training": 41.745812,
    "LayerGraphs/resnet50_inference": 33.774666,
    "LayerGraphs/resnet50_training": 78.631812,
    "OperatorGraphs/bert_l-3_inference": 27.918568,
    "OperatorGraphs/bert_l-3_training": 65.303149,
    "OperatorGraphs/resnet50_inference": 124.348850,
}
FREE = {
    "LayerGraphs/bert24_inference": 17.7147,
    "LayerGraphs/bert24_training": 39.7895,
    "LayerGraphs/resnet50_inference": 33.3547,
    "LayerGraphs/resnet50_training": 76.5787,
    "OperatorGraphs/bert_l-3_inference": 21.9084,
    "OperatorGraphs/bert_l-3_training": 54.2074,
    "OperatorGraphs/resnet50_inference": 124.349,
}
LATENCY = {
    "LayerGraphs/bert24_inference": 100.219,
    "LayerGraphs/resnet50_inference": 1156.9,
    "OperatorGraphs/bert_l-3_inference": 408.474,
}


def run(path: Path, *options: str) -> dict:
    """Run the command; its answer with the seconds and MiB of the whole process."""
    program = "from edgeplan.interface.cli import main; main()"
    command = [sys.executable, "-c", program, "solve", str(path), "--seed", "1", "--format", "json"]
    with tempfile.TemporaryFile() as out:
        began_s = time.monotonic()
        process = subprocess.Popen([*command, *options], stdout=out)
        _, _, usage = os.wait4(process.pid, 0)
        spent_s = time.monotonic() - began_s
        out.seek(0)
        found = json.loads(out.read())
    return {**found, "process_s": spent_s, "process_mib": usage.ru_maxrss / 1024}


def figure(value: float | None) -> str:
    """Six digits, or a dash."""
    return "-" if value is None else f"{value:.7g}"


def told(found: dict) -> str:
    """Objective with its gap."""
    if found["objective"] is None:
        return f"none (bound {figure(found['bound'])})"
    if found["status"] == "optimal":
        return f"**{figure(found['objective'])}** in {found['runtime_s']:.1f} s"
    return f"{figure(found['objective'])} (gap {100 * found['gap']:.2f} %)"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def instances(folder: Path | None, kind: str, known: dict[str, float]) -> list[tuple[str, Path, float | None]]:
    """Own instances, then the published ones with the best figure known before."""
    found: list[tuple[str, Path, float | None]] = [(p.stem, p, None) for p in sorted(OWN.glob("*.json"))]
    if folder is not None:
        found += [(f"{name} (published)", folder / kind / f"{name}.json", best) for name, best in known.items()]
    return found


def contiguous(folder: Path | None) -> list[str]:
    """Optima of contiguous max-load, and what they cost."""
    rows = []
    for name, path, best in instances(folder, "throughput", CONTIGUOUS):
        found = run(path, "--objective", "max-load", "--contiguous")
        rows.append(
            [
                name,
                str(len(found["assignment"])),
                found["status"],
                f"{found['objective']:.9g}",
                figure(best),
                f"{found['runtime_s']:.2f}",
                f"{found['process_s']:.2f}",
                f"{found['process_mib']:.0f}",
            ]
        )
        print(*rows[-1], flush=True)
    head = ["instance", "nodes", "status", "largest load", "known before", "solve s", "process s", "process MiB"]
    return ["## Max-load, contiguous", "", *table(head, rows)]


def free(folder: Path | None, limit_s: float) -> list[str]:
    """Max-load without contiguity: every method for the same time."""
    methods = ("portfolio", "cp_sat", "mip")
    rows = []
    for name, path, best in instances(folder, "throughput", FREE):
        found = [run(path, "--non-contiguous", "--method", m, "--time-limit", str(limit_s)) for m in methods]
        rows.append([name, figure(best), figure(found[0]["bound"]), *map(told, found)])
        print(*rows[-1], flush=True)
    head = ["instance", "known before", "bound", *methods]
    return [f"## Max-load, non-contiguous, {limit_s:g} s a method", "", *table(head, rows)]


def latency(folder: Path | None, limit_s: float) -> list[str]:
    """Latency of one sample."""
    rows = []
    for name, path, best in instances(folder, "latency", LATENCY):
        options = ("--objective", "latency", "--time-limit", str(limit_s))
        one, two = run(path, *options), run(path, *options, "--blocks", "2")
        rows.append([name, figure(best), figure(one["bound"]), told(one), told(two)])
        print(*rows[-1], flush=True)
    head = ["instance", "known before, one block", "bound, one block", "one block", "two blocks an accelerator"]
    return [f"## Latency of one sample, {limit_s:g} s", "", *table(head, rows)]


def main() -> None:
    """Run and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--data", type=Path, help="folder with the published instances")
    parser.add_argument("--time-limit", type=float, default=20.0)
    options = parser.parse_args()
    # Compiled code is cached on disk; the first run of all pays for it and is not counted.
    for extra in ([], ["--non-contiguous"], ["--objective", "latency"]):
        run(OWN / "branches_11_blocks.json", *extra, "--time-limit", "5")
    lines = [
        "# Partitions of operator graphs",
        "",
        f"`{COMMAND} --time-limit {options.time_limit:g}{' --data FOLDER' if options.data else ''}`, "
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"OR-Tools {version('ortools')}, numba {version('numba')}.",
        "",
        "Times in the tables are in the instances' own unit. Bold: proven optimal (within 4 millionths). Instances "
        "without a mark are those of `benchmarks/data/partition`, with synthetic costs. *Known before*: best figures "
        "for the published instances from their authors' program and from prototypes with CP-SAT, HiGHS and annealing "
        "(60 s on two cores where not proven).",
        "",
        *contiguous(options.data),
        *free(options.data, options.time_limit),
        *latency(options.data, options.time_limit),
    ]
    if options.output:
        options.output.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
