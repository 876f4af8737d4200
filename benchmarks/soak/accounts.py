"""Both sides' ids and answers, compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np
from edgeplan.interface.serving.load_client import Reply

from soak.bench import Bench

TOLERANCE = 1e-3


REASON_LENGTH = 150


@dataclass
class Ledger:
    """What came back, and what the server wrote down."""

    replies: list[tuple[str, float, float, int, bool]] = field(default_factory=list)
    """Id, when it was due, its response, its status, whether it was answered in time."""
    records: list[tuple[str, str, int]] = field(default_factory=list)
    """Label, outcome, segments that ran once more than they should have."""
    wrong: list[str] = field(default_factory=list)
    reasons: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Of replies without outputs: status and words, without their figures."""
    largest_difference: float = 0.0
    sent_late_us: list[float] = field(default_factory=list)

    def add(self, reply: Reply, bench: Bench) -> None:
        """Take a reply, and compare its answer."""
        in_time = reply.in_time(bench.deadline_us[reply.model])
        self.replies.append((reply.request_id, reply.due_us, reply.response_us, reply.status, in_time))
        self.sent_late_us.append(reply.sent_us - reply.due_us)
        if reply.error:
            self.reasons[reply.status, re.sub(r"[\d.]+", "#", reply.error)[:REASON_LENGTH]] += 1
        if reply.status == 200:
            variant = int(reply.request_id.rpartition("/")[2])
            expected = bench.expected[reply.model][variant]
            difference = np.inf
            if not reply.error and reply.outputs.keys() == expected.keys():
                difference = max(
                    float(np.abs(reply.outputs[name] - value).max() / np.abs(value).max())
                    for name, value in expected.items()
                )
            self.largest_difference = max(self.largest_difference, difference)
            if not difference <= TOLERANCE:
                self.wrong.append(reply.request_id)

    def read(self, log: Connection) -> None:
        """Take what the server writes down, until it closes."""
        with suppress(EOFError):
            while True:
                label, outcome, again = log.recv_bytes().decode().split("\t")
                self.records.append((label, outcome, int(again)))


@dataclass(frozen=True)
class Accounts:
    """The ids of both sides, compared."""

    sent: int
    replied: Counter[str]
    recorded: Counter[str]
    lost: list[str]
    twice: list[str]
    disagree: list[str]

    @classmethod
    def of(cls, sent: Sequence[str], ledger: Ledger) -> Accounts:
        kind = {200: "answered", 503: "refused", 0: "no answer"}
        replied = {number: kind.get(status, "failed") for number, _, _, status, _ in ledger.replies}
        recorded: dict[str, str] = {label: outcome for label, outcome, _ in ledger.records}
        times_replied = Counter(number for number, *_ in ledger.replies)
        times_recorded = Counter(label for label, *_ in ledger.records)
        ran_again = {label for label, _, again in ledger.records if again}
        return cls(
            len(sent),
            Counter(replied.values()),
            Counter(outcome for _, outcome, _ in ledger.records),
            # What is refused before the engine sees it leaves no record; nothing else may.
            [
                n
                for n in sent
                if n not in replied or replied[n] == "no answer" or (n not in recorded and replied[n] != "refused")
            ]
            + [label for label in recorded if label not in replied],
            [n for n in {*times_replied, *times_recorded} if times_replied[n] > 1 or times_recorded[n] > 1]
            + sorted(ran_again),
            [n for n, outcome in replied.items() if n in recorded and recorded[n] != outcome],
        )
