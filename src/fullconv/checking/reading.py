"""Reading one item once: its labels counted, its picture's fingerprint, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fullconv.checking.duplicates import difference_hash, small_grey
from fullconv.checking.findings import FaultKind
from fullconv.checking.forms import Form, form_of
from fullconv.checking.smoothing import decode_strays, smoothed_share
from fullconv.checking.values import ValueCounts, read_with_values
from fullconv.data.annotations import Kind
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import refuse_unlabelled, void_where
from fullconv.data.sources import FileMask
from fullconv.data.turning import size_line
from fullconv.errors import DataError
from fullconv.formats.description import FILE_NAME
from fullconv.images.mask_file import LossyMask, UnfitMask
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import MaskQuestion
from fullconv.images.photograph import PUT_MASK, Photograph

FIXES: dict[FaultKind, str] = {
    "unreadable": "copy it again from its source, or leave the pair out (--fix does)",
    "photograph": f"{PUT_MASK} (--fix does)",
    "jpeg": "export the mask again as PNG: what JPEG changed is lost (--fix leaves the pair out)",
    "size": "export the mask at the image's size; labels are never resized (--fix leaves the pair out)",
    "form": "export the mask as one map of ids, or of colours (--fix leaves the pair out)",
    "undecided": "write what the line says into dataset.yaml: only you can know",
    "ids": "add the value or colour to dataset.yaml (classes, values or ignore), or fix the mask "
    "(--fix leaves the pair out)",
    "smoothed": "save masks without smoothing; --fix gives each such pixel the nearest colour of the classes around it",
    "colours": "do what the line says (--fix leaves the pair out)",
}
OTHER_NAMES = (
    "add the missing names to {file}, name the classes in dataset.yaml (classes, values or ignore), or fix the mask "
    "(--fix leaves the pair out)"
)
"""The fix of ids that the classes of another file than ``dataset.yaml`` leave out."""
KINDS: dict[type[DataError], FaultKind] = {
    Photograph: "photograph", UnfitMask: "form", LossyMask: "jpeg", MaskQuestion: "undecided",
}  # fmt: skip
"""What is wrong with a mask, by the sort of error that its reader raises."""


def fix_of(kind: FaultKind, spec: DatasetSpec) -> str:
    """What to do about a fault, with the file in which the classes are named."""
    file = spec.encoding.named_in
    return OTHER_NAMES.format(file=file) if kind == "ids" and file not in ("", FILE_NAME) else FIXES[kind]


class Fault(NamedTuple):
    """What is wrong with an item, in a line; the pixels concerned, where they are counted."""

    kind: FaultKind
    text: str
    pixels: int = 0


class Fingerprint(NamedTuple):
    """What tells equal and nearly equal images: digests of pixels and labels, difference hash, uint8 ``[256]``."""

    pixels: bytes
    labels: bytes
    hash: int
    grey: np.ndarray


@dataclass(frozen=True)
class Inspection:
    """What reading an item found; the counts are there where nothing is wrong with it.

    Attributes:
        faults: what is wrong.
        encoding: how the labels are stored, in words.
        size: ``(height, width)``.
        counts: labelled pixels per class, int64 ``[classes]``.
        void: pixels without a label.
        between: border pixels whose id lies between their neighbours', and all border pixels.
        fingerprint: of the image and its labels.
        values: of the image, counted.
        form: what its mask's file says beside the labels.
        marked: how many annotations of each kind and class it has, as far as they are no mask file.
    """

    faults: tuple[Fault, ...] = ()
    encoding: str = ""
    size: tuple[int, int] = (0, 0)
    counts: np.ndarray | None = None
    void: int = 0
    between: tuple[int, int] = (0, 0)
    fingerprint: Fingerprint | None = None
    values: ValueCounts | None = None
    form: Form = field(default_factory=Form)
    marked: Counter[tuple[Kind, int]] = field(default_factory=Counter)


def inspect(spec: DatasetSpec, item: Item) -> Inspection:
    """Read an item; never raises for bad data."""
    faults: list[Fault] = []
    encoding = item.annotation.stored_as()
    image, labels, values = _read_both(spec, item, faults)
    marked = _marked(item, faults)
    if image is not None and not faults and not item.annotation.has_label_map:
        height, width = image.shape[:2]
        return Inspection((), encoding, (height, width), values=values, marked=marked)
    if image is not None and labels is not None and image.shape[:2] != labels.shape:
        faults.append(_size_fault(item, image.shape, labels.shape))
    if faults or image is None or labels is None:
        return Inspection(tuple(faults), encoding)
    ignore = spec.classes.ignore_index
    counts = np.bincount(labels[labels != ignore].ravel(), minlength=len(spec.classes)).astype(np.int64)
    void = labels.size - int(counts.sum())
    between = smoothed_share(labels, ignore) if (counts > 0).sum() > 2 else (0, 0)
    print_of, form = _fingerprint(image, labels), form_of(spec, item)
    return Inspection((), encoding, labels.shape, counts, void, between, print_of, values, form, marked)


def _marked(item: Item, faults: list[Fault]) -> Counter[tuple[Kind, int]]:
    """Its annotations by kind and class."""
    try:
        return Counter((one.kind, one.label) for one in item.annotation.annotations())
    except DataError as error:
        if not faults:
            faults.append(Fault("unreadable", str(error)))
        return Counter()


def _read_both(
    spec: DatasetSpec, item: Item, faults: list[Fault]
) -> tuple[np.ndarray | None, np.ndarray | None, ValueCounts | None]:
    """Image and labels, each None where it cannot be read, and the image's values counted."""
    image = labels = blank = values = None
    try:
        image, blank, values = read_with_values(spec, item)
    except DataError as error:
        faults.append(Fault("unreadable", str(error)))
    classes, ignore = len(spec.classes), spec.classes.ignore_index
    if not item.annotation.has_label_map:
        return image, None, values
    try:
        labels = item.annotation.label_map(classes, ignore)
    except DataError as error:
        faults.append(_mask_fault(spec, item, error, None if image is None else image.shape[:2]))
        return image, None, values
    try:
        refuse_unlabelled(spec, item, labels)
    except DataError as error:
        faults.append(Fault("ids", str(error)))
    if blank is not None and blank.shape == labels.shape:
        labels = void_where(blank, labels, ignore)
    return image, labels, values


