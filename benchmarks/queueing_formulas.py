"""Errors of the queueing formulas against independent simulations of random mixes.

python benchmarks/queueing_formulas.py --output docs/results/queueing_formulas.md
"""

from __future__ import annotations

import argparse
import math
import platform
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgeplan.formulation.queueing.departures import departure_scv, tandem_wait_us, thinned_scv
from edgeplan.formulation.queueing.moments import wait_moments_us
from edgeplan.formulation.queueing.multi_server import (
    gigc_wait_us,
    mdc_exact_wait_us,
    mdc_wait_us,
    mgc_wait_us,
    mmc_wait_us,
    waiting_probability,
)
from edgeplan.formulation.queueing.percentiles import CpuStage, SwappingServer, estimated_percentile_us
from edgeplan.formulation.queueing.residency import accelerator_wait
from edgeplan.formulation.queueing.swapping import (
    approximate_mean_wait_us,
    exact_mean_wait_us,
    mixture_wait_us,
    wait_bounds_us,
)
from numba import njit
from scipy import stats

COMMAND = "python benchmarks/queueing_formulas.py"
BATCHES = 40
CAPACITY = 1000
"""Bytes of the accelerator's memory in the mixes of sets and LRU; segments have 50 to 700."""


@njit(cache=True)
def simulate(kind, rate, service, reload, scv, sets, size, capacity, rng, wait, busy, tenant, end):
    """Lindley's recursion, one request a step, with the memory kept as a list of who is in it.

    kind 0: only the last tenant stays; 1: sets; 2: least recently used. Fills wait, time on the server, tenant and end
    of every request; times in µs. Constant times, or gamma services of squared variation `scv`.
    """
    n = len(rate)
    total = rate.sum()
    edges = np.cumsum(rate / total)
    inside = np.zeros(n, np.bool_)
    used = np.full(n, -1)
    current, w, now = -1, 0.0, 0.0
    for k in range(len(wait)):
        u = rng.random()
        i = 0
        while i < n - 1 and edges[i] < u:
            i += 1
        group = sets[i] if kind == 1 else i
        if kind < 2:
            if group != current:
                inside[:] = False
                current = group
            hit = inside[i]
            inside[i] = True
        else:
            hit = inside[i]
            inside[i] = True
            used[i] = k
            filled = 0
            for j in range(n):
                if inside[j]:
                    filled += size[j]
            while filled > capacity:
                oldest = -1
                for j in range(n):
                    if inside[j] and j != i and (oldest < 0 or used[j] < used[oldest]):
                        oldest = j
                inside[oldest] = False
                filled -= size[oldest]
        s = service[i] if scv == 0.0 else rng.gamma(1.0 / scv, service[i] * scv)
        if not hit:
            s += reload[i]
        wait[k], busy[k], tenant[k], end[k] = w, s, i, now + w + s
        gap = rng.exponential(1.0 / total)
        now += gap
        w = max(0.0, w + s - gap)


@njit(cache=True)
def renewal_arrivals(rate, scv, rng, out):
    """Times of arrivals with gamma distributed gaps."""
    now = 0.0
    for k in range(len(out)):
        now += rng.gamma(1.0 / scv, scv / rate)
        out[k] = now


@njit(cache=True)
def many_servers(arrival, service, scv, servers, rng, wait):
    """Waits of first come first served with several servers (Kiefer and Wolfowitz)."""
    free = np.zeros(servers)
    for k in range(len(arrival)):
        j = np.argmin(free)
        start = max(arrival[k], free[j])
        wait[k] = start - arrival[k]
        free[j] = start + (service if scv == 0.0 else rng.gamma(1.0 / scv, service * scv))


def interval(values, level=0.99):
    """Mean of a correlated series, and half the width of its interval by batch means."""
    means = values[: len(values) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)
    half = stats.t.ppf(0.5 + level / 2, BATCHES - 1) * means.std(ddof=1) / math.sqrt(BATCHES)
    return float(means.mean()), float(half)


