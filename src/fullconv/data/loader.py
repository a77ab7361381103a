"""Batches of samples. Order and augmentation are functions of ``(seed, epoch, index)``, whatever the workers do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fullconv.data.augment import Augmentation, Draw
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample, read_sample
from fullconv.errors import FullconvError
from fullconv.processes import raise_if_a_process_is_gone

WINDOW = 8
"""Blocks (shards, row groups) whose samples are shuffled together."""
LOOSE = 256
"""Files beside containers, in a mixture, form blocks of this many."""


@dataclass(frozen=True)
class Batch:
    """Samples of one size.

    Attributes:
        pixels: uint8 ``n c h w``, channels last in memory.
        labels: ``n h w``.
        ids: of the samples.
        sources: of a mixture, which data set each sample is from.
        inside: where each sample is an image and no padding, int64 ``[n, 4]``: :attr:`Sample.inside`.
    """

    pixels: Tensor
    labels: Tensor
    ids: list[str]
    sources: list[int]
    inside: Tensor

    def to(self, device: torch.device) -> Batch:
        pixels, labels, inside = (
            tensor.to(device, non_blocking=True) for tensor in (self.pixels, self.labels, self.inside)
        )
        return Batch(pixels, labels, self.ids, self.sources, inside)

    def pin_memory(self) -> Batch:
        pixels, labels, inside = (tensor.pin_memory() for tensor in (self.pixels, self.labels, self.inside))
        return Batch(pixels, labels, self.ids, self.sources, inside)


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one sample in one epoch: a counter-based generator, no state to keep."""
    return np.random.Generator(np.random.Philox(key=[seed, 1], counter=[0, 0, epoch, index]))


