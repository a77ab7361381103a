from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.files import read_value, read_yaml, replacing, write_text
from fullconv.formats.open import open_dataset
from tests.builders.bombs import ALIASES, little_memory


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FullconvError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        "a: &a [*a]",
        f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 5000)}]",
        "a: " + "[" * 50_000,
        "a: " + "{b: " * 1000,
        "a: " + "1" * 5000,
        "a: 2001-99-99",
        "? {a: b}\n: c",
        "a: *missing",
        "a: !!python/object/apply:os.system [ls]",
    ],
)
def test_yaml_that_grows_is_refused(text: str, tmp_path: Path) -> None:
    with little_memory(), pytest.raises(yaml.YAMLError):
        read_value(text)
    (tmp_path / "y.yaml").write_text(text)
    for kind in (UsageError, DataError):
        with pytest.raises(kind, match=r"y\.yaml: not valid YAML") as caught:
            read_yaml(tmp_path / "y.yaml", kind, "anything")
        assert "\n" not in str(caught.value)


def test_yaml_as_people_write_it_is_read() -> None:
    assert read_value("a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}, e: 1e-3}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 1e-3},
    }
    assert len(read_value("names: [" + ", ".join(f"class {i}" for i in range(20_000)) + "]")["names"]) == 20_000
    with pytest.raises(yaml.YAMLError, match="more than 3 values"):
        read_value("[1, 2, 3]", most=3)


def test_a_recipe_and_a_dataset_yaml_with_an_alias_bomb(tmp_path: Path) -> None:
    from fullconv.training.config import TrainConfig

    (tmp_path / "dataset.yaml").write_text(ALIASES)
    (tmp_path / "images").mkdir()
    with little_memory(), pytest.raises(DataError, match="aliases expanded"):
        open_dataset(tmp_path)
    with pytest.raises(UsageError, match="aliases expanded"):
        TrainConfig.load(tmp_path / "dataset.yaml", {})
