"""What is wrong with a data set, reported where it is found: opening raises the first problem, a check collects all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fullconv.errors import DataError
from fullconv.text import note

OpeningKind = Literal[
    "unpaired",
    "unreadable",
    "photograph",
    "photographs",
    "lists",
    "classes",
    "names",
    "background",
    "description",
    "undecided",
    "values",
]
"""What a problem is about: files and list entries that belong to no pair; mask files that cannot be read; a photograph
among the masks, or nothing else there; lists of splits; names and colours of classes; ids behind the last that has a
name, or a background that may have none, so that all names are one off; ``dataset.yaml``; what only the owner of the
data can decide; the images' values.
"""
SEE_LINE = "do what the line says"


@dataclass(frozen=True)
class Problem:
    """One thing for which a data set is refused.

    Attributes:
        text: one line: what was found, where.
        fix: what to do about it.
        files: the files concerned, as far as they are known.
    """

    kind: OpeningKind
    text: str
    fix: str
    files: tuple[Path, ...] = ()

    @property
    def line(self) -> str:
        """All of it."""
        if self.fix == SEE_LINE:
            return self.text
        return f"{self.text} {self.fix[:1].upper()}{self.fix[1:]}" if self.text.endswith("?") else (
            f"{self.text}; {self.fix}"
        )  # fmt: skip


class Problems:
    """Collects; whoever reports goes on with what is left."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._known = set[Problem]()

    def report(self, kind: OpeningKind, text: str, fix: str, files: Sequence[Path] = ()) -> None:
        """Take up a problem, once.

        Raises:
            DataError: of :class:`Strict`: ``text; fix``.
        """
        problem = Problem(kind, text, fix, tuple(files))
        if problem not in self._known:
            self._known.add(problem)
            self.found.append(problem)

    def unmasked(self, text: str, fix: str, images: Sequence[Path]) -> None:
        """Take up images without a mask, beside others that have one.

        Raises:
            DataError: of :class:`Strict`: ``text; fix``.
        """
        self.report("unpaired", text, fix, images)

    def listed(self, split: str, images: Sequence[Path]) -> None:
        """Take up that the list of a split names these of :attr:`bare`."""

    @property
    def bare(self) -> Collection[Path]:
        """The images without a mask that are none of the problems."""
        return ()

    def caught(self, kind: OpeningKind, error: DataError, files: Sequence[Path] = ()) -> None:
        """Take up an error that says itself what to do.

        Raises:
            DataError: of :class:`Strict`: the same.
        """
        Problems.report(self, kind, str(error), SEE_LINE, files)

    @contextmanager
    def catching(self, kind: OpeningKind) -> Iterator[None]:
        """Take up a DataError that is raised inside, and go on behind."""
        try:
            yield
        except DataError as error:
            self.caught(kind, error)

    def take(self, others: Problems) -> None:
        """Take up what another collector found."""
        for problem in others.found:
            self.report(problem.kind, problem.text, problem.fix, problem.files)

    def with_end(self, error: DataError) -> DataError:
        """What to raise where nothing can be opened: the first problem, as :class:`Strict` does, and the others."""
        first, *others = dict.fromkeys([*(problem.line for problem in self.found), str(error)])
        return DataError(f"{first} (and: {'; '.join(others)})") if others else error

    def asked(self) -> bool:
        """Whether there is a question already that only the owner can answer: one is enough at a time."""
        return any(problem.kind == "undecided" for problem in self.found)


class Strict(Problems):
    """Raises the first problem."""

    def report(self, kind: OpeningKind, text: str, fix: str, files: Sequence[Path] = ()) -> None:
        raise DataError(Problem(kind, text, fix).line)

    def caught(self, kind: OpeningKind, error: DataError, files: Sequence[Path] = ()) -> None:
        raise error


class Unmasked(Strict):
    """Raises the first problem, but for images without a mask: these are gathered.

    Attributes:
        images: without a mask, beside others that have one; and the split that lists each, empty where none does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[Path, str] = {}

    @property
    def bare(self) -> Collection[Path]:
        return self.images

    def unmasked(self, text: str, fix: str, images: Sequence[Path]) -> None:
        self.images |= dict.fromkeys(images, "")
        for path in images:
            note(path)

    def listed(self, split: str, images: Sequence[Path]) -> None:
        self.images |= dict.fromkeys(images, split)
