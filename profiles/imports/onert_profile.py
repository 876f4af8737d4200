"""onert's operator times applied to the layers of an ONNX model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ...formulation import LayerGraph, ProfileError, capped
from ..onnx_file import model_sha256
from ..onnx_import import import_onnx
from ..profile import Profile
from .assemble import ImportedCosts, imported_profile, refuse_unplanned
from .onert_links import fit_links
from .onert_operators import layer_operators, onert_names
from .onert_times import OnertTimes, lacking_text, read_onert_times, untimed

PREFIX = "onert-"
"""Backends of onert are called so in profiles and plans: ``onert-acl_cl``."""

PROCESSORS: Mapping[str, str] = MappingProxyType(
    {
        "acl_cl": "gpu",
        "acl_neon": "cpu",
        "cpu": "cpu",
        "gpu_cl": "gpu",
        "ruy": "cpu",
        "trix": "npu",
        "xnnpack": "cpu",
    }
)
"""Which processor each backend of onert drives."""


def import_onert(
    path: str | Path,
    model: str | Path,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    quantised: bool = False,
    fused: Collection[str] = (),
    processors: Mapping[str, str] | None = None,
) -> Profile:
    """Apply an ``exec_time.json`` to an ONNX model.

    A layer costs the time of its operator at its flattened bytes: inputs, constants and outputs together. Operators
    are found by their names in onert, older class names too; a convolution with one channel a group is
    ``DepthwiseConv2D``.

    Parameters
    ----------
    path : str or Path
        ``exec_time.json``.
    model : str or Path
        ONNX file.
    shapes : mapping, optional
        Sizes of inputs with dynamic dimensions.
    quantised : bool
        Which of the times to take.
    fused : collection of str
        Operators of ONNX that the runtime runs along with the layer before, which cost nothing where they have no
        time of their own, and which no plan parts from it: ``Relu`` and ``BatchNormalization``, commonly.
    processors : mapping of str to str, optional
        Processor of backends that `PROCESSORS` does not have, or other ones for those that it has.

    Returns
    -------
    Profile
        With provenance ``imported``. Its warnings name the operators that a backend has no times for.

    Raises
    ------
    ProfileError
        The file does not fit its format, a backend's processor is not known, or no backend has times for a layer.
    ModelError, GraphError
        The model cannot be read.
    """
    times = read_onert_times(path)
    named = {**PROCESSORS, **(processors or {})}
    unknown = [backend for backend in times.backends if backend not in named]
    if unknown:
        raise ProfileError(
            f"backends of {times.source}",
            expected=f"known ones ({capped(PROCESSORS)}), or their processors",
            got=capped(unknown),
            remedy=f"Say which processor each of them drives: --processor {unknown[0]}=npu.",
        )
    graph = import_onnx(model, shapes)
    operators = layer_operators(model, graph)
    layer_us = _layer_us(times, graph, operators, quantised, fused)
    untimed_layers = np.flatnonzero(np.isnan(layer_us).all(axis=1))
    missing = dict.fromkeys(f"{operators[i]} ({' or '.join(onert_names(operators[i]))})" for i in untimed_layers)
    refuse_unplanned(
        "exec_time.json of onert",
        str(path),
        tuple(missing),
        "Profile these operators with onert, or say by --fused that they run along with the layer before.",
    )
    lacking = untimed(
        times, {operator: onert_names(operator) for operator in operators if operator not in fused}, quantised
    )
    return imported_profile(
        ImportedCosts(
            graph,
            model_sha256(model),
            Path(model).name,
            layer_us,
            {PREFIX + backend: named[backend] for backend in times.backends},
            f"{times.source} of onert",
            lacking_text(lacking),
            # From the producer on: what is between the two in the order stays with them.
            [
                (max(before), i + 1)
                for i, (operator, before) in enumerate(zip(operators, graph.predecessors, strict=True))
                if operator in fused and before
            ],
            fit_links(times, named, quantised),
        )
    )


def layer_io_bytes(graph: LayerGraph) -> np.ndarray:
    """Bytes of each layer's inputs, constants and outputs, by which onert looks times up, shape (n,)."""
    size = dict(zip(graph.tensor_names, graph.tensor_bytes.tolist(), strict=True))
    return np.array(
        [
            sum(size[tensor] for tensor in dict.fromkeys(layer.inputs))
            + layer.weight_bytes
            + sum(n_bytes for _, n_bytes in layer.outputs)
            for layer in graph.layers
        ],
        dtype=np.float64,
    )


def _layer_us(
    times: OnertTimes, graph: LayerGraph, operators: tuple[str, ...], quantised: bool, fused: Collection[str]
) -> np.ndarray:
    sizes = layer_io_bytes(graph)
    layer_us = np.full((graph.n_layers, len(times.backends)), np.nan)
    for i, operator in enumerate(operators):
        for c, backend in enumerate(times.backends):
            found = (times.time_us(backend, name, quantised, sizes[i]) for name in onert_names(operator))
            layer_us[i, c] = next((us for us in found if not np.isnan(us)), 0.0 if operator in fused else np.nan)
    return layer_us
