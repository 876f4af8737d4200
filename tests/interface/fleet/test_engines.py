"""What every engine holds: each task ends exactly once, whatever happens to workers."""

import importlib.util
import os
import signal
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from itertools import pairwise
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType

import pytest
from edgeplan.formulation import UnsupportedError
from edgeplan.interface.fleet import processes
from edgeplan.interface.fleet.engine import MAX_ATTEMPTS, Batches, Done, Engine, EngineError, InProcess, Task
from edgeplan.interface.fleet.processes import Processes
from edgeplan.interface.fleet.ray_cluster import RayCluster

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="hands work to Ray, which the extra `fleet` brings and which is not installed",
)
PROCESSES = pytest.param(lambda: Processes(2), id="processes")
RAY = pytest.param(lambda: RayCluster(2), id="ray", marks=[pytest.mark.slow, needs_ray])
IN_PROCESS = pytest.param(InProcess, id="in process")


@pytest.fixture(scope="module")
def work() -> Iterator[ModuleType]:
    """Functions that workers can import: they take over the path of the one who starts them."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(Path(__file__).parent))
    patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for workers of Ray, which is started after this
    yield import_module("contract_work")
    patch.undo()


@pytest.fixture(scope="module", params=[IN_PROCESS, PROCESSES, RAY])
def any_engine(request: pytest.FixtureRequest, work: ModuleType) -> Iterator[Engine]:
    with request.param() as engine:
        yield engine


with_workers = pytest.mark.parametrize("any_engine", [PROCESSES, RAY], indirect=True, scope="module")


def run(engine: Engine, function: Callable, shared: object, payloads: list) -> dict[str, Done]:
    tasks = [Task(str(k), "all", payload) for k, payload in enumerate(payloads)]
    done = list(engine.run(function, {"all": shared}, tasks))
    assert sorted(d.key for d in done) == sorted(task.key for task in tasks)
    return {d.key: d for d in done}


def test_every_task_ends_once_with_its_result(work: ModuleType, any_engine: Engine) -> None:
    done = run(any_engine, work.multiply, 7, list(range(40)))
    assert {int(key): d.result for key, d in done.items()} == {k: 7 * k for k in range(40)}
    assert all(d.attempts == 1 and not d.failure for d in done.values())


def test_tasks_get_what_they_share(work: ModuleType, any_engine: Engine) -> None:
    shared = {"two": 2, "ten": 10}
    tasks = [Task(f"{name}{k}", name, k) for k in range(6) for name in shared]
    done = {d.key: d.result for d in any_engine.run(work.multiply, shared, tasks)}
    assert done == {f"{name}{k}": factor * k for name, factor in shared.items() for k in range(6)}


def test_an_error_is_the_end_of_its_task_alone(work: ModuleType, any_engine: Engine) -> None:
    done = run(any_engine, work.refuse_odd, None, list(range(6)))
    assert [done[str(k)].failure for k in (1, 3, 5)] == [f"ValueError: {k} is odd" for k in (1, 3, 5)]
    assert [done[str(k)].result for k in (0, 2, 4)] == [0, 2, 4]


def test_nothing_to_do_is_done(work: ModuleType, any_engine: Engine) -> None:
    assert list(any_engine.run(work.multiply, {}, [])) == []


@with_workers
def test_a_worker_killed_over_a_task_loses_nothing(work: ModuleType, any_engine: Engine, tmp_path: Path) -> None:
    done = run(any_engine, work.die_once, str(tmp_path), list(range(12)))
    assert {int(key): d.result for key, d in done.items()} == {k: k for k in range(12)}
    assert (tmp_path / "died").exists()


@with_workers
def test_a_worker_killed_from_outside_loses_nothing(work: ModuleType, any_engine: Engine) -> None:
    tasks = [Task(str(k), "all", 0.05) for k in range(24)]
    ended, killed = [], False
    for done in any_engine.run(work.slowly, {"all": None}, tasks):
        ended.append(done)
        if not killed:
            os.kill(done.result, signal.SIGKILL)
            killed = True
    assert sorted(d.key for d in ended) == sorted(task.key for task in tasks)
    assert not any(d.failure for d in ended)


@with_workers
def test_what_always_kills_its_worker_fails_alone(work: ModuleType, any_engine: Engine) -> None:
    done = run(any_engine, work.die_always, None, list(range(8)))
    assert {int(key) for key, d in done.items() if d.failure} == {3}
    assert done["3"].attempts == MAX_ATTEMPTS
    assert f"{MAX_ATTEMPTS} times" in done["3"].failure


@with_workers
def test_a_run_that_is_given_up_leaves_nothing_behind(work: ModuleType, any_engine: Engine) -> None:
    begun = any_engine.run(work.multiply, {"all": 1}, [Task(str(k), "all", k) for k in range(50)])
    next(begun)
    assert isinstance(begun, Generator), "so that it can be given up"
    begun.close()
    assert {d.result for d in run(any_engine, work.multiply, 3, [1, 2]).values()} == {3, 6}


def test_what_kills_its_workers_one_after_the_other_holds_nobody_up(
    work: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some jobs of a device that is too large, first in the fleet's order: the others are done all the same."""
    monkeypatch.setattr(processes, "_DEATHS", 3)
    with Processes(1) as engine:
        done = run(engine, work.die_below, 2, list(range(5)))
    assert {int(key) for key, d in done.items() if d.failure} == {0, 1}
    assert all(done[str(k)].attempts == MAX_ATTEMPTS for k in (0, 1))


