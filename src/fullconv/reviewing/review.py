"""Which masks are probably wrong, and which images to label next, as a model sees it."""

from __future__ import annotations

import dataclasses
import json as json_module
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fullconv.data import DatasetSpec, Item
from fullconv.data.sample import read_sample
from fullconv.errors import DataError, UsageError, plural
from fullconv.evaluation.matching import by_position, other_range, with_classes_of
from fullconv.files import write_text
from fullconv.machine import default_workers
from fullconv.prediction.unmasked import bare_item, open_or_images
from fullconv.pretrained import load
from fullconv.processes import refuse_unguarded
from fullconv.reviewing.choose import Choice, chosen
from fullconv.reviewing.doubt import Doubt, Doubts
from fullconv.reviewing.looking import look_at_images, look_at_masks, pixels_of
from fullconv.reviewing.page import Pictures, write_page
from fullconv.reviewing.pictures import next_pictures, place_pictures
from fullconv.reviewing.result import ClassDoubt, MaskDoubt, Place, Review, ToLabel
from fullconv.reviewing.tasks import refuse_tasks, write_tasks
from fullconv.segmenter import Segmenter
from fullconv.there import refuse_folders
from fullconv.weak.annotated import has_mask

BUDGET = 50
SHOWN, NEXT = 40, 24
"""Places, and images to label, that the page shows."""


class Entry(NamedTuple):
    """An image and the split that it is in."""

    split: str
    item: Item


