"""Items and their splits."""

from __future__ import annotations

from fullconv.data.dataset import Item, split_by_hash
from fullconv.data.shapes import Scene, Shapes


def test_the_split_by_hash_counts_items_of_equal_names() -> None:
    items = [Item("000000", scene, scene) for scene in (Scene(Shapes(), index) for index in range(5))]
    splits = split_by_hash(items, 0, 0.2)
    assert (len(splits["train"]), len(splits["val"])) == (4, 1)
