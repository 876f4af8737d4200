"""Models by name: the light models of the ``onnx`` package, and files with dynamic sizes made static."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..formulation import ModelError
from .cache import cache_root, exclusive, written_whole
from .onnx_file import OnnxFile, fixed_sizes, model_sha256

RECIPE = "v1"
"""Goes into the cache path; raise it when materialised models change."""

_PREFIXES = ("light_bvlc_", "light_")


def light_model_names() -> tuple[str, ...]:
    """Names of the light models that the installed ``onnx`` package brings."""
    return tuple(sorted(_light_files()))


def resolve_model(
    model: str | Path, relative_to: Path | None = None, shapes: Mapping[str, Sequence[int]] | None = None
) -> Path:
    """Find the file of a model.

    Parameters
    ----------
    model : str or Path
        An ONNX file, or the name of a light model. Light models come without weights; theirs are drawn at random from a
        fixed seed and kept in the cache.
    relative_to : Path, optional
        Folder that a relative path counts from.
    shapes : mapping of str to sequence of int, optional
        Sizes for dynamic inputs. The file returned is then a copy in the cache with exactly these sizes.

    Raises
    ------
    ModelError
        No such file or name, not ONNX, or sizes that do not fit.
    """
    path = (relative_to or Path()) / model
    if not path.is_file():
        path = _light_model(str(model))
    return _with_sizes(path, shapes) if shapes else path


def _light_files() -> dict[str, Path]:
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    names = {}
    for path in folder.glob("light_*.onnx"):
        prefix = next(p for p in _PREFIXES if path.name.startswith(p))
        names[path.stem.removeprefix(prefix)] = path
    return names


def _light_model(name: str) -> Path:
    files = _light_files()
    if name not in files:
        raise ModelError(
            f"model {name!r}",
            expected=f"an ONNX file or one of {', '.join(sorted(files))}",
            got="neither",
            remedy="Check the path or the name.",
        )
    target = cache_root() / "models" / RECIPE / f"{name}.onnx"
    if not target.exists():
        with exclusive(target.parent):
            if not target.exists():
                from .materialise import materialise

                with written_whole(target) as temporary:
                    temporary.write_bytes(materialise(files[name]).SerializeToString(deterministic=True))
    return target


def _with_sizes(path: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    import onnx

    sizes = fixed_sizes(OnnxFile.read(path), shapes)
    label = ";".join(f"{name}={','.join(map(str, dims))}" for name, dims in sorted(sizes.items()))
    key = hashlib.sha256(f"{model_sha256(path)} {label}".encode()).hexdigest()[:16]
    target = cache_root() / "models" / "static" / key / path.name
    if not target.exists():
        with exclusive(target.parent):
            model = onnx.load(str(path))
            for value in model.graph.input:
                if value.name in sizes:
                    value.type.tensor_type.ClearField("shape")
                    value.type.tensor_type.shape.SetInParent()
                    for size in sizes[value.name]:
                        value.type.tensor_type.shape.dim.add(dim_value=size)
            data = target.with_name(f"{target.name}.data")
            data.unlink(missing_ok=True)
            # The graph is renamed into place last: where it is, its data is whole.
            with written_whole(target) as temporary:
                onnx.save(model, str(temporary), save_as_external_data=True, location=data.name)
    return target
