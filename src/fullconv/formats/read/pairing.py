"""Images and their masks, paired by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage, FileMask
from fullconv.errors import first_few, plural
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import image_files
from fullconv.formats.read.names import Names, composed
from fullconv.formats.read.pairing_rules import MASK_ENDINGS, MASK_WORDS, Ending, Fit, Rule, by_words, parts_of
from fullconv.images.files import IMAGE_SUFFIXES

MOSTLY = 0.8
"""Share of the images that must have a mask side by side, before a folder is taken for such data."""


def paired(
    images: Path, masks: Path, problems: Problems, suffix: str = "", reasons: list[str] | None = None
) -> list[Item]:
    """Pair the images of one folder with the masks of another by name; images without one are a problem.

    Names are equal, or the mask's has one of :data:`MASK_ENDINGS` (or ``suffix``) after the image's; or each has a word
    of its own (``img_1`` and ``mask_1``, ``1_sat`` and ``1_mask``). The rule that fits most images is
    applied to all of them. Where no mask has the exact name, one of another case counts, and is said.

    Args:
        images, masks: the folders.
        suffix: the ending, where it is known.
        reasons: the rules applied that are more than equal names or an ending are added here.
    """
    return paired_files(images, image_files(images), masks, image_files(masks), problems, suffix, reasons)


def paired_files(
    images: Path, image_paths: Sequence[Path], masks: Path, mask_paths: Sequence[Path], problems: Problems,
    suffix: str = "", reasons: list[str] | None = None,
) -> list[Item]:  # fmt: skip
    """What :func:`paired` says, of folders that are listed already."""
    pictures = _by_key(image_paths, images, "mask", problems)
    files = _by_key(mask_paths, masks, "image", problems)
    if not pictures:
        problems.report("unpaired", f"{images}: no images found", f"expected {', '.join(IMAGE_SUFFIXES)}")
        return []
    if not files:
        outlines = next(masks.rglob("*.txt"), None)
        yolo = f"found {outlines.name}: YOLO's outlines need a data.yaml with names beside" if outlines else ""
        expected = yolo or "expected PNG files named like the images"
        problems.report("unpaired", f"{masks}: no masks found", expected, list(pictures.values()))
        return []
    rule = _rule(list(pictures), files, suffix)
    items, said = _matched(pictures, files, rule)
    if reasons is not None:
        reasons += [line for line in said if line not in reasons]
    found = {path for item in items for path in item.image.files}
    bare = [path for path in pictures.values() if path not in found]
    if bare and items:
        _report_bare(images, bare, len(pictures), "", problems)
    elif bare:
        expected, first = rule.image(next(iter(pictures))) or "", next(iter(files.values())).relative_to(masks)
        problems.report(
            "unpaired",
            f"{images}: no image has a mask in {masks.name}/ (for {bare[0].name} expected {expected}.png, found "
            f"{first})",
            "name the masks like the images, or give mask_suffix in dataset.yaml", bare,
        )  # fmt: skip
    return items


def _matched(pictures: Mapping[str, Path], files: Mapping[str, Path], rule: Rule) -> tuple[list[Item], list[str]]:
    """The pairs by a rule, and what is said of it."""
    known = Names((name, path) for key, path in files.items() if (name := rule.mask(key)) is not None)
    items, other_case = list[Item](), list[str]()
    for key, path in pictures.items():
        name = rule.image(key)
        mask = None if name is None else known.get(name)
        if mask is not None and name is not None:
            items.append(Item(key, FileImage(path), FileMask(mask)))
            if name not in known.exact:
                other_case.append(f"{path.name}: {mask.name}")
    said = [rule.said] if rule.said else []
    if other_case:
        said.append(
            f"{plural(len(other_case), 'mask', 'is')} named in another case than expected ({first_few(other_case)})"
        )
    return items, said


def paired_within(
    folder: Path, problems: Problems, suffix: str = "", reasons: list[str] | None = None
) -> list[Item] | None:
    """Items of one folder that holds images and masks side by side, told apart by the ends or words of their names.

    Images without a mask, masks without an image and two files of one name are problems.

    Args:
        folder: the folder; what lies below it belongs to it only where ``suffix`` is given.
        suffix: the ending, where it is known.
        reasons: the rule applied is added here, where it is more than an ending.

    Returns:
        None where hardly an image has such a mask, and no suffix says that it should.
    """
    paths = image_files(folder) if suffix else _images_in(folder)
    files: dict[str, Path] = {}
    twice = [path for path in paths if files.setdefault(_key(path, folder), path) != path]
    several = {_key(path, folder) for path in twice}
    masks, rule = _best_within(files, suffix)
    rest = sorted(set(files) - set(masks) - set(masks.values()))
    if not suffix and len(masks) < MOSTLY * (len(masks) + len(rest)):
        return None
    lonely = [files[key] for key in rest if _is_mask(rule, key)]
    bare = [files[key] for key in rest if not _is_mask(rule, key)]
    if twice:
        names = first_few([path.name for path in twice])
        problems.report(
            "unpaired", f"{folder}: {names} have one name with others", "keep one image and one mask of it", twice
        )
    if bare:
        _report_bare(folder, bare, len(masks) + len(bare), f"; {_expected(rule)}", problems)
    if lonely:
        names = first_few([path.name for path in lonely])
        text = f"{folder}: {plural(len(lonely), 'mask', 'has')} no image ({names})"
        problems.report("unpaired", text, "add it, or move them away", lonely)
    if reasons is not None and masks and rule.said and rule.said not in reasons:
        reasons.append(rule.said)
    pairs = sorted((key, mask) for key, mask in masks.items() if not several & {key, mask})
    return [Item(key, FileImage(files[key]), FileMask(files[mask])) for key, mask in pairs]


def _rule(pictures: list[str], files: Mapping[str, Path], suffix: str) -> Rule:
    """The rule that fits most images."""
    fit = Fit(pictures, files)
    rule = fit.best([Ending(ending) for ending in ((suffix,) if suffix else MASK_ENDINGS)])
    if not suffix and fit.count(rule) < len(fit.sample):
        rule = fit.best([rule, *by_words(pictures, files)])
    return rule


def _best_within(files: Mapping[str, Path], suffix: str) -> tuple[dict[str, str], Rule]:
    """The names of images with their masks', by the rule that fits most files, and that rule."""
    rules: list[Rule] = [Ending(ending) for ending in ((suffix,) if suffix else MASK_ENDINGS[1:])]
    masks, rule = max(((_within(rule, files), rule) for rule in rules), key=lambda found: len(found[0]))
    if not suffix and len(masks) < MOSTLY * (len(files) - len(masks)):
        worded = [key for key in files if {part.casefold() for part in parts_of(key)} & MASK_WORDS]
        rules = by_words([key for key in files if key not in set(worded)], worded)
        more = [(_within(rule, files), rule) for rule in rules]
        masks, rule = max([(masks, rule), *more], key=lambda found: len(found[0]))
    return masks, rule


def _report_bare(folder: Path, bare: Sequence[Path], count: int, more: str, problems: Problems) -> None:
    names = first_few([path.name for path in bare])
    text = f"{folder}: {len(bare)} of {count} images have no mask ({names}{more})"
    problems.unmasked(text, "add the masks, or move these images away", bare)


def holds_images(folder: Path) -> bool:
    """Whether image files lie in the folder itself."""
    return bool(_images_in(folder))


def _by_key(paths: Sequence[Path], folder: Path, other: str, problems: Problems) -> dict[str, Path]:
    """Files by name; of two with one name none is taken, for nobody says which is meant."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(_key(path, folder), []).append(path)
    for same in found.values():
        if len(same) > 1:
            text = f"{folder}: {' and '.join(path.name for path in same[:2])} have one name"
            what = "mask per image" if other == "image" else "image per mask"
            problems.report("unpaired", text, f"keep one {what}", same)
    return {key: same[0] for key, same in found.items() if len(same) == 1}


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
