"""``edgeplan import``: files of other tools, checked and turned into what the other commands take."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...formulation import ModelError, UnsupportedError
from ..import_summaries import front_data, front_table, instance_data, instance_table
from ..output import Format, FormatOption, Output, current_output
from .options import output_option
from .profile import parse_shapes


class Kind(StrEnum):
    """Files that can be read."""

    DNN_PARTITIONING = "dnn-partitioning"
    ONERT = "onert"
    ONERT_PARETO = "onert-pareto"
    TENSORRT = "tensorrt"


_OPTIONS: dict[Kind, frozenset[str]] = {
    Kind.DNN_PARTITIONING: frozenset(),
    Kind.ONERT: frozenset({"--model", "--shape", "--quantised", "--fused", "--processor"}),
    Kind.ONERT_PARETO: frozenset(),
    Kind.TENSORRT: frozenset({"--model", "--shape"}),
}


def import_file(
    context: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="What the file is.")],
    file: Annotated[Path, typer.Argument(help="File to read.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help="ONNX file that the costs are for.")] = None,
    output_path: Annotated[Path | None, output_option("Where to write the profile, or the file in one form.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Size of a dynamic input: NAME=1,3,224,224.")] = None,
    quantised: Annotated[
        bool, typer.Option("--quantised", help="onert: take the times of quantised operators.")
    ] = False,
    fused: Annotated[
        list[str] | None, typer.Option(help="onert: operator that runs along with the layer before, as Relu.")
    ] = None,
    processor: Annotated[
        list[str] | None, typer.Option(help="onert: processor that a backend drives, as trix=npu.")
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Read a file of another tool: costs become a profile for `plan` and `pareto`, instances and fronts are checked."""
    output = current_output(context)
    given = {"--model": model, "--shape": shape, "--quantised": quantised, "--fused": fused, "--processor": processor}
    strange = [name for name, value in given.items() if value and name not in _OPTIONS[kind]]
    if strange:
        raise UnsupportedError(
            f"options {' and '.join(strange)}",
            expected=f"for {kind.value} only {', '.join(sorted(_OPTIONS[kind])) or '-o and --format'}",
            got=" and ".join(strange),
            remedy="Leave them out.",
        )
    if kind is Kind.DNN_PARTITIONING:
        _import_instance(output, file, output_path)
    elif kind is Kind.ONERT_PARETO:
        _import_front(output, file, output_path)
    else:
        _import_costs(output, kind, file, model, output_path, shape or (), quantised, fused or (), processor or ())


def _import_instance(output: Output, file: Path, output_path: Path | None) -> None:
    from ...profiles import read_dnn_partitioning, write_dnn_partitioning

    problem = read_dnn_partitioning(file)
    if output_path is not None:
        write_dnn_partitioning(problem, output_path)
    data = instance_data(problem)
    output.result(
        {"status": "done", "output": output_path, **data},
        instance_table(data),
        *([f"Instance written to {output_path}"] if output_path else []),
    )


def _import_front(output: Output, file: Path, output_path: Path | None) -> None:
    from dataclasses import replace

    from ...profiles.imports import read_onert_front, write_onert_front

    front = read_onert_front(file)
    if output_path is not None:
        write_onert_front(replace(front, points=front.front), output_path)
    output.result(
        {"status": "done", "output": output_path, **front_data(front)},
        front_table(front),
        *([f"Front written to {output_path}, without dominated points"] if output_path else []),
    )


def _import_costs(
    output: Output,
    kind: Kind,
    file: Path,
    model: Path | None,
    output_path: Path | None,
    shape: Sequence[str],
    quantised: bool,
    fused: Sequence[str],
    processor: Sequence[str],
) -> None:
    from ...profiles.imports import import_onert, import_tensorrt
    from ..profile_summary import profile_data, profile_table

    shapes = parse_shapes(shape)
    if kind is Kind.TENSORRT:
        made = import_tensorrt(file, model, shapes=shapes)
    elif model is None:
        raise ModelError(
            f"times of operators {file}",
            expected="the ONNX file whose layers they are for",
            got="none",
            remedy="Name it with --model.",
        )
    else:
        processors = dict(_named(text) for text in processor)
        made = import_onert(file, model, shapes=shapes, quantised=quantised, fused=fused, processors=processors)
    if output_path is not None:
        made.save(output_path)
    output.result(
        {"status": "done", "output": output_path, "provenance": made.to_models()[0].costs.provenance.model_dump()}
        | profile_data(made),
        profile_table(made),
        *([f"Profile written to {output_path}"] if output_path else []),
    )


def _named(text: str) -> tuple[str, str]:
    backend, _, processor = text.partition("=")
    if not backend or not processor:
        raise UnsupportedError(
            f"processor {text!r}", expected="BACKEND=PROCESSOR, as trix=npu", got=repr(text), remedy="Correct it."
        )
    return backend, processor
