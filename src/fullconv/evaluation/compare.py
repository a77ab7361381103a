"""Whether one model is better than another: both on the same images, and the bootstrap over them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data import DatasetSpec
from fullconv.errors import UsageError, first_few
from fullconv.evaluation.evaluate import evaluate
from fullconv.evaluation.intervals import Difference, paired
from fullconv.evaluation.metrics import Scores
from fullconv.evaluation.numbers import number
from fullconv.exported.header import SUFFIXES as EXPORTED
from fullconv.formats.open import open_dataset
from fullconv.model_file import read_header
from fullconv.pretrained import find_model
from fullconv.segmenter import Segmenter


@dataclass(frozen=True, repr=False)
class Comparison:
    """Of models on the same images.

    Attributes:
        names: of the models.
        scores: of each, with :attr:`Scores.detail`.
        differences: of each but the first from the first, by the name of the score.
    """

    names: tuple[str, ...]
    scores: tuple[Scores, ...]
    differences: tuple[Mapping[str, Difference], ...]

    def __repr__(self) -> str:
        """The mean IoU of each, and whether what differs from the first is real."""
        first, *others = (
            f"{name}: mean IoU {scores.mean_iou:.4f}" for name, scores in zip(self.names, self.scores, strict=True)
        )
        more = [
            f"{line}, {found['mean_iou'].value:+.4f}, {found['mean_iou'].p_in_words()}"
            for line, found in zip(others, self.differences, strict=True)
        ]
        return "\n  ".join(["Comparison", first, *more])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan becomes null."""
        named = zip(self.names, self.scores, strict=True)
        return {
            "models": [{"name": name, **scores.to_dict()} for name, scores in named],
            "differences_from_the_first": [
                {
                    name: {
                        "value": number(one.value), "low": number(one.low), "high": number(one.high),
                        "p": number(one.p), "draws": one.draws, "real": one.real,
                    }
                    for name, one in differences.items()
                }
                for differences in self.differences
            ],
        }  # fmt: skip


def compare(
    models: Sequence[Segmenter | str | os.PathLike[str]],
    data: str | os.PathLike[str] | DatasetSpec,
    split: str = "val",
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Comparison:
    """Score models on the same images, and say which differences other images would show too.

    Images are drawn with replacement, the same for all models, 1,000 times; a difference is real where 0 lies outside
    of its 95 % interval. It is about other images of this kind: whether another training of the same network would
    do as well, other seeds say.

    Args:
        models: two or more, as for :func:`fullconv.evaluate`; the first is what others are compared with.
        data, split, **options: as for :func:`fullconv.evaluate`.
        progress: called after each batch with the number of images done and of all, those of every model.

    Raises:
        UsageError: fewer than two models, or models that know other classes.
        DataError: as :func:`fullconv.evaluate`.
    """
    if len(models) < 2:
        raise UsageError(f"compare takes two models or more, found {len(models)}")
    known = [names for names in map(_classes, models) if names]
    for names in known[1:]:
        _refuse_other_classes(known[0], names)
    spec = data if isinstance(data, DatasetSpec) else open_dataset(data)
    images = len(spec.split(split)) * len(models)
    found: list[Scores] = []
    for place, model in enumerate(models):
        before = place * images // len(models)
        told = None if progress is None else functools.partial(_tell, progress, before, images)
        found.append(evaluate(model, spec, split, detail=True, progress=told, **options))
    first, *others = [_counts(scores, found[0].classes.names) for scores in found]
    return Comparison(_names(models), tuple(found), tuple(paired(first, other) for other in others))


def _classes(model: Segmenter | str | os.PathLike[str]) -> Sequence[str]:
    """Those of a model, where they are known before it is loaded; else none."""
    if isinstance(model, Segmenter):
        return model.classes.names
    file = find_model(model)
    classes = {} if file.suffix in EXPORTED else read_header(file)["classes"]
    names: Sequence[str] = classes.get("names", ()) if isinstance(classes, dict) else ()
    return names


def _refuse_other_classes(names: Sequence[str], theirs: Sequence[str]) -> None:
    if sorted(theirs) != sorted(names):
        ours, others = (first_few([name for name in a if name not in b]) for a, b in ((names, theirs), (theirs, names)))
        alone = [f"{who} alone {which}" for who, which in (("the first", ours), ("another", others)) if which]
        raise UsageError(
            f"models must know the same classes, found {len(names)} and {len(theirs)} that differ: {'; '.join(alone)}"
        )


def _tell(progress: Callable[[int, int], None], before: int, images: int, done: int, _: int) -> None:
    progress(before + done, images)


def _counts(scores: Scores, names: Sequence[str]) -> np.ndarray:
    """int64 ``[images, 3, classes]``, classes in the order of ``names``.

    Raises:
        UsageError: they are other ones.
    """
    assert scores.detail is not None
    theirs = scores.classes.names
    _refuse_other_classes(names, theirs)
    counts = np.stack([image.counts for image in scores.detail.images])
    return counts[:, :, [theirs.index(name) for name in names]]


def _names(models: Sequence[Segmenter | str | os.PathLike[str]]) -> tuple[str, ...]:
    """Short, and each another: the last part of a path, all of it where that is not enough."""
    given = [model.config["name"] if isinstance(model, Segmenter) else os.fspath(model) for model in models]
    short = [Path(name).name for name in given]
    chosen = short if len(set(short)) == len(short) else given
    repeated = len(set(chosen)) < len(chosen)
    return tuple(f"{name} ({number})" if repeated else name for number, name in enumerate(chosen, start=1))
