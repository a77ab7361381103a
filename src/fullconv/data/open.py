"""``open_dataset``: from a folder, an archive or a name to a :class:`DatasetSpec`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.data.archive import is_archive, unpack
from fullconv.data.decode import read_raw_mask
from fullconv.data.description import Description, read_description
from fullconv.data.layouts import RECOGNISERS, Found
from fullconv.data.shapes import SHAPE_CLASSES, Shapes
from fullconv.data.spec import DatasetSpec, Item, MaskEncoding, split_by_hash
from fullconv.errors import DataError, UsageError, first_few
from fullconv.spec import ClassSet, Colour

NAME_FILES = ("classes.txt", "labels.txt", "codes.txt", "class_names.txt")


def open_dataset(data: str | os.PathLike[str] | DatasetSpec) -> DatasetSpec:
    """Recognise and describe a data set.

    Args:
        data: a folder, a zip or tar archive of one, or the name ``shapes``. The folder may be one or two levels
            above the data (``VOCdevkit/VOC2012``). A ``dataset.yaml`` beside the data overrides what would be
            recognised.

    Splits: ``train`` and ``val`` as the data states them; else by the seeded rule of
    :func:`fullconv.data.spec.split_by_hash`.

    Raises:
        UsageError: no such folder.
        DataError: nothing that can be recognised, or files missing.
    """
    if isinstance(data, DatasetSpec):
        return data
    if str(data) == "shapes":
        return shapes_dataset()
    path = Path(data).expanduser()
    if not path.exists():
        raise UsageError(f"{path}: no such folder or archive; give a data folder, or the name shapes")
    if path.is_file():
        if not is_archive(path):
            raise UsageError(f"{path}: neither a folder nor a zip or tar archive; give the folder of the data")
        path = unpack(path)
    for root in _candidates(path):
        description = read_description(root)
        for recognise in RECOGNISERS:
            found = recognise(root, description or Description())
            if found:
                return _complete(root, found, description)
    raise DataError(
        f"{path}: no data set recognised; expected images/ and masks/ folders, or the layout of PASCAL VOC, "
        "CamVid (SegNet) or KITTI Road; name other folders in dataset.yaml (images: ..., masks: ...)"
    )


def shapes_dataset(shapes: Shapes | None = None) -> DatasetSpec:
    """The built-in ``shapes`` data: scenes ``0 .. train - 1`` and ``train .. train + val - 1``."""
    shapes = shapes or Shapes()
    first = {"train": 0, "val": shapes.train}
    count = {"train": shapes.train, "val": shapes.val}
    splits = {
        name: [Item(f"shapes_{i:06d}", index=i) for i in range(first[name], first[name] + count[name])]
        for name in first
    }
    reasons = (f"built-in procedural scenes of {shapes.height}x{shapes.width}, seed {shapes.seed}",)
    return DatasetSpec(
        "shapes", Path("shapes"), "shapes", reasons, SHAPE_CLASSES, MaskEncoding(), splits, shapes=shapes
    )


def _candidates(path: Path) -> list[Path]:
    """The folder itself, then those up to two levels below it (few enough to look at each)."""
    found = [path]
    for level in (sorted(p for p in path.iterdir() if p.is_dir()),):
        found += level[:50]
        found += [q for p in level[:50] for q in sorted(p.iterdir()) if q.is_dir()][:200]
    return found


def _complete(root: Path, found: Found, description: Description | None) -> DatasetSpec:
    """Fill in splits, classes and encoding; what ``dataset.yaml`` says wins."""
    reasons = list(found.reasons)
    classes, encoding = found.classes, found.encoding
    channels = 3
    given = description or Description()
    if description is not None:
        reasons.append("dataset.yaml overrides")
        classes = description.class_set() or classes
        if description.classes or description.values or description.ignore:
            encoding = description.encoding(classes)
            if found.classes is not None and not description.values and not encoding.colours:
                encoding = found.encoding  # other names for the layout's classes, or other void values
                if description.ignore:
                    voids = description.encoding(classes)
                    encoding = dataclasses.replace(
                        encoding, void_values=voids.void_values, void_colours=voids.void_colours
                    )
        channels = description.channels
    splits = _splits(found, given, reasons)
    declared = classes is not None
    if classes is None:
        classes, encoding = _classes_from_files(root, splits, encoding, reasons)
    return DatasetSpec(root.name, root, found.layout, tuple(reasons), classes, encoding, splits, channels, declared)


def _splits(found: Found, description: Description, reasons: list[str]) -> dict[str, Sequence[Item]]:
    splits = dict(found.splits)
    if "train" in splits and "val" in splits:
        return splits
    name = "" if "" in splits else "train"
    if name not in splits:
        raise DataError(f"no split named train; found {', '.join(splits)}; name the lists in dataset.yaml")
    source = splits.pop(name)
    if not source:
        raise DataError("the train split is empty; list at least one image in it")
    seed, fraction = description.split_seed, description.val_fraction
    splits.update(split_by_hash(source, seed, fraction))
    rule = f"val is the {fraction:.0%} of {len(source)} images with the smallest SHA-256 of '{seed}:name'"
    if len(source) == 1:
        rule = "there is one image only: it is both train and val, so the scores show memory, not skill"
    reasons.append(f"no val split is given: {rule}")
    return splits


def _classes_from_files(
    root: Path, splits: dict[str, Sequence[Item]], encoding: MaskEncoding, reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """Classes of a plain folder: names from a list file, else counted from the masks."""
    items = {item.id: item for split in splits.values() for item in split}
    largest, binary, palette = _survey([item.mask for item in items.values()], encoding)
    for name in NAME_FILES:
        if (root / name).is_file():
            lines = [line.strip() for line in (root / name).read_text(encoding="utf-8").splitlines()]
            names = tuple(line for line in lines if line)
            reasons.append(f"class names from {name}")
            return ClassSet(names, palette[: len(names)] if len(palette) >= len(names) else ()), encoding
    if binary:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'classes: [background]' (255 is ignored)"
        )
    names = tuple(f"class_{index}" for index in range(largest + 1))
    reasons.append(f"class names are not given: {len(names)} classes counted from the masks (largest id {largest})")
    return ClassSet(names, palette[: len(names)] if len(palette) >= len(names) else ()), encoding


def _survey(paths: Sequence[Path], encoding: MaskEncoding) -> tuple[int, bool, tuple[Colour, ...]]:
    """The largest id of all masks, whether they hold 0 and 255 only, and the palette of the first."""

    def ids(path: Path) -> set[int]:
        raw = read_raw_mask(path)
        if raw.ndim == 3:
            if not (np.array_equal(raw[..., 0], raw[..., 1]) and np.array_equal(raw[..., 0], raw[..., 2])):
                raise DataError(
                    f"{path}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
                    "(classes: {road: [128, 64, 128], ...}), or save index masks"
                )
            raw = raw[..., 0]
        return {int(value) for value in np.unique(raw)}

    with ThreadPoolExecutor() as pool:
        seen = set().union(*pool.map(ids, paths))
    real = seen - set(encoding.void_values)
    binary = seen == {0, 255}
    if not real:
        raise DataError(f"{paths[0].parent}: every mask pixel is void ({first_few(list(map(str, seen)))})")
    largest = max(real)
    if largest > 1000:
        raise DataError(
            f"{paths[0].parent}: the masks hold id {largest}; that many classes are not plausible: are these "
            "instance ids or colours? Name the classes in dataset.yaml"
        )
    return largest, binary, _palette(paths[0])


def _palette(path: Path) -> tuple[Colour, ...]:
    """The colours of a palette PNG, so that predictions are shown in the same ones."""
    if path.suffix.lower() == ".npy":
        return ()
    with Image.open(path) as image:
        flat = image.getpalette() if image.mode == "P" else None
    if not flat:
        return ()
    return tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
