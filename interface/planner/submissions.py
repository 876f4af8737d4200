"""What a request asks, from its body to the store."""

from __future__ import annotations

import json
from typing import Any

from ...profiles import Profile
from ..identity import profile_digest
from ..serving.http.refusal import Refusal
from .limits import PlannerLimits
from .questions import profile_of, question_of, scenario_of
from .records import ProfileRecord, Question
from .schemas import AskJob
from .store import JobStore

_UNWRITABLE = ValueError, OverflowError, RecursionError
"""Of what no text, number or JSON can hold: lone surrogates, numbers that are none, endless sizes or nesting."""


def asked_question(jobs: JobStore, limits: PlannerLimits, asked: AskJob) -> Question:
    """The question that a request asks, its profile in the store.

    Raises
    ------
    Refusal
        There is neither a profile nor its id, or both, or an id that is not known; or text that cannot be written down.
    EdgePlanError
        What was sent does not fit, or is more than is allowed.
    """
    if (asked.profile is None) == (asked.profile_id is None):
        got = "neither" if asked.profile is None else "both"
        raise Refusal(400, "request", "either `profile` or `profile_id`", got=got, remedy="Send one of them.")
    try:
        scenario = scenario_of(asked.scenario, limits)
        if asked.profile_id is not None:
            text = jobs.used_profile(asked.profile_id)
            if text is None:
                remedy = "Upload it: POST /profiles."
                raise Refusal(404, f"profile {asked.profile_id[:12]}…", "one that was uploaded", remedy=remedy)
            profile, profile_id = profile_of(json.loads(text)), asked.profile_id
        else:
            profile = profile_of(asked.profile or {})
            profile_id = profile_digest(profile)
        question = question_of(
            scenario,
            profile,
            profile_id,
            asked.objective,
            asked.method,
            asked.time_limit_s,
            asked.seed,
            limits,
        )
        if asked.profile is not None:
            jobs.add_profile(profile_id, _names(profile), profile.model_dump_json())
        return question
    except _UNWRITABLE as error:
        raise _unwritable(error) from error


def kept_profile(jobs: JobStore, given: dict[str, Any]) -> tuple[ProfileRecord, bool]:
    """Put a profile into the store. Also returns whether it was not there yet.

    Raises
    ------
    ProfileError
        It does not fit the schema.
    Refusal
        It cannot be written down.
    """
    try:
        profile = profile_of(given)
        return jobs.add_profile(profile_digest(profile), _names(profile), profile.model_dump_json())
    except _UNWRITABLE as error:
        raise _unwritable(error) from error


def _unwritable(error: Exception) -> Refusal:
    expected = "text and numbers that can be written down"
    return Refusal(400, "request", expected, got=str(error)[:200], remedy="Correct it.")


def _names(profile: Profile) -> tuple[str, ...]:
    return tuple(model.name for model in profile.models)
