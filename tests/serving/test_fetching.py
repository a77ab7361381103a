"""Whom a server asks for images, and what it shows them."""

from __future__ import annotations

import pytest

from fullconv.errors import UsageError
from fullconv.serving.fetching import Fetcher, kind_of
from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem
from tests.builders.serving import png
from tests.builders.studio import IMAGE, Studio, studio_at


def test_tokens_are_shown_to_label_studio_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with studio_at() as studio:
        port = studio.rpartition(":")[2]
        storage = f"http://localhost:{port}"  # another origin
        monkeypatch.setattr(Studio, "elsewhere", f"{storage}/data/upload/a.png")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a.b.c")
        fetcher, begun = Fetcher([studio, storage], Limits()), len(Studio.asked)
        assert fetcher.get("/to/other") == fetcher.get("/data/a.png") == png(IMAGE)
        assert Studio.asked[begun:] == [
            ("/api/token/refresh", "a.b.c"), ("/to/other", "Bearer seven"), ("/data/upload/a.png", ""),
            ("/data/a.png", "Bearer seven"),
        ]  # fmt: skip
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a.b.wrong")
        with pytest.raises(Problem, match="personal access token"):
            fetcher.get("/data/a.png")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "old")
        fetcher.get("/data/a.png")
        assert Studio.asked[-1] == ("/data/a.png", "Token old")


def test_kinds_of_addresses() -> None:
    kinds = {
        "127.0.0.1": "own", "::1": "own", "10.1.2.3": "private", "169.254.169.254": "refused", "0.0.0.0": "refused",
        "::ffff:169.254.169.254": "refused", "8.8.8.8": "public", "fe80::1%eth0": "refused",
    }  # fmt: skip
    assert {address: kind_of(address) for address in kinds} == kinds
    with pytest.raises(UsageError, match="--label-studio"):
        Fetcher(["localhost:8080"], Limits())
    with pytest.raises(Problem, match="not fetched"):
        Fetcher(["https://studio.example"], Limits()).get("http://studio.example/a")
