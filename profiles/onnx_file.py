"""ONNX files without their bulk: the graph with large constants left where they are, and ways to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import ModelError, capped
from .cache import sha256_of_file

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto, TensorProto, ValueInfoProto

INLINE_BYTES = 1024
"""Constants up to this size stay in the graph: shape inference reads their values, and a file each would be waste."""


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A parsed ONNX file.

    Attributes
    ----------
    path : Path
    model : ModelProto
        Constants of more than `INLINE_BYTES` hold their type and dimensions only. Owned by this object; copy it before
        changing it.
    constants : dict of str to int
        Bytes of each initialiser.
    """

    path: Path
    model: ModelProto
    constants: Mapping[str, int]
    _bulk: Mapping[str, TensorProto]

    @classmethod
    def read(cls, path: str | Path) -> OnnxFile:
        """Parse a file.

        Raises
        ------
        ModelError
            The file cannot be read or is not an ONNX model.
        """
        from onnx import TensorProto, numpy_helper

        path = Path(path)
        model = _parse(path)
        constants: dict[str, int] = {}
        bulk: dict[str, TensorProto] = {}
        for tensor in model.graph.initializer:
            constants[tensor.name] = tensor_bytes(tensor.data_type, tensor.dims)
            if constants[tensor.name] > INLINE_BYTES:
                bulk[tensor.name] = _detach(tensor)
            elif tensor.data_location == TensorProto.EXTERNAL:
                tensor.CopyFrom(numpy_helper.from_array(_values(tensor, path), tensor.name))
        for sparse in model.graph.sparse_initializer:
            constants[sparse.values.name] = sum(
                tensor_bytes(t.data_type, t.dims) for t in (sparse.values, sparse.indices)
            )
        return cls(path, model, constants, bulk)

    @property
    def bulk(self) -> tuple[str, ...]:
        """Names of the constants whose values are not in `model`."""
        return tuple(self._bulk)

    def constant(self, name: str) -> np.ndarray:
        """Values of one of the `bulk` constants.

        Raises
        ------
        ModelError
            The file that holds them is missing or too short.
        """
        return _values(self._bulk[name], self.path)

    def inputs(self) -> tuple[ValueInfoProto, ...]:
        """Graph inputs that a caller must give (initialisers may be listed as inputs too: those are left out)."""
        return tuple(value for value in self.model.graph.input if value.name not in self.constants)


def model_sha256(path: str | Path) -> str:
    """SHA-256 of a model file and, in the order of their names, of the files with its external data.

    Raises
    ------
    ModelError
        A file is missing.
    """
    path = Path(path)
    files = [path, *(path.parent / name for name in external_files(path))]
    try:
        digests = [sha256_of_file(file) for file in files]
    except OSError as error:
        raise ModelError(
            f"model {path.name}",
            expected="a readable file and its external data beside it",
            got=str(error),
            remedy="Check the path; keep the data files beside the model.",
        ) from error
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def tensor_bytes(element: int, dims: Sequence[int]) -> int:
    """Bytes of a tensor of an ONNX element type. A string counts 16, since its length is not known."""
    from onnx import TensorProto, helper

    count = 1
    for dim in dims:
        count *= dim
    if element == TensorProto.STRING:
        return 16 * count
    if element in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1):
        return (count + 1) // 2
    return count * helper.tensor_dtype_to_np_dtype(element).itemsize


def _parse(path: Path) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ModelError(
            f"model {path}", expected="a readable ONNX file", got=error.strerror or str(error), remedy="Check the path."
        ) from error
    except (DecodeError, ValueError, UnicodeDecodeError) as error:
        raise _not_onnx(path, str(error)) from error
    # Protocol buffers have no magic number: many a file parses as an empty message.
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise _not_onnx(path, "a file without a graph")
    return model


def _not_onnx(path: Path, got: str) -> ModelError:
    return ModelError(
        f"model {path.name}",
        expected="an ONNX model",
        got=got,
        remedy="Export the model to ONNX, for instance with `torch.onnx.export`.",
    )