def random_mix(rng, kind, load=None):
    """Tenants, times and rates: 1 to 12 tenants, swaps 0 to 10 times the service, ρ 0.05 to 0.95."""
    n = int(rng.integers(1 if kind == "token" else 2, 13))
    share = rng.dirichlet(np.full(n, rng.choice([0.5, 1.0, 4.0])))
    share = np.maximum(share, 1e-3) / np.maximum(share, 1e-3).sum()
    service = 1000.0 * rng.lognormal(0.0, 1.0, n)
    # Swaps in proportion to the service, or of the mix's mean service: the two orders that instances have.
    reload = (service if rng.random() < 0.5 else service.mean()) * rng.uniform(0.0, rng.choice([1.0, 3.0, 10.0]), n)
    sets = rng.integers(0, max(2, n // 2), n)
    size = rng.integers(50, 700, n)
    rho = float(rng.uniform(0.05, 0.95)) if load is None else load
    stage = accelerator_wait(share, service, reload, sets, size, CAPACITY, kind)
    return share * rho / stage.utilisation, service, reload, sets, size, rho


def row(name, errors):
    """One line of a table of relative errors, in percent."""
    errors = 100.0 * np.asarray(errors)
    low, middle, high = np.percentile(errors, [5, 50, 95])
    worst = errors[np.argmax(np.abs(errors))]
    return f"| {name} | {low:+.2f} | {middle:+.2f} | {high:+.2f} | {worst:+.2f} | {np.abs(errors).mean():.2f} |"


def table(title, rows):
    """Markdown table of errors."""
    return [f"| {title} | 5 % | median | 95 % | worst | mean size |", "|---|--:|--:|--:|--:|--:|", *rows, ""]


def token(mixes, length, seed):
    """Waits under token residency: means, second moments, percentiles, CPU stages behind."""
    rng = np.random.default_rng(seed)
    wait, busy, end = np.empty(length), np.empty(length), np.empty(length)
    tenant = np.empty(length, np.int64)
    closed, simulated, tails, cpu = (defaultdict(list) for _ in range(4))
    covered = 0
    for number in range(mixes):
        rate, service, reload, sets, size, rho = random_mix(rng, "token")
        scv = float(rng.choice([0.0, 0.0, 0.5]))
        exact = exact_mean_wait_us(rate, service, reload, scv)
        simulate(
            0,
            rate / 1e6,
            service,
            reload,
            scv,
            sets,
            size,
            CAPACITY,
            np.random.default_rng(number),
            wait,
            busy,
            tenant,
            end,
        )
        mean, half = interval(wait)
        covered += abs(exact - mean) <= half
        simulated["exact (`exact_mean_wait_us`)"].append(exact / mean - 1)
        simulated["half width of the 99 % interval"].append(half / mean)
        low, high = wait_bounds_us(rate, service, reload, scv)
        closed["closed form (`approximate_mean_wait_us`)"].append(
            float(approximate_mean_wait_us(rate, service, reload, scv)) / exact - 1
        )
        closed["lower bound"].append(float(low) / exact - 1)
        closed["upper bound"].append(float(high) / exact - 1)
        pk = float(mixture_wait_us(rate, service, reload, scv))
        closed["Pollaczek–Khinchine, independent swaps"].append(pk / exact - 1)
        total = rate.sum() / 1e6
        p = rate / rate.sum()
        s, y = service + (1 - p) * reload, p * reload
        covariance = np.sum(p * y * s) - np.sum(p * y) * np.sum(p * s)
        closed["the same plus the covariance of adjacent services"].append(
            (pk - total * covariance / (1 - rho)) / exact - 1
        )
        second = wait_moments_us(rate, service, reload, scv)[1]
        simulated["second moment (`wait_moments_us`)"].append(second / float(np.mean(wait**2)) - 1)
        if number % 2:
            continue
        server = SwappingServer(rate, service, reload, scv)
        i = int(np.argmax(p))
        own = tenant == i
        response = (wait + busy)[own]
        for level in (0.5, 0.95, 0.99):
            tails[f"{100 * level:g} %, transform (`SwappingServer`)"].append(
                server.response_percentile_us(i, level) / np.quantile(response, level) - 1
            )
            if scv == 0.0:
                guess = estimated_percentile_us(level, exact, rho, service[i], 1 - p[i], reload[i])
                tails[f"{100 * level:g} %, from means (`estimated_percentile_us`)"].append(
                    guess / np.quantile(response, level) - 1
                )
        behind(rng, server, i, rate, rho, end[own], response, total, p, service, reload, scv, cpu, tails, number)
    return covered, closed, simulated, tails, cpu


def behind(rng, server, i, rate, rho, arrival, response, total, p, service, reload, scv, cpu, tails, number):
    """The CPU stage of one tenant behind the accelerator."""
    servers = int(rng.choice([1, 2, 4]))
    load = float(rng.uniform(0.3, 0.9))
    cpu_scv = float(rng.choice([0.0, 0.3]))
    time = servers * load / rate[i] * 1e6
    later = np.empty(len(arrival))
    # The server ends requests in the order in which they came, so these are sorted.
    many_servers(arrival, time, cpu_scv, servers, np.random.default_rng([number, 1]), later)
    mean = float(later.mean())
    square = np.sum(p * (service**2 * (1 + scv) + (1 - p) * reload * (2 * service + reload)))
    c2 = max(0.0, square * (total / rho) ** 2 - 1.0)
    departures = thinned_scv(departure_scv(rho, 1.0, c2), p[i])
    thinned = float(gigc_wait_us(rate[i], departures, time, cpu_scv, servers))
    guess = float(tandem_wait_us(rate[i], departures, service[i], scv, time, cpu_scv, servers))
    poisson = float(mgc_wait_us(rate[i], time, cpu_scv, servers))
    for group in ("all", "one server" if servers == 1 else "2 or 4 servers"):
        # Against at least a twentieth of the service, below which a wait does not matter.
        floor = max(mean, 0.05 * time)
        cpu[f"as if Poisson, {group}"].append((poisson - mean) / floor)
        cpu[f"QNA: thinned departures, {group}"].append((thinned - mean) / floor)
        cpu[f"less the wait for an accelerator of its own (`tandem_wait_us`), {group}"].append((guess - mean) / floor)
    stage = CpuStage(guess, float(waiting_probability(rate[i], time, servers)), time, cpu_scv)
    if cpu_scv == 0.0:
        for level in (0.95, 0.99):
            tails[f"{100 * level:g} %, with a CPU stage"].append(
                server.response_percentile_us(i, level, stage) / np.quantile(response + later + time, level) - 1
            )


def shared(kind, mixes, length, seed):
    """Waits under sets or LRU."""
    rng = np.random.default_rng(seed)
    wait, busy, end = np.empty(length), np.empty(length), np.empty(length)
    tenant = np.empty(length, np.int64)
    errors, deviation = defaultdict(list), 0.0
    for number in range(mixes):
        rate, service, reload, sets, size, rho = random_mix(rng, kind)
        stage = accelerator_wait(rate, service, reload, sets, size, CAPACITY, kind)
        code = 1 if kind == "co_compiled" else 2
        simulate(
            code,
            rate / 1e6,
            service,
            reload,
            0.0,
            sets,
            size,
            CAPACITY,
            np.random.default_rng(number),
            wait,
            busy,
            tenant,
            end,
        )
        mean, half = interval(wait)
        p, swap, total = stage.share, stage.swap_probability, rate.sum() / 1e6
        square = np.sum(p * (service**2 + swap * reload * (2 * service + reload)))
        errors["with correlation (`accelerator_wait`)"].append(stage.wait_us / mean - 1)
        errors["Pollaczek–Khinchine, independent swaps"].append(total * square / (2 * (1 - rho)) / mean - 1)
        errors["half width of the 99 % interval"].append(half / mean)
        swaps = np.bincount(tenant, busy - service[tenant] > 0.5 * reload[tenant], len(rate))
        counts = np.bincount(tenant, minlength=len(rate))
        some = (counts > 1000) & (reload > 1e-6)
        error = np.abs(swaps / np.maximum(counts, 1) - swap) / np.sqrt(
            (swap * (1 - swap) + 1e-4) / np.maximum(counts, 1)
        )
        deviation = max(deviation, float(error[some].max(initial=0.0)))
    return errors, deviation


def several_servers(length):
    """M/D/c and M/G/c against the exact formula and simulation, GI/G/c against simulation."""
    errors = defaultdict(list)
    for c in (2, 3, 4, 8, 16):
        for rho in np.arange(0.1, 0.96, 0.05):
            exact = float(mdc_exact_wait_us(c * rho * 1e6, 1.0, c))
            if exact > 1e-3:
                errors["M/D/c (`mdc_wait_us`) against exact"].append(
                    float(mdc_wait_us(c * rho * 1e6, 1.0, c)) / exact - 1
                )
    arrival, wait = np.empty(length), np.empty(length)
    seed = 0
    for c in (1, 2, 4):
        for rho in (0.4, 0.6, 0.8, 0.9):
            for service_scv in (0.0, 0.3, 2.0):
                for scv in (0.5, 0.8, 1.0, 1.5):
                    seed += 1
                    renewal_arrivals(c * rho, scv, np.random.default_rng(seed), arrival)
                    # Not the arrivals' generator over again: services would be long where gaps are.
                    many_servers(arrival, 1.0, service_scv, c, np.random.default_rng([seed, 1]), wait)
                    mean, rate = float(wait.mean()), c * rho * 1e6
                    floor = max(mean, 0.05)
                    guess = float(gigc_wait_us(rate, scv, 1.0, service_scv, c))
                    if scv == 1.0:
                        errors["M/G/c (`mgc_wait_us`) [1]"].append((guess - mean) / floor)
                        continue
                    errors["GI/G/c (`gigc_wait_us`) [1]"].append((guess - mean) / floor)
                    allen = (scv + service_scv) / 2 * float(mmc_wait_us(rate, 1.0, c))
                    errors["GI/G/c, Allen–Cunneen [1]"].append((allen - mean) / floor)
                    errors["GI/G/c, Whitt 1993 [1]"].append((whitt(rho, scv, service_scv, c) * allen - mean) / floor)
    return errors


def whitt(rho, arrival_scv, service_scv, c):
    """Factor of Whitt's approximation (doi 10.1111/j.1937-5956.1993.tb00094.x) over Allen–Cunneen's."""
    gamma = min(0.24, (1 - rho) * (c - 1) * (math.sqrt(4 + 5 * c) - 2) / (16 * c * rho))
    first, third = 1 + gamma, (1 - 4 * gamma) * math.exp(-2 * (1 - rho) / (3 * rho))
    fourth, mean = min(1.0, (first + third) / 2), (arrival_scv + service_scv) / 2
    psi = 1.0 if mean >= 1 else fourth ** (2 * (1 - mean))
    if arrival_scv >= service_scv:
        base = 4 * arrival_scv - 3 * service_scv
        return 4 * (arrival_scv - service_scv) / base * first + service_scv / base * psi
    base = 2 * (arrival_scv + service_scv)
    return (service_scv - arrival_scv) / base * third + (service_scv + 3 * arrival_scv) / base * psi


def mixture_by_load(seed):
    """Pollaczek–Khinchine and the closed form against the exact wait at three loads."""
    lines = [
        "| ρ | independent swaps: 5 % | 95 % | worst | closed form: 5 % | 95 % | worst |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for load in (0.3, 0.7, 0.9):
        rng = np.random.default_rng(seed)
        both = []
        for _ in range(1000):
            rate, service, reload, *_ = random_mix(rng, "token", load)
            exact = exact_mean_wait_us(rate, service, reload)
            both.append(
                (
                    float(mixture_wait_us(rate, service, reload)) / exact - 1,
                    float(approximate_mean_wait_us(rate, service, reload)) / exact - 1,
                )
            )
        both = 100 * np.array(both)
        cells = []
        for errors in both.T:
            low, high = np.percentile(errors, [5, 95])
            cells += [f"{low:+.1f}", f"{high:+.1f}", f"{errors.min():+.1f} / {errors.max():+.1f}"]
        lines.append(f"| {load} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--mixes", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    covered, closed, simulated, tails, cpu = token(given.mixes, given.requests, given.seed)
    outside = given.mixes - covered
    chance = float(stats.binom.sf(outside - 1, given.mixes, 0.01))
    text = [
        "# Errors of the queueing formulas",
        "",
        f"`{COMMAND} --mixes {given.mixes} --requests {given.requests} --seed {given.seed}`",
        "",
        f"Relative errors in percent over {given.mixes} random mixes of 1 to 12 tenants, ρ uniform in 0.05 to 0.95,",
        "swaps of 0 to 10 times the service, a third of them with gamma services, each simulated for",
        f"{given.requests:,} requests by Lindley's recursion",
        f"(intervals by {BATCHES} batch means). Formulas in [queueing](../problems/queueing.md).",
        f"Python {platform.python_version()}, numpy {version('numpy')}, numba {version('numba')}.",
        "",
        "## Wait for an accelerator that keeps one tenant's weights",
        "",
        f"The exact mean lies outside the simulation's 99 % interval in {outside} of {given.mixes} mixes;",
        f"{0.01 * given.mixes:g} are expected, and as many or more come by chance with probability {chance:.2f}.",
        "",
        *table("against simulation", [row(name, errors) for name, errors in simulated.items()]),
        *table("mean wait against the exact one", [row(name, errors) for name, errors in closed.items()]),
        "At fixed loads, 1000 mixes each, constant times, against the exact wait:",
        "",
        *mixture_by_load(given.seed + 1),
        "## Sets and least recently used",
        "",
    ]
    for kind, title in (("co_compiled", "co-compiled sets"), ("lru", "least recently used")):
        errors, deviation = shared(kind, given.mixes // 2, given.requests, given.seed + 2)
        text += table(title, [row(name, values) for name, values in errors.items()])
        text += [
            f"Largest deviation of a simulated swap frequency: {deviation:.1f} standard errors of independent trials.",
            "",
        ]
    text += ["## CPU stage", ""]
    errors = several_servers(given.requests // 4)
    text += table("mean wait of several servers", [row(name, values) for name, values in sorted(errors.items())])
    text += table("of a tenant's cores behind the accelerator [1]", [row(name, cpu[name]) for name in sorted(cpu)])
    text += ["[1] Errors relative to the wait or, where that is longer, to a twentieth of the service time.", ""]
    text += ["## Percentiles of a tenant's response", ""]
    text += table("against simulation", [row(name, tails[name]) for name in sorted(tails)])
    page = "\n".join(text).rstrip() + "\n"
    if given.output:
        given.output.write_text(page, encoding="utf-8")
    else:
        print(page, end="")


if __name__ == "__main__":
    main()
