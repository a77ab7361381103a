"""The tables of options.md, from the commands themselves: nothing is written down twice."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

MARK = "<!-- every option -->"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    return markdown.replace(MARK, tables()) if MARK in markdown else markdown


def tables() -> str:
    """A section for every verb: what it does, how it is called, its options."""
    from fullconv.cli.command import app

    verbs = sorted(name for name in app if not name.startswith("-"))
    return "\n".join(section(app, verb) for verb in verbs)


def section(app: Any, verb: str) -> str:
    arguments = [one for one in app[verb].assemble_argument_collection(parse_docstring=True) if one.name != "*"]
    shared = [one for one in arguments if verb == "sweep" and trains(one)]
    titles = {"--" + first.replace("_", "-"): title for title, first in sections(verb).items()}
    rows = []
    for one in arguments:
        if one not in shared:
            rows += [f"| **{titles[one.name]}** | | |"] if one.name in titles else []
            rows.append(row(one))
    lines = [f"## {verb}", "", summary(app[verb]), ""]
    if rows:
        lines += ["| | default | effect |", "|---|---|---|", *rows, ""]
    if shared:
        lines += ["And every training option of [train](#train).", ""]
    return "\n".join(lines)


def sections(verb: str) -> Mapping[str, str]:
    """Titles and the first option of each, as ``--help`` has them."""
    from fullconv.cli.verbs import evaluation, prediction
    from fullconv.training.option_names import SECTIONS

    return {"train": SECTIONS, "evaluate": evaluation.SECTIONS, "predict": prediction.SECTIONS}.get(verb, {})


def trains(argument: Any) -> bool:
    from fullconv.training.config import TrainConfig

    return argument.name.removeprefix("--").replace("-", "_") in TrainConfig.model_fields


def summary(app: Any) -> str:
    """The first paragraphs of the verb's docstring, above its parameters."""
    text = app.help.partition("Parameters\n")[0]
    return "\n".join(line.strip() for line in text.splitlines()).strip()


def row(argument: Any) -> str:
    name = argument.name
    if not name.startswith("--"):
        name = f"{name} ..." if argument.field_info.kind is argument.field_info.VAR_POSITIONAL else name
    default = argument.field_info.default
    shown = "" if default in (None, False, "", ()) or default == {} or default is argument.field_info.empty else default
    shown = "on" if shown is True else " ".join(map(str, shown)) if isinstance(shown, tuple) else str(shown)
    effect = " ".join((argument.parameter.help or "").split()).replace("|", "\\|")
    choices = [str(one) for one in typing.get_args(argument.hint) if isinstance(one, str) and one]
    if choices and not all(choice in effect for choice in choices):
        effect += f" (one of: {', '.join(choices)})"
    if shown == "on":
        name = argument.names[-1]
    return f"| `{name}` | {f'`{shown}`' if shown else ''} | {escaped(effect)} |"


def escaped(text: str) -> str:
    """Markdown's own signs as they are written: ``A*B``, ``<`` and names with underscores."""
    outside = text.split("`")
    outside[::2] = [part.replace("*", "\\*").replace("<", "&lt;").replace("_", "\\_") for part in outside[::2]]
    return "`".join(outside)
