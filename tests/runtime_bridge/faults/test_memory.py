"""Memory levels from the system's own files: fixture folders with both kinds of control groups, and the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeplan.runtime_bridge.faults.memory import (
    MemoryLevel,
    MemoryMonitor,
    MemoryReading,
    MemoryThresholds,
    find_limit,
)
from edgeplan.runtime_bridge.footprint import release_free_memory, resident_bytes

MIB = 2**20
GIB = 2**30


class Machine:
    """A folder that looks like a machine's ``proc`` and ``sys``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory(total=8 * GIB, available=6 * GIB)
        self.resident(100 * MIB)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def memory(self, total: int, available: int) -> None:
        text = f"MemTotal: {total >> 10} kB\nMemFree: 1 kB\nMemAvailable: {available >> 10} kB\nHugePages_Total: 0\n"
        self.write("proc/meminfo", text)

    def resident(self, size: int) -> None:
        self.write("proc/self/status", f"Name:\tpython\nVmRSS:\t {size >> 10} kB\nThreads:\t5\n")

    def stalled(self, some: float, full: float) -> None:
        lines = [
            f"{kind} avg10={100 * share:.2f} avg60=0.00 avg300=0.00 total=7"
            for kind, share in (("some", some), ("full", full))
        ]
        self.write("proc/pressure/memory", "\n".join(lines) + "\n")

    def group_v2(self, own: str, shown: str = "/") -> Path:
        self.write("proc/self/cgroup", f"0::{own}\n")
        self.write("proc/self/mountinfo", f"30 23 0:26 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n")
        (self.root / "sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
        return self.root / "sys/fs/cgroup"

    def group_v1(self, own: str, shown: str = "/") -> Path:
        self.write("proc/self/cgroup", f"5:cpu,cpuacct:/elsewhere\n4:memory:{own}\n0::/\n")
        self.write(
            "proc/self/mountinfo",
            f"31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            f"32 23 0:28 {shown} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n",
        )
        (self.root / "sys/fs/cgroup/memory").mkdir(parents=True, exist_ok=True)
        return self.root / "sys/fs/cgroup/memory"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def test_a_limit_given_goes_before_all_others(machine: Machine) -> None:
    group(machine.group_v2("/a") / "a", max=GIB)
    assert find_limit(123, root=machine.root).limit_bytes == 123


def test_without_any_limit_it_is_a_share_of_the_machine(machine: Machine) -> None:
    limit = find_limit(share=0.5, root=machine.root)
    assert limit.limit_bytes == 4 * GIB
    assert "50%" in limit.source


def test_version_two_takes_the_tightest_of_the_groups_around(machine: Machine) -> None:
    mount = machine.group_v2("/system.slice/edgeplan.service")
    group(mount / "system.slice", max=GIB, current=900 * MIB, stat="anon 1\ninactive_file 104857600")
    group(mount / "system.slice/edgeplan.service", max="max", high=2 * GIB)
    limit = find_limit(root=machine.root)
    assert (limit.limit_bytes, limit.group) == (GIB, mount / "system.slice")
    assert MemoryReading.take(limit, machine.root).used_bytes == 800 * MIB


def test_version_one_in_a_container_that_sees_its_own_group_only(machine: Machine) -> None:
    mount = machine.group_v1("/docker/abc", shown="/docker/abc")
    group(mount, limit_in_bytes=GIB, usage_in_bytes=300 * MIB, stat="inactive_file 7\ntotal_inactive_file 104857600")
    limit = find_limit(root=machine.root)
    assert (limit.limit_bytes, limit.group) == (GIB, mount)
    assert MemoryReading.take(limit, machine.root).used_bytes == 200 * MIB


def test_a_group_that_the_mount_does_not_show_leaves_what_it_does(machine: Machine) -> None:
    mount = machine.group_v1("/../../other", shown="/docker/abc")
    group(mount, limit_in_bytes=GIB)
    assert find_limit(root=machine.root).limit_bytes == GIB


@pytest.mark.parametrize("unlimited", ["max", 9223372036854771712])
def test_a_group_without_a_limit_is_none(machine: Machine, unlimited: object) -> None:
    group(machine.group_v2("/a") / "a", max=unlimited)
    assert find_limit(root=machine.root).group is None


@pytest.mark.parametrize(
    ("used", "available", "some", "full", "level", "word"),
    [
        (0.5, 0.5, 0.0, 0.0, MemoryLevel.OK, "in use"),
        (0.86, 0.5, 0.0, 0.0, MemoryLevel.TIGHT, "in use"),
        (0.96, 0.5, 0.0, 0.0, MemoryLevel.CRITICAL, "in use"),
        (0.5, 0.09, 0.0, 0.0, MemoryLevel.TIGHT, "available"),
        (0.5, 0.03, 0.0, 0.0, MemoryLevel.CRITICAL, "available"),
        (0.5, 0.5, 0.2, 0.0, MemoryLevel.TIGHT, "some tasks waited"),
        (0.5, 0.5, 0.3, 0.2, MemoryLevel.CRITICAL, "all tasks waited"),
        (0.86, 0.03, 0.3, 0.0, MemoryLevel.CRITICAL, "available"),
    ],
)
def test_each_sign_raises_the_level_at_once(
    machine: Machine, used: float, available: float, some: float, full: float, level: MemoryLevel, word: str
) -> None:
    monitor = MemoryMonitor(GIB, root=machine.root)
    assert monitor.check(0.0).level == MemoryLevel.OK
    machine.resident(int(used * GIB))
    machine.memory(8 * GIB, int(available * 8 * GIB))
    machine.stalled(some, full)
    state = monitor.check(1.0)
    assert (state.level, state.since_us) == (level, 1.0 if level else 0.0)
    assert word in state.reason


def test_the_level_falls_only_after_lasting_relief(machine: Machine) -> None:
    marks = MemoryThresholds(calm_us=100.0)
    monitor = MemoryMonitor(GIB, marks, machine.root)
    levels = []
    for at_us, used in [
        (0, 0.86),
        (50, 0.84),
        (200, 0.84),
        (250, 0.81),
        (300, 0.84),
        (350, 0.81),
        (400, 0.8),
        (450, 0.8),
    ]:
        machine.resident(int(used * GIB))
        levels.append(monitor.check(float(at_us)).level)
    assert levels == [MemoryLevel.TIGHT] * 7 + [MemoryLevel.OK]


def test_it_falls_from_critical_to_tight_where_that_is_what_it_is(machine: Machine) -> None:
    monitor = MemoryMonitor(GIB, MemoryThresholds(calm_us=100.0), machine.root)
    levels = []
    for at_us, used in [(0, 0.99), (100, 0.88), (200, 0.88)]:
        machine.resident(int(used * GIB))
        levels.append(str(monitor.check(float(at_us)).level))
    assert levels == ["critical", "critical", "tight"]


def test_real_memory_that_is_taken_and_given_back_is_seen() -> None:
    release_free_memory()
    monitor = MemoryMonitor(resident_bytes() + 200 * MIB, MemoryThresholds(0.6, 0.9, 0.0, 0.0, 2.0, 2.0, calm_us=100.0))
    start = monitor.check(0.0).reading
    taken = np.ones(190 * MIB, np.uint8)
    grown = monitor.check(1.0)
    assert grown.level == MemoryLevel.CRITICAL
    assert grown.reading.used_bytes - start.used_bytes > 0.9 * taken.nbytes
    del taken
    release_free_memory()
    monitor.check(2.0)
    assert monitor.check(102.0).reading.used_bytes < start.used_bytes + 20 * MIB
    assert monitor.check(103.0).level < MemoryLevel.CRITICAL


def test_this_machine_can_be_read() -> None:
    state = MemoryMonitor().check(0.0)
    assert state.reading.used_bytes == pytest.approx(resident_bytes(), rel=0.2) or state.reading.limit.group
    assert 0 < state.reading.available_bytes <= state.reading.total_bytes
