"""A classifier as a heat map: how probable a synset is at every place of an image."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fullconv import draw
from fullconv.data.augment import resize_image
from fullconv.device import autocast, choose_device, choose_precision
from fullconv.errors import NotFiniteError, UsageError
from fullconv.given import Given, read_given
from fullconv.models.classifier import Classifier, build_classifier
from fullconv.models.cpu_bf16 import careful_convolutions
from fullconv.models.network import place
from fullconv.models.synsets import Synset, classes_of, find_synset
from fullconv.runner import normalise
from fullconv.spec import Preprocessing

Combination = Literal["geometric", "arithmetic", "max"]
LARGEST = 8_000_000
HEIGHTS = (400, 800, 1600)
SMALLEST = 32
LIKELY = 0.5
"""Below this probability the classifier finds all else together more probable; a map that stays below is warned of."""
LITTLE = 0.01
"""Below this share of the picture a classifier that was never shown single places may well be wrong in them."""


@dataclass(frozen=True, repr=False, eq=False)
class HeatMap:
    """How probable some synsets are, place by place.

    Attributes:
        image: uint8 ``[height, width, 3]``.
        synsets: what was looked for.
        maps: ``{(height, width): float32 [h, w]}``, one map per size that the image was brought to: the summed
            probability of the synsets' classes.
        combined: float32 ``[h, w]``, at the finest of the maps' sizes.
    """

    image: np.ndarray
    synsets: tuple[Synset, ...]
    maps: dict[tuple[int, int], np.ndarray]
    combined: np.ndarray

    def labels(self, threshold: float = 0.5) -> np.ndarray:
        """Weak segmentation, uint8 ``[height, width]``: 1 where the combined map, enlarged to the image, reaches
        ``threshold`` of its maximum.
        """
        full = self.enlarged()
        return (full >= threshold * full.max()).astype(np.uint8)

    def enlarged(self) -> np.ndarray:
        """The combined map at the image's size, bilinear, float32 ``[height, width]``."""
        return _resize(self.combined, self.image.shape[:2])

    def mass_within(self, top: float, left: float, bottom: float, right: float) -> float:
        """The share of the combined map's sum that lies in a box, given in fractions of height and width."""
        height, width = self.combined.shape
        rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
        inside = np.outer((rows >= top) & (rows <= bottom), (columns >= left) & (columns <= right))
        return float(self.combined[inside].sum() / self.combined.sum())

    @property
    def highest(self) -> float:
        """The highest probability of the combined map."""
        return float(self.combined.max())

    @property
    def found(self) -> bool:
        """Whether the synsets are anywhere more probable than all else together."""
        return self.highest >= LIKELY

    @property
    def share(self) -> float:
        """Of the combined map, where the synsets are more probable than all else together."""
        return float((self.combined >= LIKELY).mean())

    @property
    def words(self) -> str:
        """What was looked for."""
        return " or ".join(synset.words.split(",")[0] for synset in self.synsets)

    def summary(self) -> str:
        """What was looked for, and how probable it is at most, in a line."""
        top = f"{self.words}: at most {self.highest:.3f}"
        if not self.found:
            return f"{top}; probably not there"
        share = f"{self.share:.1%} of the picture at {LIKELY:g} or more"
        if self.share >= LITTLE:
            return f"{top}; {share}"
        row, column = (int(place) for place in np.unravel_index(np.argmax(self.enlarged()), self.image.shape[:2]))
        return f"{top}, at row {row}, column {column}; only {share}: doubtful unless small"

    def __repr__(self) -> str:
        """Height x width, as of a prediction, and what was found."""
        height, width = self.image.shape[:2]
        return f"HeatMap({height}x{width}, {self.summary()})"

    def _repr_png_(self) -> bytes:
        """The overlay, which notebooks show."""
        buffer = io.BytesIO()
        Image.fromarray(self.overlay()).save(buffer, format="PNG")
        return buffer.getvalue()

    def picture(self, height: int = 300) -> draw.Picture:
        """The image, the map of each size and the combined one, side by side, in the colours of 0 to 1."""
        titles = [f"{h}x{w}" for h, w in self.maps]
        return draw.heat_maps(
            self.image, [*self.maps.values(), self.combined], [*titles, "combined"], height, self.words
        )

    def overlay(self, opacity: float = 0.6) -> draw.Picture:
        """The enlarged map in the colours of 0 to 1 over the image; below it a bar of them, and :meth:`summary`."""
        return draw.heat_overlay(self.image, self.enlarged(), opacity, self.summary())


