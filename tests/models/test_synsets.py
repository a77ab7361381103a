from __future__ import annotations

import json
from pathlib import Path

import pytest

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.models.synsets import all_synsets, classes_of, find_synset, id_to_words, synsets


def test_the_dogs_of_the_seed() -> None:
    dogs = classes_of([find_synset("n02084071")])
    assert len(dogs) == 118
    assert set(dogs) == set(range(151, 269))
    first, last = [251, 268, 256, 253, 255, 254, 257, 159, 211, 210, 212, 214], [154, 153, 158, 152, 155, 151, 157, 156]
    assert (dogs[: len(first)], dogs[-len(last) :]) == (first, last)  # depth first, as the seed prints them
    assert dogs[55:64] == [174, 176, 160, 162, 161, 164, 168, 173, 170]
    assert list(fullconv.synsets("n02084071").items())[:2] == [
        (251, "dalmatian, coach dog, carriage dog"),
        (268, "Mexican hairless"),
    ]
    assert fullconv.synsets("dog") == {index: fullconv.id_to_words(index) for index in dogs}
    assert len(classes_of([find_synset("n02121808")])) == 5


def test_by_id_by_words_and_by_one_word() -> None:
    dog = find_synset("n02084071")
    assert find_synset("dog, domestic dog, Canis familiaris") == dog
    assert find_synset("Dog") == dog
    assert find_synset("domestic dog") == dog
    assert find_synset("tench").index == 0
    both = classes_of([dog, find_synset("domestic cat")])
    assert len(both) == 123
    assert classes_of([dog, dog]) == classes_of([dog])


def test_unknown_names_list_the_nearest() -> None:
    with pytest.raises(UsageError, match="no synset is called 'dogg'; did you mean dog"):
        find_synset("dogg")
    with pytest.raises(UsageError, match="give a WordNet id"):
        find_synset("qqqqqqqq")


def test_the_verb_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synsets", "n02084071"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "n02084071 dog, domestic dog, Canis familiaris, classes: 118",
        " 251 dalmatian, coach dog, carriage dog",
        " 268 Mexican hairless",
    ]
    assert len(lines) == 119
    assert run(["synsets", "Dog"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert run(["synsets", "crane"]) == 0  # the bird and the machine: the other one is named
    assert sum("also called crane: n" in line for line in capsys.readouterr().out.splitlines()) == 1
    assert run(["synsets", "doog"]) == 2
    assert "did you mean" in capsys.readouterr().err
    with pytest.raises(UsageError, match="0 to 999, found 1000"):
        id_to_words(1000)
    assert synsets("tench") == {0: "tench, Tinca tinca"}


def test_the_table_is_whole() -> None:
    table = all_synsets()
    assert sorted(s.index for s in table.values() if s.index is not None) == list(range(1000))
    assert all(child in table for s in table.values() for child in s.children)
    assert sorted(classes_of([find_synset("n00001740")])) == list(range(1000))


def test_the_table_is_the_published_one(shared: Path) -> None:
    published = json.loads((shared / "data/heatmap/synsets.json").read_text())
    classes = json.loads((shared / "data/heatmap/imagenet_class_index.json").read_text())
    table = all_synsets()
    assert set(table) == set(published)
    for name, entry in published.items():
        assert table[name].words == entry["words"]
        assert list(table[name].children) == entry["children"]
    assert {str(s.index): s.id for s in table.values() if s.index is not None} == {k: v[0] for k, v in classes.items()}
