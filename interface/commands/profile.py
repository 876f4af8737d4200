"""``edgeplan profile``: what models cost on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...formulation import ModelError
from ..output import Format, FormatOption, current_output
from .options import SeedOption, output_option


class Target(StrEnum):
    """Platforms that can be measured."""

    LOCAL = "local"


def profile(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="ONNX files, or names of light models of the onnx package.")],
    output_path: Annotated[Path, output_option("Where to write the profile.")],
    platform: Annotated[Target, typer.Option(help="What to measure.")] = Target.LOCAL,
    shape: Annotated[
        list[str] | None, typer.Option(help="Size of a dynamic input: NAME=1,3,224,224; may be given several times.")
    ] = None,
    backend: Annotated[list[str] | None, typer.Option(help="Backends; all that load where left out.")] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Thread counts; 1 to all cores if left out.")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes; 1 where left out.")] = None,
    form: Annotated[list[str] | None, typer.Option(help="Session forms: mapped, prepacked.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer segments and repeats: seconds a model.")] = False,
    budget_s: Annotated[
        float | None, typer.Option("--budget", min=1, help="Seconds to spend on measuring, all models together.")
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Measure models layer by layer and segment by segment, for every backend found. An interrupted profile resumes."""
    from ...profiles import ProfileSettings, local_platform, profile_models
    from ..profile_summary import profile_data, profile_table

    output = current_output(context)
    settings = ProfileSettings(
        backends=tuple(backend) if backend else None,
        threads=tuple(threads) if threads else None,
        forms=tuple(form) if form else None,
        batches=tuple(batch) if batch else (1,),
        quick=quick,
        budget_s=budget_s,
        seed=seed,
    )
    with output.progress("profile") as progress:
        made = profile_models(
            named(models),
            local_platform(),
            settings,
            output_path,
            progress,
            shapes=parse_shapes(shape or ()),
        )
    output.result(
        {"status": "done", "output": output_path, **profile_data(made)},
        profile_table(made),
        f"Profile written to {output_path}",
    )


def named(models: Sequence[str]) -> Mapping[str, str]:
    """Models by their names: a file's without folder and suffix.

    Raises
    ------
    ModelError
        Two have the same name.
    """
    by_name: dict[str, str] = {}
    for model in models:
        other = by_name.setdefault(Path(model).stem, model)
        if other != model:
            raise ModelError(
                f"models {other} and {model}",
                expected="files with different names, which plans call them by",
                got=f"{Path(model).stem!r} twice",
                remedy="Rename one of the files.",
            )
    return by_name


def parse_shapes(texts: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """Read ``NAME=1,3,224,224``.

    Raises
    ------
    ModelError
        Not of that form, or a size below 1.
    """
    shapes = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1:
            raise ModelError(
                f"shape {text!r}",
                expected="an input's name and its sizes, each 1 or more, as in data=1,3,224,224",
                got=repr(text),
                remedy="Name the input as the model does.",
            )
        shapes[name] = shape
    return shapes
