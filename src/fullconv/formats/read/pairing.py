"""Images and their masks, paired by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.errors import DataError, first_few
from fullconv.formats.read.base import image_files
from fullconv.formats.read.names import Names, composed
from fullconv.formats.read.pairing_rules import MASK_ENDINGS, MASK_WORDS, Ending, Fit, Rule, by_words, parts_of
from fullconv.images.files import IMAGE_SUFFIXES

MOSTLY = 0.8
"""Share of the images that must have a mask side by side, before a folder is taken for such data."""


@dataclass
class Pairing:
    """Which mask belongs to which image.

    Attributes:
        items: the pairs, in the order of the images.
        bare: images without a mask.
        said: the rules applied that are more than equal names or an ending.
        expected: the mask's name that the first image was to have.
        found: the first mask, if there is one.
    """

    items: list[Item] = field(default_factory=list)
    bare: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    expected: str = ""
    found: Path | None = None


def pair(images: Path, masks: Path, suffix: str = "") -> Pairing:
    """Pair the images of one folder with the masks of another by name.

    Names are equal, or the mask's has one of :data:`MASK_ENDINGS` (or ``suffix``) after the image's; or each has a word
    of its own (``img_1`` and ``mask_1``, ``1_sat`` and ``1_mask``). The rule that fits most images is
    applied to all of them. Where no mask has the exact name, one of another case counts, and is said.

    Raises:
        DataError: two images, or two masks, of one name.
    """
    pictures, files = _by_key(image_files(images), images, "mask"), _by_key(image_files(masks), masks, "image")
    rules: list[Rule] = [Ending(ending) for ending in ((suffix,) if suffix else MASK_ENDINGS)]
    fit = Fit(list(pictures), files)
    rule = fit.best(rules)
    if not suffix and fit.count(rule) < len(fit.sample):
        rule = fit.best([rule, *by_words(pictures, files)])
    known = Names((name, path) for key, path in files.items() if (name := rule.mask(key)) is not None)
    result = Pairing(expected=(rule.image(next(iter(pictures), "")) or ""), said=[rule.said] if rule.said else [])
    result.found = next(iter(files.values()), None)
    other_case = []
    for key, path in pictures.items():
        name = rule.image(key)
        mask = None if name is None else known.get(name)
        if mask is None or name is None:
            result.bare.append(path)
            continue
        result.items.append(Item(key, path, mask))
        if name not in known.exact:
            other_case.append(f"{path.name}: {mask.name}")
    if other_case:
        result.said.append(f"{len(other_case)} masks are named in another case than expected ({first_few(other_case)})")
    return result


def paired(images: Path, masks: Path, suffix: str = "", reasons: list[str] | None = None) -> list[Item]:
    """Pair images with masks by name; refuse images that have none.

    Args:
        images, masks, suffix: as :func:`pair` has them.
        reasons: the rules applied are added here.
    """
    result = pair(images, masks, suffix)
    if not (result.items or result.bare):
        raise DataError(f"{images}: no images found; expected {', '.join(IMAGE_SUFFIXES)}")
    if result.found is None:
        outlines = next(masks.rglob("*.txt"), None)
        said = f"found {outlines.name}: YOLO's outlines need a data.yaml with names beside" if outlines else ""
        raise DataError(f"{masks}: no masks found; {said or 'expected PNG files named like the images'}")
    bare = [path.name for path in result.bare]
    if not result.items:
        raise DataError(
            f"{images}: no image has a mask in {masks.name}/ (for {bare[0]} expected {result.expected}.png, found "
            f"{result.found.relative_to(masks)}); name the masks like the images, or give mask_suffix in dataset.yaml"
        )
    if bare:
        raise DataError(
            f"{images}: {len(bare)} of {len(bare) + len(result.items)} images have no mask ({first_few(bare)}); "
            "add the masks, or move these images away"
        )
    if reasons is not None:
        reasons += [line for line in result.said if line not in reasons]
    return result.items


def paired_within(folder: Path, suffix: str = "", reasons: list[str] | None = None) -> list[Item] | None:
    """Items of one folder that holds images and masks side by side, told apart by the ends or words of their names.

    Args:
        folder: the folder; what lies below it belongs to it only where ``suffix`` is given.
        suffix: the ending, where it is known.
        reasons: the rule applied is added here, where it is more than an ending.

    Returns:
        None where hardly an image has such a mask, and no suffix says that it should.

    Raises:
        DataError: images without a mask, masks without an image, or two files of one name.
    """
    paths = image_files(folder) if suffix else _images_in(folder)
    files: dict[str, Path] = {}
    twice = [path.name for path in paths if files.setdefault(_key(path, folder), path) != path]
    endings = (suffix,) if suffix else MASK_ENDINGS[1:]
    rules: list[Rule] = [Ending(ending) for ending in endings]
    masks, rule = max(((_within(rule, files), rule) for rule in rules), key=lambda found: len(found[0]))
    if not suffix and len(masks) < MOSTLY * (len(files) - len(masks)):
        worded = [key for key in files if {part.casefold() for part in parts_of(key)} & MASK_WORDS]
        rules = by_words([key for key in files if key not in set(worded)], worded)
        more = [(_within(rule, files), rule) for rule in rules]
        masks, rule = max([(masks, rule), *more], key=lambda found: len(found[0]))
    rest = sorted(set(files) - set(masks) - set(masks.values()))
    if not suffix and len(masks) < MOSTLY * (len(masks) + len(rest)):
        return None
    lonely = [files[key].name for key in rest if _is_mask(rule, key)]
    bare = [files[key].name for key in rest if not _is_mask(rule, key)]
    if twice:
        raise DataError(f"{folder}: {first_few(twice)} have one name with others; keep one image and one mask of it")
    if bare:
        raise DataError(
            f"{folder}: {len(bare)} of {len(masks) + len(bare)} images have no mask ({first_few(bare)}; "
            f"{_expected(rule)}); add the masks, or move these images away"
        )
    if lonely:
        raise DataError(f"{folder}: {len(lonely)} masks have no image ({first_few(lonely)}); add it, or move them away")
    if reasons is not None and masks and rule.said and rule.said not in reasons:
        reasons.append(rule.said)
    return [Item(key, files[key], files[mask]) for key, mask in sorted(masks.items())]


def holds_images(folder: Path) -> bool:
    """Whether image files lie in the folder itself."""
    return bool(_images_in(folder))


def _by_key(paths: Sequence[Path], folder: Path, other: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        known = found.setdefault(_key(path, folder), path)
        if known != path:
            what = "mask per image" if other == "image" else "image per mask"
            raise DataError(f"{folder}: {known.name} and {path.name} have one name; keep one {what}")
    return found


def _is_mask(rule: Rule, key: str) -> bool:
    return key.endswith(rule.ending) if isinstance(rule, Ending) else rule.mask(key) is not None


def _expected(rule: Rule) -> str:
    return f"expected names that end in {rule.ending}.png" if isinstance(rule, Ending) else rule.said


def _within(rule: Rule, files: Mapping[str, Path]) -> dict[str, str]:
    """Names of images with their masks'; of face, face_mask and face_mask_mask the shortest is an image."""
    if isinstance(rule, Ending):
        known = {key: key for key in files}
        images = sorted(files, key=len)
    else:
        known = {name: key for key in files if (name := rule.mask(key)) is not None}
        images = [key for key in files if rule.mask(key) is None]
    masks, taken = dict[str, str](), set[str]()
    for key in images:
        name = rule.image(key)
        mask = known.get(name) if name is not None else None
        if key not in taken and mask is not None:
            masks[key] = mask
            taken.add(mask)
    return masks


def _key(path: Path, folder: Path) -> str:
    above = os.fspath(folder)
    inside = os.fspath(path)[0 if above == os.curdir else len(above) :].lstrip(os.sep)
    return composed(os.path.splitext(inside)[0].replace(os.sep, "/"))


def _images_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    return [folder / name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