def test_workers_that_never_answer_are_not_the_tasks_fault(work: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_DEATHS", 3)
    with Processes(1) as engine, pytest.raises(EngineError, match="3 that did not"):
        run(engine, work.die_below, 100, list(range(100)))


def test_ctrl_c_is_for_the_one_who_started_the_workers(work: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sends it to all of them, and some may only just begin."""
    begin = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        begin(process)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with Processes(2) as engine:
        done = run(engine, work.multiply, 2, list(range(6)))
    assert all(d.attempts == 1 and d.result == 2 * int(key) for key, d in done.items())


@pytest.mark.parametrize("make", [pytest.param(lambda: Processes(1), id="processes"), RAY])
def test_what_tasks_share_is_sent_once_however_often_there_is_work(work: ModuleType, make: Callable) -> None:
    held = work.Held()
    with make() as engine:
        run(engine, work.look_at, held, [1, 2, 3])
        sent = work.Held.sent
        assert sent > 0
        run(engine, work.look_at, held, [1, 2, 3])
        assert work.Held.sent == sent


@pytest.mark.slow
@needs_ray
def test_no_more_run_at_once_than_were_asked_for(work: ModuleType) -> None:
    with RayCluster(2), RayCluster(1) as one:
        assert one.workers == 1
        done = run(one, work.clocked, None, [0.2] * 6)
    spans = sorted(d.result for d in done.values())
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_batches_grow_to_a_second_and_shrink_towards_the_end() -> None:
    batches = Batches([Task(str(k), "all", k) for k in range(1000)], workers=2)
    assert batches.size == 1
    for _ in range(5):
        batches.took(0.02)
    assert len(batches.take()) == 50
    batches.took(5.0)  # one that is slow does not decide
    assert batches.size == 50
    while len(batches) > 8:
        batches.take()
    assert batches.size <= 2
    left = len(batches)
    assert sum(len(batches.take()) for _ in range(left)) == left
    assert batches.take() == []


def test_a_batch_shares_one_thing_and_suspects_go_alone() -> None:
    batches = Batches([Task(f"{name}{k}", name, k) for k in range(40) for name in "ab"], workers=1)
    batches.took(0.01)
    first = batches.take()
    assert {task.shared for task in first} == {"a"}
    batches.back(first[1:])
    batches.alone(first[0])
    taken = []
    while batch := batches.take():
        assert len({task.shared for task in batch}) == 1
        taken += batch
    assert len({task.key for task in taken}) == len(taken) == 80
    assert batch == []
    assert taken[-1] == first[0], "what has killed a worker goes last, so that it holds nobody up"


@pytest.mark.slow
@needs_ray
def test_a_cluster_that_does_not_answer_is_refused() -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1"), RayCluster(address="127.0.0.1:1"):
        pass


def test_ray_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"edgeplan\[fleet\]"):
        RayCluster()
