"""``open_dataset``: from a folder, an archive or a name to a :class:`DatasetSpec`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.data.archive import is_archive, unpack
from fullconv.data.decode import opened, read_raw_mask
from fullconv.data.description import FILE_NAME, Description, read_description
from fullconv.data.layouts import RECOGNISERS, Found, recognise_folder
from fullconv.data.layouts.counted import NAMES
from fullconv.data.layouts.licences import LICENCES
from fullconv.data.mixing import mix, partly_labelled
from fullconv.data.shapes import Shapes
from fullconv.data.shards import mirror
from fullconv.data.spec import DatasetSpec, Item, MaskEncoding, split_by_hash
from fullconv.errors import DataError, UsageError, first_few
from fullconv.spec import ClassSet, Colour

PROBED_MASKS = 50
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2")
NAME_FILES = ("classes.txt", "labels.txt", "codes.txt", "class_names.txt")


def open_dataset(data: str | os.PathLike[str] | DatasetSpec) -> DatasetSpec:
    """Recognise and describe a data set.

    Args:
        data: a folder, a zip or tar archive of one, or the name ``shapes`` (``shapes:num_classes=12,height=256`` with
            fields of :class:`fullconv.data.Shapes`). The folder may be one or two levels above the data
            (``VOCdevkit/VOC2012``). An address (``https://...``, ``s3://...``) of shards
            (:func:`fullconv.data.shards.mirror`). ``A+B`` mixes several (:func:`fullconv.data.mixing.mix`).
            A ``dataset.yaml`` beside the data overrides what would be recognised.

    Splits: ``train`` and ``val`` as the data states them; else by the seeded rule of
    :func:`fullconv.data.spec.split_by_hash`.

    Raises:
        UsageError: no such folder.
        DataError: nothing that can be recognised, or files missing.
    """
    if isinstance(data, DatasetSpec):
        return data
    if "+" in str(data) and not Path(data).expanduser().exists():
        return mix([open_dataset(part) for part in str(data).split("+")])
    if str(data) == "shapes" or str(data).startswith("shapes:"):
        return shapes_dataset(Shapes.parse(str(data)))
    if "://" in str(data):
        path, note = mirror(str(data), (FILE_NAME, NAMES))
        spec = open_dataset(path)
        return dataclasses.replace(spec, reasons=(note, *spec.reasons))
    path = Path(data).expanduser()
    if not path.exists():
        raise UsageError(
            f"{path}: no such folder or archive; give a data folder, an archive or address of one, A+B, or shapes"
        )
    if path.is_file():
        if not is_archive(path):
            if path.suffix.lower() in ARCHIVE_SUFFIXES:
                raise DataError(f"{path}: a damaged or truncated archive; fetch it again")
            raise UsageError(f"{path}: neither a folder nor a zip or tar archive; give the folder of the data")
        path = unpack(path)
    candidates = _candidates(path)
    for number, root in enumerate(candidates):
        description = read_description(root)
        found = _recognise(root, description or Description())
        if found is not None:
            _refuse_others(path, root, found, candidates[number + 1 :])
            return _complete(root, found, description)
    raise DataError(
        f"{path}: no data set recognised; expected images/ and masks/ folders, or one of the layouts in "
        "docs/data.md (VOC, COCO, Cityscapes, LabelMe, CVAT, YOLO, ...); name other folders in dataset.yaml "
        "(images: ..., masks: ...)"
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
        "shapes", Path("shapes"), "shapes", reasons, shapes.classes, MaskEncoding(), splits, shapes.bands, shapes=shapes
    )


def _candidates(path: Path) -> list[Path]:
    """The folder itself, then those up to two levels below it (few enough to look at each)."""

    def below(folder: Path) -> list[Path]:
        named = (entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX")))
        return sorted(entry for entry in named if entry.is_dir())

    level = below(path)[:50]
    return [path, *level, *[folder for parent in level for folder in below(parent)][:200]]


def _recognise(root: Path, given: Description) -> Found | None:
    """What lies in a folder, by the first recogniser that knows it."""
    own = given.images or given.masks or given.mask_suffix or given.splits
    for recognise in (recognise_folder,) if own else RECOGNISERS:
        found = recognise(root, given)
        if found:
            return found
    if own:
        raise DataError(
            f"{root}: dataset.yaml names images in '{given.images or 'images'}' and masks in "
            f"'{given.masks or 'masks'}', but these two folders are not both there; correct the names"
        )
    return None


def _refuse_others(path: Path, root: Path, found: Found, others: Sequence[Path]) -> None:
    """Refuse a folder above two data sets: which of them is meant, only its owner knows."""
    for other in others:
        if other == root or root in other.parents or root == path:
            continue
        try:
            second = _recognise(other, read_description(other) or Description())
        except DataError:
            continue  # no data set that could be meant
        if second is not None:
            raise DataError(
                f"{path}: holds several data sets, {root.relative_to(path)} ({found.layout}) and "
                f"{other.relative_to(path)} ({second.layout}); give one of them, or join them: {root}+{other}"
            )


def _complete(root: Path, found: Found, description: Description | None) -> DatasetSpec:
    """Fill in splits, classes and encoding; what ``dataset.yaml`` says wins."""
    reasons = list(found.reasons)
    classes, encoding = found.classes, found.encoding
    channels = 3
    given = description or Description()
    if description is not None:
        reasons.append("dataset.yaml overrides")
        _refuse_idle(root, found, description)
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
        if found.classes is not None and classes is not None and (found.encoding is encoding or _own_labels(found)):
            _refuse_other_classes(root, found, classes, encoding)
    splits = _splits(found, given, reasons)
    declared = classes is not None or any((root / name).is_file() for name in NAME_FILES)
    if classes is None:
        classes, encoding = _classes_from_files(root, splits, encoding, reasons)
    elif found.classes is None and not encoding.colours:
        _ask_about_255(root, _values_in(_masks(splits)[:PROBED_MASKS]), encoding)
    spec = DatasetSpec(
        root.name, root, found.layout, tuple(reasons), classes, encoding, splits, channels, declared,
        licence="" if description and description.classes else LICENCES.get(found.layout, ""),
    )  # fmt: skip
    return partly_labelled(spec, given.labelled) if given.labelled else spec


def _own_labels(found: Found) -> bool:
    return any(item.labels is not None for items in found.splits.values() for item in items)


def _refuse_idle(root: Path, found: Found, description: Description) -> None:
    """Refuse what would have no effect: raw values, where the labels are not raw values of mask files."""
    if not _own_labels(found):
        return
    idle = [name for name in ("values", "ignore") if getattr(description, name) and name not in found.honours]
    if idle:
        raise DataError(
            f"{root / FILE_NAME}: {idle[0]} has no effect here, for the labels of this layout ({found.layout}) are not "
            "raw values of mask files; take it away, or convert the data and describe the copy"
        )


def _refuse_other_classes(root: Path, found: Found, classes: ClassSet, encoding: MaskEncoding) -> None:
    """Where ids were given by name already, ``classes`` may rename them, one by one, and no more."""
    assert found.classes is not None
    if not (_own_labels(found) or encoding.values or encoding.colours):
        return
    own = [name.casefold() for name in found.classes.names]
    new = [name.casefold() for name in classes.names]
    moved = [name for i, name in enumerate(new) if name in own and (i >= len(own) or own[i] != name)]
    if len(new) != len(own) or moved:
        wrong = f"{len(new)} names" if len(new) != len(own) else f"{moved[0]!r} at another place"
        raise DataError(
            f"{root / FILE_NAME}: classes gives {wrong}; this layout ({found.layout}) has the {len(own)} classes "
            f"{first_few(list(found.classes.names), 8)}: name each of them, in this order"
        )


def _splits(found: Found, description: Description, reasons: list[str]) -> dict[str, Sequence[Item]]:
    splits = dict(found.splits)
    if "train" in splits and "val" in splits:
        return splits
    if not {"", "train"} & set(splits):
        reasons.append(f"no split is train, only {' and '.join(splits)}: for evaluate and predict, not for training")
        return splits
    name = "" if "" in splits else "train"
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
    masks = _masks(splits)
    seen = _values_in(masks)
    _ask_about_255(root, seen, encoding)
    void = {65535 if max(seen) > 255 else 255} if encoding.void_values is None else set(encoding.void_values)
    if encoding.void_values is None and void & seen:
        encoding = dataclasses.replace(encoding, void_values=tuple(void))  # 65535 is none of our ids
    real = seen - void
    if not real:
        raise DataError(f"{masks[0].parent}: every mask pixel is void ({first_few([str(v) for v in sorted(seen)])})")
    palette = _palette(masks[0])
    listing = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if listing is not None:
        lines = listing.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
        reasons.append(f"class names from {listing.name}")
    else:
        largest = max(real)
        if largest > 20 and len(real) < largest / 2:
            raise DataError(
                f"{masks[0].parent}: the masks hold {len(real)} different ids up to {largest}; are these classes, "
                "instances, or smoothed edges? Name the classes (and values) in dataset.yaml"
            )
        names = tuple(f"class_{index}" for index in range(largest + 1))
        reasons.append(f"class names are not given: {len(names)} classes counted from the masks (largest id {largest})")
    return ClassSet(names, palette[: len(names)] if len(palette) >= len(names) else ()), encoding


def _masks(splits: dict[str, Sequence[Item]]) -> list[Path]:
    return list(dict.fromkeys(item.mask for split in splits.values() for item in split if item.labels is None))


def _ask_about_255(root: Path, seen: set[int], encoding: MaskEncoding) -> None:
    """Masks of 0 and 255 only mean one of two things, and only their owner knows which."""
    if seen == {0, 255} and not encoding.values and encoding.void_values is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'ignore: [255]' (unlabelled)"
        )


def _values_in(paths: Sequence[Path]) -> set[int]:
    """All raw values of index masks."""

    def values(path: Path) -> set[int]:
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
        return set().union(*pool.map(values, paths))


def _palette(path: Path) -> tuple[Colour, ...]:
    """The colours of a palette PNG, so that predictions are shown in the same ones."""
    if path.suffix.lower() == ".npy":
        return ()
    with opened(path) as image:
        flat = image.getpalette() if image.mode == "P" else None
    if not flat:
        return ()
    return tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
