"""What the benchmarks share: tables of markdown, and the shortest of some timings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a markdown table; rows are printed as they are made."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for line in lines:
        print(line)
    for row in rows:
        lines.append(f"| {' | '.join(str(cell) for cell in row)} |")
        print(lines[-1], flush=True)
    return lines


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of some runs."""
    found = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        work()
        found.append(time.perf_counter() - began_s)
    return min(found)
