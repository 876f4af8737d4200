"""Answers of the Open Inference Protocol, version 2, that are not an inference's, as the description says them."""

from __future__ import annotations

from pydantic import BaseModel


class ServerMetadata(BaseModel):
    """Name, version and extensions of a server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the server answers."""

    live: bool


class Ready(BaseModel):
    """Whether all models are served."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model is served."""

    name: str
    ready: bool


class TensorMetadata(BaseModel):
    """An input or output: −1 where any size is taken."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """Inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelConfiguration(BaseModel):
    """What clients read of a model's configuration."""

    name: str
    platform: str
    max_batch_size: int


class Duration(BaseModel):
    """How many, and nanoseconds of all of them."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """By outcome and by part of the way."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    """Counts and times of a model since the start; the last inference in milliseconds since 1970."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[object]


class Statistics(BaseModel):
    """Of one model or of all."""

    model_stats: list[ModelStatistics]
