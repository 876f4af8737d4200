"""Changes of a scenario while it is served: models that come and go, rates and deadlines that change."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation import HIGHEST_RATE_HZ, EdgePlanError, Scenario, ScenarioModel, Stream
from ...profiles import Profile, ProfileSettings, local_platform, model_sha256, profile_models, resolve_model
from ..case import Case
from .beside import run_beside
from .http.refusal import Refusal

PROFILE_LIMIT_S = 600.0
NO_CHANGE = "nothing"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AddedModel(_Part):
    """A model that comes.

    Attributes
    ----------
    name : str
    path : str, optional
        ONNX file within the folder of the scenario, or the name of a light model of the ``onnx`` package. Left out, it
        is the name.
    shapes : dict
        Sizes for inputs with dynamic dimensions.
    stream : Stream, optional
        How it is asked.
    """

    name: str = Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    path: str | None = Field(default=None, max_length=1000)
    shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    stream: Stream | None = None


class StreamChange(_Part):
    """A model that is asked otherwise; what is left out stays. A deadline of null is none."""

    model: str
    rate_hz: FiniteFloat | None = Field(default=None, gt=0, le=HIGHEST_RATE_HZ)
    deadline_us: FiniteFloat | None = Field(default=None, gt=0)


class ScenarioChange(_Part):
    """What changes, all of it at once or none.

    Attributes
    ----------
    add : tuple of AddedModel
    remove : tuple of str
    streams : tuple of StreamChange
    time_limit_s : float
        For the solve.
    best_effort : bool
        Whether a plan will do that does not keep every deadline, where there is no other.
    """

    add: tuple[AddedModel, ...] = Field(default=(), max_length=20)
    remove: tuple[str, ...] = Field(default=(), max_length=100)
    streams: tuple[StreamChange, ...] = Field(default=(), max_length=100)
    time_limit_s: FiniteFloat = Field(default=10.0, gt=0, le=300)
    best_effort: bool = False

    @property
    def words(self) -> str:
        """In short, for the history."""
        parts = [f"{model.name} comes" for model in self.add] + [f"{name} goes" for name in self.remove]
        for change in self.streams:
            if change.rate_hz is not None:
                parts.append(f"{change.model} at {change.rate_hz:g} Hz")
            if "deadline_us" in change.model_fields_set:
                due = change.deadline_us
                parts.append(f"{change.model} {'without a deadline' if due is None else f'within {due / 1e3:g} ms'}")
        return ", ".join(parts) or NO_CHANGE


def changed_case(
    case: Case, change: ScenarioChange, cancelled: threading.Event, own_pids: set[int] | None = None
) -> Case:
    """The case after a change. Models without costs are measured, beside what is served.

    Raises
    ------
    Refusal
        The change does not fit the scenario, or names a file outside its folder.
    EdgePlanError
        A model cannot be read or measured.
    """
    scenario = changed_scenario(case.scenario, change)
    refuse_outside(case.folder, change)
    folder = case.folder.resolve()
    profile = case.profile
    known = {model.name: model.sha256 for model in profile.models}
    for model in change.add:
        if known.get(model.name) != _sha256(model, folder):
            measured = run_beside(
                measure,
                model,
                folder,
                profile.settings,
                cancelled=cancelled,
                limit_s=PROFILE_LIMIT_S,
                what="profile",
                own_pids=own_pids,
            )
            by_name = {m.name: m for m in (*profile.models, *Profile.model_validate_json(measured).models)}
            profile = profile.model_copy(update={"models": tuple(by_name.values())})
    return Case.of(scenario, profile, case.folder)


def _sha256(model: AddedModel, folder: Path) -> str:
    return model_sha256(resolve_model(model.path or model.name, folder, model.shapes))


def changed_scenario(scenario: Scenario, change: ScenarioChange) -> Scenario:
    """The scenario after a change.

    Raises
    ------
    Refusal
        It names models that are not there, or that are there already, or leaves none.
    """
    subject = "scenario change"
    if change.words == NO_CHANGE:
        raise Refusal(400, subject, "something that changes", got="nothing")
    models = {model.name: model for model in scenario.models}
    streams = {stream.model: stream for stream in scenario.streams}
    for name in change.remove:
        if models.pop(name, None) is None:
            raise Refusal(400, subject, f"models to remove among {', '.join(models)}", got=repr(name)[:80])
        streams.pop(name, None)
    for model in change.add:
        if model.name in models:
            raise Refusal(400, subject, "models to add that are not there", got=repr(model.name)[:80])
        models[model.name] = ScenarioModel(name=model.name, path=model.path, shapes=model.shapes)
        if model.stream is not None:
            if model.stream.model != model.name:
                raise Refusal(400, subject, f"a stream for {model.name!r}", got=f"one for {model.stream.model!r}"[:80])
            streams[model.name] = model.stream
    for each in change.streams:
        if (stream := streams.get(each.model)) is None:
            raise Refusal(400, subject, f"streams among {', '.join(streams)}", got=repr(each.model)[:80])
        if each.rate_hz is not None:
            stream = stream.at_rate(each.rate_hz)
        if "deadline_us" in each.model_fields_set:
            stream = stream.model_copy(update={"deadline_us": each.deadline_us})
        streams[each.model] = stream
    if not models:
        raise Refusal(400, subject, "at least one model that stays", got="none")
    if scenario.objective == "response" and (silent := [name for name in models if name not in streams]):
        raise Refusal(400, subject, "a stream for every model", got=f"none for {', '.join(silent)}"[:80])
    try:
        return Scenario.model_validate(
            {**scenario.model_dump(), "models": tuple(models.values()), "streams": tuple(streams.values())}
        )
    except (ValueError, EdgePlanError) as error:
        raise Refusal(400, subject, "a scenario that makes sense", got=str(error)[:300]) from error


def refuse_outside(folder: Path, change: ScenarioChange) -> None:
    """Refuse files beyond the scenario's folder: they are nobody's business who can only reach this service.

    Raises
    ------
    Refusal
    """
    inside = folder.resolve()
    for model in change.add:
        named = model.path or model.name
        if "\0" in named or not (inside / named).resolve().is_relative_to(inside):
            expected = "a path within the scenario's folder"
            raise Refusal(400, f"model {model.name!r}"[:80], expected, got=repr(named)[:80])


def measure(model: AddedModel, folder: Path, settings: ProfileSettings) -> str:
    """Profile a model as the others were, but quickly; the profile as JSON.

    Each for itself: sizes go by the names of inputs, and models call theirs alike.
    """
    path = folder / (model.path or model.name)
    named = {model.name: path if path.is_file() else model.path or model.name}
    quick = settings.model_copy(update={"quick": True, "budget_s": None})
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "profile.json"
        return profile_models(named, local_platform(), quick, output, shapes=model.shapes).model_dump_json()
