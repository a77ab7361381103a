"""Which JSON files of a folder are COCO's, which split each is, and where their images lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fullconv.errors import DataError, first_few
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, child, image_files
from fullconv.formats.read.exports import inside, split_in_words, split_of
from fullconv.formats.read.folder import MASK_FOLDERS
from fullconv.formats.read.names import spot
from fullconv.text import head_of

PREFIX = "instances_"
SINGLE = ("annotations.json", "_annotations.coco.json")
NOTES = ("annotations", "annotation", "labels", "label")
FEW = 20
"""A folder of more JSON files has one per image."""
OTHERS = ("panoptic_", "captions_", "image_info_", "person_keypoints_", "stuff_")
"""Files of COCO's that hold something else."""
_KEYS = ('"images"', '"annotations"', '"categories"', '"licenses"', '"info"')


def instance_files(root: Path) -> list[Path]:
    """The JSON files that are, or may be, instance annotations, of any name.

    ``annotations/instances_*.json`` where there are such, with files of other names beside them for the splits that
    none of these names; else files of one of the names in :data:`SINGLE`, in the
    folder or in its split folders; else those that begin as such files do, unless masks lie beside the images.
    """
    place = child(root, ("annotations",))
    files = _json_files(place) if place else []
    named = [path for path in files if path.name.lower().startswith(PREFIX)]
    if named:
        known = {"", *(split_in(path, root) for path in named)}
        others = files if len(files) <= FEW else []
        return [*named, *(path for path in others if split_in(path, root) not in known and may_be_coco(path))]
    parts = [folder for _, names in SPLIT_NAMES if (folder := child(root, names)) is not None]
    single = [path for part in parts if (path := _single(part)) is not None]
    if (path := _single(root)) is not None and not any(split_of(one.parent.name) == "train" for one in single):
        single = [path]
    if single:
        return single
    notes = child(root, NOTES)
    found: list[Path] = []
    for folder in dict.fromkeys(one for one in (root, notes, *parts) if one is not None):
        files = _json_files(folder)
        found += [path for path in files if len(files) <= FEW and may_be_coco(path)]
    masks = [folder for name in MASK_FOLDERS if found and (folder := child(root, (name,))) is not None]
    return [] if any(image_files(folder) for folder in masks) else found


def may_be_coco(path: Path) -> bool:
    """Whether a JSON file begins as one of COCO's does: an object of lists; not one image's file of another tool."""
    if path.name.lower().startswith(OTHERS):
        return False
    head = head_of(path)
    return head.startswith("{") and any(key in head for key in _KEYS) and '"shapes"' not in head


def _json_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json" and path.is_file())


def _single(folder: Path) -> Path | None:
    return next((folder / name for name in SINGLE if (folder / name).is_file()), None)


def split_in(path: Path, root: Path) -> str:
    """The split that a file's name, or else its folder's, says; empty for none.

    The words of the name count (``annotations_train.json``, ``instances_Validation.json``, ``val2017.json``); of
    COCO's own names their beginning, too (``instances_trainval35k.json``).
    """
    name = path.stem.lower()
    found = split_in_words(name)
    if not found and name.startswith((PREFIX, *OTHERS)):
        found = next((split for split, _ in SPLIT_NAMES if name.partition("_")[2].startswith(split)), "")
    above = split_of(path.parent.name) if path.parent != root else None
    return found or above or ""


def by_split(paths: Iterable[Path], root: Path) -> dict[str, list[Path]]:
    """Files by the split that they name; those of none under "".

    Raises:
        DataError: two files of one split.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        split = split_in(path, root)
        if split and split in found:
            one, other = (place.relative_to(root).as_posix() for place in (found[split][0], path))
            raise DataError(f"{root}: {one} and {other} are of one split ({split}); keep one of them there")
        found.setdefault(split, []).append(path)
    return found


MOST_TRIED = 20


def image_folder(root: Path, places: Sequence[str], names: Sequence[str], anywhere: bool = False) -> Path:
    """The folder of a file's images: one of ``places``, here or in ``images``; ``images``, ``data``, or the root.

    Args:
        places: folders' names, for example ``train2017``.
        names: the images; of the first :data:`MOST_TRIED` one is enough, for some may be missing.
        anywhere: else any folder below the root that alone holds a file of the first name.

    Raises:
        DataError: no image is in any of them.
    """
    both = [name for place in places for name in (place, f"images/{place}")]
    tried = dict.fromkeys((*both, "images", "data", "."))
    folders = [folder for part in tried if (folder := spot(root / part)) is not None]
    for name in names[:MOST_TRIED]:
        for folder in folders:
            if spot(folder / inside(name)) or spot(folder / Path(name).name):
                return folder
    below = [path.parent for path in image_files(root) if anywhere and path.name == inside(names[0]).name]
    if len(below) == 1:
        return below[0]
    raise DataError(f"{root}: image {names[0]} is in none of the folders {', '.join(tried)}; put the images there")


def image_paths(folder: Path, names: list[str], source: Path, problems: Problems) -> list[Path | None]:
    """The images that ``source`` names, in ``folder``, by their path there or their bare name; None: missing."""
    spots = [spot(folder / inside(name)) or spot(folder / Path(name).name) for name in names]
    paths = [path if path is not None and path.is_file() else None for path in spots]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        text = f"{source}: {len(missing)} of {len(names)} images are not in {folder} ({first_few(missing)})"
        problems.report("unpaired", text, "add them, or take them out of the file")
    return paths


def folders_of(path: Path, root: Path, split: str) -> list[str]:
    """Names of the folders in which the images of a file may lie: its own, those named like it or like its split."""
    stem = path.stem
    for prefix in (PREFIX, *OTHERS):
        stem = stem[len(prefix) :] if stem.lower().startswith(prefix) else stem
    alike = [name for known, names in SPLIT_NAMES if known == split for name in names]
    own = path.parent.relative_to(root).as_posix()
    return [*([own, f"{own}/images"] if own not in (".", *NOTES) else []), stem, *alike]


def unused(files: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Files of no split that are left out, for another one is named train."""
    return list(files.get("", ())) if "train" in files else []
