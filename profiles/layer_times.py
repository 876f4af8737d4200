"""Times of single layers, from the runtimes' own counters.

They only say how the time of a unit is shared among its layers, and where the units' cuts go: what a unit takes is
measured.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..formulation import LayerGraph
from .backends.onnxruntime_cpu import session_options
from .segments import SegmentFiles

PROFILER_US = 2.5
"""Microseconds that ONNX Runtime's profiler adds to each node's own time."""

RUNS = 4
"""Runs to take medians over; a first one is left out."""


def onnxruntime_layer_us(
    model: SegmentFiles, graph: LayerGraph, feeds: Mapping[str, np.ndarray]
) -> NDArray[np.float64]:
    """Microseconds of each layer in ONNX Runtime on the calling thread, shape (n,).

    Taken at level EXTENDED, where every tensor keeps its name, so that a fused node covers the layers between its
    outputs and what other nodes write. Its time goes to the first layer it covers, the one that does the work: what is
    fused into it costs nothing more.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        optimised = Path(scratch) / "optimised.onnx"
        options = session_options(1, (), "ORT_ENABLE_EXTENDED")
        options.optimized_model_filepath = str(optimised)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(str(model.source), options, providers=["CPUExecutionProvider"])
        for _ in range(1 + RUNS):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text())
        nodes = onnx.load(str(optimised), load_external_data=False).graph.node
    durations: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            durations[event["name"].removesuffix("_kernel_time")].append(float(event["dur"]))
    written = {tensor for node in nodes for tensor in node.output}
    layer_us = np.zeros(graph.n_layers)
    for node in nodes:
        times = durations.get(node.name)
        if times:
            us = max(float(np.median(times[1:] or times)) - PROFILER_US, 0.0)
            layer_us[_first_covered(graph, [t for t in node.output if t], written)] += us
    return layer_us


def openvino_layer_us(
    model: SegmentFiles, graph: LayerGraph, feeds: Mapping[str, np.ndarray]
) -> NDArray[np.float64] | None:
    """Microseconds of each layer in OpenVINO on the calling thread, shape (n,); None where they cannot be told.

    The plugin notes which original layers each executed node stands for; its time goes to the first of them. The time
    of nodes that stand for none (changes of layout between layers) is left out; should that be more than a quarter, or
    should the layers go by other names, the answer is None.
    """
    import openvino

    from .backends.openvino_cpu import properties

    core = openvino.Core()
    compiled = core.compile_model(str(model.source), "CPU", {**properties(1), "PERF_COUNT": True})
    request = compiled.create_infer_request()
    for _ in range(1 + RUNS):
        request.infer(dict(feeds))
    index = {layer.name: i for i, layer in enumerate(graph.layers)}
    index |= {tensor: i for i, layer in enumerate(graph.layers) for tensor, _ in layer.outputs if tensor not in index}
    layer_us = np.zeros(graph.n_layers)
    total_us = 0.0
    for node in compiled.get_runtime_model().get_ordered_ops():
        measured = node.rt_info["execTimeMcs"].astype(str)
        if not measured.isdigit():  # constants and the like are not executed
            continue
        total_us += float(measured)
        layers = [index[name] for name in node.rt_info["originalLayersNames"].astype(str).split(",") if name in index]
        if layers:
            layer_us[min(layers)] += float(measured)
    return layer_us if layer_us.sum() >= 0.75 * total_us > 0 else None


def _first_covered(graph: LayerGraph, outputs: Iterable[str], written: set[str]) -> int:
    """First layer of the slice that leads backwards from some tensors to what is in `written` or a graph input."""
    stack = [tensor for tensor in outputs if tensor in graph.tensor_index]
    covered: set[int] = set()
    while stack:
        layer = int(graph.tensor_producer[graph.tensor_index[stack.pop()]])
        if layer >= 0 and layer not in covered:
            covered.add(layer)
            stack += [tensor for tensor in graph.layers[layer].inputs if tensor not in written]
    return min(covered, default=0)
