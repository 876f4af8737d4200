"""Inputs to run a model with when nobody gave any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..formulation import ModelError

if TYPE_CHECKING:
    import onnx


def sample_inputs(path: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs of the shapes and types that a model declares; a dynamic first dimension counts as 1.

    Raises
    ------
    ModelError
        Another dimension is dynamic.
    """
    import onnx

    return declared_inputs(onnx.load(path, load_external_data=False), seed, path.name)


def declared_inputs(model: onnx.ModelProto, seed: int, subject: str) -> dict[str, np.ndarray]:
    """`sample_inputs` of a model that is loaded already; `subject` names it in errors."""
    import onnx

    given = {initializer.name for initializer in model.graph.initializer}
    rng = np.random.default_rng(seed)
    inputs = {}
    for declared in model.graph.input:
        if declared.name in given:
            continue
        tensor = declared.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
        shape = [1 if not size and k == 0 else size for k, size in enumerate(shape)]
        if 0 in shape:
            raise ModelError(
                f"input {declared.name!r} of {subject}",
                expected="a size for every dimension but the first",
                got=f"a dynamic dimension {shape.index(0)}",
                remedy="Fix the size in the model, for instance with onnxruntime.tools.make_dynamic_shape_fixed.",
            )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(dtype, np.floating):
            inputs[declared.name] = rng.normal(size=shape).astype(dtype)
        else:
            inputs[declared.name] = rng.integers(0, 2, size=shape).astype(dtype)
    return inputs
