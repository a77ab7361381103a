"""Filling in what a recogniser leaves open: splits, classes, how masks are read, what the images hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item, split_by_hash
from fullconv.data.mixing import partly_labelled
from fullconv.data.sources import FileMask, mask_files, with_encoding
from fullconv.data.values import as_most, with_values
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.class_dict import CLASS_DICT, by_class_dict
from fullconv.formats.description import FILE_NAME, Description
from fullconv.formats.inspecting import inspect_masks
from fullconv.formats.mask_classes import ask_about_values, classes_from_files, in_their_colours, names_file
from fullconv.formats.missing_names import refuse_missing_names
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found
from fullconv.formats.read.licences import LICENCES
from fullconv.formats.survey import settle
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet


def complete(root: Path, found: Found, description: Description | None, problems: Problems) -> DatasetSpec:
    """The data set that was recognised; what ``dataset.yaml`` says wins.

    Raises:
        DataError: no image is left.
    """
    reasons, given = list(found.reasons), description or Description()
    classes, encoding = found.classes, found.encoding
    if description is not None:
        reasons.append("dataset.yaml overrides")
        classes, encoding = _described(root, found, description, problems)
    if classes is not None and classes is found.classes and _list_wins(root, found):
        classes, encoding = None, MaskEncoding()  # ids are the lines of the list
    splits = _splits(root, found, given, reasons, problems)
    if classes is None and (root / CLASS_DICT).is_file():
        with problems.catching("classes"):
            classes, encoding = by_class_dict(root / CLASS_DICT, encoding, reasons, problems)
    stated = classes is not None
    masks = mask_files(splits)
    if classes is None:
        classes, encoding = classes_from_files(root, masks, encoding, reasons, problems)
    elif masks:
        classes, encoding = _settled(root, found, masks, classes, encoding, given, reasons, problems)
    spec = DatasetSpec(
        root.name, root, found.layout, tuple(reasons), classes, encoding, with_encoding(splits, encoding),
        declared=stated or bool(encoding.named_in), licence=LICENCES.get(found.layout, "") if found.public else "",
    )  # fmt: skip
    spec = _with_values(spec, given, problems)
    if given.labelled:
        with problems.catching("description"):
            spec = partly_labelled(spec, given.labelled)
    return spec


def _described(
    root: Path, found: Found, description: Description, problems: Problems
) -> tuple[ClassSet | None, MaskEncoding]:
    """Classes and encoding by ``dataset.yaml``, as far as it speaks of them."""
    _refuse_no_effect(root, found, description, problems)
    classes, encoding = description.class_set() or found.classes, found.encoding
    if description.classes or description.values or description.ignore or description.transparent:
        own = description.encoding(classes, problems)
        if found.classes is None or description.values or own.colours:
            encoding = own
        else:  # other names for the layout's classes, or other void values
            if description.transparent:
                encoding = dataclasses.replace(encoding, transparent=own.transparent)
            if description.ignore:
                encoding = dataclasses.replace(encoding, void_values=own.void_values, void_colours=own.void_colours)
    kept = encoding.values == found.encoding.values and encoding.colours == found.encoding.colours
    if found.classes is not None and classes is not None and (kept or _own_labels(found)):
        wrong = _other_classes(found, classes, encoding)
        if wrong:
            problems.report(
                "description",
                f"{root / FILE_NAME}: classes gives {wrong}; this layout ({found.layout}) has the {len(found.classes)} "
                f"classes {first_few(list(found.classes.names), 8)}",
                "name each of them, in this order",
            )
            classes = found.classes
    return classes, encoding


def _settled(
    root: Path, found: Found, masks: Sequence[Path], classes: ClassSet, encoding: MaskEncoding, given: Description,
    reasons: list[str], problems: Problems,
) -> tuple[ClassSet, MaskEncoding]:  # fmt: skip
    """Known classes and their encoding with what some masks say of themselves."""
    inspected = inspect_masks(masks, problems, needed=False, known=(encoding, len(classes)))
    encoding = settle(inspected, encoding, classes, reasons, problems)
    classes = classes if classes is found.classes else in_their_colours(classes, inspected, encoding)
    if found.classes is None and (not encoding.colours or "grey" in encoding.by_value):
        by_lines = bool(encoding.colours) and not given.values  # a grey mask's numbers are lines of class_dict.csv
        explained = dataclasses.replace(encoding, values={}) if by_lines else encoding
        ask_about_values(root, inspected, explained, classes.names, problems)
        refuse_missing_names(root, masks, inspected, encoding, classes.names, problems)
    if 0 < len(encoding.colours) < len(classes) and any(one.mask.kind == "colour" for one in inspected):
        text = f"{root}: RGB masks, but two classes have one colour"
        problems.report("description", text, f"give each its own in {FILE_NAME}")
    return classes, encoding


def _with_values(spec: DatasetSpec, given: Description, problems: Problems) -> DatasetSpec:
    """The data set with what its images hold; by what most of them hold, where they are unlike each other."""
    stated = (given.channels, given.ranges(), given.nodatas(), given.bands)
    try:
        return with_values(spec, *stated)
    except DataError as error:
        problems.caught("values", error)
    for known in (stated, (given.channels, (), (), ())):  # what is stated may be what is wrong
        try:
            return as_most(spec, *known)
        except DataError:
            continue
    return dataclasses.replace(spec, channels=given.channels or spec.channels)


def _list_wins(root: Path, found: Found) -> bool:
    """Whether a list of classes beside the data takes the place of a public set's: other data in its form."""
    raw = not (found.public or found.encoding.colours or _own_labels(found))
    return raw and found.layout in LICENCES and names_file(root) is not None