def _mask_fault(spec: DatasetSpec, item: Item, error: DataError, size: tuple[int, ...] | None) -> Fault:
    """What is wrong with labels that could not be read, by the decoder's own ``error``.

    A mask of another size than the image's (``size``) is that first: no fix of its values would help.
    """
    text, source = str(error), item.annotation
    kind: FaultKind = next((kind for sort, kind in KINDS.items() if isinstance(error, sort)), "unreadable")
    if not isinstance(source, FileMask) or kind == "photograph":
        return Fault(kind, text)
    try:
        mask = read_mask(source.path)
    except DataError:
        return Fault(kind, text)
    if size is not None and mask.size != size:
        return _size_fault(item, size, mask.size)
    if kind != "unreadable":  # said as what it is
        return Fault(kind, text)
    decoded = decode_strays(mask, source.encoding, spec.classes)
    if decoded is None:
        return Fault("colours" if mask.kind == "colour" else "form", text)
    ids = mask.kind == "grey" and decoded.numbered() if decoded.raw.shape[2] == 3 else not source.encoding.values
    if ids or not decoded.smoothed():
        return Fault("ids", text)
    count, stray = int(decoded.stray.sum()), decoded.raw[decoded.stray]
    sorts = decoded.different()
    coloured = decoded.raw.shape[2] == 3
    what = ("colours" if coloured else "values") if sorts > 1 else ("colour" if coloured else "value")
    row, column = (int(places[0]) for places in np.nonzero(decoded.stray))
    first = tuple(int(value) for value in stray[0]) if coloured else int(stray[0, 0])
    line = (
        f"{source.path}: smoothed edges: {count:,} pixels ({count / decoded.stray.size:.2%}) of {sorts} {what} that "
        f"stand for no class, such as {first} at row {row}, column {column}, near those of the classes"
    )
    return Fault("smoothed", line, count)


def _size_fault(item: Item, image: tuple[int, ...], mask: tuple[int, ...]) -> Fault:
    return Fault("size", size_line(item, image, mask))


def _fingerprint(image: np.ndarray, labels: np.ndarray) -> Fingerprint:
    grey = small_grey(image)
    return Fingerprint(_digest(image), _digest(labels), difference_hash(grey), grey.reduced)


def _digest(array: np.ndarray) -> bytes:
    shape = str(array.shape).encode()
    return hashlib.blake2b(array.ravel().data.cast("B"), digest_size=16, key=shape).digest()
