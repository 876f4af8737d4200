"""Layer graphs: a model as a DAG of layers joined by tensors.

Tensors, not edges, carry the bytes: a tensor that several layers read is one object in memory and crosses a link once.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import GraphError, capped


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of a model.

    Attributes
    ----------
    name : str
        Unique within the graph.
    op_type : str
        Operator type, for instance ``Conv``.
    weight_bytes : int
        Bytes of the constants the layer reads. A constant that two layers share counts at both: a plan may part them.
    inputs : tuple of str
        Names of the tensors it reads.
    outputs : tuple of (str, int)
        Names and bytes of the tensors it writes.
    """

    name: str
    op_type: str
    weight_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """A validated DAG of layers in topological order. Make one with `LayerGraph.build`.

    Attributes
    ----------
    name : str
        The model's name.
    layers : tuple of Layer
        In topological order; layer indices everywhere refer to it.
    inputs : tuple of (str, int)
        Graph inputs and their bytes.
    outputs : tuple of str
        Tensors that leave the graph.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[str, ...]

    @classmethod
    def build(
        cls,
        name: str,
        layers: Iterable[Layer],
        inputs: Mapping[str, int],
        outputs: Iterable[str],
    ) -> LayerGraph:
        """Validate layers given in any order and sort them topologically.

        The order is stable: among layers that are ready, the one given first comes first.

        Raises
        ------
        GraphError
            No layer; a name used twice; a tensor read but never written; negative bytes; a cycle (named).
        """
        given = tuple(layers)
        if not given:
            raise GraphError(f"graph {name!r}", expected="at least one layer", got="none", remedy="Add layers.")
        _refuse_duplicates(name, "layer name", [layer.name for layer in given])
        written = [tensor for layer in given for tensor, _ in layer.outputs] + list(inputs)
        _refuse_duplicates(name, "tensor", written)
        _refuse_negative(name, given, inputs)
        known = set(written)
        for layer in given:
            missing = [tensor for tensor in layer.inputs if tensor not in known]
            if missing:
                raise GraphError(
                    f"layer {layer.name!r} of graph {name!r}",
                    expected="inputs that a layer writes or that are graph inputs",
                    got=capped(missing),
                    remedy="Add the layer that writes them, or name them as graph inputs.",
                )
        outs = tuple(outputs)
        lost = [tensor for tensor in outs if tensor not in known]
        if lost or not outs:
            raise GraphError(
                f"outputs of graph {name!r}",
                expected="at least one tensor that the graph writes",
                got=capped(lost) or "none",
                remedy="Name the tensors that leave the graph.",
            )
        return cls(name, _topological(name, given), tuple(inputs.items()), outs)

    @classmethod
    def chain(cls, name: str, layers: Sequence[tuple[str, str, int, int]], input_bytes: int) -> LayerGraph:
        """Build a chain from ``(name, op_type, weight_bytes, output_bytes)`` of each layer."""
        built: list[Layer] = []
        previous = "input"
        for layer_name, op_type, weight_bytes, output_bytes in layers:
            tensor = f"{layer_name}:out"
            built.append(Layer(layer_name, op_type, weight_bytes, (previous,), ((tensor, output_bytes),)))
            previous = tensor
        return cls.build(name, built, {"input": input_bytes}, (previous,))

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @cached_property
    def tensor_names(self) -> tuple[str, ...]:
        """Graph inputs first, then every layer's outputs in topological order."""
        return tuple(name for name, _ in self.inputs) + tuple(t for layer in self.layers for t, _ in layer.outputs)

    @cached_property
    def tensor_index(self) -> dict[str, int]:
        """Index of each tensor in `tensor_names`."""
        return {name: index for index, name in enumerate(self.tensor_names)}

    @cached_property
    def tensor_bytes(self) -> NDArray[np.int64]:
        """Bytes of each tensor, shape (t,)."""
        sizes = [size for _, size in self.inputs] + [size for layer in self.layers for _, size in layer.outputs]
        return np.array(sizes, dtype=np.int64)

    @cached_property
    def tensor_producer(self) -> NDArray[np.int64]:
        """Layer that writes each tensor, −1 for graph inputs, shape (t,)."""
        writers = [-1] * len(self.inputs) + [i for i, layer in enumerate(self.layers) for _ in layer.outputs]
        return np.array(writers, dtype=np.int64)

    @cached_property
    def tensor_consumers(self) -> tuple[tuple[int, ...], ...]:
        """Layers that read each tensor, ascending, each once."""
        readers: list[list[int]] = [[] for _ in self.tensor_names]
        for i, layer in enumerate(self.layers):
            for tensor in dict.fromkeys(layer.inputs):
                readers[self.tensor_index[tensor]].append(i)
        return tuple(tuple(r) for r in readers)

    @cached_property
    def tensor_last_use(self) -> NDArray[np.int64]:
        """Last layer that needs each tensor, `n_layers` for graph outputs; the producer where nobody reads it."""
        last = np.array([c[-1] if c else p for c, p in zip(self.tensor_consumers, self.tensor_producer, strict=True)])
        last = last.astype(np.int64)
        for tensor in self.outputs:
            last[self.tensor_index[tensor]] = self.n_layers
        return last

    @cached_property
    def weight_bytes(self) -> NDArray[np.int64]:
        """Constant bytes of each layer, shape (n,)."""
        return np.array([layer.weight_bytes for layer in self.layers], dtype=np.int64)

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """Layers whose tensors each layer reads."""
        return tuple(
            tuple(sorted({int(p) for t in layer.inputs if (p := self.tensor_producer[self.tensor_index[t]]) >= 0}))
            for layer in self.layers
        )

    def frontier(self, position: int) -> tuple[int, ...]:
        """Tensors that cross the cut before layer `position`: written (or given) before it and needed at or after it.

        At position 0 these are the graph inputs that a layer reads, at `n_layers` the graph outputs.
        """
        crosses = (self.tensor_producer < position) & (self.tensor_last_use >= position)
        return tuple(int(t) for t in np.flatnonzero(crosses))

    @cached_property
    def frontier_tensors(self) -> NDArray[np.int64]:
        """How many tensors cross each cut position, shape (n + 1,)."""
        return self._accumulate_crossings(np.ones_like(self.tensor_bytes))

    @cached_property
    def frontier_bytes(self) -> NDArray[np.int64]:
        """Bytes that cross each cut position, shape (n + 1,)."""
        return self._accumulate_crossings(self.tensor_bytes)

    def _accumulate_crossings(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        steps = np.zeros(self.n_layers + 2, dtype=np.int64)
        np.add.at(steps, self.tensor_producer + 1, weights)
        np.subtract.at(steps, self.tensor_last_use + 1, weights)
        return np.cumsum(steps)[: self.n_layers + 1]

    @cached_property
    def live_bytes(self) -> NDArray[np.int64]:
        """Tensor bytes alive while each layer runs, its inputs and outputs included, shape (n,)."""
        steps = np.zeros(self.n_layers + 2, dtype=np.int64)
        np.add.at(steps, np.maximum(self.tensor_producer, 0), self.tensor_bytes)
        np.subtract.at(steps, np.minimum(self.tensor_last_use, self.n_layers) + 1, self.tensor_bytes)
        return np.cumsum(steps)[: self.n_layers]

    @cached_property
    def sha256(self) -> str:
        """Digest of the canonical JSON of this graph."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "name": self.name,
            "inputs": dict(self.inputs),
            "outputs": list(self.outputs),
            "layers": [
                {
                    "name": layer.name,
                    "op_type": layer.op_type,
                    "weight_bytes": layer.weight_bytes,
                    "inputs": list(layer.inputs),
                    "outputs": dict(layer.outputs),
                }
                for layer in self.layers
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerGraph:
        """Rebuild and validate a graph from `to_dict`'s form.

        Raises
        ------
        GraphError
            A key is missing or of the wrong kind, or the graph is not valid.
        """
        try:
            layers = [
                Layer(
                    str(item["name"]),
                    str(item["op_type"]),
                    int(item["weight_bytes"]),
                    tuple(item["inputs"]),
                    tuple((str(name), int(size)) for name, size in item["outputs"].items()),
                )
                for item in data["layers"]
            ]
            return cls.build(str(data["name"]), layers, dict(data["inputs"]), tuple(data["outputs"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise GraphError(
                "graph data",
                expected="name, inputs, outputs and layers as `LayerGraph.to_dict` writes them",
                got=f"{type(error).__name__}: {error}",
                remedy="Write the file again, or check the key that is named.",
            ) from error


def _refuse_duplicates(graph: str, kind: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    twice = [name for name in names if name in seen or seen.add(name)]
    if twice:
        raise GraphError(f"{kind}s of graph {graph!r}", expected="each once", got=capped(twice), remedy="Rename them.")


def _refuse_negative(graph: str, layers: Iterable[Layer], inputs: Mapping[str, int]) -> None:
    bad = [f"{name} = {size}" for name, size in inputs.items() if size < 0]
    for layer in layers:
        bad += [f"weights of {layer.name} = {layer.weight_bytes}"] if layer.weight_bytes < 0 else []
        bad += [f"{tensor} = {size}" for tensor, size in layer.outputs if size < 0]
    if bad:
        raise GraphError(
            f"bytes in graph {graph!r}", expected="0 or more", got=capped(bad), remedy="Correct the sizes."
        )


def _topological(graph: str, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Kahn's algorithm with the given order as the tie-break (doi 10.1145/368996.369025)."""
    writer = {tensor: i for i, layer in enumerate(layers) for tensor, _ in layer.outputs}
    needs = [{writer[t] for t in layer.inputs if t in writer} for layer in layers]
    readers: list[list[int]] = [[] for _ in layers]
    for i, sources in enumerate(needs):
        for source in sources:
            readers[source].append(i)
    waiting = [len(sources) for sources in needs]
    ready = [i for i, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for reader in readers[i]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(layers):
        raise GraphError(
            f"graph {graph!r}",
            expected="no cycle",
            got="a cycle through " + capped(layers[i].name for i in _cycle(needs, set(order))),
            remedy="Break the cycle: a layer cannot need its own output.",
        )
    return tuple(layers[i] for i in order)


def _cycle(needs: Sequence[set[int]], done: set[int]) -> list[int]:
    """Walk backwards from a layer that never became ready until one repeats."""
    at = next(i for i in range(len(needs)) if i not in done)
    path: dict[int, None] = {}  # in the order of the walk; a list would be searched whole at every step
    while at not in path:
        path[at] = None
        at = min(source for source in needs[at] if source not in done)
    walked = list(path)
    return walked[walked.index(at) :]
