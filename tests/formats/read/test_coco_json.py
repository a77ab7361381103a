"""COCO's JSON files, read an element at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fullconv.formats.read.coco_json import read_json


def test_a_file_is_read_an_element_at_a_time(tmp_path: Path) -> None:
    content = {"a": [1, {"b": [2]}, []], "c": {"a": [3]}, "d": [], "e": None, "f": "x"}
    for indent in (None, 2):
        (tmp_path / "x.json").write_text(json.dumps(content, indent=indent))
        seen: list[Any] = []
        entries = read_json(tmp_path / "x.json", {"a": seen.append, "d": seen.append, "e": seen.append})
        assert seen == content["a"]
        assert entries == content | {"a": 3, "d": 0}
