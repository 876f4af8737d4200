"""An engine on the toys, and a scenario on disk with made-up costs, as a service is started from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgeplan.formulation import Limits, Scenario, ScenarioModel
from edgeplan.interface.case import Case
from edgeplan.profiles import ModelProfile, Profile, ProfileSettings, local_platform, machine_fingerprint
from edgeplan.profiles.profile import CostData

from ...conftest import Toys

if TYPE_CHECKING:
    from edgeplan.interface.serving.engine import Engine
    from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    from edgeplan.interface.serving.engine import Engine, EngineSettings

    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    from edgeplan.interface.serving.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(engine)) as client:
        yield client


def profile_of(toys: Toys) -> Profile:
    platform = local_platform()
    models = tuple(
        ModelProfile(
            name=model.name,
            file=f"{model.name}.onnx",
            sha256=model.sha256,
            graph=model.graph.to_dict(),
            cuts=tuple(range(model.graph.n_layers + 1)),
            costs=CostData.of(model.costs),
        )
        for model in toys.problem.models
    )
    return Profile(
        models=models,
        platform=platform,
        fingerprint=machine_fingerprint(platform.processors[0].cores),
        settings=ProfileSettings(quick=True, backends=("onnxruntime-cpu",), threads=(1,)),
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def case(toys: Toys, tmp_path: Path) -> Case:
    """Both toys, from files in a folder of their own."""
    for name, path in toys.files.items():
        shutil.copy(path, tmp_path / f"{name}.onnx")
    scenario = Scenario(
        name="toys",
        models=tuple(ScenarioModel(name=name, path=f"{name}.onnx") for name in toys.files),
        streams=toys.problem.streams,
        limits=Limits(max_utilisation=1.0),
        profile="profile.json",
    )
    profile_of(toys).save(tmp_path / "profile.json")
    (tmp_path / "scenario.yaml").write_text(scenario.model_dump_json())
    return Case.load(tmp_path / "scenario.yaml")
