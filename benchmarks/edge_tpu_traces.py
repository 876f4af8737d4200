"""Simulator and formulas against published traces of an Edge TPU that several models share.

python benchmarks/edge_tpu_traces.py --data FOLDER --output docs/results/edge_tpu_traces.md

The folder holds files of the queueing validation of github.com/umassos/ibis (MIT), `queuing_tpu_*.csv`.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    evaluate_tenancy,
)
from edgeplan.formulation.tenancy.simulation import Requests, simulate_tenancy
from edgeplan.profiles.catalogue.calibrate import CalibratedCosts, calibrate

COMMAND = "python benchmarks/edge_tpu_traces.py --data FOLDER"
DATA = Path("..") / "shared" / "data" / "ibis"
NAMES = {
    "efficientnet-L": "EfficientNet-L",
    "inception_v3": "Inception v3",
    "inception_v4": "Inception v4",
    "mobilenet_v2": "MobileNet v2",
    "ssd_mobilenet_v2": "SSD MobileNet v2",
}
PUBLISHED_MS = {
    "efficientnet-L": (42.18, 17.53),
    "inception_v3": (62.95, 19.39),
    "inception_v4": (125.13, 19.43),
    "mobilenet_v2": (4.91, 10.43),
    "ssd_mobilenet_v2": (19.23, 24.63),
}
"""Service and switch, milliseconds: umassos/ibis, column `queueing_validation`."""

SEEDS = 20
"""Simulations of a run whose service times vary; their mean counts."""
POISSON_RUNS = 400
"""Random runs that show how far the mean of one run of this length scatters."""


@dataclass(frozen=True, eq=False)
class Trace:
    """All runs of a file; arrays have one entry a request, in order of submission within each run."""

    run: np.ndarray
    model: np.ndarray
    submit_s: np.ndarray
    end_s: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a file of the queueing validation."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        run, submit, end = (
            np.array([float(row[column]) for row in rows]) for column in ("vary_rho", "tpu_submit_time", "tpu_end_time")
        )
        order = np.lexsort((submit, run))
        model = np.array([row["model"] for row in rows])
        return cls(run[order], model[order], submit[order], end[order])

    def of(self, chosen: np.ndarray) -> Trace:
        """Some of the requests."""
        return Trace(self.run[chosen], self.model[chosen], self.submit_s[chosen], self.end_s[chosen])

    @property
    def span_s(self) -> float:
        """From the first submission to the last, of one run."""
        return float(self.submit_s[-1] - self.submit_s[0])


def published(names: Sequence[str]) -> list[Tenant]:
    """Tenants at the constants that were published with the traces."""
    return [
        Tenant.create(
            name,
            [0, PUBLISHED_MS[name][0] * 1e3],
            [np.inf, 0],
            [0, 0],
            reload_us=[np.nan, PUBLISHED_MS[name][1] * 1e3],
        )
        for name in names
    ]


def calibrated(trace: Trace) -> list[CalibratedCosts]:
    """Costs read off runs, by model."""
    return list(calibrate(trace.submit_s, trace.end_s, list(trace.model), trace.run))


def shared(tenants: Sequence[Tenant], rate_hz: Sequence[float]) -> tuple[TenancyProblem, Allocation]:
    """Whole models on an accelerator with token residency; weights are in the measured times."""
    device = Accelerator.model_validate({"name": "edge-tpu", "weight_capacity_bytes": "6.9 MiB"})
    problem = TenancyProblem.create(list(tenants), rate_hz, device, 0)
    return problem, Allocation(tenants=tuple(TenantAllocation(tenant=t.name, point=1) for t in tenants))


def simulated_us(tenants: Sequence[Tenant], run: Trace) -> np.ndarray:
    """Mean response of each tenant when the run's submissions are played, over seeds where services vary."""
    names = [tenant.name for tenant in tenants]
    which = np.array([names.index(name) for name in run.model])
    problem, allocation = shared(tenants, np.ones(len(tenants)))
    requests = Requests((run.submit_s - run.submit_s[0]) * 1e6, which)
    seeds = range(SEEDS if any(tenant.accelerator_scv > 0 for tenant in tenants) else 1)
    return np.mean([means_us(problem, allocation, requests, seed) for seed in seeds], axis=0)


def means_us(problem: TenancyProblem, allocation: Allocation, requests: Requests, seed: int = 0) -> np.ndarray:
    """Mean response of each tenant in one simulation."""
    response_us = simulate_tenancy(problem, allocation, requests, seed=seed).response_us
    return np.array([response_us[requests.tenant == i].mean() for i in range(len(problem.tenants))])


def rates_hz(tenants: Sequence[Tenant], run: Trace) -> np.ndarray:
    """Requests a second of each tenant in a run."""
    return np.array([np.count_nonzero(run.model == tenant.name) for tenant in tenants]) / run.span_s


def predicted_us(tenants: Sequence[Tenant], run: Trace) -> np.ndarray:
    """Mean response of each tenant by the formulas, for Poisson arrivals at the run's rates."""
    evaluation = evaluate_tenancy(*shared(tenants, rates_hz(tenants, run)))
    return np.array([part.response_us for part in evaluation.tenants])


def scatter_us(tenants: Sequence[Tenant], run: Trace) -> np.ndarray:
    """Quantiles of mean responses in Poisson runs as long as this one at its rates, shape (2, tenants)."""
    problem, allocation = shared(tenants, rates_hz(tenants, run))
    means = [
        means_us(problem, allocation, Requests.poisson(problem.rate_hz, len(run.run), seed))
        for seed in range(POISSON_RUNS)
    ]
    return np.quantile(means, (0.025, 0.975), axis=0)


