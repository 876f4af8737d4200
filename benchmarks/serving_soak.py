"""Half an hour at a share of the capacity, with plans exchanged and faults injected: nothing lost, nothing grows.

The server is a process of its own that builds what `edgeplan serve` builds. The client's process measures the capacity
(callers that ask again as soon as they have an answer), then sends Poisson requests at a share of it, each with an id
of its own and one of a few known inputs. Meanwhile the plan is exchanged again and again, and faults are injected one
after another. In the end the ids of both sides are compared, every answer has been compared with the model's own, and
the memory, threads and open files of the server are tested for growth. The exit code is 1 where anything of this does
not hold.

What a process takes rises to a level with what happens in it, not with time: freed memory in its heaps, the last
requests that it shows. So exchanges and faults may come faster in the first quarter, which the tests for growth leave
out (`--warm-up-pace`).

    python benchmarks/serving_soak.py --minutes 30 --load 0.7 --warm-up-pace 5 --output docs/results/serving_soak.md
    python benchmarks/serving_soak.py --minutes 1 --swap-s 10 --fault-s 5
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import tempfile
import threading
import time
from pathlib import Path

import psutil
import uvloop
from edgeplan.interface.serving.load_client import LoadClient
from soak.accounts import Accounts, Ledger
from soak.bench import Bench
from soak.client import Soak
from soak.faults import FAULTS
from soak.report import report
from soak.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=float, default=0.7, help="of the measured capacity")
    parser.add_argument("--models", nargs="+", default=["squeezenet", "shufflenet", "inception_v1"], help="two or more")
    parser.add_argument("--swap-s", type=float, default=60.0, help="between two exchanges of the plan")
    parser.add_argument("--fault-s", type=float, default=60.0, help="between two faults")
    parser.add_argument(
        "--warm-up-pace", type=float, default=1.0, help="exchanges and faults come so much faster in the first quarter"
    )
    parser.add_argument("--without", nargs="*", default=[], choices=list(FAULTS), help="faults to leave out")
    parser.add_argument("--capacity-s", type=float, default=6.0)
    parser.add_argument("--deadline-factor", type=float, default=10.0, help="of a model's time on one core")
    parser.add_argument("--planner-grace-s", type=float, default=5.0, help="of the planner, beyond its solver's limit")
    parser.add_argument("--memory-mib", type=int, default=2048, help="that another process takes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep models and profile there, and use what is there")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    parser.add_argument("--samples", type=Path, help="also write memory, threads and files, second by second (JSON)")
    options = parser.parse_args()

    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench.made(folder, options.models, options.deadline_factor)
    ledger = Ledger()
    context = multiprocessing.get_context("spawn")
    control, theirs = context.Pipe()
    log, log_end = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(theirs, log_end, folder, bench.plans, options.planner_grace_s))
    server.start()
    theirs.close()
    log_end.close()
    reading = threading.Thread(target=ledger.read, args=(log,))
    reading.start()
    process = psutil.Process(server.pid)
    try:
        port = control.recv()

        async def run() -> tuple[Soak, dict[str, float]]:
            async with LoadClient(port) as client:
                injections = {name: inject for name, (inject, _) in FAULTS.items()}
                soak = Soak(bench, options, process, control, client, ledger, injections)
                began = time.monotonic(), *(sum(p.cpu_times()[:2]) for p in (psutil.Process(), process))
                await soak.run()
                ended = time.monotonic(), *(sum(p.cpu_times()[:2]) for p in (psutil.Process(), process))
                took_s, client_s, server_s = (b - a for a, b in zip(began, ended, strict=True))
                return soak, {"client": client_s / took_s, "server": server_s / took_s}

        soak, usage = uvloop.run(run())
        process.send_signal(signal.SIGINT)
        server.join(60)
        ended_well = server.exitcode == 0
    finally:
        if server.is_alive():
            server.kill()
        reading.join()
    page, failures = report(__doc__ or "", soak, Accounts.of(soak.sent, ledger), ended_well, usage)
    print(page)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(page)
    if options.samples:
        options.samples.write_text(json.dumps(vars(soak.samples)))
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
