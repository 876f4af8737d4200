"""A scenario with its profile: the problem to solve, and the files to run it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..formulation import Model, Platform, Problem, Scenario, ScenarioError, StalePlanError, capped
from ..profiles import Profile, local_platform, model_sha256, resolve_model


@dataclass(frozen=True)
class Case:
    """What `edgeplan.load` reads: a scenario, the profile it is planned with, and the problem that they make.

    Attributes
    ----------
    scenario : Scenario
    profile : Profile
    problem : Problem
    folder : Path
        That paths in the scenario are relative to.
    """

    scenario: Scenario
    profile: Profile
    problem: Problem
    folder: Path

    @classmethod
    def load(cls, scenario_path: str | Path, profile_path: str | Path | None = None) -> Case:
        """Read a scenario and the profile that it names, or another one.

        Raises
        ------
        EdgePlanError
            A file cannot be read or does not fit; the scenario names a model that the profile does not have.
        """
        scenario = Scenario.load(scenario_path)
        folder = Path(scenario_path).parent
        if profile_path is None:
            if scenario.profile is None:
                raise ScenarioError(
                    f"scenario {scenario_path}",
                    expected="a profile, under the key `profile` or by the option --profile",
                    got="neither",
                    remedy="Make one with `edgeplan profile`.",
                )
            profile_path = folder / scenario.profile
        return cls.of(scenario, Profile.load(profile_path), folder)

    @classmethod
    def of(cls, scenario: Scenario, profile: Profile, folder: Path) -> Case:
        """Put a scenario and a profile together."""
        platform = profile.platform if scenario.platform == "local" else scenario.platform
        problem = Problem(_models(scenario, profile), platform, scenario.streams, scenario.limits, scenario.objective)
        return cls(scenario, profile, problem, folder)

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """ONNX file of each model; light models are made on first use.

        Raises
        ------
        ModelError
            There is no such file.
        StalePlanError
            A file is not the one that was profiled.
        """
        found = {}
        for model in self.scenario.models:
            found[model.name] = resolve_model(model.path or model.name, self.folder, model.shapes)
            profiled = self.problem_model(model.name).sha256
            if (digest := model_sha256(found[model.name])) != profiled:
                raise StalePlanError(
                    f"model {model.name!r}",
                    expected=f"the file that was profiled (SHA-256 {profiled[:12]}…)",
                    got=f"one with {digest[:12]}…",
                    remedy="The model changed: profile it and plan again.",
                )
        return found

    def problem_model(self, name: str) -> Model:
        """The problem's model of that name."""
        return next(model for model in self.problem.models if model.name == name)

    def here(self) -> Case:
        """This case on the machine that runs it: plans made elsewhere are then refused.

        Raises
        ------
        StalePlanError
            The profile was measured on another machine or with other versions.
        """
        platform: Platform = local_platform()
        if self.problem.platform.fingerprint != platform.fingerprint:
            raise StalePlanError(
                "profile",
                expected=f"one measured on this machine ({platform.fingerprint[:12]}…)",
                got=f"one measured on {self.problem.platform.fingerprint[:12] or 'no real machine'}…",
                remedy="Processor, cores or versions differ: profile here and plan again.",
            )
        return self


def _models(scenario: Scenario, profile: Profile) -> tuple[Model, ...]:
    profiled = {model.name: model for model in profile.to_models()}
    missing = [model.name for model in scenario.models if model.name not in profiled]
    if missing:
        raise ScenarioError(
            f"scenario {scenario.name!r}",
            expected=f"models that the profile has: {capped(profiled)}",
            got=capped(missing),
            remedy=f"Profile them: edgeplan profile {' '.join(missing)}.",
        )
    return tuple(profiled[model.name] for model in scenario.models)
