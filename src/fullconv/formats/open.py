"""``open_dataset``: from a folder, an archive or a name to a :class:`DatasetSpec`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item, split_by_hash
from fullconv.data.mixing import mix, partly_labelled
from fullconv.data.shapes import Shapes
from fullconv.data.values import with_values
from fullconv.errors import DataError, UsageError, first_few
from fullconv.formats.archive import is_archive, unpack
from fullconv.formats.class_dict import CLASS_DICT, by_class_dict
from fullconv.formats.container_classes import NAMES
from fullconv.formats.containers.shards import mirror
from fullconv.formats.description import FILE_NAME, Description, read_description
from fullconv.formats.leftovers import leftovers
from fullconv.formats.mask_classes import ask_about_255, classes_from_files, in_their_colours, names_file
from fullconv.formats.problems import Strict
from fullconv.formats.read import RECOGNISERS, Found, recognise_folder
from fullconv.formats.read.base import child_folders
from fullconv.formats.read.licences import LICENCES
from fullconv.formats.survey import inspect_masks, settle
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet
from fullconv.text import noting

MOST_FOLDERS, MOST_DEEPER = 50, 200
"""Folders below the given one, and below these, that are looked at."""
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2")


def open_dataset(data: str | os.PathLike[str] | DatasetSpec) -> DatasetSpec:
    """Recognise and describe a data set.

    Args:
        data: a folder, a zip or tar archive of one, or the name ``shapes`` (``shapes:num_classes=12,height=256`` with
            fields of :class:`fullconv.data.Shapes`). The folder may be one or two levels above the data
            (``VOCdevkit/VOC2012``). An address (``https://...``, ``s3://...``) of shards
            (:func:`fullconv.formats.containers.shards.mirror`). ``A+B`` mixes several
            (:func:`fullconv.data.mixing.mix`).
            A ``dataset.yaml`` beside the data overrides what would be recognised.

    Splits: ``train`` and ``val`` as the data states them; else by the seeded rule of
    :func:`fullconv.data.dataset.split_by_hash`.

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
    opened, failed = list[DatasetSpec](), list[DataError]()
    candidates, skipped = _candidates(path)
    for root in candidates:
        if any(root.is_relative_to(one.root) for one in opened):
            continue
        try:
            here = _open_folder(root)
        except DataError as error:
            if root == path:
                raise
            failed.append(error)
            continue
        if here is not None and root == path:
            return here
        above = [folder for folder in (path, root.parent) if here is not None and (folder / FILE_NAME).is_file()]
        if above:
            raise DataError(f"{above[0] / FILE_NAME}: describes this folder, but the data lie in {root}; move it there")
        opened += [dataclasses.replace(here, reasons=(*here.reasons, *_lists_above(path, here)))] if here else []
        if len(opened) > 1:
            first, second = (f"{one.root.relative_to(path)} ({one.layout})" for one in opened)
            raise DataError(
                f"{path}: holds several data sets, {first} and {second}; give one of them, or join them: "
                f"{opened[0].root}+{opened[1].root}"
            )
    if opened:
        reasons = [f"beside it is left out: {error}" for error in failed]
        reasons += [f"{skipped} more folders of {path} were not looked at"] if skipped else []
        return dataclasses.replace(opened[0], reasons=(*opened[0].reasons, *reasons))
    if failed:
        raise failed[0]
    raise DataError(
        f"{path}: no data set recognised; expected images/ and masks/ folders, or one of the layouts in "
        "docs/data.md (VOC, COCO, Cityscapes, LabelMe, CVAT, YOLO, ...); name other folders in dataset.yaml "
        "(images: ..., masks: ...)"
        + (f"; {skipped} of its folders were not looked at: give the one" if skipped else "")
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


def _candidates(path: Path) -> tuple[list[Path], int]:
    """The folder itself, then those up to two levels below it, few enough to look at each; how many more there are."""

    def below(folder: Path) -> list[Path]:
        return [sub for sub in child_folders(folder) if sub.name != "__MACOSX"]

    level = below(path)
    deeper = [folder for parent in level[:MOST_FOLDERS] for folder in below(parent)]
    skipped = max(0, len(level) - MOST_FOLDERS) + max(0, len(deeper) - MOST_DEEPER)
    return [path, *level[:MOST_FOLDERS], *deeper[:MOST_DEEPER]], skipped


def _lists_above(path: Path, spec: DatasetSpec) -> list[str]:
    """A line about each list of classes in the folders between the given one and the data, if nothing read it."""
    lines = []
    for folder in (above for above in spec.root.parents if above.is_relative_to(path)):
        for listing in (names_file(folder), folder / CLASS_DICT):
            if listing and listing.is_file() and not any(listing.name in reason for reason in spec.reasons):
                lines.append(f"{listing} lies above the data and is not used; move it into {spec.root} if it is theirs")
    return lines


def _open_folder(root: Path) -> DatasetSpec | None:
    """The data set that lies in a folder, by the first recogniser that knows it."""
    description = read_description(root)
    given = description or Description()
    own = given.images or given.masks or given.mask_suffix or given.splits
    for recognise in (recognise_folder,) if own else RECOGNISERS:
        with noting() as read:
            found = recognise(root, given, Strict())
            if found:
                spec = _complete(root, found, description)
                items = [item for split in spec.splits.values() for item in split]
                return dataclasses.replace(spec, reasons=(*spec.reasons, *leftovers(root, items, read)))
    if own:
        raise DataError(
            f"{root}: dataset.yaml names images in '{given.images or 'images'}' and masks in "
            f"'{given.masks or 'masks'}', but these two folders are not both there; correct the names"
        )
    return None


def _complete(root: Path, found: Found, description: Description | None) -> DatasetSpec:
    """Fill in splits, classes and encoding; what ``dataset.yaml`` says wins."""
    reasons = list(found.reasons)
    classes, encoding = found.classes, found.encoding
    given = description or Description()
    if description is not None:
        reasons.append("dataset.yaml overrides")
        _refuse_no_effect(root, found, description)
        classes = description.class_set() or classes
        if description.classes or description.values or description.ignore or description.transparent:
            encoding = description.encoding(classes)
            if found.classes is not None and not description.values and not encoding.colours:
                encoding = found.encoding  # other names for the layout's classes, or other void values
                own = description.encoding(classes)
                if description.transparent:
                    encoding = dataclasses.replace(encoding, transparent=own.transparent)
                if description.ignore:
                    encoding = dataclasses.replace(encoding, void_values=own.void_values, void_colours=own.void_colours)
        if found.classes is not None and classes is not None and (found.encoding is encoding or _own_labels(found)):
            _refuse_other_classes(root, found, classes, encoding)
    if classes is not None and classes is found.classes and _list_wins(root, found):
        classes, encoding = None, MaskEncoding()  # ids are the lines of the list
    splits = _splits(root, found, given, reasons)
    if classes is None and (root / CLASS_DICT).is_file():
        classes, encoding = by_class_dict(root / CLASS_DICT, encoding, reasons)
    declared = classes is not None or names_file(root) is not None
    masks = list(dict.fromkeys(item.mask for split in splits.values() for item in split if item.labels is None))
    if classes is None:
        classes, encoding = classes_from_files(root, masks, encoding, reasons)
    elif masks:
        inspected = inspect_masks(masks)
        encoding = settle(inspected, encoding, classes, reasons)
        classes = classes if classes is found.classes else in_their_colours(classes, inspected, encoding)
        if found.classes is None and (not encoding.colours or "grey" in encoding.by_value):
            by_lines = bool(encoding.colours) and not given.values  # a grey mask's numbers are lines of class_dict.csv
            ask_about_255(
                root, inspected, dataclasses.replace(encoding, values={}) if by_lines else encoding, classes.names
            )
        if 0 < len(encoding.colours) < len(classes) and any(one.mask.kind == "colour" for one in inspected):
            raise DataError(f"{root}: RGB masks, but two classes have one colour; give each its own in {FILE_NAME}")
    spec = DatasetSpec(
        root.name, root, found.layout, tuple(reasons), classes, encoding, splits, declared=declared,
        licence=LICENCES.get(found.layout, "") if found.public else "",
    )  # fmt: skip
    spec = with_values(spec, given.channels, given.ranges(), given.nodatas())
    return partly_labelled(spec, given.labelled) if given.labelled else spec


def _list_wins(root: Path, found: Found) -> bool:
    """Whether a list of classes beside the data takes the place of a public set's: other data in its form."""
    raw = not (found.public or found.encoding.colours or _own_labels(found))
    return raw and found.layout in LICENCES and names_file(root) is not None


def _own_labels(found: Found) -> bool:
    return any(item.labels is not None for items in found.splits.values() for item in items)


def _refuse_no_effect(root: Path, found: Found, description: Description) -> None:
    """Refuse what would have no effect: raw values, where the labels are not raw values of mask files."""
    if not _own_labels(found):
        return
    no_effect = [name for name in ("values", "ignore") if getattr(description, name) and name not in found.handles]
    if no_effect:
        raise DataError(
            f"{root / FILE_NAME}: {no_effect[0]} has no effect here, for the labels of this layout ({found.layout}) "
            "are not raw values of mask files; take it away, or convert the data and describe the copy"
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


def _splits(root: Path, found: Found, description: Description, reasons: list[str]) -> dict[str, Sequence[Item]]:
    splits = dict(found.splits)
    if not any(splits.values()):
        raise DataError(f"{root}: {found.layout}, but no image is in any split; see its lists")
    if "" in splits and "train" in splits:
        reasons.append(f"{len(splits.pop(''))} images of no split are left out: others are named train")
    elif "" in splits and "val" in splits:
        reasons.append("nothing is named train: the images of no split are")
        splits["train"] = splits.pop("")
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
