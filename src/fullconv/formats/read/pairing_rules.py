"""How the name of an image and of its mask differ: by an ending of the mask's, or by a word in each."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

MASK_ENDINGS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "_P", "_labelIds")
MASK_WORDS = {
    "mask", "masks", "msk", "label", "labels", "lbl", "labelmap", "gt", "groundtruth", "truth", "seg", "segmentation",
    "segm", "annotation", "annotations", "annot", "ann", "target", "targets", "matte",
}  # fmt: skip
"""Words by which the name of a mask differs from its image's, before or after what they have in common."""
IMAGE_WORDS = {
    "image", "images", "img", "im", "sat", "satellite", "rgb", "photo", "pic", "picture", "input", "raw", "orig",
    "original", "color", "colour", "frame", "scan", "tile", "patch",
}  # fmt: skip
_PARTS = re.compile(r"[^\W\d_]+|\d+")
SAMPLE = 1000
"""Images by which a rule is chosen; it is applied to all."""


class Rule(Protocol):
    """Brings the names of an image and of its mask to one key; None for a name that the rule is not about."""

    @property
    def said(self) -> str: ...

    def image(self, key: str) -> str | None: ...

    def mask(self, key: str) -> str | None: ...


@dataclass(frozen=True)
class Ending:
    """The mask's name is the image's and something after it."""

    ending: str

    @property
    def said(self) -> str:
        return ""  # the rule of every folder

    def image(self, key: str) -> str | None:
        return key + self.ending

    def mask(self, key: str) -> str | None:
        return key


@dataclass(frozen=True)
class Words:
    """The names are equal but for a word of the image (or none) and a word of the mask, wherever they stand."""

    image_word: str
    mask_word: str

    @property
    def said(self) -> str:
        own = f"have the word {self.image_word!r}" if self.image_word else "have no such word"
        return f"masks are known by the word {self.mask_word!r} in their names, where images {own}"

    def image(self, key: str) -> str | None:
        return _without(self.image_word, key)

    def mask(self, key: str) -> str | None:
        return _without(self.mask_word, key)


class Fit:
    """How well rules fit: by a sample of the images, against all masks."""

    def __init__(self, pictures: Sequence[str], files: Collection[str]) -> None:
        self.sample = pictures[:: max(1, len(pictures) // SAMPLE)]
        self.files = files
        self._masks: dict[tuple[str, bool], set[str]] = {}

    def masks(self, rule: Rule, fold: bool) -> set[str]:
        """The keys of all masks; none where the rule gives one key to two of them."""
        key = (rule.mask_word if isinstance(rule, Words) else "", fold)
        if key not in self._masks:
            names = [name for file in self.files if (name := rule.mask(file)) is not None]
            whole = set(names) if len(set(names)) == len(names) else set[str]()
            self._masks[key] = {name.casefold() for name in whole} if fold else whole
        return self._masks[key]

    def count(self, rule: Rule, fold: bool = False) -> int:
        """How many images of the sample have a mask; none where the rule gives one key to two of them."""
        images = [name for key in self.sample if (name := rule.image(key)) is not None]
        if len(set(images)) < len(images):
            return 0
        masks = self.masks(rule, fold)
        return sum((name.casefold() if fold else name) in masks for name in images)

    def best(self, rules: Sequence[Rule]) -> Rule:
        """The rule by which most have one, the first of equal ones; in another case only where none fits all."""
        counts = [self.count(rule) for rule in rules]
        if max(counts) < len(self.sample):
            counts = [self.count(rule, fold=True) for rule in rules]
        return rules[counts.index(max(counts))]


def by_words(pictures: Collection[str], masks: Collection[str]) -> list[Rule]:
    """Rules by a word of masks and one that all images have, or a usual one of images, or none.

    Without a word for masks nothing is guessed: ``site1_003`` and ``site2_003`` are two places, not a pair.
    """
    own = {part for key in masks for part in parts_of(key) if part.casefold() in MASK_WORDS}
    every = [set(parts_of(key)) for key in pictures]
    common = {part for part in set().union(*every) if part.casefold() in IMAGE_WORDS}
    common |= {part for part in set.intersection(*every) if not part.isdigit()} if every else set()
    return [Words(image, mask) for mask in sorted(own) for image in ("", *sorted(common))]


def parts_of(key: str) -> list[str]:
    """The words and numbers of a name."""
    return _PARTS.findall(key.rpartition("/")[2])


def _without(word: str, key: str) -> str | None:
    """The name without a word that it has once; None where it has it never, or several times."""
    parts = parts_of(key)
    if not word:
        return "/".join((*key.split("/")[:-1], "_".join(parts)))
    if parts.count(word) != 1:
        return None
    parts.remove(word)
    return "/".join((*key.split("/")[:-1], "_".join(parts))) if parts else None
