"""The report, and what does not hold."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict

import numpy as np
from edgeplan.profiles import machine_fingerprint

from soak.accounts import TOLERANCE, Accounts
from soak.client import Fault, Soak
from soak.faults import FAULTS
from soak.samples import CONFIDENCE, LEAST_FREEDOM, WARM_UP

BIN_S = 0.5


DISTURBED = 0.1


MOST_REASONS = 10


DETECTED_WITHIN_US = 30e6


def around(soak: Soak, begin_us: float, end_us: float) -> tuple[int, Counter[str]]:
    """Requests due within a stretch of time: how many, and what became of those that were not answered in time."""
    due = [(status, ok) for _, due_us, _, status, ok in soak.ledger.replies if begin_us <= due_us < end_us]
    bad = Counter({200: "late", 503: "refused"}.get(status, "failed") for status, ok in due if not ok)
    return len(due), bad


def usual(soak: Soak) -> float:
    """Share of requests not answered in time, in the half second in the middle of all."""
    bins: dict[int, list[bool]] = defaultdict(list)
    for _, due_us, _, _, ok in soak.ledger.replies:
        bins[int(due_us // (BIN_S * 1e6))].append(ok)
    return float(np.median([1 - np.mean(oks) for oks in bins.values()]))


def recovered_s(soak: Soak, fault: Fault, until_us: float, disturbed: float) -> float:
    """From the end of a fault to that of the last half second in which more than that share was not in time."""
    bins: dict[int, list[bool]] = defaultdict(list)
    for _, due_us, _, _, ok in soak.ledger.replies:
        if fault.begin_us <= due_us < until_us:
            bins[int((due_us - fault.end_us) // (BIN_S * 1e6))].append(ok)
    numbers = [number for number, oks in bins.items() if 1 - np.mean(oks) > disturbed]
    return max(0.0, (max(numbers, default=-1) + 1) * BIN_S)


def fault_rows(soak: Soak, last_us: float) -> list[str]:
    """One line for each kind of fault."""
    rows = []
    disturbed = usual(soak) + DISTURBED
    begins = [fault.begin_us for fault in soak.faults] + [last_us]
    for name in FAULTS:
        times = [k for k, fault in enumerate(soak.faults) if fault.name == name and fault.end_us < last_us]
        if not times:
            continue
        detected, said, bad, n, recovered = [], [], Counter[str](), 0, []
        for k in times:
            fault, next_us = soak.faults[k], begins[k + 1]
            told = [
                (at_us, words)
                for at_us, words in soak.told
                if 0 <= at_us - fault.begin_us < DETECTED_WITHIN_US
                and FAULTS[name][1]
                and re.match(FAULTS[name][1], words)
            ]
            if told:
                at_us, words = min(told)
                detected.append((at_us - fault.begin_us) / 1e6)
                said.append(words)
            count, each = around(soak, fault.begin_us, next_us)
            n, bad = n + count, bad + each
            recovered.append(recovered_s(soak, fault, next_us, disturbed))
        seen = f"{np.median(detected):.1f}" if detected else "–"
        words = said[0].replace("|", "/")[:160] if said else ""
        rows.append(
            f"| {name} | {len(times)} | {seen} | {words} | {n} | {bad['failed']} | {bad['refused']} | {bad['late']} | "
            f"{max(recovered):.1f} |"
        )
    return rows


def memory_rows(soak: Soak, block_s: float) -> tuple[list[str], list[str]]:
    """One line for each thing that must not grow, and those that did."""
    rows, grown = [], []
    for name in soak.samples.values:
        seen = soak.samples.growth(name, block_s)
        rows.append(
            f"| {name} | {seen.first:.1f} | {seen.last:.1f} | {seen.slope:+.3f} | {seen.low:+.3f} to {seen.high:+.3f} |"
        )
        # What is above zero by chance, or by a trifle, is no growth.
        if seen.freedom >= LEAST_FREEDOM and seen.low > 0 and seen.rise > max(0.02 * seen.first, 2.0):
            grown.append(name)
    return rows, grown


def report(
    about: str, soak: Soak, accounts: Accounts, ended_well: bool, usage: dict[str, float]
) -> tuple[str, list[str]]:
    """The page, and what does not hold."""
    options, fingerprint = soak.options, machine_fingerprint()
    offered_us = [due_us for number, due_us, *_ in soak.ledger.replies if not number.startswith("c")]
    first_us, last_us = min(offered_us), max(offered_us)
    n, bad = around(soak, first_us, last_us)
    rows, grown = memory_rows(soak, options.swap_s)
    wrong = {
        "lost": accounts.lost,
        "answered or run twice": accounts.twice,
        "answered other than the server has it": accounts.disagree,
        "wrong answers": soak.ledger.wrong,
        "grown": grown,
        "the server": [] if ended_well else ["did not end by itself"],
        "exchanges of the plan that failed": soak.refused_swaps if soak.swaps else ["all"],
    }
    deadlines = ", ".join(f"{name} {us / 1e3:.0f} ms" for name, us in soak.bench.deadline_us.items())
    swap_ms = [(end - begin) / 1e3 for begin, end in soak.swaps]
    lag_ms = np.quantile(soak.ledger.sent_late_us, [0.5, 0.99]) / 1e3
    swapping = [around(soak, begin - 1e5, end + 1e6) for begin, end in soak.swaps]
    during, bad_then = sum(k for k, _ in swapping), sum((each for _, each in swapping), Counter())
    paragraphs = [part for part in about.strip().split("\n\n")[1:] if not part.startswith("    ")]  # no commands
    lines = [
        "# Soak",
        "",
        "\n\n".join(paragraphs),
        "",
        f"- command: `python benchmarks/serving_soak.py --minutes {options.minutes:g} --load {options.load:g} "
        f"--swap-s {options.swap_s:g} --fault-s {options.fault_s:g} --warm-up-pace {options.warm_up_pace:g}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- capacity {soak.capacity_hz:.0f} requests a second, offered {n / (last_us - first_us) * 1e6:.0f}; seed "
        f"{options.seed}; deadlines ({options.deadline_factor:g} × the time on one core): {deadlines}",
        f"- cores taken: client {usage['client']:.2f}, server {usage['server']:.2f}; requests were sent "
        f"{lag_ms[0]:.1f} ms late (median), {lag_ms[1]:.1f} ms (99th percentile)",
        "",
        "## Ids on both sides",
        "",
        "| | answered | refused | failed | no answer |",
        "|---|---|---|---|---|",
        f"| client, of {accounts.sent} sent | "
        + " | ".join(str(accounts.replied[k]) for k in ("answered", "refused", "failed", "no answer"))
        + " |",
        "| server's records | "
        + " | ".join(str(accounts.recorded[k]) for k in ("answered", "refused", "failed"))
        + " | |",
        "",
        *(
            f"- {what}: {len(which)}{' (' + ', '.join(map(str, which[:5])) + ')' if which else ''}"
            for what, which in wrong.items()
            if what != "grown"
        ),
        f"- largest difference from the model's own answers: {soak.ledger.largest_difference:.1e} of the largest "
        f"output ({TOLERANCE:g} allowed)",
        f"- not answered in time, of {n} offered: " + ", ".join(f"{bad[k]} {k}" for k in ("late", "refused", "failed")),
        f"- {len(soak.swaps)} exchanges of the plan, {np.median(swap_ms) if swap_ms else 0:.0f} ms each (median); from "
        f"0.1 s before to 1 s after them, of {during} requests: "
        + ", ".join(f"{bad_then[k]} {k}" for k in ("late", "refused", "failed")),
        "",
        "## Why requests were not answered",
        "",
        "| status | words | times |",
        "|---|---|---|",
        *(
            f"| {status or ''} | {words.replace('|', '/')} | {times} |"
            for (status, words), times in soak.ledger.reasons.most_common(MOST_REASONS)
        ),
        "",
        "## Memory, threads, open files of the server",
        "",
        f"Means over {options.swap_s:g} s and one plan, the first {WARM_UP:.0%} of the time left out. Plans differ in "
        f"their sessions ({len(set(soak.samples.plans))} served), so the slope is what they have in common, beside a "
        f"level of each; its interval is of {CONFIDENCE:.0%}. Below {LEAST_FREEDOM} degrees of freedom there is no "
        "verdict.",
        "",
        "| | first | last | slope a minute | interval |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "## Faults",
        "",
        "Seconds from when a fault begins to the server's first word of it, and from its end to that of the last half "
        f"second in which more than {usual(soak) + DISTURBED:.0%} of the requests were not answered in time "
        f"({DISTURBED:.0%} more than in the usual one); requests until the next fault.",
        "",
        "| fault | times | detected after, s | first word | requests | failed | refused | late | recovered after, s |",
        "|---|---|---|---|---|---|---|---|---|",
        *fault_rows(soak, last_us),
        "",
    ]
    return "\n".join(lines), [f"{what}: {', '.join(map(str, which[:5]))}" for what, which in wrong.items() if which]
