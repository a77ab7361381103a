"""Images with no more than tags: a table ``tags.csv`` beside a folder of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fullconv.data.annotations import IGNORED, Annotation
from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.mask_classes import class_names, names_file
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child, image_files
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS
from fullconv.formats.read.names import Names, composed
from fullconv.formats.read.split_lists import by_lists, lists_of
from fullconv.images.files import image_size
from fullconv.palette import is_background
from fullconv.spec import ClassSet
from fullconv.text import read_csv

FILE_NAME = "tags.csv"
HEADINGS = {"image", "images", "file", "filename", "file_name", "name", "path", "id", "image_id", "image_name"}
"""First cells of a line that names columns."""


def recognise_image_tags(root: Path, description: Description, problems: Problems) -> Found | None:
    """``tags.csv``, a line for each image: its name, then the classes that it shows, separated by ``;`` or ``,``.

    Or a table with a heading, a column for each class, of 0 and 1. A line without a class is an image that shows none.
    Where masks lie in a folder of masks, these are the data.
    """
    path = root / FILE_NAME
    if not path.is_file() or any(child(root, (name,)) is not None for name in MASK_FOLDERS):
        return None
    folder = root / description.images if description.images else child(root, IMAGE_FOLDERS) or root
    tags = _read(path, problems)
    reasons = [f"{FILE_NAME}: the classes that each image shows, and no masks"]
    classes, background = _classes(
        root, sorted({tag for shown in tags.values() for tag in shown}), description, reasons
    )
    images = {image: image.relative_to(folder) for image in image_files(folder)}
    named = _by_name(path, tags, images, problems)
    left = [image.name for image in images if image not in named]
    if left:
        reasons.append(
            f"{len(left)} of {len(images)} images are not in {FILE_NAME} and are left out: {first_few(left)}"
        )
    ids = {name: label for label, name in enumerate(classes.names)}
    items, bare = [], 0
    for image, shown in named.items():
        known = [tag for tag in shown if tag in ids]
        found = [Annotation(ids[tag], "tag", name=tag) for tag in known]
        if not shown and background != IGNORED:
            found = [Annotation(background, "tag", name=classes.names[background])]
        bare += not shown
        with problems.catching("unreadable"):
            annotations = Annotations(
                f"{path}: {images[image].as_posix()}", image_size(image), tuple(found), background=background,
                image=image, has_label_map=False,
            )  # fmt: skip
            items.append(Item(images[image].with_suffix("").as_posix(), FileImage(image), annotations))
    if bare:
        said = f"only {classes.names[background]} there" if background != IGNORED else "none of the classes there"
        reasons.append(f"{plural(bare, 'image', 'has')} no tag: {said}")
    return Found("image_tags", reasons, _splits(root, items, description, reasons, problems), classes)


def _read(path: Path, problems: Problems) -> dict[str, tuple[str, ...]]:
    """The tags of each image by its name; of one that is named twice all of both lines, and a problem.

    Raises:
        DataError: there is no line with an image.
    """
    rows = [[cell.strip() for cell in row] for row in read_csv(path)]
    rows = [row for row in rows if any(row)]
    heading = rows.pop(0) if rows and rows[0][0].casefold() in HEADINGS else []
    table = len(heading) > 1 and bool(rows) and all(
        len(row) == len(heading) and set(row[1:]) <= {"0", "1"} for row in rows
    )  # fmt: skip
    found: dict[str, tuple[str, ...]] = {}
    twice, nameless = [], 0
    for row in rows:
        if table:
            shown = [name for name, cell in zip(heading[1:], row[1:], strict=True) if cell == "1"]
        else:
            shown = [tag.strip() for cell in row[1:] for tag in cell.split(";")]
        name = composed(row[0].replace("\\", "/"))
        nameless += not name
        if name in found:
            twice.append(name)
        found[name] = tuple(dict.fromkeys([*found.get(name, ()), *filter(None, shown)]))
    found.pop("", None)
    if nameless:
        problems.report(
            "lists", f"{path}: {plural(nameless, 'line', 'begins')} with no image", "expected image,class;class"
        )
    if twice:
        problems.report(
            "lists",
            f"{path}: {plural(len(twice), 'image', 'has')} more than one line ({first_few(twice)})",
            "keep one, with all tags",
        )
    if not any(found.values()):
        raise DataError(f"{path}: tags no image; expected lines such as a.jpg,cat;dog")
    return found


def _classes(root: Path, tags: Sequence[str], description: Description, reasons: list[str]) -> tuple[ClassSet, int]:
    """The classes, and the id of the background among them (or :data:`IGNORED`).

    Raises:
        DataError: a tag is none of the classes that ``dataset.yaml`` or a list names.
    """
    classes, listing = description.class_set(), names_file(root)
    where = "dataset.yaml"
    if classes is None and listing is not None:
        classes, where = ClassSet(class_names(listing, Problems())), listing.name
    if classes is None:
        classes = ClassSet(tuple(tags) if any(map(is_background, tags)) else ("background", *tags))
        reasons.append("classes are the tags, sorted, after background, which every image shows")
    else:
        reasons.append(f"classes by {where}")
    strange = [tag for tag in tags if tag not in classes.names]
    if strange:
        raise DataError(
            f"{root / FILE_NAME}: {len(strange)} tags are none of the classes of {where} ({first_few(strange)}); "
            "correct them, or add them there"
        )
    return classes, IGNORED if classes.background is None else classes.background


def _by_name(
    path: Path, tags: Mapping[str, tuple[str, ...]], images: Mapping[Path, Path], problems: Problems
) -> dict[Path, tuple[str, ...]]:
    """The tags of each image that a line names: by the longest end of its path that fits, with or without a suffix."""
    known: dict[str, list[Path]] = {}
    for image, below in images.items():
        place = PurePosixPath(below.as_posix())
        for name in {composed(one) for one in (str(place), str(place.with_suffix("")), place.name, place.stem)}:
            known.setdefault(name, []).append(image)
    names = Names(known.items())

    def find(name: str) -> list[Path]:
        parts = PurePosixPath(name).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((there for end in ends if (there := names.get(end))), [])

    found = {name: find(name) for name in tags}
    for wrong, what, fix in (
        ([n for n, those in found.items() if not those], "name no image", "add the images, or take the lines away"),
        ([n for n, those in found.items() if len(those) > 1], "name several images", "write more of their paths"),
    ):
        if wrong:
            text = f"{path}: {len(wrong)} of {len(tags)} lines {what} ({first_few(wrong)})"
            problems.report("unpaired", text, fix)
    single = {name: those[0] for name, those in found.items() if len(those) == 1}
    owners: dict[Path, list[str]] = {}
    for name, image in single.items():
        owners.setdefault(image, []).append(name)
    again = [name for several in owners.values() if len(several) > 1 for name in several]
    if again:
        text = f"{path}: {first_few(again)} name images that other lines name too"
        problems.report("lists", text, "keep one line for each, with all tags")
    return {image: tags[name] for name, image in single.items()}


def _splits(
    root: Path, items: list[Item], description: Description, reasons: list[str], problems: Problems
) -> dict[str, Sequence[Item]]:
    """By lists, where there are such, else by the first folder of an image's path where it is named like a split."""
    lists = description.splits or lists_of(root)
    if lists:
        reasons.append(f"split lists {', '.join(lists.values())}")
        return dict(by_lists(root, items, lists, problems))
    splits: dict[str, Sequence[Item]] = {}
    for item in items:
        first = item.id.partition("/")[0].casefold() if "/" in item.id else ""
        split = next((split for split, names in SPLIT_NAMES if first in names), "")
        splits[split] = [*splits.get(split, ()), item]
    return splits
