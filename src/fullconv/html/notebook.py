"""What our objects show in notebooks: HTML that brings its own style, and looks right on dark and light pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

Colour = tuple[int, int, int]
CELL = "padding: 2px 10px; text-align: {}; vertical-align: top;"


def card(title: str, facts: Mapping[str, str], *more: str) -> str:
    """A title, what is known by name, and further HTML below; title, names and values are text."""
    rows = "".join(
        f'<tr><td style="{CELL.format("left")} opacity: 0.65; white-space: nowrap">{escape(name)}</td>'
        f'<td style="{CELL.format("left")}">{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    table = f'<table style="border-collapse: collapse; margin: 0">{rows}</table>' if rows else ""
    return f"<div><strong>{escape(title)}</strong>{table}{''.join(more)}</div>"


def class_table(
    names: Sequence[str], palette: Sequence[Colour], columns: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Classes with their colours and ids, and further columns: ``{heading: a text for each class}``."""
    columns = columns or {}
    heads = [("class", "left"), ("id", "right"), *((name, "right") for name in columns)]
    head = "".join(f'<th style="{CELL.format(side)}">{escape(name)}</th>' for name, side in heads)
    rows = []
    for index, (name, colour) in enumerate(zip(names, palette, strict=True)):
        box = (
            f'<span style="display: inline-block; width: 0.9em; height: 0.9em; background: rgb{tuple(colour)}; '
            'border: 1px solid #888; margin-right: 0.6em; vertical-align: -0.1em"></span>'
        )
        cells = [(box + escape(name), "left"), (str(index), "right")]
        cells += [(escape(values[index]), "right") for values in columns.values()]
        rows.append("".join(f'<td style="{CELL.format(side)}">{cell}</td>' for cell, side in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<table style="border-collapse: collapse; margin: 0.6em 0">{table}</table>'


def lines(texts: Sequence[str]) -> str:
    """A paragraph for each text."""
    return "".join(f'<p style="margin: 0.4em 0; max-width: 70em">{escape(text)}</p>' for text in texts)


def picture(png: bytes, words: str) -> str:
    """A PNG within the page, as wide as there is room; ``words`` say what it shows to who cannot see it."""
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img src="{uri}" alt="{escape(words)}" style="max-width: 100%; height: auto">'
