"""Docstrings as they are written here, in the form that the reference can read.

Roles (``:func:`~fullconv.train```) become plain code; ``tile, overlap: as for predict`` becomes an entry for each name.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`(~?)([^`]+)`")
SEVERAL = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)+): (.*(?:\n {8}.*)*)", re.MULTILINE)


class AsWritten(griffe.Extension):
    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = SEVERAL.sub(one_each, ROLE.sub(code, obj.docstring.value))


def code(role: re.Match[str]) -> str:
    return f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`"


def one_each(entry: re.Match[str]) -> str:
    return "\n".join(f"    {name}: {entry[2]}" for name in entry[1].split(", "))
