"""Run as a program: measures what segments need in memory, each in a process of its own.

Reads one task a line on standard input, writes one result a line on standard output. Every task is done in a child
forked from here after the imports, so that a fresh process costs milliseconds and nothing of one task is left for the
next. The child first opens and runs a very small model, so that the runtime's own libraries are loaded and not counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..formulation import Configuration
from .backends import open_backend
from .segments import SegmentFiles

RUNS = 2


def main() -> None:
    """Serve tasks until the input ends."""
    for name in ("onnxruntime", "openvino"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)  # imports start no threads, so that forking afterwards is safe
    with TemporaryDirectory() as folder:
        small = _write_small_model(Path(folder))
        for line in sys.stdin:
            print(json.dumps(_in_child(json.loads(line), small)), flush=True)


def _in_child(task: dict[str, Any], small: SegmentFiles) -> dict[str, Any]:
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        try:
            result = _measure(task, small)
        except BaseException:
            result = {"error": traceback.format_exc(limit=-1).strip()}
        with os.fdopen(writable, "w") as pipe:
            pipe.write(json.dumps(result))
        os._exit(0)  # runtimes' threads would make an orderly exit hang
    os.close(writable)
    with os.fdopen(readable) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer) if answer else {"error": "the measuring process ended without a result"}


def _measure(task: dict[str, Any], small: SegmentFiles) -> dict[str, Any]:
    configuration = Configuration.model_validate(task["configuration"])
    cores = tuple(task["cores"])
    os.sched_setaffinity(0, set(cores) or os.sched_getaffinity(0))
    backend = open_backend(configuration.backend)
    warm = backend.open(small, configuration, cores)  # loads the runtime's own libraries
    warm.run({"x": np.zeros((1, 4, 8, 8), np.float32)})
    warm.close()
    # Allocated and touched before, for they are not the session's.
    feeds = {name: np.ones(shape, np.dtype(kind)) for name, (kind, shape) in task["feeds"].items()}
    segment = SegmentFiles(Path(task["source"]), task["label"], tuple(task["inputs"]), tuple(task["outputs"]))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = _resident()
    session = backend.open(segment, configuration, cores)
    opened = _resident()
    for _ in range(RUNS):
        session.run(feeds)
    after = _resident()
    return {
        "opened_bytes": opened["VmRSS"] - before["VmRSS"],
        "anonymous_bytes": after["RssAnon"] - before["RssAnon"],
        "mapped_bytes": after["RssFile"] - before["RssFile"],
        "peak_bytes": after["VmHWM"] - before["VmRSS"],
    }


def _write_small_model(folder: Path) -> SegmentFiles:
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in ("x", "y")]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 4, 3, 3], [0.1] * 144)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "small", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "small.onnx"))
    return SegmentFiles(folder / "small.onnx", "small", ("x",), ("y",))


def _resident() -> dict[str, int]:
    """Bytes resident now by kind, and the peak."""
    fields = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {f[0].rstrip(":"): int(f[1]) * 1024 for f in fields if f and f[0].startswith(("Vm", "Rss"))}


if __name__ == "__main__":
    main()
