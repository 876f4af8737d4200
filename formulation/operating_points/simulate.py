"""A world played against a policy: discrete events in virtual time, processors shared fairly."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from ..arrivals import arrival_times
from ..workload import Poisson
from .metrics import ModelRun, PolicyRun
from .policy import Policy
from .run import DONE_US, Run
from .world import Phase, World


def simulate_policy(world: World, policy: Policy, seed: int = 0) -> PolicyRun:
    """Play a world against a policy.

    A loaded point serves one request at a time. Running requests share a processor as `co_run_slowdowns` says,
    threads of others counting like ours. When a model's points change, its requests wait: those that run end first,
    then memory is exchanged, then the new points are made ready, which takes their recompile time and the reading of
    their bytes.

    Parameters
    ----------
    world : World
    policy : Policy
        A fresh one: policies keep state.
    seed : int
        The same seed gives the same arrivals and the same variation to every policy.

    Returns
    -------
    PolicyRun
    """
    run = Run(world, policy)
    arrivals: list[tuple[float, str, float]] = []
    sigma = math.sqrt(math.log1p(world.time_scv))
    ends = [*(phase.start_us for phase in world.phases[1:]), world.duration_us]
    for k, model in enumerate(world.models):
        rng = np.random.default_rng([seed, k])
        for phase, end in zip(world.phases, ends, strict=True):
            span = max(0.0, min(end, world.duration_us) - phase.start_us)
            if phase.rate_factor > 0 and span > 0:
                times = phase.start_us + arrival_times(Poisson(rate_hz=model.rate_hz * phase.rate_factor), span, rng)
                factors = rng.lognormal(-sigma * sigma / 2, sigma, len(times))
                arrivals += [(float(t), model.model, float(f)) for t, f in zip(times, factors, strict=True)]
    arrivals.sort()
    run.change(policy.start(run.sight()), first=True)
    phases: deque[Phase] = deque(world.phases[1:])
    next_arrival, next_look = 0, world.interval_us
    while True:
        speeds = run.rates()
        at = min(
            arrivals[next_arrival][0] if next_arrival < len(arrivals) else math.inf,
            phases[0].start_us if phases else math.inf,
            next_look,
            min((s.ready_us for s in run.servers if s.ready_us > run.now), default=math.inf),
            min(
                (run.now + s.running.left_us / speed for s, speed in speeds if s.running is not None), default=math.inf
            ),
        )
        end = min(at, world.duration_us)
        if run.outside_share() > 0:
            run.over_limit_us += end - run.now
        for server, speed in speeds:
            assert server.running is not None
            server.running.left_us -= (end - run.now) * speed
        run.now = end
        if at >= world.duration_us:
            break
        for server, _ in speeds:
            if server.running is not None and server.running.left_us <= DONE_US:
                run.advance(server)
        if phases and phases[0].start_us <= run.now:
            run.phase = phases.popleft()
        while next_arrival < len(arrivals) and arrivals[next_arrival][0] <= run.now:
            _, model, factor = arrivals[next_arrival]
            next_arrival += 1
            run.arrive(model, factor)
        if next_look <= run.now:
            next_look += world.interval_us
            run.change(policy.look(run.sight()))
        for server in tuple(run.servers):
            run.begin(server)
    deadlines = {m.model: math.inf if m.deadline_us is None else m.deadline_us for m in world.models}
    return PolicyRun(
        policy.name,
        {m: ModelRun(np.array(r), run.refused[m], deadlines[m]) for m, r in run.responses.items()},
        world.duration_us,
        len(run.history),
        run.over_limit_us,
        tuple(run.history),
    )
