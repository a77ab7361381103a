"""Rounds of training on boxes: labels made for each round, and kept in the run folder."""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fullconv.data import DatasetSpec, Item
from fullconv.data.cache import CachedLabels
from fullconv.data.sources import FileMask
from fullconv.errors import UsageError
from fullconv.files import write_text
from fullconv.images.write import write_mask
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.ranks import Ranks
from fullconv.training.run_folder import RunFolder
from fullconv.weak.supervised import Supervised

ROUNDS = 3
"""By default."""
AT_ONCE = 64
"""Images of each rank, between two times that all meet."""
COUNTS = "counts.json"
"""Written last: a folder that has it is complete."""


class BoxRounds(ABC):
    """A :class:`fullconv.training.terms.Relabel`: the epochs in equal rounds, each on labels of its own.

    ``labels/round_1/000012.png`` in the run folder are the labels of the train image of that number, ids with the
    classes' colours; images that teach with something else than boxes keep theirs. A round's folder appears when all of
    it is written, and is never written again, so that a run killed anywhere goes on with the same labels.

    Args:
        config: epochs, rounds and the seed are asked for.
        spec: the data, as they are read in training.
        items: the train items.
        say: tells the user a line.

    Raises:
        UsageError: more rounds than epochs.
    """

    def __init__(
        self, config: TrainConfig, spec: DatasetSpec, items: Sequence[Item], say: Callable[[str], None]
    ) -> None:
        self.config, self.spec, self.all_items, self.say = config, spec, items, say
        rounds = min(ROUNDS, config.epochs) if config.rounds is None else config.rounds
        if rounds > config.epochs:
            raise UsageError(
                f"rounds {rounds}: a round is at least an epoch, found {config.epochs}; use --rounds {config.epochs} "
                "or more epochs"
            )
        self.starts = [round(number * config.epochs / rounds) for number in range(rounds)]
        self.boxed = {place: source for place, item in enumerate(items) if (source := boxes_of_item(item)) is not None}

    def opening(self) -> list[str]:
        epochs = ", ".join(str(start + 1) for start in self.starts)
        rounds = f"{len(self.starts)} rounds, from epochs {epochs}" if len(self.starts) > 1 else "1 round"
        lines = [f"{self.in_words()}: {rounds}; labels of {len(self.boxed)} images are kept in the run folder"]
        if any(source.background is None for source in self.boxed.values()):
            lines.append(
                "  where the data have no background class, what lies outside all boxes is void and teaches nothing: "
                "expect less of boxes there"
            )
        return lines

    def start(self, ranks: Ranks, run: RunFolder) -> None:
        self.ranks, self.run = ranks, run

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        number = bisect.bisect_right(self.starts, epoch)
        if not (self.folder(number) / COUNTS).is_file():
            if epoch != self.starts[number - 1]:
                raise UsageError(
                    f"{self.folder(number)}: the labels of this round are missing, and the network that made them is "
                    "gone; put them back, or start a new run"
                )
            self._make(number, segmenter)
        items = list(self.all_items)
        for place in self.boxed:
            items[place] = dataclasses.replace(items[place], annotation=FileMask(self.file(number, place)))
        return items, [*self.starts, self.config.epochs][number]

    def folder(self, number: int) -> Path:
        """Of the labels of a round, from 1."""
        return self.run.path / "labels" / f"round_{number}"

    def file(self, number: int, place: int) -> Path:
        """The labels of one train item."""
        return self.folder(number) / f"{place:06d}.png"

    def _make(self, number: int, segmenter: Segmenter) -> None:
        """The labels of a round: each rank makes its share, the first one completes the folder."""
        started, folder = time.monotonic(), self.folder(number)
        self.say(f"round {number}: making the labels of {len(self.boxed)} images")
        unfinished = folder.with_name(f".{folder.name}-unfinished")
        if self.ranks.first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        self.ranks.wait()
        training = segmenter.network.training
        segmenter.network.eval()
        self.ranks.copy_first(list(segmenter.network.buffers()))
        counts = self._make_all(number, segmenter, unfinished)
        segmenter.network.train(training)
        write_text(unfinished / f".counts-{self.ranks.index}", json.dumps(counts))
        self.ranks.wait()
        if self.ranks.first:
            every: Counter[str] = Counter()
            for file in sorted(unfinished.glob(".counts-*")):
                every.update(json.loads(file.read_text()))
                file.unlink()
            write_text(unfinished / COUNTS, json.dumps(every, indent=2) + "\n")
            unfinished.rename(folder)
            self.say(f"round {number}: {self.found_in_words(number, every)}, {time.monotonic() - started:.1f} s")
        self.ranks.wait()

    def _make_all(self, number: int, segmenter: Segmenter, folder: Path) -> Counter[str]:
        """This rank's share. The ranks meet often, so that none waits too long for another or for one that failed."""
        places, ranks = list(self.boxed), self.ranks
        counts: Counter[str] = Counter()
        for start in range(0, len(places), AT_ONCE * ranks.count):
            mine = places[start : start + AT_ONCE * ranks.count][ranks.index :: ranks.count]
            make = partial(self.make, number, mine, segmenter, partial(self._write, folder))
            counts.update(ranks.prepare(make))
        return counts

    def _write(self, folder: Path, place: int, labels: np.ndarray) -> None:
        write_mask(folder / f"{place:06d}.png", labels, self.spec.classes)

    def image(self, place: int) -> np.ndarray:
        """The pixels of a train item, as the network sees them."""
        return np.asarray(self.all_items[place].image.read(self.spec.channels, 1, self.spec.values).image)

    def seed(self, place: int, *more: object) -> int:
        """A number of 64 bits by the run's seed, the item and what else is given."""
        item = self.all_items[place]
        text = ":".join(map(str, (self.config.seed, item.source, item.id, *more)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    # -- what a method is ----------------------------------------------------------------------------------------

    @abstractmethod
    def in_words(self) -> str:
        """What makes the labels, for the opening line."""

    @abstractmethod
    def make(
        self, number: int, places: Sequence[int], segmenter: Segmenter, write: Callable[[int, np.ndarray], None]
    ) -> dict[str, int]:
        """Make the labels of some train items for a round and write each.

        Args:
            number: of the round, from 1.
            places: of the items.
            segmenter: in evaluation mode; before the first round untrained.

        Returns:
            What was counted.
        """

    @abstractmethod
    def found_in_words(self, number: int, counts: Counter[str]) -> str:
        """What was counted in a round, for its line."""


def boxes_of_item(item: Item) -> Supervised | None:
    """The item's annotation, where it teaches with boxes."""
    source = item.annotation.of if isinstance(item.annotation, CachedLabels) else item.annotation
    return source if isinstance(source, Supervised) and source.kind == "boxes" else None