def _own_labels(found: Found) -> bool:
    return any(not isinstance(item.annotation, FileMask) for items in found.splits.values() for item in items)


def _refuse_no_effect(root: Path, found: Found, description: Description, problems: Problems) -> None:
    """Refuse what would have no effect: raw values where the labels are not raw values of mask files, another layout's
    kind of masks.
    """
    if description.kind and found.layout != "kitti_road":
        text = f"{root / FILE_NAME}: kind belongs to KITTI Road, and this is {found.layout}"
        problems.report("description", text, "take the line out")
    if not _own_labels(found):
        return
    no_effect = [name for name in ("values", "ignore") if getattr(description, name) and name not in found.handles]
    if no_effect:
        problems.report(
            "description",
            f"{root / FILE_NAME}: {no_effect[0]} has no effect here, because the labels of this layout "
            f"({found.layout}) are not raw values of mask files",
            "remove it, or convert the data and describe the copy",
        )


def _other_classes(found: Found, classes: ClassSet, encoding: MaskEncoding) -> str:
    """What is wrong where ids were given by name already: ``classes`` may rename them, one by one, and no more."""
    assert found.classes is not None
    if not (_own_labels(found) or encoding.values or encoding.colours):
        return ""
    own = [name.casefold() for name in found.classes.names]
    new = [name.casefold() for name in classes.names]
    moved = [name for i, name in enumerate(new) if name in own and (i >= len(own) or own[i] != name)]
    if len(new) != len(own):
        return f"{len(new)} names"
    return f"{moved[0]!r} at another place" if moved else ""


def _splits(
    root: Path, found: Found, description: Description, reasons: list[str], problems: Problems
) -> dict[str, Sequence[Item]]:
    splits = {split: items for split, items in found.splits.items() if items or not problems.found}
    if not any(splits.values()):
        none = f"{root}: {found.layout}, but no image is in any split; see its lists"
        raise DataError(problems.found[0].line if problems.found else none)
    if "" in splits and "train" in splits:
        reasons.append(f"{plural(len(splits.pop('')), 'image of no split', 'is')} left out: others are named train")
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
        raise DataError(f"{root}: the train split is empty; list at least one image in it")
    seed, fraction = description.split_seed, description.val_fraction
    splits.update(split_by_hash(source, seed, fraction))
    rule = f"val is the {fraction:.0%} of {len(source)} images with the smallest SHA-256 of '{seed}:name'"
    if len(source) == 1:
        rule = "there is one image only: it is both train and val, so the scores show memory, not skill"
    reasons.append(f"no val split is given: {rule}")
    return splits