def epoch_order(seed: int, epoch: int, count: int, blocks: np.ndarray | None = None) -> np.ndarray:
    """The order of ``count`` samples in one epoch.

    With ``blocks`` (of each sample, as :func:`blocks_of` gives them) blocks come in random order, :data:`WINDOW` at a
    time, and the samples of these are shuffled: a container is read a few parts at a time.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, 2], counter=[0, 0, epoch, 0]))
    if blocks is None:
        return random.permutation(count)
    window = random.permutation(int(blocks.max()) + 1) // WINDOW
    return np.lexsort((random.random(count), window[blocks]))


def blocks_of(items: Sequence[Item]) -> np.ndarray | None:
    """The block of each item, numbered from 0; None where no item lies in a container."""
    if all(item.block < 0 for item in items):
        return None
    names = [(item.source, item.block if item.block >= 0 else -1 - i // LOOSE) for i, item in enumerate(items)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


class TrainData(Dataset[Sample | FullconvError]):
    """Training samples, indexed by ``(epoch, index)`` and augmented by nothing else than that and the seed."""

    def __init__(self, spec: DatasetSpec, items: Sequence[Item], augmentation: Augmentation, seed: int) -> None:
        self.spec, self.items, self.augmentation, self.seed = spec, items, augmentation, seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int]) -> Sample | FullconvError:
        """A bad file is a value here: a worker that raises would bury its message in a traceback."""
        epoch, index = key
        item = self.items[index]

        def draw(size: tuple[int, int]) -> Draw:
            return self.augmentation.draw(size, generator(self.seed, epoch, index), item.whole)

        try:
            sample = read_sample(self.spec, item, lambda size: draw(size).shrink)
        except FullconvError as error:
            return error
        size, ignore = (sample.labels.shape[0], sample.labels.shape[1]), self.spec.classes.ignore_index
        drawn = draw(size)
        image, labels = self.augmentation.apply(sample.image, sample.labels, drawn, ignore)
        return Sample(sample.id, image, labels, sample.source, drawn.inside)


class EvalData(Dataset[Sample | FullconvError]):
    """Samples at full size, unchanged."""

    def __init__(self, spec: DatasetSpec, items: Sequence[Item]) -> None:
        self.spec, self.items = spec, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample | FullconvError:
        try:
            return read_sample(self.spec, self.items[index])
        except FullconvError as error:
            return error


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The batches of steps ``start .. stop - 1`` as lists of ``(epoch, index)``.

    Each epoch is its own order of all samples, cut into equal batches; the last one is filled up from the
    start of the order, so that no sample is dropped. Every rank takes its own part of each batch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        world_size: int = 1,
        blocks: np.ndarray | None = None,
    ) -> None:
        self.count, self.batch_size, self.seed, self.blocks = count, batch_size, seed, blocks
        self.start, self.stop, self.rank, self.world_size = start, stop, rank, world_size
        self.steps_per_epoch = steps_per_epoch(count, batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        known, order = -1, np.zeros(0, dtype=np.int64)
        for step in range(self.start, self.stop):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != known:
                order = epoch_order(self.seed, epoch, self.count, self.blocks)
                order = np.resize(order, self.steps_per_epoch * self.batch_size)
                known = epoch
            batch = order[position * self.batch_size : (position + 1) * self.batch_size]
            yield [(epoch, int(index)) for index in batch[self.rank :: self.world_size]]


def steps_per_epoch(count: int, batch_size: int) -> int:
    return -(-count // batch_size)


def collate(samples: Sequence[Sample], fill: tuple[int, ...] = (0,), ignore_index: int = 255) -> Batch:
    """Stack samples; smaller ones are padded on the right and at the bottom, labels with the ignored id."""
    height = max(sample.image.shape[0] for sample in samples)
    width = max(sample.image.shape[1] for sample in samples)
    if all(sample.image.shape[:2] == (height, width) for sample in samples):
        pixels = np.stack([sample.image for sample in samples])
        labels = np.stack([sample.labels for sample in samples])
    else:
        pixels = np.empty((len(samples), height, width, samples[0].image.shape[2]), dtype=np.uint8)
        pixels[:] = fill
        labels = np.full((len(samples), height, width), ignore_index, dtype=samples[0].labels.dtype)
        for i, sample in enumerate(samples):
            inside = np.s_[i, : sample.image.shape[0], : sample.image.shape[1]]
            pixels[inside], labels[inside] = sample.image, sample.labels
    pixels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    places = torch.tensor([s.inside or (0, s.image.shape[0], 0, s.image.shape[1]) for s in samples])
    ids, sources = [s.id for s in samples], [s.source for s in samples]
    return Batch(pixels_first, torch.from_numpy(labels), ids, sources, places)


class _Collate:
    """:func:`collate` with its settings, picklable for workers."""

    def __init__(self, fill: tuple[int, ...], ignore_index: int) -> None:
        self.fill, self.ignore_index = fill, ignore_index

    def __call__(self, samples: Sequence[Sample | FullconvError]) -> Batch | FullconvError:
        bad = [sample for sample in samples if isinstance(sample, FullconvError)]
        return bad[0] if bad else collate([s for s in samples if isinstance(s, Sample)], self.fill, self.ignore_index)


def train_batches(data: TrainData, sampler: StepSampler, workers: int, pin_memory: bool = False) -> Iterator[Batch]:
    """The batches of ``sampler`` in order, read ahead by ``workers`` processes (0: in this one)."""
    settings: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    loader = DataLoader(
        data,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(data.augmentation.fill, data.spec.classes.ignore_index),
        pin_memory=pin_memory,
        worker_init_fn=ignore_interrupts,
        **settings,
    )
    yield from _read(loader)


class EvalBatches:
    """All samples in order, as often as asked; neighbours of equal size share a batch of at most ``batch_size``.

    At most one reading process for each sample is started. With ``keep`` they stay from one pass to the next: where
    processes are spawned, starting one takes seconds. ``pin_memory``: in memory that a GPU copies from by itself.
    """

    def __init__(
        self, data: EvalData, batch_size: int, workers: int, keep: bool = False, pin_memory: bool = False
    ) -> None:
        workers = min(workers, len(data))
        self.batch_size, self.pin_memory = batch_size, pin_memory
        self.loader: DataLoader[Sample | FullconvError] = DataLoader(
            data, batch_size=None, num_workers=workers, collate_fn=_same, worker_init_fn=ignore_interrupts,
            persistent_workers=keep and workers > 0,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[Sample] = []
        for sample in _read(self.loader):
            if waiting and (len(waiting) == self.batch_size or waiting[0].image.shape != sample.image.shape):
                yield self._batch(waiting)
                waiting = []
            waiting.append(sample)
        if waiting:
            yield self._batch(waiting)

    def _batch(self, samples: Sequence[Sample]) -> Batch:
        batch = collate(samples)
        return batch.pin_memory() if self.pin_memory else batch


def _read(loader: DataLoader[Any]) -> Iterator[Any]:
    """What ``loader`` gives.

    Raises:
        FullconvError: an error that a worker found in a file, or a worker that is gone.
    """
    try:
        for value in loader:
            if isinstance(value, FullconvError):
                raise value
            yield value
    except (RuntimeError, BrokenPipeError, EOFError) as error:
        raise_if_a_process_is_gone(error)
        raise


def _same(sample: Any) -> Any:
    return sample


def ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches the whole process group; only the main process shall decide what it means."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
