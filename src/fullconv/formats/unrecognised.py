"""A folder in which no data set is recognised: what lies in it, and how to say what it is."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from fullconv.errors import DataError, first_few
from fullconv.formats.description import FILE_NAME
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import child_folders, files_below
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS, split_folders
from fullconv.formats.read.pairing import paired_files
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.images.mask_reading import read_mask
from fullconv.images.photograph import Photograph, is_photograph

MOST_FILES = 100_000
"""Files that are looked at: a home folder may hold millions."""
MOST_PAIRED = 10_000
"""Files among which a pair is looked for."""
MOST_PLACES, MOST_KINDS = 6, 3
MOST_FOLDERS = 6
"""Folders among which a pair is looked for."""
PROBED = 4
"""Images of a folder that are looked at, to tell whether it holds photographs."""
MOSTLY = 0.8
"""The share of the images whose mask is found by name, where two folders are proposed."""
EXPECTED = (
    "expected images/ and masks/ folders (photos/, labels/, gt/, ...: docs/layouts/folder.md), or one of the layouts "
    "in docs/data.md (VOC, COCO, Cityscapes, LabelMe, CVAT, YOLO, ...)"
)


def not_recognised(path: Path) -> str:
    """The line about it: what was found, and what was expected, or the lines of ``dataset.yaml`` that fit."""
    files = list(itertools.islice(files_below(path), MOST_FILES))
    found = f"{path}: no data set recognised{_missing_half(path)}; found {_found(path, files)}"
    pair = None
    if len(files) <= MOST_PAIRED:
        listing = _images_by_folder(path, files)
        pair = next(filter(None, (_pair(base, listing) for base in (path, *child_folders(path)[:MOST_FOLDERS]))), None)
    if pair is None:
        return f"{found}; {EXPECTED}; name other folders in dataset.yaml (images: ..., masks: ...)"
    base, images, masks, sure = pair
    lines = [_line("images", images), _line("masks", masks)]
    swapped = "" if sure else ", or the two names the other way round"
    return (
        f"{found}; their names pair {images} with {masks}: write the two lines '{lines[0]}' and '{lines[1]}' into "
        f"{base / FILE_NAME}{swapped}"
    )


def _line(kind: str, name: str) -> str:
    """A line of YAML to stand between single quotes: a name that must be quoted itself is in double ones."""
    line = yaml.safe_dump({kind: name}, allow_unicode=True, width=math.inf).strip()
    return f"{kind}: {json.dumps(name, ensure_ascii=False)}" if "'" in line else line


def _missing_half(path: Path) -> str:
    halves = [name for name in ("images", "masks") if not (path / name).is_dir()]
    if path.name in ("images", "masks") and all((path.parent / name).is_dir() for name in ("images", "masks")):
        return f" (it is half of {path.parent}: give that)"
    return f" ({halves[0]}/ is missing)" if len(halves) == 1 else ""


def _found(path: Path, files: Sequence[tuple[str, str]]) -> str:
    """``photos/ (12 .jpg), truth/ (12 .png)``."""
    places: dict[str, Counter[str]] = {}
    for folder, name in files:
        kind = os.path.splitext(name)[1].lower() or "without a suffix"
        places.setdefault(os.path.relpath(folder, path), Counter())[kind] += 1
    if not places:
        return "no file"
    said = []
    for where in sorted(places, key=lambda where: (where != ".", where.count(os.sep), where)):
        kinds = first_few([f"{count} {kind}" for kind, count in places[where].most_common()], MOST_KINDS)
        said.append(kinds if where == "." else f"{Path(where).as_posix()}/ ({kinds})")
    return first_few(said, MOST_PLACES) + (f" among the first {MOST_FILES:,} files" if len(files) == MOST_FILES else "")


Listing = Mapping[Path, Sequence[Path]]
"""The image files below each folder, at any depth."""


def _images_by_folder(path: Path, files: Sequence[tuple[str, str]]) -> Listing:
    listing: dict[Path, list[Path]] = {}
    for place, name in files:
        if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
            folder = Path(place)
            for above in (folder, *folder.parents):
                if above == path:
                    break
                listing.setdefault(above, []).append(folder / name)
    for images in listing.values():
        images.sort()
    return listing


def _pair(base: Path, listing: Listing) -> tuple[Path, str, str, bool] | None:
    """Two folders of ``base``, or of its splits, whose files pair by name: images, masks, whether they may be swapped.

    None where there are none, or several, or both hold images (of two cameras, say).
    """
    found = list[tuple[str, str, bool]]()
    splits = split_folders(base).values()
    for root in (base, *splits):
        others = [folder for folder in child_folders(root) if folder not in splits][:MOST_FOLDERS]
        for first, second in itertools.combinations((folder for folder in others if folder in listing), 2):
            both = _fit(first, second, listing), _fit(second, first, listing)
            if max(both) < MOSTLY:
                continue
            tells = [(tell(first, listing), tell(second, listing)) for tell in (_photographs, _jpegs)]
            if (True, True) in tells:
                continue
            first_is_images, sure = _is_images(first, second, tells), True
            if first_is_images is None:
                first_is_images, sure = both[0] >= both[1], both[0] != both[1]
            images, masks = (first, second) if first_is_images else (second, first)
            found.append((images.name, masks.name, sure))
    return (base, *found[0]) if len(set(found)) == 1 else None


def _fit(images: Path, masks: Path, listing: Listing) -> float:
    """The share of the images that have a mask by name."""
    return len(paired_files(images, listing[images], masks, listing[masks], Problems())) / len(listing[images])


def _is_images(first: Path, second: Path, tells: Sequence[tuple[bool, bool]]) -> bool | None:
    """Whether the first holds the images and the second the masks; None where it may be the other way round."""
    named = [folder.name.lower() in IMAGE_FOLDERS for folder in (first, second)]
    for one, other in (*tells, named):
        if one != other:
            return one
    masks = [folder.name.lower() in MASK_FOLDERS for folder in (first, second)]
    return masks[1] if masks[0] != masks[1] else None


def _photographs(folder: Path, listing: Listing) -> bool:
    """Whether one of a few images is a photograph: not each looks like one."""
    files = listing[folder]
    return any(map(_is_photograph, files[:: -(-len(files) // PROBED)]))


def _is_photograph(path: Path) -> bool:
    try:
        return is_photograph(read_mask(path))
    except Photograph:
        return True
    except DataError:
        return False


def _jpegs(folder: Path, listing: Listing) -> bool:
    return listing[folder][0].suffix.lower() in (".jpg", ".jpeg")
