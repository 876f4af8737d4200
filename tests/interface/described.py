"""What an OpenAPI description says, held against what a service answers to whatever is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="the checker of descriptions is an extra")

import schemathesis
from edgeplan.interface.serving.http.described import DescribedApp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

TAKEN_BY_ALL = {"400", "401", "408", "413", "415", "421", "500", "503"}
"""Status codes that any request may be answered with."""

_CHECKS_OF_TASTE = [
    # A list of numbers where a text is wanted may be read as one, and parameters that nobody knows are let pass.
    negative_data_rejection,
    # A body that fits the description may still fit no model, or be no scenario, which the description does not know.
    positive_data_acceptance,
]


def refuse_other_answers(
    app: DescribedApp, examples: int, name: str, values: Sequence[str], settle: Callable[[], object] = lambda: None
) -> None:
    """Send what fits the description and what does not, to every route.

    Parameters
    ----------
    app : DescribedApp
    examples : int
        To each route.
    name : str
        A part of paths that is one of `values`, for one that is there is never found by chance.
    values : sequence of str
    settle : callable
        Called before each request: what earlier ones began shall not make the service refuse this one.
    """
    for result in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        _refuse_other_answers(result.ok(), examples, name, values, settle)


def _refuse_other_answers(
    operation: Any, examples: int, name: str, values: Sequence[str], settle: Callable[[], object]
) -> None:
    names = {parameter.name for parameter in operation.path_parameters}

    @given(
        case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)),
        value=st.sampled_from(values),
    )
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any, value: str) -> None:
        if name in names:
            case.path_parameters[name] = value
        settle()
        response = case.call()
        case.validate_response(response, excluded_checks=_CHECKS_OF_TASTE)
        assert response.status_code < 500 or response.status_code == 503, response.text

    holds()


def refuse_undescribed(app: DescribedApp, without_content: tuple[str, ...]) -> None:
    """Fail where a route does not say what it answers."""
    for path, methods in app.openapi()["paths"].items():
        for operation in methods.values():
            responses = operation["responses"]
            assert responses.keys() >= TAKEN_BY_ALL, path
            assert "422" not in responses
            for status, response in responses.items():
                assert response["description"], (path, status)
                assert "content" in response or status in without_content, (path, status)
