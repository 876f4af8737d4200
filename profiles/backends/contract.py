"""What every backend must do, so that profiles, plans and the executor can rely on it: checks for plug-ins to run.

A test of a plug-in is one line, `check_backend(MyBackend())`. Nothing here needs a test framework.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ...formulation import Configuration, UnsupportedError
from ..inputs import sample_inputs
from ..onnx_import import import_onnx
from ..segments import SegmentFiles, SegmentStore
from .base import Backend, Session
from .registry import lack_of, open_backend

COUNTED_S = 0.3
"""Processor time of the calling thread over which that of the others is counted, seconds."""

Feeds = dict[str, np.ndarray]


class BackendBugError(RuntimeError):
    """A backend breaks a promise that its callers rely on."""


def check_backend(backend: Backend, *, tolerance: float = 1e-3) -> None:
    """Hold a backend to its contract, on a small model with convolutions, a branch and a matrix product.

    It has all parts of a `Backend`. In every session form: whole or cut at every layer, and whole on two threads where
    it takes them, the model's answers are those of ONNX Runtime; answers belong to the caller, and inputs are left
    alone; several threads may run one session; after a run that fails the next one works; on one thread all work is
    the calling thread's. A form that it does not have, and more threads than cores, are refused.

    Parameters
    ----------
    backend : Backend
    tolerance : float
        Largest difference from ONNX Runtime's answer that passes, as a share of its largest value.

    Raises
    ------
    BackendBugError
        The contract is broken; the message says where.
    """
    lack = lack_of(backend, getattr(backend, "name", ""))
    _expect(lack is None, f"all that a backend must have, not {lack}")
    with TemporaryDirectory() as folder:
        path = _write_model(Path(folder) / "contract.onnx")
        store = SegmentStore(path, import_onnx(path))
        plain = Configuration(backend="onnxruntime-cpu", form="mapped")
        truth = open_backend(plain.backend).open(_whole(store), plain, ())
        feeds = [sample_inputs(path, seed=seed) for seed in range(4)]
        expected = [truth.run(feed) for feed in feeds]
        truth.close()
        for form in backend.forms:
            configuration = Configuration(backend=backend.name, form=form)
            _check_cuts(backend, store, configuration, feeds[0], expected[0], tolerance)
            _check_two_threads(backend, store, form, feeds[0], expected[0], tolerance)
            session = backend.open(_whole(store), configuration, ())
            try:
                _check_ownership(session, feeds)
                _check_threads(session, feeds)
                _check_failure(session, feeds[0])
                _check_calling_thread(session, feeds[0])
            finally:
                session.close()
        other = Configuration(backend=backend.name, form="no such form")
        _refuses(backend, store, other, "a form that it does not have")
        many = Configuration(backend=backend.name, form=backend.forms[0], threads=2)
        _refuses(backend, store, many, "two threads on one core")


def _check_cuts(
    backend: Backend, store: SegmentStore, configuration: Configuration, feeds: Feeds, expected: Feeds, tolerance: float
) -> None:
    layers = store.graph.n_layers
    for positions in ([0, layers], [0, layers // 2, layers], list(range(layers + 1))):
        tensors = dict(feeds)
        for start, stop in pairwise(positions):
            files = store.segment(start, stop)
            session = backend.open(files, configuration, ())
            _expect(session.input_names == files.input_names, "input names are those of the segment")
            _expect(session.output_names == files.output_names, "output names are those of the segment")
            tensors |= session.run({name: tensors[name] for name in files.input_names})
            session.close()
        _expect_answers(tensors, expected, tolerance, f"cut at {positions[1:-1]}")


def _check_two_threads(
    backend: Backend, store: SegmentStore, form: str, feeds: Feeds, expected: Feeds, tolerance: float
) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0)))[:2]
    configuration = Configuration(backend=backend.name, form=form, threads=len(cores))
    try:
        session = backend.open(_whole(store), configuration, cores)
    except UnsupportedError:
        return  # one thread is all that it has
    _expect_answers(session.run(feeds), expected, tolerance, f"whole on {len(cores)} threads")
    session.close()


def _expect_answers(answers: Feeds, expected: Feeds, tolerance: float, how: str) -> None:
    for name, value in expected.items():
        got = answers.get(name)
        if got is None or got.shape != value.shape:
            raise BackendBugError(f"expected: {how}, {name!r} is there, of shape {value.shape}")
        wrong = float(np.abs(got - value).max())
        _expect(
            wrong <= tolerance * float(np.abs(value).max()),
            f"{how}, {name!r} is that of ONNX Runtime; it is off by {wrong:.3g}",
        )


def _check_ownership(session: Session, feeds: list[Feeds]) -> None:
    given = {name: value.copy() for name, value in feeds[0].items()}
    kept = session.run(given)
    copies = {name: value.copy() for name, value in kept.items()}
    session.run(feeds[1])
    _expect(_equal(given, feeds[0]), "inputs are left alone")
    _expect(_equal(kept, copies), "answers belong to the caller: no later run touches them")
    read_only = {name: np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape) for name, v in feeds[0].items()}
    _expect(_equal(session.run(read_only), copies), "inputs may be read-only")


def _check_threads(session: Session, feeds: list[Feeds]) -> None:
    alone = [session.run(feed) for feed in feeds]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(5):
            if not _equal(session.run(feeds[k]), alone[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(feeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _expect(not wrong, "several threads may run one session at once")


def _check_failure(session: Session, feeds: Feeds) -> None:
    before = session.run(feeds)
    misshapen = {name: np.zeros((1, 2, 3), np.float32) for name in feeds}
    try:
        session.run(misshapen)
    except Exception:  # whatever the runtime raises passes through
        _expect(_equal(session.run(feeds), before), "after a run that fails the next one works")
    else:
        raise BackendBugError("expected: inputs of the wrong shape raise")


def _check_calling_thread(session: Session, feeds: Feeds) -> None:
    spent: list[tuple[int, int]] = []

    def work() -> None:
        session.run(feeds)
        before, began_s, end_s = _ticks(), time.thread_time(), time.monotonic() + 5 * COUNTED_S
        while time.thread_time() - began_s < COUNTED_S and time.monotonic() < end_s:
            session.run(feeds)
        used = {thread: ticks - before.get(thread, 0) for thread, ticks in _ticks().items()}
        spent.append((used.pop(threading.get_native_id()), sum(used.values())))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    mine, others = spent[0]
    # The interpreter's other threads may do a little of their own meanwhile.
    elsewhere = f"{others} ticks of {mine + others} were others'"
    _expect(others <= 2 + mine // 10, f"one thread works on the calling thread; {elsewhere}")


def _ticks() -> dict[int, int]:
    """Ticks of processor time that each thread of this process has used."""
    used = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # ended since
            continue
        used[int(task.name)] = int(fields[11]) + int(fields[12])
    return used


def _refuses(backend: Backend, store: SegmentStore, configuration: Configuration, what: str) -> None:
    core = min(os.sched_getaffinity(0))
    try:
        backend.open(_whole(store), configuration, (core,))
    except UnsupportedError:
        return
    raise BackendBugError(f"expected: {what} refused by an UnsupportedError when the segment is opened")


def _whole(store: SegmentStore) -> SegmentFiles:
    return store.segment(0, store.graph.n_layers)


def _equal(one: Feeds, other: Feeds) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def _expect(right: bool, what: str) -> None:
    if not right:
        raise BackendBugError(f"expected: {what}")


def _write_model(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int):
        return numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "branch"], ["b"], "branch", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "r"], ["s"], "sum"),
        helper.make_node("GlobalAveragePool", ["s"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "head"], ["scores"], "head"),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10]),
    ]
    initializers = [weights("stem", 16, 3, 3, 3), weights("branch", 16, 16, 3, 3), weights("head", 16, 10)]
    graph = helper.make_graph(nodes, "contract", ends[:1], ends[1:], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path
