"""Copies in memory that would lie idle: given up first where it becomes short, used where they end a request first."""

from __future__ import annotations

import pytest
from edgeplan.formulation.operating_points import Phase, PolicyRun, simulate_policy
from edgeplan.runtime_bridge.operating_points import JointCopies, JointPolicy
from edgeplan.solvers.operating_points import Dispatch

from .test_joint import AMPLE, MIB, PROCESSORS, world

TIGHT = {"ram": 450.0 * MIB}


def run(policy: JointPolicy | Dispatch, *phases: Phase, seed: int = 0, seconds: float = 40.0) -> PolicyRun:
    return simulate_policy(world(*phases, seconds=seconds), policy, seed)


@pytest.mark.parametrize("seed", range(3))
def test_with_ample_memory_it_is_as_good_as_dispatch_over_copies(seed: int) -> None:
    busy = Phase(memory_bytes=AMPLE, background_cores={"cpu": 2.0})
    copies = run(JointCopies(PROCESSORS), busy, seed=seed)
    dispatch = run(Dispatch("least loaded"), busy, seed=seed)
    single = run(JointPolicy(PROCESSORS), busy, seed=seed)
    assert copies.mean_us < 1.1 * dispatch.mean_us
    assert copies.mean_us < single.mean_us


@pytest.mark.parametrize("seed", range(3))
def test_where_memory_becomes_short_copies_go_before_any_model_is_switched(seed: int) -> None:
    policy = JointCopies(PROCESSORS)
    copies = run(
        policy, Phase(memory_bytes=AMPLE), Phase(15e6, memory_bytes=TIGHT), Phase(30e6, memory_bytes=AMPLE), seed=seed
    )
    dispatch = run(
        Dispatch("least loaded"),
        Phase(memory_bytes=AMPLE),
        Phase(15e6, memory_bytes=TIGHT),
        Phase(30e6, memory_bytes=AMPLE),
        seed=seed,
    )
    assert copies.over_limit_us < 1.5e6 < dispatch.over_limit_us
    assert copies.miss_ratio < dispatch.miss_ratio


@pytest.mark.parametrize("seed", range(2))
def test_a_constant_world_makes_no_change(seed: int) -> None:
    for memory in (AMPLE, TIGHT):
        assert run(JointCopies(PROCESSORS), Phase(memory_bytes=memory), seed=seed).switches == 0
