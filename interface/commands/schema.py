"""``edgeplan schema``: the JSON Schema of a file format."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import BaseModel

from ..json_schema import json_schema
from ..output import Format, FormatOption


class Document(StrEnum):
    """Files with a schema."""

    SCENARIO = "scenario"
    PLAN = "plan"
    PROFILE = "profile"
    RUN = "run"
    TENANCY_SCENARIO = "tenancy-scenario"
    ALLOCATION = "allocation"
    CONTENTION = "contention"
    SERVICE_PLAN = "service-plan"
    LOCK = "lock"
    FLEET = "fleet"


def model_of(document: Document) -> type[BaseModel]:
    """What a file is read into."""
    from ...formulation import Allocation, Plan, Scenario
    from ...formulation.tenancy import TenancyScenario
    from ...formulation.throughput import ServicePlan
    from ...profiles import Profile
    from ...profiles.contention import MeasuredContention
    from ..fleet.spec import FleetSpec
    from ..lock import Lock
    from ..run_record import RunRecord

    models: dict[Document, type[BaseModel]] = {
        Document.SCENARIO: Scenario,
        Document.PLAN: Plan,
        Document.PROFILE: Profile,
        Document.RUN: RunRecord,
        Document.TENANCY_SCENARIO: TenancyScenario,
        Document.ALLOCATION: Allocation,
        Document.CONTENTION: MeasuredContention,
        Document.SERVICE_PLAN: ServicePlan,
        Document.LOCK: Lock,
        Document.FLEET: FleetSpec,
    }
    return models[document]


def schema(
    document: Annotated[Document, typer.Argument(help="Which file.")],
    format: FormatOption = Format.TEXT,
) -> None:
    """Print the JSON Schema of a file that EdgePlan reads or writes."""
    typer.echo(json.dumps(json_schema(model_of(document)), indent=2 if format is Format.TEXT else None))
