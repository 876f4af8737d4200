"""TensorRT's layer profiles (``trtexec --exportProfile``): a list of layers in order of execution, with their times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...formulation import LayerGraph, ProfileError, capped
from ..onnx_file import model_sha256
from ..onnx_import import import_onnx
from ..profile import Profile
from .assemble import ImportedCosts, imported_profile
from .files import ForeignFile

BACKEND = "tensorrt"

_KIND = "TensorRT layer profile"
_REMEDY = "Write it again: trtexec --loadEngine=… --dumpProfile --separateProfileRun --exportProfile=FILE."
_RANGE = re.compile(r"^\{ForeignNode\[(.+?)\.\.\.(.+)\]\}$")
_COPY = "Reformatting CopyNode"


@dataclass(frozen=True)
class TensorrtLayer:
    """One layer of an engine.

    Attributes
    ----------
    name : str
        As TensorRT writes it: ``conv1 + relu1`` where layers were fused.
    time_us : float
        Median of its runs, the average where the file has no median.
    """

    name: str
    time_us: float


@dataclass(frozen=True)
class TensorrtProfile:
    """The layers of an engine in order of execution, the number of runs measured, and whether times are medians."""

    source: str
    count: int
    layers: tuple[TensorrtLayer, ...]
    medians: bool


def read_tensorrt_profile(path: str | Path) -> TensorrtProfile:
    """Read a layer profile.

    Parameters
    ----------
    path : str or Path
        ``[{"count": 100}, {"name", "timeMs", "averageMs", "medianMs", "percentage"}, ...]``; older versions of
        trtexec write no ``medianMs``.

    Raises
    ------
    ProfileError
        The file cannot be read or is not of that form; a time is negative or not finite; a name comes twice.
    """
    file = ForeignFile.read(path, _KIND, _REMEDY)
    items = [file.mapping(item, f"[{i}]") for i, item in enumerate(file.sequence(file.data))]
    if not items or "count" not in items[0]:
        file.refuse("a first entry with the key 'count'", f"{len(items)} entries without it")
    count = file.count(items[0]["count"], "[0].count")
    if len(items) < 2 or count < 1:
        file.refuse("at least one layer and one run", f"{len(items) - 1} layers and {count} runs")
    medians = all("medianMs" in item for item in items[1:])
    key = "medianMs" if medians else "averageMs"
    layers = []
    for i, item in enumerate(items[1:], start=1):
        name = file.text(file.key(item, "name", f"[{i}]"), f"[{i}].name")
        layers.append(TensorrtLayer(name, 1000.0 * file.number(file.key(item, key, f"[{i}]"), f"[{i}].{key}")))
    names = [layer.name for layer in layers]
    seen: set[str] = set()
    twice = [name for name in names if name in seen or seen.add(name)]
    if twice:
        file.refuse("every layer once", f"{capped(twice)} twice")
    return TensorrtProfile(Path(path).name, count, tuple(layers), medians)


def import_tensorrt(
    path: str | Path, model: str | Path | None = None, *, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Profile:
    """Costs of an engine's layers as a profile.

    Without a model the layers are a chain under their own names whose tensors and weights have no bytes, since the
    file does not say them. With one, each entry's time goes to the layers that its name names, and a plan cannot cut
    between layers that were fused. Layers that no entry names cost nothing; they belong to the entry before.

    Parameters
    ----------
    path : str or Path
    model : str or Path, optional
        The ONNX file that the engine was built from.
    shapes : mapping, optional
        Sizes of inputs with dynamic dimensions.

    Returns
    -------
    Profile
        With provenance ``imported``.

    Raises
    ------
    ProfileError
        The file does not fit its format, or names layers that the model does not have.
    ModelError, GraphError
        The model cannot be read.
    """
    profile = read_tensorrt_profile(path)
    times = np.array([layer.time_us for layer in profile.layers])
    source = f"{profile.source} of trtexec, {'medians' if profile.medians else 'averages'} of {profile.count} runs"
    if model is None:
        graph = LayerGraph.chain(Path(path).stem, [(layer.name, "TensorRT", 0, 0) for layer in profile.layers], 0)
        warning = "bytes of weights and tensors are not known: plans from this profile say nothing about memory"
        return imported_profile(
            ImportedCosts(graph, graph.sha256, "", times[:, None], {BACKEND: "gpu"}, source, (warning,))
        )
    graph = import_onnx(model, shapes)
    layer_us, whole, unnamed = _matched(profile, graph)
    warnings = (f"no entry of the profile names {capped(unnamed)}: no time",) if unnamed else ()
    return imported_profile(
        ImportedCosts(
            graph,
            model_sha256(model),
            Path(model).name,
            layer_us[:, None],
            {BACKEND: "gpu"},
            source,
            warnings,
            whole,
        )
    )


def fused_names(name: str) -> tuple[str, ...]:
    """Names of the layers that a name of TensorRT's is made of.

    ``a + b`` and ``a || b`` are fused, ``PWN(a, b)`` are pointwise layers run as one, ``{ForeignNode[a...b]}`` is a
    range, which is given as its two ends.
    """
    if found := _RANGE.match(name):
        return found.group(1), found.group(2)
    parts = re.split(r" \+ | \|\| ", name)
    return tuple(
        piece.strip()
        for part in parts
        for piece in (re.sub(r"PWN\(|\)", "", part).split(", ") if part.startswith("PWN(") else (part,))
        if piece.strip()
    )


def _matched(profile: TensorrtProfile, graph: LayerGraph) -> tuple[np.ndarray, list[tuple[int, int]], list[str]]:
    """Times of the model's layers, ranges that stay whole, and the layers that no entry names."""
    index = {layer.name: i for i, layer in enumerate(graph.layers)}
    layer_us = np.zeros(graph.n_layers)
    named = np.zeros(graph.n_layers, dtype=bool)
    whole: list[tuple[int, int]] = []
    lost: list[str] = []
    waiting_us = 0.0
    last = 0
    for entry in profile.layers:
        at = sorted(index[name] for name in fused_names(entry.name) if name in index)
        if not at:
            # A copy into another layout is made for the layer after it.
            waiting_us += entry.time_us
            if not entry.name.startswith(_COPY):
                lost.append(entry.name)
            continue
        if _RANGE.match(entry.name):
            at = list(range(at[0], at[-1] + 1))
        layer_us[at[0]] += entry.time_us + waiting_us
        waiting_us, last = 0.0, at[0]
        named[at] = True
        whole.append((at[0], at[-1] + 1))
    if lost:
        raise ProfileError(
            f"{_KIND} {profile.source}",
            expected=f"layers of model {graph.name!r}",
            got=capped(lost),
            remedy="Give the ONNX file that the engine was built from, or leave --model out.",
        )
    layer_us[last] += waiting_us
    unnamed = [int(i) for i in np.flatnonzero(~named)]
    whole += [(i - 1, i + 1) for i in unnamed if i > 0]
    return layer_us, whole, [graph.layers[i].name for i in unnamed]
