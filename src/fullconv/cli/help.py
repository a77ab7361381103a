"""``--help``: examples, and options by what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullconv.training.config import TrainConfig
from fullconv.training.option_names import SECTIONS

MOST_USED = ("model", "encoder", "encoder_weights", "minutes", "epochs", "rate")
"""Shown first, beside the options of the verb itself."""


class Help:
    """Cyclopts' own help, with examples, and the panel of options cut into several.

    Args:
        examples: commands, one a line.
        sections: titles, and the first option of each; the next title ends it.
    """

    def __init__(self, *examples: str, sections: Mapping[str, str] | None = None) -> None:
        self.examples, self._sections = examples, sections or {}

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        for part in self.parts(panel):
            _default()(console, options, part)

    def parts(self, panel: Any) -> list[Any]:
        """The panel itself where it has none of the options that begin a section."""
        return _parted(panel, self._sections)

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        _default().render_usage(console, options, usage)

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        _default().render_description(console, options, description)
        for example in self.examples:
            console.print(f"  {example}", highlight=False, soft_wrap=True)
        console.print()


class TrainingHelp(Help):
    """With the sections of the training options."""

    def parts(self, panel: Any) -> list[Any]:
        return _cut(panel)


def _default() -> Any:
    from cyclopts.help.formatters import DefaultFormatter

    return DefaultFormatter()


def _cut(panel: Any) -> list[Any]:
    """The panel itself where it shows none of the training options."""
    titled: dict[str, list[Any]] = {"Most used": [], **{section: [] for section in SECTIONS}}
    for entry in panel.entries:
        name = entry.names[0].removeprefix("--").replace("-", "_") if entry.names else ""
        own = name not in TrainConfig.model_fields or name in MOST_USED
        titled["Most used" if own else _section(name)].append(entry)
    if not any(titled[section] for section in SECTIONS):
        return [panel]
    return [panel.copy(title=title, entries=entries) for title, entries in titled.items() if entries]


def _parted(panel: Any, sections: Mapping[str, str]) -> list[Any]:
    titles = {"--" + first.replace("_", "-"): title for title, first in sections.items()}
    parts = [(panel.title, list[Any]())]
    for entry in panel.entries:
        if entry.names and entry.names[0] in titles:
            parts.append((titles[entry.names[0]], []))
        parts[-1][1].append(entry)
    return [panel.copy(title=title, entries=entries) for title, entries in parts if entries]


def _section(option: str) -> str:
    """The last that begins before the option, or with it."""
    fields = list(TrainConfig.model_fields)
    place = fields.index(option)
    return [section for section, first in SECTIONS.items() if fields.index(first) <= place][-1]
