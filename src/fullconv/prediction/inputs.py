"""Which images are meant by files, folders and globs, and where below ``--out`` the files of each belong."""

from __future__ import annotations

import glob
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from fullconv.errors import UsageError, first_few, plural
from fullconv.formats.read import image_files
from fullconv.formats.read.base import files_below
from fullconv.given import no_images, unread
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.images.raster_open import RASTER_SUFFIXES
from fullconv.there import matching

PREDICTED = (*IMAGE_SUFFIXES, *RASTER_SUFFIXES)
"""What is taken from a folder, by the ends of names."""


@dataclass(frozen=True)
class Input:
    """An image, and where its files go.

    Attributes:
        path: the image.
        below: its name with the folders that are kept of it.
        whole_name: whether the ending stays in the names of its files, since another image differs in nothing else.
    """

    path: Path
    below: PurePath
    whole_name: bool = False

    @property
    def place(self) -> PurePath:
        """Where its files belong below the folder for them, but for their endings."""
        return self.below if self.whole_name else self.below.with_suffix("")

    def file(self, out: Path, ending: str) -> Path:
        """The file under ``out`` with this ending."""
        return out / self.place.with_name(self.place.name + ending)


def listed(images: object) -> list[str | os.PathLike[str]]:
    """Files, folders and globs as they are given, one or several.

    Raises:
        UsageError: something else, such as an image in memory, which has no name for what is written; none.
    """
    found: list[str | os.PathLike[str]] = []
    single = isinstance(images, (str, bytes, os.PathLike)) or hasattr(images, "read")
    for one in [images] if single or not isinstance(images, Iterable) else images:
        if not isinstance(one, (str, os.PathLike)):
            raise UsageError(
                f"expected files, folders or globs, whose names the masks get; found {type(one).__name__} "
                "(Segmenter.predict takes images in memory)"
            )
        found.append(one)
    if not found:
        raise UsageError("no images given; name files, folders or globs after the model")
    return found


def find_inputs(given: Iterable[str | os.PathLike[str]], out: Path | None = None) -> list[Input]:
    """The images that are meant, in order and once each.

    An image keeps its subfolders below the folder that is given, or below the first part with a wildcard of a glob; a
    file that is named has none. Where two would so have files of one name, they keep their folders below the one that
    both lie in; in one folder (``a.jpg``, ``a.png``), the ends of their names: ``a.jpg.png``, ``a.png.png``.

    Args:
        out: the folder for what is written; what lies in it is no image to read, if it lies in a given folder.

    Raises:
        UsageError: an input that names nothing.
    """
    found: dict[Path, Input] = {}
    for one in given:
        for image in _images(Path(one).expanduser(), out):
            found.setdefault(image.path, image)
    return _apart(list(found.values()))


def _images(path: Path, out: Path | None) -> list[Input]:
    if path.is_file():
        return [Input(path, PurePath(path.name))]
    if path.is_dir():
        root, matches = path, image_files(path, PREDICTED)
    else:
        matches = matching(path)
        root = Path(*path.parts[: next(place for place, part in enumerate(path.parts) if glob.has_magic(part))])
    own = _inside(root, out)
    matches = [image for image in matches if not (own and own in image.resolve().parents)]
    if not matches:
        raise no_images(path, PREDICTED)
    return [Input(image, image.relative_to(root)) for image in matches]


def _inside(folder: Path, out: Path | None) -> Path | None:
    """``out`` if it lies in the folder."""
    return out.resolve() if out is not None and folder.resolve() in out.resolve().parents else None


def left_out(given: Iterable[str | os.PathLike[str]], out: Path) -> list[str]:
    """What to say of files in given folders that are not predicted: no images, or in ``out``."""
    names, written = list[str](), 0
    for folder in (path for one in given if (path := Path(one).expanduser()).is_dir()):
        own = _inside(folder, out)
        for place, name in files_below(folder):
            if own is not None and (own == (real := Path(place).resolve()) or own in real.parents):
                written += 1
            else:
                names.append(name)
    taken = f"left out, in --out: {plural(written, 'file')}, taken for results"
    return unread(names, PREDICTED) + [taken] * bool(written)


# -- one name, one image ----------------------------------------------------------------------------------------------


def _apart(images: list[Input]) -> list[Input]:
    """The same images with no place taken twice, whatever the case of letters."""
    for better in (_with_folders, _with_endings):
        for group in list(_clashing(images)):
            for index, image in zip(group, better([images[index] for index in group]), strict=True):
                images[index] = image
    taken = {_key(image) for image in images}
    for group in list(_clashing(images)):
        for index in group[1:]:
            images[index] = _numbered(images[index], taken)
            taken.add(_key(images[index]))
    return images


def _key(image: Input) -> str:
    return str(image.place).casefold()


def _clashing(images: Sequence[Input]) -> Iterator[list[int]]:
    """The images of each place that several share."""
    at = defaultdict[str, list[int]](list)
    for index, image in enumerate(images):
        at[_key(image)].append(index)
    yield from (group for group in at.values() if len(group) > 1)


def _with_folders(group: list[Input]) -> list[Input]:
    folders = [os.path.abspath(image.path.parent) for image in group]
    if len(set(folders)) == 1:
        return group
    common = os.path.commonpath(folders)
    names = [PurePath(os.path.relpath(folder, common)) for folder in folders]
    return [replace(image, below=name / image.path.name) for image, name in zip(group, names, strict=True)]


def _with_endings(group: list[Input]) -> list[Input]:
    return [replace(image, whole_name=True) for image in group]


def _numbered(image: Input, taken: set[str]) -> Input:
    """What still has one name: such as ``A.jpg`` and ``a.jpg``, which are one file on some systems."""
    stem, suffix = image.below.stem, image.below.suffix
    names = (f"{stem}-{number}{suffix}" for number in itertools.count(2))
    ones = (replace(image, below=image.below.with_name(name)) for name in names)
    return next(one for one in ones if _key(one) not in taken)


def refuse_to_overwrite(images: Sequence[Input], out: Path, endings: Sequence[str]) -> None:
    """No file must be written twice, nor take the place of an image.

    Raises:
        UsageError: it would, or ``out`` is a file.
    """
    files = [image.file(out, ending) for image in images for ending in endings]
    twice = [str(path) for path, count in Counter(files).items() if count > 1]
    if twice:
        raise UsageError(f"{first_few(twice)} would be written of two images; rename one, or predict them apart")
    originals = {image.path.resolve() for image in images}
    eaten = [str(path) for path in files if path.resolve() in originals]
    if eaten:
        raise UsageError(f"--out {out} would overwrite the image {eaten[0]}; choose another folder for the masks")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out is the folder for the masks")
