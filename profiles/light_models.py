"""Real architectures to start with: the light models of the ``onnx`` wheel, given seeded random weights.

The wheel ships them without weights: every weight is a ``ConstantOfShape`` node. Such a model computes constants over and
over and its outputs are degenerate. Here each weight becomes an initialiser drawn at random (He-scaled, so that
activations keep their size from layer to layer: doi 10.1109/ICCV.2015.123). Times and memory are those of the real
architecture; the answers mean nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..formulation import ModelError, capped
from .cache import build_once, cache_dir
from .inputs import declared_inputs

if TYPE_CHECKING:
    import onnx

_FORMAT = 2
_SEED = 0


def light_models() -> dict[str, Path]:
    """Light models of the installed ``onnx`` package by short name, for instance ``resnet50``."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return {f.stem.removeprefix("light_").removeprefix("bvlc_"): f for f in sorted(folder.glob("light_*.onnx"))}


def resolve_model(name: str | Path, relative_to: Path | None = None) -> Path:
    """Path of a model: a file, or a light model by name, which is materialised into the user's cache.

    Parameters
    ----------
    name : str or Path
    relative_to : Path, optional
        Folder that a relative path counts from.

    Raises
    ------
    ModelError
        Neither a file nor the name of a light model.
    """
    path = (relative_to or Path()) / name
    if path.is_file():
        return path
    models = light_models()
    if str(name) not in models:
        raise ModelError(
            f"model {str(name)!r}",
            expected=f"an ONNX file or one of {', '.join(models)}",
            got="neither",
            remedy="Check the path.",
        )
    return materialise(models[str(name)], str(name))


def materialise(source: Path, name: str, cache: Path | None = None) -> Path:
    """Write a model with seeded random weights in place of ``ConstantOfShape`` nodes into the cache, once."""
    digest = hashlib.sha256(source.read_bytes() + bytes([_FORMAT, _SEED])).hexdigest()[:16]
    folder = (cache or cache_dir()) / "models" / f"{name}-{digest}"
    path = folder / f"{name}.onnx"
    if not path.is_file():
        build_once(folder, lambda made: _materialise(source, made / path.name))
    return path


def _materialise(source: Path, target: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    graph = model.graph
    known = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    shapes = {n.output[0]: known[n.input[0]].tolist() for n in graph.node if n.op_type == "ConstantOfShape"}
    kept = [n for n in graph.node if n.op_type not in ("Constant", "ConstantOfShape")]
    readers = {t: (n, k) for n in kept for k, t in enumerate(n.input)}
    used = set(readers)
    weights = {t: _draw(t, shape, *readers[t]) for t, shape in shapes.items() if t in used}
    weights |= {t: values for t, values in known.items() if t in used}
    inputs = [i for i in graph.input if i.name not in known and i.name not in weights]
    _refuse_surprises(source, kept, weights, [i.name for i in inputs])
    del graph.node[:], graph.initializer[:], graph.input[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.input.extend(inputs)
    graph.initializer.extend(numpy_helper.from_array(values, t) for t, values in weights.items())
    model.ir_version = max(model.ir_version, 4)  # before that, initialisers had to be inputs too
    _normalise_batches(model)
    onnx.save(model, target)


def _normalise_batches(model: onnx.ModelProto) -> None:
    """Set every batch normalisation's mean and variance to those of a sample, as training would have left them.

    With other statistics activations grow from block to block until the output is a single one. All are found in one
    run, in which each batch normalisation is replaced by the instance normalisation that does the same for one sample.
    """
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for node in probe.graph.node:
        if node.op_type == "BatchNormalization":
            instance = helper.make_node("InstanceNormalization", node.input[:3], node.output[:1], epsilon=1e-5)
            node.CopyFrom(instance)
    del probe.graph.output[:]
    watched = list(dict.fromkeys(node.input[0] for node in norms))
    probe.graph.output.extend(helper.make_tensor_value_info(t, onnx.TensorProto.FLOAT, None) for t in watched)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it would list the statistics that the probe does not use
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    seen = dict(zip(watched, session.run(None, declared_inputs(model, _SEED, "light model")), strict=True))
    statistics = {}
    for node in norms:
        activations = np.asarray(seen[node.input[0]], dtype=np.float64)
        axes = (0, *range(2, activations.ndim))
        statistics[node.input[3]] = activations.mean(axis=axes).astype(np.float32)
        statistics[node.input[4]] = np.maximum(activations.var(axis=axes), 1e-3).astype(np.float32)
    for initializer in model.graph.initializer:
        if initializer.name in statistics:
            initializer.CopyFrom(numpy_helper.from_array(statistics[initializer.name], initializer.name))


def _draw(tensor: str, shape: list[int], reader: onnx.NodeProto, position: int) -> np.ndarray:
    rng = np.random.default_rng([_SEED, zlib.crc32(tensor.encode())])
    if reader.op_type == "BatchNormalization":
        # scale, bias, mean, variance: near the identity, the variance positive
        centre = (1.0, 0.0, 0.0, 1.0)[position - 1]
        return (centre + 0.1 * rng.uniform(-1, 1, shape)).astype(np.float32)
    if position == 1 and len(shape) >= 2:
        if reader.op_type == "Conv":
            return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[1:])), shape).astype(np.float32)
        return rng.normal(0.0, np.sqrt(1.0 / max(shape)), shape).astype(np.float32)
    return (0.01 * rng.normal(size=shape)).astype(np.float32)


def _refuse_surprises(
    source: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], inputs: list[str]
) -> None:
    written = {t for node in nodes for t in node.output} | set(weights) | set(inputs)
    lost = [t for node in nodes for t in node.input if t and t not in written]
    if lost:
        raise ModelError(
            f"light model {source.name}",
            expected="weights that are ConstantOfShape nodes",
            got=f"tensors of another origin: {capped(lost)}",
            remedy="Install a version of onnx from 1.17 on.",
        )
