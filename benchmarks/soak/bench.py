"""What is served, what is asked, and what the right answers are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import yaml
from edgeplan.formulation import Plan
from edgeplan.interface.facade import candidates
from edgeplan.interface.serving.load_client import Question
from edgeplan.profiles import Profile, ProfileSettings, local_platform, profile_models, resolve_model, sample_inputs
from edgeplan.runtime_bridge import prepare_plan

import edgeplan

INPUTS = 4


ENOUGH_TIME_US = 60_000_000


PLANNED = 0.5


@dataclass(frozen=True)
class Bench:
    """What is served, what is asked, and what the right answers are."""

    folder: Path
    plans: tuple[Plan, Plan]
    files: dict[str, Path]
    questions: dict[str, list[Question]]
    patient: list[Question]
    expected: dict[str, list[dict[str, np.ndarray]]]
    deadline_us: dict[str, float]

    @classmethod
    def made(cls, folder: Path, models: Sequence[str], factor: float) -> Bench:
        """Copy the models, profile them (unless the folder has a profile), and make two plans."""
        files = {name: folder / f"{name}.onnx" for name in models}
        for name, path in files.items():
            if not path.exists():
                shutil.copy(resolve_model(name), path)
        profile_path = folder / "profile.json"
        if not profile_path.exists():
            profile_models(files, local_platform(), ProfileSettings(quick=True), profile_path)
        alone_us = {}
        for model in Profile.load(profile_path).to_models():
            times = model.costs.segment_us(0, model.graph.n_layers)
            alone_us[model.name] = float(times[[c.threads == 1 for c in model.costs.configurations]].min())
        deadlines = {name: round(alone_us[name] * factor, -3) for name in models}
        rate_hz = PLANNED * len(os.sched_getaffinity(0)) * 1e6 / sum(alone_us.values())
        streams = [
            {"model": m, "arrival": {"kind": "poisson", "rate_hz": rate_hz}, "deadline_us": deadlines[m]}
            for m in models
        ]
        scenario = {
            "schema_version": 1,
            "name": "soak",
            "models": [{"name": name, "path": path.name} for name, path in files.items()],
            "streams": streams,
            "objective": "response",
        }
        (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
        case = edgeplan.load(folder / "scenario.yaml", profile_path).here()
        found = [c.solution.plan for c in candidates(case) if c.solution.plan is not None]
        if not found:
            raise SystemExit("no plan")
        # The best, and the one that is in most pieces, which has the least in common with it.
        plans = found[0], max(found[1:] or found, key=lambda plan: sum(len(part.segments) for part in plan.models))
        for plan in plans:
            prepare_plan(case.problem, plan, case.files)
        feeds = {name: [sample_inputs(path, seed=k) for k in range(INPUTS)] for name, path in files.items()}
        return cls(
            folder,
            plans,
            files,
            {name: [Question.of(name, each) for each in inputs] for name, inputs in feeds.items()},
            [Question.of(name, inputs[0], ENOUGH_TIME_US) for name, inputs in feeds.items()],
            {name: [own_answer(files[name], each) for each in inputs] for name, inputs in feeds.items()},
            deadlines,
        )


def own_answer(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's own, without any plan."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))
