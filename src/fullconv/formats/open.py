"""``open_dataset``: from a folder, an archive or a name to a :class:`DatasetSpec`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.mixing import mix
from fullconv.data.shapes import Scene, Shapes
from fullconv.errors import DataError
from fullconv.formats.archive import unpack
from fullconv.formats.class_dict import CLASS_DICT
from fullconv.formats.complete import complete
from fullconv.formats.container_classes import NAMES
from fullconv.formats.containers.far import mirror
from fullconv.formats.description import FILE_NAME, Description, read_description
from fullconv.formats.leftovers import leftovers
from fullconv.formats.mask_classes import NOT_GIVEN, names_file
from fullconv.formats.origin import pseudo_labels
from fullconv.formats.problems import Problem, Problems, Strict, Unmasked
from fullconv.formats.read import RECOGNISERS, recognise_folder
from fullconv.formats.read.base import child_folders
from fullconv.formats.unrecognised import EXPECTED, not_recognised
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassesError
from fullconv.text import noting
from fullconv.there import find_data, is_shapes, parts_of_mixture

MOST_FOLDERS, MOST_DEEPER = 50, 200
"""Folders below the given one, and below these, that are looked at."""


def open_dataset(data: str | os.PathLike[str] | DatasetSpec) -> DatasetSpec:
    """Recognise and describe a data set.

    Args:
        data: a folder, a zip or tar archive of one, or the name ``shapes`` (``shapes:num_classes=12,height=256`` with
            fields of :class:`fullconv.data.Shapes`). The folder may be one or two levels above the data
            (``VOCdevkit/VOC2012``). An address (``https://...``, ``s3://...``) of shards
            (:func:`fullconv.formats.containers.far.mirror`). ``A+B`` mixes several
            (:func:`fullconv.data.mixing.mix`).
            A ``dataset.yaml`` beside the data overrides what would be recognised.

    Splits: ``train`` and ``val`` as the data states them; else by the seeded rule of
    :func:`fullconv.data.dataset.split_by_hash`.

    Raises:
        UsageError: no such folder.
        DataError: nothing that can be recognised, or files missing.
    """
    return _open(data, Strict())


class NotRecognisedError(DataError):
    """A folder in which no data set is found; what lies in it is looked at when it is said, not where it is caught."""

    def __init__(self, path: Path, skipped: int = 0) -> None:
        super().__init__(path, skipped)
        self.path, self.skipped = path, skipped

    @cached_property
    def line(self) -> str:
        more = f"; {self.skipped} of its folders were not looked at: give the one" if self.skipped else ""
        try:
            return not_recognised(self.path) + more
        except OSError:  # it is gone meanwhile, or may not be read
            return f"{self.path}: no data set recognised; {EXPECTED}{more}"

    def __str__(self) -> str:
        return self.line


def open_partly_masked(data: str | os.PathLike[str] | DatasetSpec) -> tuple[DatasetSpec, dict[Path, str]]:
    """As :func:`open_dataset`, of a folder whose images need not all have a mask; and the images that have none, with
    the split that lists them (empty: none does).

    Raises:
        UsageError, DataError: as :func:`open_dataset`; of the latter :class:`NotRecognisedError`.
    """
    problems = Unmasked()
    spec = _open(data, problems)
    return spec, problems.images


def open_as_far_as_it_goes(data: str | os.PathLike[str] | DatasetSpec) -> tuple[DatasetSpec, list[Problem]]:
    """As :func:`open_dataset`, with everything that it would refuse: the data set is what is left without it.

    Raises:
        UsageError, DataError: as :func:`open_dataset`, where nothing is left.
    """
    problems = Problems()
    try:
        return _open(data, problems), problems.found
    except DataError as error:
        raise problems.with_end(error) from error


def _open(data: str | os.PathLike[str] | DatasetSpec, problems: Problems) -> DatasetSpec:
    if isinstance(data, DatasetSpec):
        return data
    if len(parts := parts_of_mixture(str(data))) > 1:
        return mix([_part(part, problems) for part in parts])
    if is_shapes(str(data)):
        return shapes_dataset(Shapes.parse(str(data)))
    if "://" in str(data):
        path, note = mirror(str(data), (FILE_NAME, NAMES))
        spec = _open(path, problems)
        return dataclasses.replace(spec, reasons=(note, *spec.reasons))
    path = find_data(str(data))
    if path.is_file():
        path = unpack(path)
    return _open_folder(path, problems) or _open_below(path, problems)


def _part(data: str, problems: Problems) -> DatasetSpec:
    """One data set of a mixture, whose questions are its own."""
    own = type(problems)()
    try:
        return _open(data, own)
    finally:
        problems.take(own)


@dataclass
class _Attempt:
    """A folder below the given one: its data set, its problems, and what ended the opening."""

    spec: DatasetSpec | None
    problems: Problems
    end: DataError | None = None

    @property
    def line(self) -> str:
        """Why it cannot be used; empty where it can."""
        lines = [problem.line for problem in self.problems.found]
        return next(iter([*lines, str(self.end or "")]))


def _attempt(root: Path) -> _Attempt:
    problems = Problems()
    try:
        return _Attempt(_open_folder(root, problems), problems)
    except DataError as error:
        return _Attempt(None, problems, error)


def _open_below(path: Path, problems: Problems) -> DatasetSpec:
    """The only data set below a folder that can be opened; else the first that cannot, as far as it goes."""
    opened, failed = list[DatasetSpec](), list[_Attempt]()
    candidates, skipped = _candidates(path)
    for root in candidates:
        if any(root.is_relative_to(one.root) for one in opened):
            continue
        attempt = _attempt(root)
        if attempt.line:
            failed.append(attempt)
        elif attempt.spec:
            opened.append(attempt.spec)
        if len(opened) > 1:
            first, second = (f"{one.root.relative_to(path)} ({one.layout})" for one in opened)
            raise DataError(
                f"{path}: holds several data sets, {first} and {second}; give one of them, or join them: "
                f"{opened[0].root}+{opened[1].root}"
            )
    if failed and not opened:
        first_failed = failed.pop(0)
        problems.take(first_failed.problems)
        if first_failed.end is not None:
            raise first_failed.end
        opened += [first_failed.spec] if first_failed.spec else []
    if not opened:
        raise NotRecognisedError(path, skipped)
    spec = opened[0]
    for folder in dict.fromkeys((path, spec.root.parent)):
        if (folder / FILE_NAME).is_file():
            text = f"{folder / FILE_NAME}: describes this folder, but the data lie in {spec.root}"
            problems.report("description", text, "move it there")
    reasons = [f"beside it is left out: {attempt.line}" for attempt in failed]
    reasons += [f"{skipped} more folders of {path} were not looked at"] if skipped else []
    return dataclasses.replace(spec, reasons=(*spec.reasons, *_lists_above(path, spec), *reasons))


def shapes_dataset(shapes: Shapes | None = None) -> DatasetSpec:
    """The built-in ``shapes`` data: scenes ``0 .. train - 1`` and ``train .. train + val - 1``."""
    shapes = shapes or Shapes()
    first = {"train": 0, "val": shapes.train}
    count = {"train": shapes.train, "val": shapes.val}
    scenes = {name: [Scene(shapes, first[name] + i) for i in range(count[name])] for name in first}
    splits = {name: [Item(f"shapes_{scene.index:06d}", scene, scene) for scene in scenes[name]] for name in first}
    reasons = (f"built-in procedural scenes of {shapes.height}x{shapes.width}, seed {shapes.seed}",)
    return DatasetSpec(
        "shapes", Path("shapes"), "shapes", reasons, shapes.classes, MaskEncoding(), splits, shapes.bands
    )


def _candidates(path: Path) -> tuple[list[Path], int]:
    """The folders up to two levels below, few enough to look at each; how many more there are."""

    def below(folder: Path) -> list[Path]:
        return [sub for sub in child_folders(folder) if sub.name != "__MACOSX"]

    level = below(path)
    deeper = [folder for parent in level[:MOST_FOLDERS] for folder in below(parent)]
    skipped = max(0, len(level) - MOST_FOLDERS) + max(0, len(deeper) - MOST_DEEPER)
    return [*level[:MOST_FOLDERS], *deeper[:MOST_DEEPER]], skipped


def _lists_above(path: Path, spec: DatasetSpec) -> list[str]:
    """A line about each list of classes in the folders between the given one and the data, if nothing read it."""
    lines, used = list[str](), [reason for reason in spec.reasons if not reason.startswith(NOT_GIVEN)]
    for folder in (above for above in spec.root.parents if above.is_relative_to(path)):
        for listing in (names_file(folder), folder / CLASS_DICT):
            if listing and listing.is_file() and not any(listing.name in reason for reason in used):
                lines.append(f"{listing} lies above the data and is not used; move it into {spec.root} if it is theirs")
    return lines


def _open_folder(root: Path, problems: Problems) -> DatasetSpec | None:
    """The data set that lies in a folder, by the first recogniser that knows it."""
    description = read_description(root, problems)
    given = description or Description()
    own = given.images or given.masks or given.mask_suffix or given.splits
    for recognise in (recognise_folder,) if own else RECOGNISERS:
        with noting() as read:
            try:
                found = recognise(root, given, problems)
                spec = complete(root, found, description, problems) if found else None
            except ClassesError as error:
                raise DataError(f"{root}: {error}") from error
            if spec:
                items = [item for split in spec.splits.values() for item in split]
                more = (*pseudo_labels(root), *leftovers(root, items, read))
                return dataclasses.replace(spec, reasons=(*spec.reasons, *more))
    if own:
        raise DataError(
            f"{root}: dataset.yaml names images in '{given.images or 'images'}' and masks in "
            f"'{given.masks or 'masks'}', but these two folders are not both there; correct the names"
        )
    return None
