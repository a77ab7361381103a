"""Opening a plain folder although something is wrong with it, so that a check finds everything at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from fullconv.checking.findings import REFUSED, UNDECIDED, Finding
from fullconv.data.dataset import DatasetSpec, Item, split_by_hash
from fullconv.data.values import as_most, with_values
from fullconv.errors import DataError, FullconvError, first_few
from fullconv.formats.archive import is_archive, unpack
from fullconv.formats.class_dict import CLASS_DICT, by_class_dict
from fullconv.formats.description import Description, read_description
from fullconv.formats.leftovers import leftovers
from fullconv.formats.mask_classes import class_names, names_file, values_from_1
from fullconv.formats.open import open_dataset
from fullconv.formats.read.base import SPLIT_NAMES, child
from fullconv.formats.read.folder import IMAGE_FOLDERS, MASK_FOLDERS
from fullconv.formats.read.pairing import pair
from fullconv.formats.read.split_lists import Lists, lists_of
from fullconv.formats.survey import Contents, inspect_masks, settle
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import unpacked
from fullconv.spec import ClassSet
from fullconv.text import noting

MOST_GUESSED = 40
LEAST_SHARE = 0.001
"""Colours that no class has are proposed as classes when they cover at least this share of the pixels."""


def open_for_check(data: str | os.PathLike[str] | DatasetSpec) -> tuple[DatasetSpec, list[Finding]]:
    """As :func:`open_dataset`; a plain folder that it refuses is opened as far as it goes.

    Returns:
        The data set without what cannot be used, and what was wrong: images without a mask, entries of lists that
        name no image, classes that only the owner can name.

    Raises:
        UsageError, DataError: as :func:`open_dataset`, for what is no plain folder of images and masks.
    """
    try:
        return open_dataset(data), []
    except DataError as error:
        if isinstance(data, DatasetSpec):
            raise
        with noting() as read:
            opening = _find(Path(data).expanduser())
            if opening is None or not opening.items:
                raise
            refusal = Finding(REFUSED, str(error), "do what the line says", problem=True)
            spec = opening.complete()
        items = [item for split in spec.splits.values() for item in split]
        spec = replace(spec, reasons=(*spec.reasons, *leftovers(spec.root, items, read)))
        return spec, opening.findings or [refusal]


@dataclass
class _Opening:
    """A plain folder while it is opened; ``items`` by split, ``""`` before there are splits."""

    root: Path
    description: Description
    items: dict[str, Sequence[Item]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, kind: str, text: str, fix: str) -> None:
        self.findings.append(Finding(kind, text, fix, problem=True))

    def complete(self) -> DatasetSpec:
        """Splits and classes."""
        if "" in self.items:
            everything = self.items.pop("")
            given = self.description
            self.items |= split_by_hash(everything, given.split_seed, given.val_fraction)
            rule = f"{given.val_fraction:.0%} of {len(everything)} images with the smallest SHA-256"
            self.reasons.append(f"no val split is given: val is the {rule} of '{given.split_seed}:name'")
        looked = self._look()
        listing, given = self.root / CLASS_DICT, self.description
        if given.class_set() is None and listing.is_file():
            classes, encoding = by_class_dict(listing, given.encoding(None), self.reasons)
            declared = True
        else:
            classes, encoding, declared = self._classes(looked)
        try:
            encoding = settle(looked, encoding, classes, self.reasons)
        except DataError as error:
            if not any(finding.kind == UNDECIDED for finding in self.findings):
                self.problem(UNDECIDED, str(error), "only you can know: do what the line says")
            encoding = replace(encoding, by_value=("grey", "palette"))  # one question is enough
        spec = DatasetSpec(
            self.root.name, self.root, "folder", tuple(self.reasons), classes, encoding, self.items,
            given.channels or 3, declared,
        )  # fmt: skip
        stated = (given.channels, given.ranges(), given.nodatas())
        try:
            return with_values(spec, *stated)
        except FullconvError as error:
            self.problem("values", str(error), "do what the line says")
        for known in (stated, (given.channels, (), ())):  # what is stated may be what is wrong
            with suppress(FullconvError):
                return as_most(spec, *known)
        return spec

    def _look(self) -> list[Contents]:
        masks = [item.mask for items in self.items.values() for item in items]
        return inspect_masks(masks, len(masks))

    def _classes(self, looked: Sequence[Contents]) -> tuple[ClassSet, MaskEncoding, bool]:
        """Declared classes, or what the masks that can be read hold."""
        given = self.description
        classes = given.class_set()
        encoding = given.encoding(classes)
        values, colours, pixels = _contents(looked)
        if values == {0, 255} and not encoding.values and not encoding.colours and encoding.void_values is None:
            self.problem(
                UNDECIDED,
                f"{self.root}: the masks hold only 0 and 255; is 255 a class or unlabelled?",
                f"write one of these lines into {self.root / 'dataset.yaml'}: 'values: {{0: background, 255: "
                "foreground}' (a class), or 'ignore: [255]' (unlabelled)",
            )
            if classes is None:
                return ClassSet(("value_0", "value_255")), MaskEncoding({0: 0, 255: 1}, void_values=()), False
        if classes is not None:
            self._ids_from_1(values, encoding, classes.names)
            return classes, encoding, True
        if colours:
            return self._colour_classes(colours, pixels)
        return self._value_classes(values, encoding)

    def _ids_from_1(self, values: set[int], encoding: MaskEncoding, names: Sequence[str]) -> None:
        line = values_from_1(values, encoding, names)
        if line:
            self.problem(
                UNDECIDED,
                f"{self.root}: the masks hold ids up to {len(names)} and no 0, but the {len(names)} classes are 0 to "
                f"{len(names) - 1}",
                f"write '{line}' into {self.root / 'dataset.yaml'}, or name class 0 first",
            )

    def _colour_classes(
        self, colours: Mapping[tuple[int, ...], int], pixels: int
    ) -> tuple[ClassSet, MaskEncoding, bool]:
        """RGB masks whose colours nobody named."""
        frequent = [c for c, n in sorted(colours.items(), key=lambda e: -e[1]) if n >= LEAST_SHARE * pixels]
        frequent = frequent[:MOST_GUESSED]
        named = {f"class_{index}": (c[0], c[1], c[2]) for index, c in enumerate(frequent)}
        line = ", ".join(f"{name}: {list(colour)}" for name, colour in named.items())
        self.problem(
            UNDECIDED,
            f"{self.root}: RGB masks of {len(colours)} colours, but no colour is named; {len(frequent)} of them cover "
            f"at least {LEAST_SHARE:.1%} of the pixels",
            f"write the classes into {self.root / 'dataset.yaml'}, with names of yours: 'classes: {{{line}}}'",
        )
        classes = ClassSet(tuple(named), tuple(named.values()))
        return classes, MaskEncoding(colours={colour: index for index, colour in enumerate(named.values())}), False

    def _value_classes(self, values: set[int], encoding: MaskEncoding) -> tuple[ClassSet, MaskEncoding, bool]:
        """Index masks without class names; a name per value where there are too many to be ids."""
        void: set[int | float] = {65535 if max(values, default=0) > 255 else 255}
        void = void if encoding.void_values is None else set(encoding.void_values)
        below = sorted(value for value in values - void if value < 0)
        if below:
            self.problem(
                UNDECIDED, f"{self.root}: the masks hold {first_few([str(value) for value in below])}; ids begin at 0",
                f"write 'ignore: {below}' into {self.root / 'dataset.yaml'} if these pixels have no label, else name "
                "the classes and their values",
            )  # fmt: skip
            void |= set(below)
            encoding = replace(encoding, void_values=tuple(void))
        real = sorted(values - void)
        listing = names_file(self.root)
        if listing is not None:
            classes = ClassSet(class_names(listing))
            self._ids_from_1(values, encoding, classes.names)
            return classes, encoding, True
        if not real:
            if values:
                self.problem(
                    UNDECIDED, f"{self.root}: every mask pixel is void ({first_few([str(v) for v in sorted(void)])})",
                    "label some pixels, or correct 'ignore' in dataset.yaml",
                )  # fmt: skip
            return ClassSet(("unknown",)), encoding, False
        if real[-1] > 20 and len(real) < real[-1] / 2:
            self.problem(
                UNDECIDED,
                f"{self.root}: the masks hold {len(real)} different ids up to {real[-1]}; are these classes, "
                "instances, or smoothed edges?",
                "name the classes and their values in dataset.yaml ('values: {0: ground, 128: road}')",
            )
        if encoding.void_values is None and void & values:
            encoding = replace(encoding, void_values=tuple(void))
        return ClassSet(tuple(f"class_{index}" for index in range(real[-1] + 1))), encoding, False


def _find(path: Path) -> _Opening | None:
    """The first folder at or below ``path`` that holds images and masks."""
    if path.is_file():
        if not is_archive(path):
            return None
        path = unpack(path)
    if not path.is_dir():
        return None
    level = sorted(sub for sub in path.iterdir() if sub.is_dir())[:50]
    for root in (path, *level):
        opening = _Opening(root, read_description(root) or Description())
        parts = {split: sub for split, names in SPLIT_NAMES if (sub := child(root, names)) is not None}
        pairs = {split: _folders(sub, opening.description) for split, sub in parts.items()}
        whole = _folders(root, opening.description)
        if pairs.get("train"):
            for split, folders in pairs.items():
                if folders:
                    opening.items[split] = _pair(opening, *folders)
        elif whole:
            _open_one(opening, *whole)
        else:
            continue
        opening.items = {split: items for split, items in opening.items.items() if items}
        return opening
    return None


def _folders(root: Path, description: Description) -> tuple[Path, Path] | None:
    images = root / description.images if description.images else child(root, IMAGE_FOLDERS)
    masks = root / description.masks if description.masks else child(root, MASK_FOLDERS)
    found = images is not None and masks is not None and images.is_dir() and masks.is_dir() and images != masks
    return (images, masks) if found and images and masks else None


def _open_one(opening: _Opening, images: Path, masks: Path) -> None:
    """One folder of images and one of masks: split folders in them, lists beside them, or neither."""
    parts = {split: sub for split, names in SPLIT_NAMES if (sub := child(images, names)) is not None}
    if parts:
        opening.reasons.append(f"{images.name}/ and {masks.name}/ with folders {', '.join(parts)}")
        for split, sub in parts.items():
            opening.items[split] = _pair(opening, sub, masks / sub.name)
        return
    opening.reasons.append(f"folders {images.name}/ and {masks.name}/, paired by name")
    items = _pair(opening, images, masks)
    lists = opening.description.splits or lists_of(opening.root)
    if not lists:
        opening.items[""] = items
        return
    opening.reasons.append(f"split lists {', '.join(lists.values())}")
    known = Lists(items)
    for split, name in lists.items():
        listed = known.read(opening.root / name, split)
        for wrong, said, fix in (
            (
                listed.missing,
                "name no image with a mask",
                "add the files, or take the entries off the list (--fix does)",
            ),
            (listed.several, "name several images", "write the path from the folder of images"),
            (listed.outside, "lead outside the data's folder", "write paths from there (--fix leaves them out)"),
        ):
            if wrong:
                opening.problem(
                    "unpaired",
                    f"{opening.root / name}: {len(wrong)} of {listed.count} entries {said} ({first_few(wrong)})",
                    fix,
                )
        opening.items[split] = listed.found


def _pair(opening: _Opening, images: Path, masks: Path) -> list[Item]:
    """The images that have a mask; the others become a problem."""
    found = pair(images, masks, opening.description.mask_suffix)
    opening.reasons += [line for line in found.said if line not in opening.reasons]
    if found.bare:
        opening.problem(
            "unpaired",
            f"{images}: {len(found.bare)} of {len(found.bare) + len(found.items)} images have no mask "
            f"({first_few([path.name for path in found.bare])})",
            "add the masks, or move these images away (--fix leaves them out)",
        )
    return found.items


def _contents(looked: Sequence[Contents]) -> tuple[set[int], dict[tuple[int, ...], int], int]:
    """All values of index masks; all colours of RGB masks with their pixels; the pixels of RGB masks."""
    values: set[int] = set()
    colours: dict[tuple[int, ...], int] = {}
    for found in looked:
        values |= {int(value) for value in found.values}
        if found.mask.kind == "colour" and not found.values:
            for colour, count in zip(map(unpacked, found.colours or ()), found.pixels, strict=True):
                colours[colour] = colours.get(colour, 0) + count
    return values, colours, sum(colours.values())