class HeatMapper:
    """A classifier that scores every place of an image of any size.

    Args:
        model: of :func:`fullconv.models.classifier.build_classifier`.
    """

    def __init__(self, model: Classifier) -> None:
        self.network = model.network.eval()
        self.preprocessing = Preprocessing(model.mean, model.std)
        self.precision = "fp32"
        self.device = torch.device("cpu")

    @classmethod
    def load(
        cls,
        encoder: str = "resnet50",
        encoder_weights: str = "imagenet",
        *,
        head_weights: str = "",
        encoder_args: dict[str, Any] | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> HeatMapper:
        """By the names that :func:`fullconv.models.classifier.build_classifier` takes.

        Warns where a head may not belong to its body.
        """
        model = build_classifier(encoder, encoder_weights, head_weights, encoder_args)
        for line in model.warnings:
            warnings.warn(line, stacklevel=2)
        mapper = cls(model)
        return mapper.to(device, precision)

    def to(self, device: str = "auto", precision: str = "auto") -> HeatMapper:
        """Move the network and choose its arithmetic; returns itself."""
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        place(self.network, self.device)
        return self

    @torch.inference_mode()
    def probabilities(self, image: np.ndarray, size: tuple[int, int]) -> Tensor:
        """Softmax over the classes at every place of ``image [height, width, 3]`` brought to ``size``.

        Returns:
            float32 ``[classes, h, w]``.

        Raises:
            UsageError: a size that the network cannot take.
            NotFiniteError: its scores are nan or infinite.
        """
        if min(size) < SMALLEST:
            raise UsageError(f"a size must be at least {SMALLEST}x{SMALLEST}, found {size[0]}x{size[1]}")
        pixels = torch.from_numpy(np.array(resize_image(image, size))).permute(2, 0, 1)[None].to(self.device)
        try:
            with autocast(self.device, self.precision), careful_convolutions():
                logits = self.network(normalise(pixels, self.preprocessing))
        except RuntimeError as error:
            if "Kernel size can't be greater" in str(error) or "smaller than kernel" in str(error):
                raise UsageError(
                    f"{size[0]}x{size[1]} is too small for this classifier; use its training size"
                ) from error
            raise
        if not bool(logits.isfinite().all()):
            raise NotFiniteError(
                f"at {size[0]}x{size[1]} the classifier's scores are not finite (nan or inf), so no map; "
                + ("use --precision fp32" if self.precision != "fp32" else "use other weights")
            )
        return logits[0].float().softmax(0).cpu()

    def heat(
        self,
        image: Given,
        synset: str | Sequence[str],
        *,
        sizes: Sequence[tuple[int, int]] | None = None,
        combine: Combination = "geometric",
        flip: bool = False,
        told: Callable[[int, int], None] | None = None,
    ) -> HeatMap:
        """Where a synset (or any of several) is in an image.

        Args:
            image: as :meth:`fullconv.Segmenter.predict` takes it.
            synset: WordNet ids, or words.
            sizes: ``(height, width)`` that the image is brought to; by default :func:`default_sizes`.
            combine: how the maps are joined at the finest one's size: ``geometric`` or ``arithmetic`` mean, or ``max``.
            flip: average each map with that of the mirrored image.
            told: called before the first size and after each with how many places of all sizes are done, and of all.

        Raises:
            UsageError: no such synset, a size that is too small, or a classifier of other classes.
        """
        pixels = read_given(image, Preprocessing())
        chosen = tuple(find_synset(name) for name in ([synset] if isinstance(synset, str) else synset))
        classes = classes_of(chosen)
        height, width = pixels.shape[:2]
        maps: dict[tuple[int, int], np.ndarray] = {}
        asked = list(sizes or default_sizes(height, width))
        places = [rows * columns for rows, columns in asked]
        if told is not None:
            told(0, sum(places))
        for number, size in enumerate(asked, 1):
            shares = self.probabilities(pixels, size)
            if shares.shape[0] != 1000:
                raise UsageError(f"this classifier has {shares.shape[0]} classes; synsets are those of ImageNet's 1000")
            found = shares[classes].sum(0)
            if flip:
                mirrored = self.probabilities(np.ascontiguousarray(pixels[:, ::-1]), size)[classes].sum(0)
                found = (found + mirrored.flip(1)) / 2
            maps[size[0], size[1]] = found.numpy()
            if told is not None:
                told(sum(places[:number]), sum(places))
        return HeatMap(pixels, chosen, maps, combined(list(maps.values()), combine))


def default_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Heights of 400, 800 and 1600 pixels in the image's own proportions.

    Panoramas get smaller ones, so that no size has more than :data:`LARGEST` pixels.
    """
    shrink = min(1.0, (LARGEST / (HEIGHTS[-1] ** 2 * width / height)) ** 0.5)
    rows = [max(SMALLEST, round(h * shrink)) for h in HEIGHTS]
    return [(h, max(SMALLEST, round(h * width / height))) for h in rows]


def combined(maps: Sequence[np.ndarray], how: Combination = "geometric") -> np.ndarray:
    """Maps ``[h, w]`` of several sizes as one of the finest size, each enlarged bilinearly.

    Raises:
        UsageError: an unknown combination.
    """
    finest = max((m.shape for m in maps), key=lambda shape: shape[0] * shape[1])
    stacked = np.stack([_resize(m, finest) for m in maps])
    if how == "geometric":
        return np.exp(np.log(np.maximum(stacked, 1e-12)).mean(0))
    if how == "arithmetic":
        return stacked.mean(0)
    if how == "max":
        return stacked.max(0)
    raise UsageError(f"maps are combined by geometric, arithmetic or max, found {how!r}")


def _resize(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    full = F.interpolate(torch.from_numpy(values)[None, None], tuple(size), mode="bilinear", align_corners=False)
    return full[0, 0].numpy()
