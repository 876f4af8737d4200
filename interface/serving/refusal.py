"""Requests that are refused: a status code and a reason."""

from __future__ import annotations


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
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        got_text = f", got {got}" if got else ""
        super().__init__(f"{subject}: expected {expected}{got_text}.{f' {remedy}' if remedy else ''}")
