from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullconv.errors import UsageError
from fullconv.models.synsets import classes_of, find_synset, synsets


def test_the_dogs_of_the_seed() -> None:
    dogs = classes_of([find_synset("n02084071")])
    assert len(dogs) == 118
    assert set(dogs) == set(range(151, 269))  # the seed's list, in order
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


def test_the_table_is_whole() -> None:
    table = synsets()
    assert sorted(s.index for s in table.values() if s.index is not None) == list(range(1000))
    assert all(child in table for s in table.values() for child in s.children)
    assert classes_of([find_synset("n00001740")]) == list(range(1000))


def test_the_table_is_the_published_one(shared: Path) -> None:
    published = json.loads((shared / "data/heatmap/synsets.json").read_text())
    classes = json.loads((shared / "data/heatmap/imagenet_class_index.json").read_text())
    table = synsets()
    assert set(table) == set(published)
    for name, entry in published.items():
        assert table[name].words == entry["words"]
        assert sorted(table[name].children) == sorted(entry["children"])
    assert {str(s.index): s.id for s in table.values() if s.index is not None} == {k: v[0] for k, v in classes.items()}
