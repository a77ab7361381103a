"""Items and their splits."""

from __future__ import annotations

from fullconv.data.dataset import Item, split_by_hash


def test_the_split_by_hash_counts_items_of_equal_names() -> None:
    items = [Item("000000", index=i) for i in range(5)]
    splits = split_by_hash(items, 0, 0.2)
    assert (len(splits["train"]), len(splits["val"])) == (4, 1)
