"""Bodies of the Open Inference Protocol, version 2: what is read, what is written, and what the description says.

Tensors' data stays text until its type and size are known, so that no body makes more of itself than its model takes.
Parameters that are not named here are let pass, as the protocol has them for extensions.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

Whole = Annotated[int, Meta(ge=0, le=2**53)]


class InputParameters(Struct):
    """Of an input: how many of the bytes after the JSON are its own."""

    binary_data_size: Whole | None = None


class InputTensor(Struct):
    """An input: its data here, flat or nested, or as bytes after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: InputParameters = field(default_factory=InputParameters)
    data: Raw | UnsetType = UNSET


class OutputParameters(Struct):
    """Of an output that is wanted: whether as bytes. The extension for classification is not served."""

    binary_data: bool | None = None
    classification: int | None = None


class WantedOutput(Struct):
    """An output that is wanted."""

    name: str
    parameters: OutputParameters = field(default_factory=OutputParameters)


class RequestParameters(Struct):
    """Of a request: all outputs as bytes; its priority; its own deadline in microseconds."""

    binary_data_output: bool = False
    priority: Whole = 0
    timeout: Whole | None = None


class InferenceRequest(Struct):
    """A request. Without outputs, all of them are wanted."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: RequestParameters = field(default_factory=RequestParameters)
    outputs: list[WantedOutput] = []


class Size(Struct):
    """Of an output that follows as bytes: how many."""

    binary_data_size: int


class OutputTensor(Struct):
    """An output: its data here in one list, or as bytes after the JSON."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Size | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferenceResponse(Struct, omit_defaults=True):
    """A response, with the request's id where it had one."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""
