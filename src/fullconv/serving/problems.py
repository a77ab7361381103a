"""What a client is told where there is no answer: one line, as RFC 9457 (problem+json) has it."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """There is no answer.

    Args:
        status: HTTP's number.
        detail: found, expected, what to do, in one line.
        headers: further ones of the response.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, " ".join(detail.split()), headers or {}

    def response(self, door: str = "") -> Response:
        """As the door has it: ``{"error": ...}`` of the Open Inference Protocol, else problem+json."""
        if door.startswith("/v2"):
            return Response(json.dumps({"error": self.detail}), self.status, self.headers, "application/json")
        body = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        return Response(json.dumps({**body, "detail": self.detail}), self.status, self.headers, MEDIA_TYPE)
