"""How long a service takes to serve again after it was killed, and what that time goes into.

A service on light models is started with an empty state (it plans first), killed by SIGKILL, and started again and
again: from the start of the process to the first answered request. Beside it, in turns, a process that only imports
what the service imports.

    python benchmarks/serving_restart.py --profile profile.json --output docs/results/serving_restart.md
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml
from edgeplan.interface.serving.startup import PROOF_S
from edgeplan.profiles import machine_fingerprint

MODELS = ("squeezenet", "shufflenet", "inception_v1", "resnet50")
IMPORTS = (
    "import edgeplan.interface.commands.serve, edgeplan.interface.serving.app, edgeplan.interface.serving.http.server, "
    "edgeplan.interface.serving.startup, edgeplan.runtime_bridge, onnxruntime, openvino, onnx"
)


def scenario_of(folder: Path) -> Path:
    """A scenario with the light models, each asked now and then."""
    streams = [{"model": m, "arrival": {"kind": "poisson", "rate_hz": 2.0}, "deadline_us": 500_000.0} for m in MODELS]
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump({"name": "restart", "models": [{"name": m} for m in MODELS], "streams": streams}))
    return path


class Started:
    """One start of the service: when it listened and when it answered, seconds from the start of its process."""

    def __init__(self, scenario: Path, profile: Path, state: Path) -> None:
        command = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", "serve", str(scenario)]
        command += ["--profile", str(profile), "--state", str(state), "--port", "0", "--log-format", "json"]
        began_s = time.monotonic()
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            told = json.loads(line)
            if told["event"] == "listening":
                break
        else:
            raise RuntimeError("the service ended before it listened")
        self.listening_s = time.monotonic() - began_s
        self.sessions_s = float(told["sessions_s"])
        url = f"http://127.0.0.1:{told['port']}/edgeplan/plan"
        with urllib.request.urlopen(url) as answer:
            self.plan = json.load(answer)["plan"]
        self.answered_s = time.monotonic() - began_s

    def kill(self) -> None:
        """As a crash would, once the plan has proved itself."""
        time.sleep(PROOF_S + 1.0)
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


def imports_s() -> float:
    """A process that imports what the service imports, from its start to its end."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.monotonic() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, required=True, help=f"of {', '.join(MODELS)}, measured here")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scenario, state = scenario_of(folder), folder / "state"
        first = Started(scenario, arguments.profile, state)
        first.kill()
        again, bare = [], []
        for _ in range(arguments.rounds):
            bare.append(imports_s())
            start = Started(scenario, arguments.profile, state)
            start.kill()
            assert start.plan == first.plan, "another plan than before"
            again.append(start)
    print(text := report(first, again, bare, arguments.rounds))
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(first: Started, again: list[Started], bare: list[float], rounds: int) -> str:
    """The figures as markdown."""

    def row(what: str, values: list[float]) -> str:
        return f"| {what} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"

    machine = machine_fingerprint()
    rest = [a.listening_s - b - a.sessions_s for a, b in zip(again, bare, strict=True)]
    return "\n".join(
        [
            "# Starting again",
            "",
            *(line for line in (__doc__ or "").split("\n\n")[:2]),
            "",
            "- command: `python benchmarks/serving_restart.py --profile profile.json`",
            f"- machine: {machine.cpu}, {len(machine.cores)} cores; models: {', '.join(MODELS)}",
            f"- {rounds} starts; each served the plan that was served before it was killed",
            "",
            "| seconds | median | least | most |",
            "|---|---|---|---|",
            row("from the start of the process to the first answer", [a.answered_s for a in again]),
            row("of which: a process that only imports the same", bare),
            row("of which: sessions opened", [a.sessions_s for a in again]),
            row("of which: all else (files hashed, models asked once, server)", rest),
            "",
            f"The first start, which plans and prepares first, took {first.answered_s:.2f} s.",
        ]
    )


if __name__ == "__main__":
    main()
