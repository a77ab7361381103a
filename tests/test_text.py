"""Text of other programs: right or refused, never garbled."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from fullconv.errors import DataError, UsageError
from fullconv.files import read_yaml
from fullconv.text import head_of, parse_json, read_csv, read_text

WORDS = "Boden\nStraße\nGebäude\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_text_is_read_as_what_it_is(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(WORDS.encode(encoding))
    assert read_text(path) == WORDS
    assert head_of(path).startswith("Boden")
    assert read_csv(path) == [["Boden"], ["Straße"], ["Gebäude"]]


def test_big_endian_utf_16_and_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(b"\xfe\xff" + WORDS.encode("utf-16-be"))
    assert read_text(path) == WORDS
    path.write_bytes(b"\xff\xfe" + WORDS.encode("utf-16-le")[:-1])
    with pytest.raises(DataError, match="begins as utf-16, but is damaged"):
        read_text(path)


@pytest.mark.parametrize(
    ("text", "encoding", "line"),
    [
        (WORDS, "cp1252", "Straße"),
        ("route\nété\n", "cp1252", "été"),
        ("фон\nдорога\n", "cp1251", "фон"),
        ("背景\n道路\n", "gb18030", ""),
        ("背景\nアスファルトの道路\n", "shift_jis", "背景"),
    ],
)
def test_other_encodings_are_refused_by_their_likely_name(tmp_path: Path, text: str, encoding: str, line: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"not UTF-8 \(line \d\); it is likely (\w+)") as caught:
        read_text(path)
    if line:
        assert f"it is likely {encoding}, in which the line is {line!r}" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_no_utf_8_of_zeros(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes("road\nsky\n".encode(encoding))
    with pytest.raises(DataError, match=f"holds zero bytes; it is likely {encoding}"):
        read_text(path)


def test_accents_are_composed(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(unicodedata.normalize("NFD", "été\n"), encoding="utf-8")
    assert read_text(path) == "\N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN SMALL LETTER E WITH ACUTE}\n"


def test_yaml_and_json_go_through_it(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes("classes: [Straße]\n".encode("utf-16"))
    assert read_yaml(path, DataError, "fields") == {"classes": ["Straße"]}
    path.write_bytes("classes: [Straße]\n".encode("cp1252"))
    with pytest.raises(UsageError, match="likely cp1252"):
        read_yaml(path, UsageError, "fields")
    path.write_bytes(json.dumps({"a": "ß"}, ensure_ascii=False).encode("utf-8-sig"))
    assert json.loads(read_text(path)) == {"a": "ß"}


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes.txt: cannot be read \(No such file"):
        read_text(tmp_path / "classes.txt")


def test_json_that_is_nested_without_end_is_no_json() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        parse_json("[" * 100_000)
