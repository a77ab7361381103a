"""A link that leaves ``docs/`` leads, in the site, to a copy of its target under ``repository/``.

So pages keep the links that work beside the sources (``../benchmarks/README.md``), and the site needs no server.
Markdown stays a page, sources become pages that show them, a folder becomes its README or a list of its files.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".mjs": "javascript", ".cpp": "cpp", ".sh": "bash", ".json": "json", ".yaml": "yaml"}
HERE = "repository/"
FROM_THE_START = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
"""What the navigation names."""


def in_repository(uri: str) -> str:
    """The file of the repository that a page of the site shows."""
    return uri.removeprefix(HERE).removesuffix(".page.md") if uri.startswith(HERE) else f"docs/{uri}"


def in_site(path: str) -> str:
    """The page that shows a file or folder of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    return f"{HERE}{path}" if path.endswith(".md") else f"{HERE}{path}.page.md"


def targets(path: str, text: str) -> set[str]:
    """Files and folders outside of ``docs/`` that the text of a file links."""
    found = {posixpath.normpath(posixpath.join(posixpath.dirname(path), link[1])) for link in LINK.finditer(text)}
    return {target for target in found if not target.startswith("docs/") and (ROOT / target).exists()}


def page_of(path: str) -> str:
    """The Markdown of the page that shows a file or folder of the repository."""
    file = ROOT / path
    if file.is_dir():
        if (file / "README.md").is_file():
            return page_of(f"{path}/README.md")
        names = sorted(one.name for one in file.iterdir() if one.suffix in (*LANGUAGES, ".ipynb"))
        return f"# {path}\n\n" + "\n".join(f"- [{name}]({name})" for name in names) + "\n"
    text = file.read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    if path.endswith(".ipynb"):
        return notebook(path, json.loads(text)["cells"])
    return f"# {path}\n\n````{LANGUAGES[file.suffix]}\n{text.rstrip()}\n````\n"


def notebook(path: str, cells: list[dict[str, Any]]) -> str:
    parts = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
    shown = [f"```python\n{source}\n```" if code else source for source, code in parts]
    return "\n\n".join([f"`{path}`", *shown, ""])


def on_files(files: Any, config: Any) -> Any:
    """Add what pages link, and what that links in turn."""
    waiting = set(FROM_THE_START)
    for page in files.documentation_pages():
        waiting |= targets(in_repository(page.src_uri), page.content_string)
    while waiting:
        path = waiting.pop()
        if files.get_file_from_path(in_site(path)) is not None:
            continue
        text = page_of(path)
        files.append(File.generated(config, in_site(path), content=text))
        base = in_repository(in_site(path))
        waiting |= targets(base, text)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    here = in_repository(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        if not (ROOT / target).exists():
            return link[0]  # one of the site's own, or one that mkdocs will complain about
        return posixpath.relpath(in_site(target), posixpath.dirname(page.file.src_uri)) + (link[2] or "")

    return LINK.sub(moved, markdown)
