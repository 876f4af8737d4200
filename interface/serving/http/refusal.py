"""Requests that are refused: a status code and a reason, and how HTTP says them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ....formulation import AdmissionError, EdgePlanError, InferenceError, PlannerError

_LONGEST_REASON = 2000


class Refusal(Exception):
    """A request that is not served, and why.

    Parameters
    ----------
    status : int
        HTTP status code.
    subject : str
        What it is about.
    expected, got : str
    remedy : str
    retry_after_s : float, optional
        When asking again makes sense.
    headers : mapping of str to str, optional
        Further ones that the status code asks for.
    """

    def __init__(
        self,
        status: int,
        subject: str,
        expected: str,
        *,
        got: str = "",
        remedy: str = "",
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = f"{max(1, round(retry_after_s))}"
        got_text = f", got {got}" if got else ""
        super().__init__(f"{subject}: expected {expected}{got_text}.{f' {remedy}' if remedy else ''}")


class Refused(BaseModel):
    """What every refusal says."""

    error: str


REASONS = {
    400: "Not a request, or one that does not fit.",
    401: "No bearer token, or another than the service's.",
    404: "No such path, model, version, plan, job or profile.",
    405: "Not with this method.",
    408: "The request took too long to come.",
    409: "Not as things are now.",
    413: "The body is too long.",
    415: "The body is compressed, or not of a type that is read here.",
    421: "For another host than this one, which listens on loopback and has no token.",
    500: "Something failed inside.",
    503: "Refused for now: too much waits, or the deadline cannot be kept.",
}
"""What each status code means here."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The description of status codes that a route can answer with, for its ``responses``."""
    return {status: {"model": Refused, "description": REASONS[status]} for status in statuses}


def said(reason: str) -> bytes:
    """The body of a refusal. In ASCII, for a reason may quote what no other encoding can write."""
    return json.dumps({"error": reason[:_LONGEST_REASON]}).encode()


def answer_of(error: Exception) -> Response:
    """The answer to a request that failed with that error.

    A refused request is the caller's to ask again; bad input the caller's to mend; what fails in a segment is ours.
    """
    if isinstance(error, Refusal):
        return _answer(error.status, str(error), error.headers)
    if isinstance(error, AdmissionError):
        return _answer(503, str(error), {"Retry-After": "1"})
    if isinstance(error, EdgePlanError) and not isinstance(error, InferenceError | PlannerError):
        return _answer(400, str(error), {})
    return _answer(500, str(error) if isinstance(error, EdgePlanError) else "It failed inside; the log says why.", {})


def answer_status(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """The answer with that status code and reason."""
    return _answer(status, reason, headers or {})


async def refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that failed with that error, outside of a framework."""
    await answer_of(error)(scope, receive, send)


def _answer(status: int, reason: str, headers: dict[str, str]) -> Response:
    return Response(said(reason), status, headers, media_type="application/json")