def without_swapping(tenants: Sequence[Tenant]) -> list[Tenant]:
    """The same tenants, were their weights never evicted."""
    return [tenant.replace(reload_us=np.array([np.nan, 0.0])) for tenant in tenants]


Estimate = Callable[[list[Tenant], list[Tenant], Trace], np.ndarray]
"""Mean responses from published tenants, tenants calibrated on the other runs, and the run."""

ESTIMATES: dict[str, Estimate] = {
    "simulated, published costs": lambda given, fitted, run: simulated_us(given, run),
    "simulated, calibrated on other runs": lambda given, fitted, run: simulated_us(fitted, run),
    "M/SM/1, published costs": lambda given, fitted, run: predicted_us(given, run),
    "M/SM/1, calibrated on other runs": lambda given, fitted, run: predicted_us(fitted, run),
    "M/G/1 without swapping, published costs": lambda given, fitted, run: predicted_us(without_swapping(given), run),
}


def errors_of(trace: Trace) -> tuple[list[list[str]], np.ndarray]:
    """Rows of a table, and relative errors of shape (rows, estimates)."""
    rows, errors = [], []
    names = sorted(set(trace.model.tolist()))
    given = published(names)
    for label in np.unique(trace.run):
        run = trace.of(trace.run == label)
        fitted = [costs.tenant() for costs in calibrated(trace.of(trace.run != label))]
        found_us = [estimate(given, fitted, run) for estimate in ESTIMATES.values()]
        low_us, high_us = scatter_us(given, run)
        for k, name in enumerate(names):
            mine = run.model == name
            measured_us = float((run.end_s - run.submit_s)[mine].mean()) * 1e6
            relative = [float(us[k]) / measured_us - 1 for us in found_us]
            errors.append(relative)
            rows.append(
                [
                    f"{label:g}",
                    NAMES[name],
                    f"{np.count_nonzero(mine):,}",
                    f"{measured_us / 1e3:.1f}",
                    *(f"{us[k] / 1e3:.1f} ({e:+.1%})" for us, e in zip(found_us, relative, strict=True)),
                    f"{low_us[k] / 1e3:.1f} to {high_us[k] / 1e3:.1f}",
                ]
            )
    return rows, np.array(errors)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def costs_table(trace: Trace) -> list[str]:
    """Published costs beside those calibrated on all runs."""
    rows = []
    for costs in calibrated(trace):
        service_ms, switch_ms = PUBLISHED_MS[costs.model]
        assert costs.reload_us is not None
        assert costs.reload_error_us is not None
        rows.append(
            [
                NAMES[costs.model],
                f"{service_ms:.2f}",
                f"{costs.service_us / 1e3:.2f} ± {costs.service_error_us / 1e3:.2f} ({costs.service_samples:,})",
                f"{switch_ms:.2f}",
                f"{costs.reload_us / 1e3:.2f} ± {costs.reload_error_us / 1e3:.2f} ({costs.reload_samples:,})",
            ]
        )
    head = ("model", "service published", "service calibrated", "switch published", "switch calibrated")
    return table(head, rows)


def report(paths: Sequence[Path]) -> list[str]:
    """Everything, as markdown."""
    lines = [
        "# Traces of an Edge TPU",
        "",
        f"`{COMMAND}` on {platform.machine()}, Python {platform.python_version()}. No figure depends on the machine.",
        "",
        "Measured: mean of end − submission in the traces of the queueing validation of "
        "[umassos/ibis](https://github.com/umassos/ibis) (MIT), each run about 180 s of Poisson arrivals. Simulated: "
        "the run's own submissions played through the simulator, token residency, first come first served. M/SM/1: the "
        "exact formula at the run's own rates, Poisson arrivals assumed. M/G/1 without swapping: the same, were no "
        "weights ever evicted. *Published costs* are the source's constants; *calibrated on other runs*: read by "
        "`calibrate` off the file's other runs, the run itself left out; services vary there, and "
        f"{SEEDS} seeds are averaged. In ms, with the error relative to the measured mean. The formulas give the "
        "mean of an endless run, and one of this length scatters about it: the last column holds the means of 95 % of "
        f"{POISSON_RUNS} simulated Poisson runs with as many requests at the same rates and published costs.",
        "",
    ]
    together = []
    for path in paths:
        trace = Trace.load(path)
        unknown = set(trace.model.tolist()) - set(PUBLISHED_MS)
        if unknown:
            sys.exit(f"{path}: no published costs of {', '.join(sorted(unknown))}")
        rows, errors = errors_of(trace)
        together.append(errors)
        lines += [f"## {path.stem.removeprefix('queuing_tpu_').replace('X', ' and ')}", ""]
        lines += table(("run", "model", "requests", "measured", *ESTIMATES, "95 % of Poisson runs"), rows)
        lines += ["Costs, ms (± standard error, number of samples; all runs):", "", *costs_table(trace)]
    errors = np.concatenate(together)
    absolute = np.abs(errors)
    runs = len(errors)
    lines += [
        "## Errors",
        "",
        *table(
            ("estimate", f"mean of {runs} absolute errors", "worst", "mean error"),
            [
                [name, f"{absolute[:, k].mean():.1%}", f"{absolute[:, k].max():.1%}", f"{errors[:, k].mean():+.1%}"]
                for k, name in enumerate(ESTIMATES)
            ],
        ),
    ]
    return lines


def main() -> None:
    """Compare and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder with the traces (default: {DATA})")
    options = parser.parse_args()
    paths = sorted(options.data.glob("queuing_tpu_*.csv")) if options.data.is_dir() else []
    if not paths:
        print(f"Skipped: no file queuing_tpu_*.csv in {options.data}; give the folder with --data.", file=sys.stderr)
        return
    text = "\n".join(report(paths))
    print(text)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
