"""What :func:`fullconv.review` found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fullconv.spec import ClassSet


@dataclass(frozen=True)
class Place:
    """A connected region of a mask whose label is probably wrong.

    Attributes:
        image, file, split: where it is.
        label, predicted: its class, and the one that most of it is predicted as instead.
        box: left, top, right, bottom in pixels; right and bottom lie behind its last pixel.
        pixels: of it.
        share, sure: how much of its inside is predicted as ``predicted``, and the mean probability there.
        score: in nats, how much less probable its label is than is usual for its class, less for small regions.
    """

    image: str
    file: str
    split: str
    label: str
    predicted: str
    box: tuple[int, int, int, int]
    pixels: int
    share: float
    sure: float
    score: float

    @property
    def times(self) -> float:
        """So many times less probable than usual."""
        return math.exp(self.score)


@dataclass(frozen=True)
class MaskDoubt:
    """One image that has a mask.

    Attributes:
        score: of its most doubtful place; 0 without any.
        places, pixels: how many there are, and their pixels.
        loss: mean ``-log`` of the probability of its labels, by which images without a place are ranked.
    """

    image: str
    file: str
    split: str
    score: float
    places: int
    pixels: int
    loss: float


@dataclass(frozen=True)
class ClassDoubt:
    """One class.

    Attributes:
        regions, places: that were judged, and of them those that are probably wrong.
        usual: the probability of its label in a usual region (of the median, geometric mean over the region).
        predicted: what its places are predicted as most often; empty without any.
    """

    name: str
    regions: int
    places: int
    usual: float
    predicted: str


@dataclass(frozen=True)
class ToLabel:
    """An image without a mask, in the order in which to label them.

    Attributes:
        score: ``entropy * distance``.
        entropy: how undecided the model is, mean over the image, 0 to 1.
        distance: from the images with a mask and those before it, in what the model sees in them.
    """

    image: str
    file: str
    score: float
    entropy: float
    distance: float


@dataclass(frozen=True)
class Review:
    """What :func:`fullconv.review` found.

    Attributes:
        classes: the model's.
        places: regions that are probably wrong, the most doubtful first.
        masks: every image that has a mask, the most doubtful first.
        by_class: in the order of the classes.
        label_next: images to label, in this order.
        thin: regions that are not judged: they have no inside.
        without_mask: images that have none.
        notes: what to know; one line each.
    """

    classes: ClassSet
    places: tuple[Place, ...]
    masks: tuple[MaskDoubt, ...]
    by_class: tuple[ClassDoubt, ...]
    label_next: tuple[ToLabel, ...]
    thin: int
    without_mask: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Review({'; '.join(self.lines()[:2])})"

    def lines(self) -> list[str]:
        """What was found, and what to know, in a few lines."""
        regions = sum(one.regions for one in self.by_class)
        lines = []
        if self.masks:
            doubtful = sum(mask.places > 0 for mask in self.masks)
            lines.append(
                f"{len(self.places):,} of {regions:,} regions, in {doubtful:,} of {len(self.masks):,} masks, are "
                f"probably labelled wrong; {self.thin:,} more are too thin to judge"
            )
        if self.without_mask:
            lines.append(f"{len(self.label_next):,} of {self.without_mask:,} images without a mask to label next")
        return [*lines, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; images, places and classes are ranked, the most doubtful first."""
        return {
            "notes": list(self.notes),
            "images": [asdict(mask) for mask in self.masks],
            "places": [{**asdict(place), "times": round(place.times, 1)} for place in self.places],
            "classes": [asdict(one) for one in ranked(self.by_class)],
            "too_thin": self.thin,
            "images_without_mask": self.without_mask,
            "label_next": [asdict(one) for one in self.label_next],
        }


def ranked(classes: Iterable[ClassDoubt]) -> list[ClassDoubt]:
    """Those with the largest share of doubtful regions first."""
    return sorted(classes, key=lambda one: (-one.places / max(one.regions, 1), -one.places))


def joined(reviews: Sequence[Review]) -> Review:
    """One ranking of the reviews of several parts of the same data: of cross-validation, where each part was judged by
    a model that had not seen it.

    Raises:
        ValueError: no review, or classes that differ.
    """
    if not reviews or len({review.classes.names for review in reviews}) > 1:
        raise ValueError("joined takes reviews, at least one, of the same classes")
    by_class = []
    for every in zip(*(review.by_class for review in reviews), strict=True):
        taken = Counter[str]()
        for one in every:
            taken[one.predicted] += one.places
        regions = sum(one.regions for one in every)
        usual = sum(one.regions * math.log(max(one.usual, 1e-9)) for one in every) / max(regions, 1)
        places = sum(one.places for one in every)
        most = taken.most_common(1)[0][0] if places else ""
        by_class.append(ClassDoubt(every[0].name, regions, places, math.exp(usual), most))
    return Review(
        reviews[0].classes,
        tuple(sorted((one for review in reviews for one in review.places), key=lambda one: -one.score)),
        tuple(
            sorted((mask for review in reviews for mask in review.masks), key=lambda mask: (-mask.score, -mask.loss))
        ),
        tuple(by_class),
        tuple(one for review in reviews for one in review.label_next),
        sum(review.thin for review in reviews),
        sum(review.without_mask for review in reviews),
        tuple(dict.fromkeys(note for review in reviews for note in review.notes)),
    )
