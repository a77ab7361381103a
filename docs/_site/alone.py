"""The site asks no server for anything: the theme's one address is replaced by a script of our own."""

from __future__ import annotations

from typing import Any

from mkdocs.utils import get_relative_url

THEIRS = "https://unpkg.com/iframe-worker/shim"
OURS = "assets/search-from-file.js"


def on_post_page(output: str, page: Any, config: Any) -> str:
    return output.replace(THEIRS, get_relative_url(OURS, page.url))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    return output_content.replace(THEIRS, OURS)
