"""A process that imports once and then forks one child for each line it reads: ``FUNCTION FOLDER SEED``.

What children say goes to its standard output, a line each, and after each child a line ``ended``.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from pathlib import Path

from edgeplan.runtime_bridge.state import Setup, StateStore


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode("ascii"))


def until(condition) -> None:
    while not condition():
        time.sleep(0.01)


def plan_text(rng: random.Random, number: int) -> str:
    return f'{{"number": {number}, "noise": "{rng.randbytes(rng.choice([10, 1000, 20_000, 30_000])).hex()}"}}'


def writes(folder: Path, seed: int) -> None:
    """Writes as fast as it can, and says what it was told is safe."""
    rng = random.Random(seed)
    store = StateStore(folder, max_bytes=2**20)
    while True:
        store.decide({"noise": rng.random()})
        text = plan_text(rng, rng.randrange(10**9))
        plan = store.begin(Setup("base", "{}", f'{{"costs": {rng.randrange(3)}}}'), text, "drift")
        say("starting", plan)
        fate = rng.choice(["good", "good", "failed", "rolled_back"])
        store.mark(plan, fate)
        say(fate, plan)


def holds(folder: Path, seed: int) -> None:
    """Holds the folder."""
    store = StateStore(folder)
    say("holds", os.getpid())
    until(lambda: store.dropped_decisions)


def limited(folder: Path, seed: int) -> None:
    """Meets a limit of file sizes, goes on, and finds room again."""
    store = StateStore(folder, longest_retry_s=0.1)
    setup = Setup("base", "{}", "{}")
    store.mark(store.begin(setup, '"before"', "start"), "good")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(entry.stat().st_size for entry in os.scandir(folder))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 4096 * (seed % 4), hard))
    rng = random.Random(seed)
    for n in range(50):
        store.decide({"n": n})
    store.mark(store.begin(setup, plan_text(rng, 1), "drift"), "good")
    plan = store.begin(setup, f'"during {rng.randbytes(300_000).hex()}"', "drift")
    store.mark(plan, "good")
    stored = store.last_good("base")
    say("trouble", store.trouble is not None, stored is not None and stored.row.id == plan, len(store.decisions(100)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    until(lambda: store.trouble is None)
    say("room", plan)
    until(lambda: store.dropped_decisions)


def fills(folder: Path, seed: int) -> None:
    """Fills the disk under the folder, which must be a small one of its own."""
    setup = Setup("base", "{}", "{}")
    with StateStore(folder, max_bytes=2**20) as store:
        store.mark(store.begin(setup, '"before"', "start"), "good")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    with StateStore(folder, max_bytes=2**20) as store:  # a full disk keeps nobody from starting
        stored = store.last_good("base")
        say("opened", stored is not None and stored.plan == '"before"')
        for n in range(500):
            store.decide({"n": n})
        store.mark(store.begin(setup, f'"lost {random.Random(seed).randbytes(20_000).hex()}"', "drift"), "good")
        say("trouble", store.trouble is not None, len(store.decisions(1000)))
    with StateStore(folder, max_bytes=2**20, longest_retry_s=0.1) as store:
        stored = store.last_good("base")
        say("again", stored is not None and stored.plan == '"before"')
        store.mark(store.begin(setup, f'"kept {random.Random(seed).randbytes(20_000).hex()}"', "drift"), "good")
        say("trouble", store.trouble is not None)
        filler.unlink()
        until(lambda: store.trouble is None)
    with StateStore(folder, max_bytes=2**20) as store:
        stored = store.last_good("base")
        say("finally", stored is not None and stored.plan.startswith('"kept'), not list(folder.glob("*damaged*")))


if __name__ == "__main__":
    say("ready")
    for line in sys.stdin:
        name, folder, seed = line.split()
        child = os.fork()
        if child == 0:
            say("child", os.getpid())
            {"writes": writes, "holds": holds, "limited": limited, "fills": fills}[name](Path(folder), int(seed))
            os._exit(0)
        os.waitpid(child, 0)
        say("ended")
