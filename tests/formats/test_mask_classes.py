"""The classes of masks: from a list of names, or counted from the masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked, converted
from tests.builders.folders import THREE, Make, pairs


@pytest.mark.parametrize("where", ["dataset.yaml", "classes.txt"])
def test_ids_from_1_are_explained(where: str, make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(np.asarray(picture) + np.uint8(1)).save(path)
    names = ["ground", "disc", "square", "triangle", "ring"]
    (root / where).write_text(yaml.safe_dump({"classes": names}) if where == "dataset.yaml" else "\n".join(names))
    assert run(["check", str(root)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    line = "values: {1: ground, 2: disc, 3: square, 4: triangle, 5: ring}"
    assert "ids up to 5 and no 0, but the 5 classes are 0 to 4" in said
    assert f"write '{line}' into" in said
    with pytest.raises(DataError, match="ids up to 5 and no 0"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(line)
    assert open_dataset(root).classes.names == tuple(names)


GERMAN = ["Boden", "Straße", "Gebäude"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_class_names_in_marked_encodings(tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode(encoding))
    assert checked(root, capsys)["classes"] == GERMAN
    assert converted(root, capsys)[:2] == (GERMAN, [THREE] * 6)


def test_class_names_in_cp1252_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode("cp1252"))
    said = str(checked(root, capsys, code=3)["printed"])
    assert "it is likely cp1252, in which the line is 'Straße'" in said
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 3
    assert not (tmp_path / "copy").exists()
