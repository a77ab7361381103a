"""What is to be looked at or labelled, as tasks of an annotation tool with labels to begin with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol

from fullconv.data import DatasetSpec, Item
from fullconv.data.drawing import Annotations
from fullconv.data.sample import Sample, read_sample
from fullconv.errors import UsageError, plural
from fullconv.files import new_folder
from fullconv.formats.write import TARGETS, Writer, free_name
from fullconv.formats.write.label_studio import LabelStudioTasks
from fullconv.reviewing.looking import pixels_of
from fullconv.segmenter import Segmenter
from fullconv.there import refuse_lone_tasks

TOOLS: dict[str, type[Writer]] = {
    "cvat": TARGETS["cvat"], "label-studio": LabelStudioTasks, "labelme": TARGETS["labelme"],
}  # fmt: skip
SPLITS = ("train", "val", "test")


class InSplit(Protocol):
    """An image and the split that it is in; empty for none."""

    @property
    def split(self) -> str: ...
    @property
    def item(self) -> Item: ...


def refuse_tasks(to: str, tasks: str | os.PathLike[str] | None) -> None:
    """Before hours of work.

    Raises:
        UsageError: a tool that there is none of, one option without the other, or a folder that exists.
    """
    if to and to not in TOOLS:
        raise UsageError(f"--to {to}: no such tool; there are {', '.join(TOOLS)}")
    refuse_lone_tasks(to, tasks)


def write_tasks(
    to: str, out: str | os.PathLike[str], segmenter: Segmenter, spec: DatasetSpec, wrong: Sequence[InSplit],
    ahead: Sequence[InSplit],
) -> list[str]:  # fmt: skip
    """Write the folder; what the tool cannot hold, in a line each.

    Args:
        wrong: images with a doubtful mask, which is what one begins with.
        ahead: images to label, where one begins with what is predicted.

    Nothing is written where there is nothing, which is said.
    """
    if not wrong and not ahead:
        return [f"{out}: not written, no mask is doubtful and no image is without one"]
    every = [*wrong, *ahead]
    splits = {_split(entry): [one.item for one in every if _split(one) == _split(entry)] for entry in every}
    notes, names, taken = list[str](), dict[str, list[str]](), set[str]()
    target = dataclasses.replace(spec, splits=splits, labelled=None)
    with new_folder(out) as partial, closing(TOOLS[to](target, partial, notes)) as writer:
        for entry, item, sample in _samples(segmenter, spec, wrong, ahead):
            name = free_name(item.id, taken)
            taken.add(name)
            names.setdefault(_split(entry), []).append(name)
            writer.add(_split(entry), name, item, sample)
        writer.finish(names)
    doubtful = f"{len(wrong)} doubtful mask{'s' * (len(wrong) != 1)}"
    return [f"{out}: {doubtful} and {plural(len(ahead), 'image')} to label, for {to}", *notes]


def _samples(
    segmenter: Segmenter, spec: DatasetSpec, wrong: Sequence[InSplit], ahead: Sequence[InSplit]
) -> Iterator[tuple[InSplit, Item, Sample]]:
    for entry in wrong:
        yield entry, entry.item, read_sample(spec, entry.item)
    for entry in ahead:
        pixels = pixels_of(segmenter, spec, entry.item)
        labels = segmenter.predict_pixels(pixels, name=entry.item.id).labels
        nothing = Annotations(str(entry.item.image.where), (0, 0), (), has_label_map=False)
        yield entry, dataclasses.replace(entry.item, annotation=nothing), Sample(entry.item.id, pixels, labels)


def _split(entry: InSplit) -> str:
    """As layouts of tools name it."""
    return entry.split if entry.split in SPLITS else "train"