def _values(tensor: TensorProto, path: Path) -> np.ndarray:
    """Values of an initialiser of the model at `path`, wherever they are kept."""
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor, base_dir=str(path.parent))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"constant {tensor.name!r} of model {path.name}",
            expected="its values in the file of external data that the model names",
            got=str(error),
            remedy="Put the model's data files beside it, whole.",
        ) from error


def _detach(tensor: TensorProto) -> TensorProto:
    """Copy of a tensor with its values; the tensor itself keeps name, type and dimensions."""
    from onnx import TensorProto

    full = TensorProto()
    full.CopyFrom(tensor)
    bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    bare.data_location = TensorProto.EXTERNAL
    bare.external_data.add(key="location", value="detached")
    tensor.CopyFrom(bare)
    return full


def external_files(path: Path) -> list[str]:
    """Names of the files beside a model that hold its external data, in the order in which its digest takes them.

    Raises
    ------
    ModelError
        The file cannot be read or is not an ONNX model.
    """
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    tensors = _parse(path).graph.initializer
    return sorted({ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)})


def fixed_sizes(
    file: OnnxFile, shapes: Mapping[str, Sequence[int]] | None = None, batch: int = 1
) -> dict[str, tuple[int, ...]]:
    """Sizes of every graph input.

    Parameters
    ----------
    file : OnnxFile
    shapes : mapping of str to sequence of int, optional
        Sizes for inputs with dynamic dimensions; must agree with the dimensions that the file fixes.
    batch : int
        Size of a leading dimension that is the only dynamic one of its input.

    Raises
    ------
    ModelError
        A dimension has no size, or `shapes` contradicts the file.
    """
    given = dict(shapes or {})
    sizes = {value.name: _sizes(file.path.name, value, given.pop(value.name, None), batch) for value in file.inputs()}
    if given:
        raise ModelError(
            f"sizes for inputs of model {file.path.name}",
            expected=f"names among {capped(sizes)}",
            got=capped(given),
            remedy="Correct the names given with --shape.",
        )
    return sizes


def _sizes(model: str, value: ValueInfoProto, given: Sequence[int] | None, batch: int) -> tuple[int, ...]:
    subject = f"input {value.name!r} of model {model}"
    tensor = value.type.tensor_type
    declared = [d.dim_value if d.HasField("dim_value") else (d.dim_param or "?") for d in tensor.shape.dim]
    shown = f"[{', '.join(str(d) for d in declared)}]"
    if given is not None:
        agrees = not tensor.HasField("shape") or len(given) == len(declared)
        fits = agrees and all(
            size == d for size, d in zip(given, declared, strict=False) if isinstance(d, int) and d > 0
        )
        if not fits or any(size < 1 for size in given):
            raise ModelError(
                subject,
                expected=f"sizes of 1 or more that fit {shown}",
                got=f"[{', '.join(str(size) for size in given)}]",
                remedy=f"Correct --shape {value.name}=…",
            )
        return tuple(int(size) for size in given)
    open_dims = [i for i, d in enumerate(declared) if not isinstance(d, int) or d < 1]
    if open_dims == [0]:
        return (batch, *(int(d) for d in declared[1:]))
    if open_dims or not tensor.HasField("shape"):
        where = f", dimension {open_dims[0]}" if open_dims else ""
        example = ",".join(str(d) if isinstance(d, int) and d > 0 else "1" for d in declared) or "1,3,224,224"
        raise ModelError(
            subject + where,
            expected="a size known before the run",
            got=f"dynamic dimensions {shown}" if open_dims else "no shape at all",
            remedy=f"Give the sizes: --shape {value.name}={example} (with the sizes you want).",
        )
    return tuple(int(d) for d in declared)


def has_open_batch(file: OnnxFile) -> bool:
    """Whether every input's leading dimension, and nothing else, is left open: such a model runs at any batch size."""
    dims = [value.type.tensor_type.shape.dim for value in file.inputs()]
    return all(
        len(d) > 0 and not d[0].HasField("dim_value") and all(x.HasField("dim_value") for x in d[1:]) for d in dims
    )
