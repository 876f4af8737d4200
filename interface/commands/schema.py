"""``edgeplan schema``: the JSON Schema of a file format."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from ...formulation import Allocation, ContentionModel, Plan, Scenario
from ...formulation.tenancy import TenancyScenario
from ...formulation.throughput import ServicePlan
from ..fleet.spec import FleetSpec
from ..output import Format, FormatOption
from ..run_record import RunRecord


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


def schema(
    document: Annotated[Document, typer.Argument(help="Which file.")],
    format: FormatOption = Format.TEXT,
) -> None:
    """Print the JSON Schema of a file that EdgePlan reads or writes."""
    from ...profiles import Profile
    from ..lock import Lock

    models = {
        Document.SCENARIO: Scenario,
        Document.PLAN: Plan,
        Document.PROFILE: Profile,
        Document.RUN: RunRecord,
        Document.TENANCY_SCENARIO: TenancyScenario,
        Document.ALLOCATION: Allocation,
        Document.CONTENTION: ContentionModel,
        Document.SERVICE_PLAN: ServicePlan,
        Document.LOCK: Lock,
        Document.FLEET: FleetSpec,
    }
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **models[document].model_json_schema(by_alias=True),
    }
    typer.echo(json.dumps(described, indent=2 if format is Format.TEXT else None))
