"""Backends: one answer whatever the backend, form, threads and cuts; and the contract that the executor relies on."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import pytest
from edgeplan.formulation import Configuration, LayerGraph, UnsupportedError
from edgeplan.profiles import (
    SegmentStore,
    Session,
    find_backends,
    import_onnx,
    open_backend,
    resolve_model,
    sample_inputs,
)

T = TypeVar("T")
CORES = tuple(sorted(os.sched_getaffinity(0)))
CONFIGURATIONS = [
    Configuration(backend=backend, form=form, threads=threads)
    for backend, form in (("onnxruntime-cpu", "mapped"), ("onnxruntime-cpu", "prepacked"), ("openvino-cpu", "default"))
    for threads in (1, 2)
    if threads <= len(CORES)
]
ONE_THREAD = [c for c in CONFIGURATIONS if c.threads == 1]
named = pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.name)


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    configuration = getattr(request.node, "callspec", None) and request.node.callspec.params.get("configuration")
    if configuration:
        found = {backend.name: backend for backend in find_backends()}
        if not found[configuration.backend].usable:
            pytest.skip(found[configuration.backend].reason)


def opened(store: SegmentStore, start: int, stop: int, configuration: Configuration) -> Session:
    segment = store.segment(start, stop, configuration.batch)
    return open_backend(configuration.backend).open(segment, configuration, CORES[: configuration.threads])


def unsplit(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], map(np.asarray, session.run(None, feeds)), strict=True))


def in_thread(work: Callable[[], T]) -> T:
    outcome: list[T] = []
    thread = threading.Thread(target=lambda: outcome.append(work()))
    thread.start()
    thread.join()
    return outcome[0]


def assert_chain_equals_unsplit(path: Path, graph: LayerGraph, configuration: Configuration, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inner = rng.choice(np.arange(1, graph.n_layers), size=int(rng.integers(1, 5)), replace=False)
    positions = [0, *sorted(int(p) for p in inner), graph.n_layers]
    store = SegmentStore(path, graph)
    feeds = sample_inputs(path, seed=seed, batch=configuration.batch)
    tensors = dict(feeds)
    for start, stop in itertools.pairwise(positions):
        session = opened(store, start, stop, configuration)
        tensors |= session.run({name: tensors[name] for name in session.input_names})
        session.close()
    for name, expected in unsplit(path, feeds).items():
        assert np.abs(tensors[name] - expected).max() <= 1e-3 * np.abs(expected).max(), (positions, name)


@named
@pytest.mark.parametrize("seed", range(4))
def test_random_cuts_of_a_branching_model(
    branching_path: Path, branching: LayerGraph, configuration: Configuration, seed: int
) -> None:
    assert_chain_equals_unsplit(branching_path, branching, configuration, seed)


@pytest.mark.parametrize("configuration", ONE_THREAD, ids=lambda c: c.name)
def test_random_cuts_of_a_batch(branching_path: Path, branching: LayerGraph, configuration: Configuration) -> None:
    assert_chain_equals_unsplit(branching_path, branching, configuration.model_copy(update={"batch": 3}), 1)


@pytest.mark.parametrize("configuration", ONE_THREAD, ids=lambda c: c.name)
def test_random_cuts_of_shufflenet(configuration: Configuration) -> None:
    path = resolve_model("shufflenet")
    assert_chain_equals_unsplit(path, import_onnx(path), configuration, 0)


@named
def test_every_layer_alone(store: SegmentStore, configuration: Configuration) -> None:
    """Layers that do nothing, or only pass memory on, tempt runtimes to hand back what they were given."""
    tensors = sample_inputs(store.path)
    for k in range(store.graph.n_layers):
        reference = opened(store, k, k + 1, ONE_THREAD[0])
        session = opened(store, k, k + 1, configuration)
        feeds = {name: tensors[name].copy() for name in session.input_names}
        expected = reference.run(feeds)
        for scale in (1, 2):  # the second run reuses what the first set up
            given = {name: scale * value for name, value in feeds.items()}
            result = session.run(given)
            wanted = reference.run(given)
            for name in wanted:
                assert np.allclose(result[name], wanted[name], rtol=1e-3, atol=1e-5), (
                    store.graph.layers[k].name,
                    scale,
                )
            assert all(np.array_equal(given[name], scale * feeds[name]) for name in feeds)
        tensors |= expected
        session.close()
        reference.close()


@named
def test_results_belong_to_the_caller(store: SegmentStore, configuration: Configuration) -> None:
    session = opened(store, 0, store.graph.n_layers, configuration)
    first, second = (sample_inputs(store.path, seed=seed) for seed in (1, 2))
    kept = session.run(first)
    copy = {name: value.copy() for name, value in kept.items()}
    session.run(second)
    session.close()
    assert all(np.array_equal(kept[name], copy[name]) for name in copy)


@named
def test_inputs_may_be_read_only(store: SegmentStore, configuration: Configuration) -> None:
    """As tensors are that were read from a message: their memory is that of bytes."""
    feeds = sample_inputs(store.path)
    as_bytes = {name: np.frombuffer(value.tobytes(), value.dtype).reshape(value.shape) for name, value in feeds.items()}
    session = opened(store, 0, store.graph.n_layers, configuration)
    for name, expected in session.run(feeds).items():
        np.testing.assert_array_equal(session.run(as_bytes)[name], expected)
    session.close()


@named
def test_several_threads_may_run_one_session(store: SegmentStore, configuration: Configuration) -> None:
    session = opened(store, 0, store.graph.n_layers, configuration)
    feeds = [sample_inputs(store.path, seed=seed) for seed in range(6)]
    expected = [session.run(feed)["scores"].copy() for feed in feeds]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(30):
            if not np.allclose(session.run(feeds[k])["scores"], expected[k], atol=1e-6):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    assert not wrong


@named
def test_sessions_that_are_closed_leave_no_threads_and_the_others_work(
    store: SegmentStore, configuration: Configuration
) -> None:
    stays = opened(store, 0, store.graph.n_layers, configuration)
    feeds = sample_inputs(store.path)
    expected = stays.run(feeds)["scores"].copy()
    opened(store, 0, store.graph.n_layers, configuration).close()
    before = len(os.listdir("/proc/self/task"))
    sessions = [opened(store, 0, store.graph.n_layers, configuration) for _ in range(4)]
    for session in sessions:
        session.run(feeds)
    for session in sessions:
        session.close()
    del session, sessions
    until_s = time.monotonic() + 10  # a thread that has ended is listed for a moment
    while (after := len(os.listdir("/proc/self/task"))) > before and time.monotonic() < until_s:
        time.sleep(0.01)
    assert after <= before
    np.testing.assert_array_equal(stays.run(feeds)["scores"], expected)
    stays.close()


@named
def test_a_failing_run_raises_and_the_next_one_works(store: SegmentStore, configuration: Configuration) -> None:
    session = opened(store, 0, store.graph.n_layers, configuration)
    feeds = sample_inputs(store.path)
    with pytest.raises(Exception, match=r".+"):
        session.run({**feeds, "image": np.zeros((1, 2, 3), np.float32)})
    assert session.run(feeds)["scores"].shape == (1, 10)
    session.close()


def cpu_ticks() -> dict[int, int]:
    """Ticks of processor time that each thread of this process has used."""
    used = {}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        used[int(task.name)] = int(fields[11]) + int(fields[12])
    return used


@pytest.mark.parametrize("configuration", ONE_THREAD, ids=lambda c: c.name)
def test_one_thread_works_on_the_calling_thread(configuration: Configuration) -> None:
    path = resolve_model("squeezenet")
    graph = import_onnx(path)
    session = opened(SegmentStore(path, graph), 0, graph.n_layers, configuration)
    feeds = sample_inputs(path)

    def work() -> tuple[int, int]:
        os.sched_setaffinity(0, {CORES[-1]})
        session.run(feeds)
        before = cpu_ticks()
        for _ in range(40):
            session.run(feeds)
        spent = {thread: ticks - before.get(thread, 0) for thread, ticks in cpu_ticks().items()}
        mine = spent.pop(threading.get_native_id())
        return mine, max(spent.values(), default=0)

    mine, most_of_another = in_thread(work)
    assert mine >= 5
    assert most_of_another <= 2
    session.close()


@pytest.mark.skipif(
    len(CORES) < 2, reason="a session of two threads is refused on one core, so it has no second thread to look for"
)
def test_helpers_of_onnxruntime_sit_on_the_cores_given(store: SegmentStore) -> None:
    before = {task.name for task in Path("/proc/self/task").iterdir()}
    session = opened(store, 0, 3, Configuration(backend="onnxruntime-cpu", form="mapped", threads=2))
    deadline = time.monotonic() + 5
    pinned: list[str] = []
    while not pinned and time.monotonic() < deadline:  # a helper pins itself once it runs
        new = {task.name for task in Path("/proc/self/task").iterdir()} - before
        pinned = [thread for thread in new if os.sched_getaffinity(int(thread)) == {CORES[1]}]
    assert len(pinned) == 1
    session.close()


@pytest.mark.skipif(
    len(CORES) < 2, reason="a session of two threads is refused on one core, so it has no second thread to look for"
)
def test_helpers_of_openvino_are_not_tied_to_the_core_of_the_thread_that_opens(store: SegmentStore) -> None:
    pytest.importorskip("openvino")
    configuration = Configuration(backend="openvino-cpu", threads=2)
    feeds = sample_inputs(store.path)

    def work() -> int:
        os.sched_setaffinity(0, {CORES[0]})
        session = opened(store, 0, store.graph.n_layers, configuration)
        for _ in range(50):
            session.run(feeds)
        session.close()
        free = [t for t in Path("/proc/self/task").iterdir() if len(os.sched_getaffinity(int(t.name))) == len(CORES)]
        return len(free) - 1  # the main thread is free too

    assert in_thread(work) >= len(CORES) - 1


def test_weights_of_the_mapped_form_are_pages_of_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, branching_path: Path, branching: LayerGraph
) -> None:
    monkeypatch.setenv("EDGEPLAN_CACHE", str(tmp_path))
    store = SegmentStore(branching_path, branching)
    session = opened(store, 0, branching.n_layers, Configuration(backend="onnxruntime-cpu", form="mapped"))
    session.run(sample_inputs(branching_path))
    assert f"{tmp_path}/segments" in Path("/proc/self/maps").read_text()
    session.close()
    assert f"{tmp_path}/segments" not in Path("/proc/self/maps").read_text()


def test_found_backends_open_and_others_say_why_not() -> None:
    for found in find_backends():
        if found.usable:
            backend = open_backend(found.name)
            assert (backend.name, backend.version, backend.forms) == (found.name, found.version, found.forms)
        else:
            with pytest.raises(UnsupportedError, match="expected"):
                open_backend(found.name)


def test_an_absent_package_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    open_backend.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    absent = next(backend for backend in find_backends() if backend.name == "openvino-cpu")
    assert not absent.usable
    assert "openvino" in absent.reason
    with pytest.raises(UnsupportedError, match=r"edgeplan\[openvino\]"):
        open_backend("openvino-cpu")
    open_backend.cache_clear()


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_silently_falls_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with pytest.raises(UnsupportedError, match="onnxruntime-cuda"):
        open_backend("onnxruntime-cuda")


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration(backend="onnxruntime-cpu", form="default"),
        Configuration(backend="onnxruntime-cpu", form="mapped", threads=3),
    ],
)
def test_configurations_that_cannot_be_are_refused(store: SegmentStore, configuration: Configuration) -> None:
    with pytest.raises(UnsupportedError, match="expected"):
        open_backend("onnxruntime-cpu").open(store.segment(0, 3), configuration, (0, 1))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="one of onnxruntime-cpu"):
        open_backend("tensorflow-cpu")
