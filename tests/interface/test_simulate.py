"""`edgeplan simulate` and `edgeplan plan` for scenarios with an accelerator: answers, exit codes, bad input."""

from __future__ import annotations

import copy
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeplan.formulation import Accelerator, Allocation
from edgeplan.formulation.tenancy import Batching, TenancyScenario
from edgeplan.formulation.tenancy.scenario import PointCosts, TenantEntry, WholeCosts
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from typer.testing import CliRunner

from .tenants import SCENARIO

SUMMARY = {"requests", "mean_us", "p50_us", "p95_us", "p99_us", "swap_fraction", "confidence_interval_us"}
SHORT = ("--duration", "120")

Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Folder:
    """A folder with a scenario; every method writes a file and returns its path."""

    path: Path

    def scenario(self, change: Change = lambda data: None) -> str:
        data = copy.deepcopy(SCENARIO)
        change(data)
        return self.write("scenario.yaml", yaml.safe_dump(data))

    def write(self, name: str, text: str | bytes) -> str:
        path = self.path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def plan(self, change: Change = lambda data: None) -> str:
        data = {
            "schema_version": 1,
            "kind": "allocation",
            "tenants": [
                {"tenant": "detector", "point": 1, "cores": 2},
                {"tenant": "classifier", "point": 1},
            ],
        }
        change(data)
        return self.write("plan.json", json.dumps(data))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def answer(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def tenant(index: int, **changes: object) -> Change:
    return lambda data: data["tenants"][index].update(changes)


def whole(name: str, rate_hz: float) -> dict[str, Any]:
    return {
        "name": name,
        "whole": {"service_us": 5000, "reload_us": 8000, "weight_bytes": "4 MiB"},
        "arrival": {"kind": "poisson", "rate_hz": rate_hz},
    }


def test_one_object_for_programs(folder: Folder) -> None:
    found = answer("simulate", folder.scenario(), *SHORT)
    assert set(found) == {
        "scenario",
        "requests",
        "warm_up_requests",
        "confidence_level",
        "overall",
        "models",
        "utilisation",
        "reload_utilisation",
        "predicted_mean_us",
        "unstable",
    }
    assert set(found["models"]) == {"detector", "classifier"}
    for summary in (found["overall"], *found["models"].values()):
        assert set(summary) == SUMMARY
        low, high = summary["confidence_interval_us"]
        assert low < summary["mean_us"] < high
        assert summary["p50_us"] <= summary["p95_us"] <= summary["p99_us"]
        assert 0 < summary["swap_fraction"] < 1
    assert set(found["utilisation"]) == {"edge-tpu"}
    assert 0 < found["reload_utilisation"] < found["utilisation"]["edge-tpu"] < 1
    counted = sum(summary["requests"] for summary in found["models"].values())
    assert counted == found["overall"]["requests"] == found["requests"] - found["warm_up_requests"]
    assert found["unstable"] == []


def test_a_table_for_people(folder: Folder) -> None:
    result = CliRunner().invoke(app, ["simulate", folder.scenario(), "--plan", folder.plan(), *SHORT])
    assert result.exit_code == 0
    for said in ("detector", "classifier", "95% interval", "edge-tpu", "cpu:detector", "The formulas"):
        assert said in result.stdout


def test_the_predicted_mean_lies_in_the_simulated_interval(folder: Folder) -> None:
    found = answer("simulate", folder.scenario())
    low, high = found["overall"]["confidence_interval_us"]
    assert low <= found["predicted_mean_us"] <= high
    assert high - low < 0.05 * found["predicted_mean_us"]


@pytest.mark.parametrize("kind", ["co_compiled", "lru"])
def test_other_residencies_are_simulated_and_predicted(folder: Folder, kind: str) -> None:
    token = answer("simulate", folder.scenario(), *SHORT)
    other = answer("simulate", folder.scenario(lambda data: data["accelerator"].update(residency={"kind": kind})))
    assert other["predicted_mean_us"] == pytest.approx(other["overall"]["mean_us"], rel=0.03)
    # One set is never evicted; these two segments do not fit together, so each use evicts the other.
    assert other["overall"]["swap_fraction"] == pytest.approx({"co_compiled": 0, "lru": 0.47}[kind], abs=0.02)
    assert token["overall"]["swap_fraction"] == pytest.approx(0.47, abs=0.02)


def test_a_plan_moves_layers_to_the_cores(folder: Folder) -> None:
    found = answer("simulate", folder.scenario(), "--plan", folder.plan(), *SHORT)
    assert set(found["utilisation"]) == {"edge-tpu", "cpu:detector"}
    # Twelve requests a second of 15 ms, on two cores.
    assert found["utilisation"]["cpu:detector"] == pytest.approx(0.09, rel=0.15)
    assert found["models"]["detector"]["p50_us"] >= 6000 + 100 + 15000


def test_simulate_takes_what_plan_writes(folder: Folder) -> None:
    path = folder.path / "made.json"
    planned = answer("plan", folder.scenario(), "--method", "brute_force", "-o", str(path))
    assert planned["status"] == "optimal"
    assert Allocation.load(path).model_dump(mode="json") == planned["plan"]
    assert planned["evaluation"]["mean_us"] == planned["objective"]
    found = answer("simulate", folder.scenario(), "--plan", str(path))
    assert found["predicted_mean_us"] == pytest.approx(planned["objective"])
    low, high = found["overall"]["confidence_interval_us"]
    assert low <= planned["objective"] <= high
    # The optimum is no worse than whole models.
    assert planned["objective"] <= answer("simulate", folder.scenario(), *SHORT)["predicted_mean_us"]


def test_a_plan_for_people(folder: Folder) -> None:
    path = str(folder.path / "made.json")
    result = CliRunner().invoke(app, ["plan", folder.scenario(), "--method", "brute_force", "-o", path])
    assert result.exit_code == 0
    for said in ("1 of 2 (backbone)", "Optimal", "Plan written to"):
        assert said in result.stdout


def test_a_load_that_nothing_carries_is_infeasible(folder: Folder) -> None:
    overload = folder.scenario(tenant(0, arrival={"kind": "poisson", "rate_hz": 5000}))
    result = CliRunner().invoke(app, ["plan", overload, "--method", "brute_force", "--format", "json"])
    assert result.exit_code == ExitCode.INFEASIBLE
    found = json.loads(result.stdout)
    assert found["status"] == "infeasible"
    assert found["plan"] is None


def test_a_seed_is_a_simulation(folder: Folder) -> None:
    def noisy(data: dict[str, Any]) -> None:
        data["tenants"][0] |= {"accelerator_scv": 0.3, "cpu_scv": 1.0}

    scenario, plan = folder.scenario(noisy), folder.plan()
    one, two, other = (answer("simulate", scenario, "--plan", plan, *SHORT, "--seed", s) for s in ("7", "7", "8"))
    assert one == two
    assert other["overall"]["mean_us"] != one["overall"]["mean_us"]


def test_a_trace_is_played_whole(folder: Folder) -> None:
    lines = ["time_s,model,comment", "0,detector,first", "0.001,classifier,second", "5.5,classifier,third"]
    trace = folder.write("trace.csv", "\n".join(lines))
    found = answer("simulate", folder.scenario(), "--trace", trace)
    assert (found["requests"], found["warm_up_requests"]) == (3, 0)
    reload_us = 1950 + 0.002 * 5 * 2**20
    assert found["models"]["detector"]["mean_us"] == pytest.approx(reload_us + 11000)
    waited_us = reload_us + 11000 - 1000 + 10430 + 4910
    assert found["models"]["classifier"]["mean_us"] == pytest.approx((waited_us + 4910) / 2)
    assert found["models"]["classifier"]["swap_fraction"] == 0.5
    assert found["overall"]["confidence_interval_us"] == [None, None]


def test_a_trace_needs_no_arrivals_nor_every_tenant(folder: Folder) -> None:
    def silent(data: dict[str, Any]) -> None:
        for entry in data["tenants"]:
            del entry["arrival"]

    found = answer("simulate", folder.scenario(silent), "--trace", folder.write("t.csv", "model,time_s\ndetector,3\n"))
    assert found["models"]["classifier"]["requests"] == 0
    assert found["models"]["classifier"]["mean_us"] is None
    result = CliRunner().invoke(app, ["simulate", folder.scenario(silent), "--trace", str(folder.path / "t.csv")])
    assert result.exit_code == 0
    assert "–" in result.stdout


@pytest.mark.parametrize("options", [(), ("--allow-unstable",), ("--duration", "inf", "--allow-unstable")])
def test_more_requests_than_can_be_drawn_are_bad_input(options: tuple[str, ...], folder: Folder) -> None:
    path = folder.scenario(tenant(0, arrival={"kind": "poisson", "rate_hz": 1e6}))
    result = CliRunner().invoke(app, ["simulate", path, *options])
    assert result.exit_code == ExitCode.BAD_INPUT, (result.output, result.exception)
    assert ("at most 100,000,000" if options else "unstable: ρ") in result.stderr


def test_overload_is_simulated_where_it_is_asked_for(folder: Folder) -> None:
    overload = folder.scenario(tenant(0, arrival={"kind": "poisson", "rate_hz": 500}))
    found = answer("simulate", overload, "--allow-unstable", "--duration", "5")
    assert found["unstable"][0].startswith("unstable: ρ = 6")
    assert found["predicted_mean_us"] is None
    assert found["utilisation"]["edge-tpu"] == pytest.approx(1.0)


def test_a_tenant_alone_is_loaded_once(folder: Folder) -> None:
    found = answer("simulate", folder.scenario(lambda data: data.update(tenants=[whole("only", 100)])))
    assert found["models"]["only"] == found["overall"]
    assert found["overall"]["swap_fraction"] == 0
    # Pollaczek–Khinchine at half load.
    assert found["predicted_mean_us"] == pytest.approx(5000 + 2500)
    low, high = found["overall"]["confidence_interval_us"]
    assert low <= 7500 <= high


@pytest.mark.parametrize("n", [2, 5])
def test_equal_tenants_fare_alike(folder: Folder, n: int) -> None:
    equal = [whole(f"copy {k}", 40 / n) for k in range(n)]
    found = answer("simulate", folder.scenario(lambda data: data.update(tenants=equal)))
    low, high = found["overall"]["confidence_interval_us"]
    assert low <= found["predicted_mean_us"] <= high
    means = [summary["mean_us"] for summary in found["models"].values()]
    assert max(means) < 1.05 * min(means)


def test_the_urgent_wait_less(folder: Folder) -> None:
    def urgent(data: dict[str, Any]) -> None:
        data["discipline"] = "priority"
        data["tenants"] = [{**whole("urgent", 30), "priority": 0}, {**whole("patient", 30), "priority": 1}]

    models = answer("simulate", folder.scenario(urgent), *SHORT)["models"]
    assert models["urgent"]["mean_us"] < 0.8 * models["patient"]["mean_us"]


def test_batches_carry_what_single_requests_cannot(folder: Folder) -> None:
    def batched(data: dict[str, Any]) -> None:
        gathered = {"max_batch": 16, "window_us": 20000, "marginal": 0.1}
        data["tenants"] = [{**whole(name, 100), "batching": gathered} for name in ("one", "two")]

    found = answer("simulate", folder.scenario(batched), *SHORT)
    assert found["unstable"]
    assert found["utilisation"]["edge-tpu"] < 0.95


# The page about it.

PAGE = Path(__file__).parents[2] / "docs" / "scenario-accelerator.md"


def blocks(language: str) -> list[str]:
    found = re.findall(
        rf"^( *)```{language}[^\n]*\n(.*?)^ *```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [textwrap.dedent(block) for _, block in found]


def test_commands_of_the_page_run_on_its_files(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    (scenario, of_catalogue), (trace_,) = blocks("yaml"), blocks("csv")
    folder.write("camera.yaml", scenario)
    assert set(answer("simulate", folder.write("c.yaml", of_catalogue), *SHORT)["utilisation"]) == {"edge-tpu"}
    folder.write("trace.csv", trace_)
    commands = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert [command[:2] for command in commands].count(["edgeplan", "simulate"]) == 3
    told = []
    for program, *arguments in commands:
        assert program == "edgeplan"
        method = ["--method", "brute_force"] if arguments[0] == "plan" else []
        result = CliRunner().invoke(app, [*arguments, *method])
        assert result.exit_code == 0, (arguments, result.output)
        told.append(result.stdout)
    assert json.loads(told[-1])["requests"] == len(trace_.splitlines()) - 1


def test_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    exec(compile(example, str(PAGE), "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_every_key_is_on_the_page(folder: Folder) -> None:
    text = PAGE.read_text(encoding="utf-8")
    printed = answer("simulate", folder.scenario(), *SHORT)
    keys = {*printed, *printed["overall"]}
    for model in (TenancyScenario, TenantEntry, WholeCosts, PointCosts, Accelerator, Batching):
        keys |= set(model.model_fields)
    missing = sorted(key for key in keys if not re.search(rf"`(\{{[^`]*)?{key}\b", text))
    assert not missing


# Bad input.


def without_streaming(data: dict[str, Any]) -> None:
    del data["accelerator"]["streaming_us_per_byte"]
    data["accelerator"]["weight_capacity_bytes"] = "3 MiB"


def detector_alone_without_streaming(data: dict[str, Any]) -> None:
    without_streaming(data)
    del data["tenants"][1]


def simulate(change: Change, *options: str) -> Callable[[Folder], list[str]]:
    return lambda folder: ["simulate", folder.scenario(change), *options]


def unchanged(data: dict[str, Any]) -> None:
    pass


def trace(text: str | bytes) -> Callable[[Folder], list[str]]:
    return lambda folder: ["simulate", folder.scenario(), "--trace", folder.write("trace.csv", text)]


def plan(change: Change) -> Callable[[Folder], list[str]]:
    return lambda folder: ["simulate", folder.scenario(), "--plan", folder.plan(change)]


def truncated_plan(folder: Folder) -> list[str]:
    path = Path(folder.plan())
    path.write_text(path.read_text()[:60])
    return ["simulate", folder.scenario(), "--plan", str(path)]


CASES: dict[str, tuple[Callable[[Folder], list[str]], str]] = {
    "accelerator overloaded": (
        simulate(tenant(0, arrival={"kind": "poisson", "rate_hz": 500})),
        "unstable: ρ = 6.04 on accelerator 'edge-tpu'",
    ),
    "cores overloaded": (
        lambda folder: [
            "simulate",
            folder.scenario(tenant(0, arrival={"kind": "poisson", "rate_hz": 50})),
            "--plan",
            folder.plan(lambda data: data["tenants"][0].update(cores=1, point=0)),
        ],
        "unstable: ρ = 3 on the CPU cores of tenant 'detector'",
    ),
    "no point that runs": (simulate(without_streaming), "Give the accelerator a streaming cost"),
    "whole model too large": (
        simulate(detector_alone_without_streaming),
        "5242880 bytes of weights, of which 3145728 fit, and no streaming cost",
    ),
    "rate of zero": (
        simulate(tenant(0, arrival={"kind": "poisson", "rate_hz": 0})),
        "tenants.0.arrival.poisson.rate_hz",
    ),
    "no arrivals": (simulate(lambda data: data["tenants"][0].pop("arrival")), "Say when its requests come"),
    "nothing arrives": (simulate(unchanged, "--duration", "0.001"), "Simulate longer"),
    "trace runs backwards": (
        trace("time_s,model\n1,detector\n0.5,detector\n"),
        "line 3: expected times that never run backwards, got 0.5 after 1.0",
    ),
    "trace with NaN": (trace("time_s,model\nnan,detector\n"), "line 2: expected a time in seconds, got 'nan'"),
    "trace with an endless time": (trace("time_s,model\n1e999,detector\n"), "expected a time in seconds"),
    "trace with words": (trace("time_s,model\n0,detector\nsoon,detector\n"), "line 3: expected a time in seconds"),
    "trace with a short row": (trace("time_s,model\n0\n"), "line 2: expected one of detector, classifier"),
    "trace of an unknown model": (trace("time_s,model\n0,poet\n"), "expected one of detector, classifier, got 'poet'"),
    "trace without a column": (trace("time_s,name\n0,detector\n"), "expected the columns time_s and model"),
    "trace without a header": (trace("0,detector\n1,detector\n"), "expected the columns time_s and model"),
    "trace is empty": (trace(""), "no header"),
    "trace without requests": (trace("time_s,model\n"), "at least one request"),
    "trace is not text": (trace(b"\xff\xfe\x00\x9c"), "a readable file"),
    "trace with an endless line": (trace("time_s,model\n0," + "x" * 200_000), "comma-separated values"),
    "trace with a duration": (
        lambda folder: [*trace("time_s,model\n0,detector\n")(folder), "--duration", "9"],
        "Leave out one of them",
    ),
    "trace missing": (simulate(unchanged, "--trace", "none.csv"), "No such file"),
    "plan missing": (simulate(unchanged, "--plan", "none.json"), "No such file"),
    "plan truncated": (truncated_plan, "Write it again with `edgeplan plan`"),
    "plan of another schema": (plan(lambda data: data.update(schema_version=99)), "schema version 1"),
    "plan of other tenants": (
        plan(lambda data: data["tenants"][0].update(tenant="poet")),
        "expected detector, classifier, got poet, classifier",
    ),
    "plan without a tenant": (plan(lambda data: data["tenants"].pop()), "expected detector, classifier, got detector"),
    "plan with a point that is not there": (plan(lambda data: data["tenants"][0].update(point=9)), "one of 0, 1, 2"),
    "plan with more cores than there are": (plan(lambda data: data["tenants"][0].update(cores=3)), "at most 2 in all"),
    "plan without cores for a suffix": (plan(lambda data: data["tenants"][0].update(cores=0)), "a core or more"),
    "plan with sets under tokens": (
        plan(lambda data: data.update(co_compiled=[["detector", "classifier"]])),
        "residency is 'token'",
    ),
    "plan of segments": (
        lambda folder: [
            "simulate",
            folder.scenario(),
            "--plan",
            folder.write("p.json", '{"schema_version": 1, "models": []}'),
        ],
        "for a scenario with an accelerator",
    ),
    "no accelerator": (simulate(lambda data: data.pop("accelerator")), "a scenario with an accelerator"),
    "two sources of costs": (simulate(tenant(1, model="mobilenet")), "expected one of model, whole and points"),
    "no such residency": (
        simulate(lambda data: data["accelerator"].update(residency={"kind": "fifo"})),
        "accelerator.device.residency",
    ),
    "no memory": (
        simulate(lambda data: data["accelerator"].update(weight_capacity_bytes=0)),
        "accelerator.device.weight_capacity_bytes",
    ),
    "unknown key": (simulate(lambda data: data.update(colour="red")), "colour"),
    "a name twice": (simulate(tenant(1, name="detector")), "each name once"),
    "lists of unlike length": (
        simulate(lambda data: data["tenants"][0]["points"].update(cpu_us=[1, 0])),
        "cpu_us of tenant 'detector'",
    ),
    "negative cost": (
        simulate(lambda data: data["tenants"][0]["points"].update(cpu_us=[1, -1, 0])),
        "figures of 0 or more",
    ),
    "free service": (
        simulate(lambda data: data["tenants"][1]["whole"].update(service_us=0)),
        "tenants.1.whole.service_us",
    ),
    "negative cores": (simulate(lambda data: data.update(cpu_cores=-1)), "cpu_cores"),
    "scenario missing": (lambda folder: ["simulate", "none.yaml"], "No such file"),
    "scenario is not YAML": (lambda folder: ["simulate", folder.write("s.yaml", "a: [1")], "YAML"),
    "planned with a profile": (lambda folder: ["plan", folder.scenario(), "-p", "p.json"], "Leave out --profile"),
    "planned by an unknown method": (lambda folder: ["plan", folder.scenario(), "--method", "oracle"], "oracle"),
    "checked": (lambda folder: ["check", folder.scenario(), folder.plan()], "`edgeplan simulate`"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, folder: Folder) -> None:
    prepare, said = CASES[case]
    result = CliRunner().invoke(app, [*prepare(folder), "--format", "json"])
    assert result.exit_code == ExitCode.BAD_INPUT, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert said in result.stderr
    found = json.loads(result.stdout)
    assert found["status"] == "bad_input"
    assert all(found["error"].values())


@pytest.mark.parametrize("kind", ["model", "accelerator"])
def test_the_catalogue_does_not_know_everything(kind: str, folder: Folder) -> None:
    def unknown(data: dict[str, Any]) -> None:
        if kind == "accelerator":
            data["accelerator"] = "abacus"
        else:
            data["tenants"][1] = {"name": "poet", "arrival": {"kind": "poisson", "rate_hz": 1}}

    result = CliRunner().invoke(app, ["simulate", folder.scenario(unknown), "--format", "json"])
    assert result.exit_code == ExitCode.BAD_INPUT, (result.output, result.exception)
    assert {"model": "poet", "accelerator": "abacus"}[kind] in result.stderr


def test_a_plan_says_what_its_prediction_leaves_out(folder: Folder) -> None:
    def unlike(data: dict[str, Any]) -> None:
        data["discipline"] = "priority"
        data["tenants"][0]["arrival"] = {"kind": "periodic", "period_us": 200_000}
        data["tenants"][1]["batching"] = {"max_batch": 2, "window_us": 1000, "marginal": 0.5}

    plain = answer("plan", folder.scenario(), "--method", "brute_force")
    assert plain["notes"] == []
    told = answer("plan", folder.scenario(unlike), "--method", "brute_force")["notes"]
    assert [word in note for word, note in zip(("detector", "classifier", "priority"), told, strict=True)] == [True] * 3