def review(
    model: Segmenter | str | os.PathLike[str],
    data: str | os.PathLike[str] | DatasetSpec,
    *,
    out: str | os.PathLike[str] | None = None,
    json: str | os.PathLike[str] | None = None,
    split: str = "",
    budget: int = BUDGET,
    to: str = "",
    tasks: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Review:
    """Find masks that are probably wrong, and choose which images without a mask to label next.

    A model that learned from the masks it judges has learned their mistakes too: give it data that it has not seen, or
    judge by parts (docs/review.md).

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        data: whatever :func:`fullconv.open_dataset` takes, and folders of images of which some or all have no mask. Its
            classes are found by name among the model's.
        out: an HTML page to write: places with pictures, images, classes, what to label next.
        json: a file to write with all of it, ranked.
        split: look at this split alone; by default at all of them. Images that are in none of them because they have no
            mask are looked at in any case.
        budget: how many images to choose for labelling, and how many doubtful masks become tasks.
        to, tasks: write a folder for an annotation tool (``cvat``, ``label-studio`` or ``labelme``): the doubtful masks
            as they are, and the images to label next with what the model predicts.
        device, precision, runner: as for :meth:`Segmenter.load`; a :class:`Segmenter` stays where it is.
        workers: reading processes; by default by the number of cores.
        progress: called after each image with the number of images done and of all.

    Raises:
        UsageError: options that cannot be, or ``tasks`` exists.
        DataError: no image, classes that are not the model's, or a file that cannot be read.
        NotFiniteError: the network's scores of an image are nan or infinite.
    """
    refuse_unguarded()
    refuse_folders(out, json)
    if budget < 1:
        raise UsageError(f"--budget is a number of images, 1 or more; found {budget}")
    refuse_tasks(to, tasks)
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    spec, bare = open_or_images(segmenter, data)
    notes = list(filter(None, [by_position(segmenter, spec), other_range(segmenter, spec)]))
    spec = with_classes_of(segmenter, spec)
    masked, unmasked = _sorted(spec, bare, split, notes)
    notes += _learned(segmenter, spec, masked)
    total, done = len(masked) + len(unmasked), 0

    def told() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    items = [entry.item for entry in masked]
    seen = look_at_masks(segmenter, spec, items, default_workers(workers), bool(unmasked), told)
    undecided = look_at_images(segmenter, spec, [entry.item for entry in unmasked], told)
    choices = chosen(undecided.entropy, undecided.features, np.array(seen.features), budget) if unmasked else []
    doubts = seen.doubts.found()
    result = _result(spec, masked, unmasked, seen.doubts, doubts, choices, notes)
    if json is not None:
        write_text(json, json_module.dumps({**_asked(model, data, split, budget), **result.to_dict()}, indent=1) + "\n")
    if out is not None:
        shown = [(masked[doubt.image].item, doubt, seen.kept.get(doubt.image)) for doubt in doubts[:SHOWN]]
        first = [unmasked[choice.image].item for choice in choices[:NEXT]]
        pictures = Pictures(_of_places(segmenter, spec, shown), _of_images(segmenter, spec, first))
        write_page(out, f"{spec.name}: fullconv review", result, pictures)
    if tasks is not None:  # last: where that fails the hours before are not lost
        wrong = [masked[number] for number in dict.fromkeys(doubt.image for doubt in doubts)][:budget]
        ahead = [unmasked[choice.image] for choice in choices]
        written = write_tasks(to, tasks, segmenter, spec, wrong, ahead)
        result = dataclasses.replace(result, notes=(*result.notes, *written))
    return result


def _sorted(
    spec: DatasetSpec, bare: Mapping[Path, str], split: str, notes: list[str]
) -> tuple[list[Entry], list[Entry]]:
    """The images that have a mask, and those that have none, each once.

    Raises:
        DataError: no such split, or no image.
    """
    splits = {split: spec.split(split)} if split else spec.splits
    masked, unmasked, known = list[Entry](), list[Entry](), set[int]()
    for name, items in splits.items():
        for item in items:
            if id(item) not in known:
                known.add(id(item))
                (masked if has_mask(item.annotation) else unmasked).append(Entry(name, item))
    if unmasked and not bare and masked:
        notes.append(
            f"{plural(len(unmasked), 'image', 'has')} no mask but boxes, lines, points or tags: as good as without one"
        )
    unmasked += [
        Entry(at, bare_item(path, spec.root)) for path, at in bare.items() if not (split and at) or at == split
    ]
    if not masked and not unmasked:
        raise DataError(f"{spec.root}: no image to review")
    if not unmasked:
        notes.append("every image has a mask: there is nothing to label next")
    return masked, unmasked


def _learned(segmenter: Segmenter, spec: DatasetSpec, masked: Sequence[Entry]) -> list[str]:
    """A line where the model seems to have learned from masks that it judges here."""
    train = sum(entry.split == "train" for entry in masked)
    if not train or segmenter.provenance.get("data") != spec.name:
        return []
    return [
        f"the model was trained on data called {spec.name}: where these {train} train masks are the same, it has "
        "learned their mistakes, and finds few of them; judge by parts that it has not seen (docs/review.md, "
        "Cross-validation), or another split: --split val"
    ]


def _result(
    spec: DatasetSpec, masked: Sequence[Entry], unmasked: Sequence[Entry], every: Doubts, doubts: Sequence[Doubt],
    choices: Sequence[Choice], notes: Sequence[str],
) -> Review:  # fmt: skip
    names, usual = spec.classes.names, np.exp(-every.usual()).tolist()
    places = [_place(doubt, masked[doubt.image], names) for doubt in doubts]
    by_image: dict[int, list[Doubt]] = {}
    for doubt in doubts:
        by_image.setdefault(doubt.image, []).append(doubt)
    masks = [
        MaskDoubt(
            entry.item.id, str(entry.item.image.where), entry.split, max((one.score for one in mine), default=0.0),
            len(mine), sum(one.pixels for one in mine), every.seen[number].loss,
        )
        for number, entry in enumerate(masked)
        for mine in [by_image.get(number, [])]
    ]  # fmt: skip
    masks.sort(key=lambda mask: (-mask.score, -mask.loss))
    by_class = [
        ClassDoubt(name, int(count), sum(one.label == name for one in places), chance, _most(places, name))
        for name, count, chance in zip(names, every.judged, usual, strict=True)
    ]
    ahead = [
        ToLabel(unmasked[one.image].item.id, str(unmasked[one.image].item.image.where), *one[1:]) for one in choices
    ]
    return Review(
        spec.classes, tuple(places), tuple(masks), tuple(by_class), tuple(ahead), every.thin, len(unmasked),
        tuple(notes),
    )  # fmt: skip


def _place(doubt: Doubt, entry: Entry, names: Sequence[str]) -> Place:
    box = (doubt.left, doubt.top, doubt.right, doubt.bottom)
    return Place(
        entry.item.id, str(entry.item.image.where), entry.split, names[doubt.label], names[doubt.other], box,
        doubt.pixels, doubt.share, doubt.sure, doubt.score,
    )  # fmt: skip


def _most(places: Iterable[Place], name: str) -> str:
    taken = Counter(place.predicted for place in places if place.label == name)
    return taken.most_common(1)[0][0] if taken else ""


def _of_places(
    segmenter: Segmenter, spec: DatasetSpec, shown: Sequence[tuple[Item, Doubt, np.ndarray | None]]
) -> list[list[str]]:
    """Pictures of places; an image whose prediction was not kept is predicted once more."""
    found, predictions = [], dict[int, np.ndarray]()
    for item, doubt, kept in shown:
        sample = read_sample(spec, item)
        predicted = predictions.get(doubt.image, kept)
        if predicted is None:
            predicted = segmenter.predict_pixels(sample.image, name=item.id).labels
            predictions = {doubt.image: predicted}
        found.append(place_pictures(spec, sample, predicted, doubt))
    return found


def _of_images(segmenter: Segmenter, spec: DatasetSpec, items: Sequence[Item]) -> list[list[str]]:
    return [
        next_pictures(segmenter.predict_pixels(pixels, entropy=True, name=item.id), spec.classes)
        for item in items
        for pixels in [pixels_of(segmenter, spec, item)]
    ]


def _asked(
    model: Segmenter | str | os.PathLike[str], data: str | os.PathLike[str] | DatasetSpec, split: str, budget: int
) -> dict[str, Any]:
    return {
        "model": "in memory" if isinstance(model, Segmenter) else str(model),
        "data": str(data.root if isinstance(data, DatasetSpec) else data),
        "split": split,
        "budget": budget,
    }
