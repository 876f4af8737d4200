"""Random inputs for models, for measuring and for warming up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .onnx_file import OnnxFile, fixed_sizes


def sample_inputs(
    path: str | Path, *, batch: int = 1, seed: int = 0, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, np.ndarray]:
    """Draw inputs for a model: standard normal numbers; zeros and ones for integers, which often are indices.

    Raises
    ------
    ModelError
        The file is not a model, or an input has no size.
    """
    from onnx import helper

    file = OnnxFile.read(path)
    sizes = fixed_sizes(file, shapes, batch)
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in file.inputs():
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if np.issubdtype(dtype, np.integer) or dtype == np.bool_:
            feeds[value.name] = rng.integers(0, 2, sizes[value.name]).astype(dtype)
        else:
            feeds[value.name] = rng.standard_normal(sizes[value.name]).astype(dtype)
    return feeds
