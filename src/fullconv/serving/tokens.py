"""What Label Studio asks of who fetches its images: a token, of the older kind or a personal one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from fullconv.serving.problems import Problem

TOKEN = "LABEL_STUDIO_API_KEY"
REFRESH = "/api/token/refresh"
FRESH = 120.0
"""Seconds that an access token is used; Label Studio's are good for 300."""
Origin = tuple[str, str, int]
"""Scheme, host and port."""


class Tokens:
    """Tokens by origin, so that none is shown to another host.

    Args:
        first: Label Studio's own origin, which alone is shown ``LABEL_STUDIO_API_KEY``.
    """

    def __init__(self, first: Origin | None) -> None:
        self._first, self._kept = first, dict[Origin, str]()
        self._access: dict[tuple[Origin, str], tuple[str, float]] = {}

    def keep(self, origin: Origin, token: str) -> None:
        """Show it to that origin from now on."""
        self._kept[origin] = token

    def headers(self, origin: Origin, post: Callable[[str, bytes], tuple[int, bytes]]) -> dict[str, str]:
        """What a request for an image carries.

        Args:
            post: sends JSON to a path of ``origin``, and gives status and content.

        Raises:
            Problem: 502, a personal token that is not taken.
        """
        token = (os.environ.get(TOKEN, "") if origin == self._first else "") or self._kept.get(origin, "")
        if token.count(".") != 2:  # else a JSON web token, which only buys others that are good for minutes
            return {"Authorization": f"Token {token}"} if token else {}
        access, until = self._access.get((origin, token), ("", 0.0))
        if time.monotonic() >= until:
            access = _access_of(*post(REFRESH, json.dumps({"refresh": token}).encode()), origin[1])
            self._access[origin, token] = access, time.monotonic() + FRESH
        return {"Authorization": f"Bearer {access}"}


def _access_of(status: int, content: bytes, host: str) -> str:
    try:
        access = json.loads(content)["access"] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        access = None
    if not isinstance(access, str) or not (access.isascii() and access.isprintable()):
        raise Problem(502, f"{host} answered {status} to the personal access token; is {TOKEN} right?")
    return access
