"""``shapes``: procedural scenes with exact masks, as easy or as hard as asked; deterministic by index; no files."""

from __future__ import annotations

import colorsys
import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from fullconv.data.annotations import Annotation
from fullconv.data.instances import Instance
from fullconv.errors import DataError, UsageError
from fullconv.images.values import Pixels
from fullconv.palette import distinct_palette
from fullconv.spec import ClassSet, Colour, Values

OUTLINES = ("disc", "square", "triangle", "ring", "cross", "star", "hexagon", "half_disc")
COLOURS = ((230, 80, 70), (80, 160, 240), (250, 200, 60), (120, 210, 120))
ALIKE = ((61, 156, 251), (156, 232, 156), (251, 213, 4))
"""Colours of classes that are like one of :data:`COLOURS` (CIEDE2000 below 15); no class has them."""
COLOUR_SPREAD = 15.0
MOST_CLASSES = 200


@dataclass(frozen=True)
class Shapes:
    """Scenes of shapes on a shaded, noisy ground; every scene is a function of these fields and its index.

    A shape's colour is that of its kind with a random change (standard deviation 15 per channel): it helps, the outline
    decides. Later shapes lie over earlier ones.

    Attributes:
        height, width: of every image, in pixels.
        train, val: images per split.
        seed: scenes are functions of ``(seed, index)``.
        num_classes: with the background; the outlines of :data:`OUTLINES`, then the same in other colours.
        objects: the fewest and the most shapes in a scene.
        noise: standard deviation of the pixels' noise, of 255.
        occlusion: share of the shapes that are put half over the one before.
        lines: thin lines in every scene, 1 to 3 pixels wide; they are one more class, ``line``.
        imbalance: how many times as frequent the first shape is as the last; those between in equal ratios.
        mislabelled: share of the training shapes whose mask names another class, perhaps background (val stays right).
        bands: channels of the image; 3 is RGB, others mix its colours in fixed ways.
    """

    height: int = 96
    width: int = 96
    train: int = 256
    val: int = 64
    seed: int = 0
    num_classes: int = 5
    objects: tuple[int, int] = (2, 3)
    noise: float = 8.0
    occlusion: float = 0.0
    lines: int = 0
    imbalance: float = 1.0
    mislabelled: float = 0.0
    bands: int = 3

    def __post_init__(self) -> None:
        limits = {
            "height": (1, 1 << 14), "width": (1, 1 << 14), "train": (1, 1 << 31), "val": (1, 1 << 31),
            "seed": (0, 2**63), "num_classes": (2, MOST_CLASSES), "noise": (0, 255), "occlusion": (0, 1),
            "lines": (0, 1000), "imbalance": (1, 1e6), "mislabelled": (0, 1), "bands": (1, 64),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"shapes: {name} must lie from {low} to {high:g}, found {getattr(self, name)}")
        if not 0 <= self.objects[0] <= self.objects[1]:
            raise UsageError(f"shapes: objects must be the fewest and the most, found {self.objects}")

    @classmethod
    def parse(cls, text: str) -> Shapes:
        """``shapes`` or ``shapes:num_classes=12,height=256,objects=3-6``.

        Raises:
            UsageError: an unknown field, or a value out of its range.
        """
        kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        values: dict[str, object] = {}
        for part in filter(None, text.partition(":")[2].split(",")):
            name, _, value = part.partition("=")
            name = name.strip().replace("-", "_")
            if name not in kinds:
                raise UsageError(f"shapes has no field {name!r}; there are {', '.join(kinds)}")
            try:
                if kinds[name].startswith("tuple"):
                    low, _, high = value.partition("-")
                    values[name] = (int(low), int(high or low))
                else:
                    values[name] = int(value) if kinds[name] == "int" else float(value)
            except ValueError as error:
                raise UsageError(f"shapes: {name} must be a number, found {value!r}") from error
        return cls(**values)  # type: ignore[arg-type]

    @cached_property
    def classes(self) -> ClassSet:
        """Background, the shapes, and ``line`` if there are lines; in colours that the first shapes have not, so that a
        mask over its image shows where it is wrong."""
        names = ["background"]
        for kind in range(self.num_classes - 1):
            again, outline = divmod(kind, len(OUTLINES))
            names.append(OUTLINES[outline] + (f"_{again + 1}" if again else ""))
        names += ["line"] * bool(self.lines)
        palette = [colour for colour in distinct_palette((*names, *map(str, ALIKE))) if colour not in ALIKE]
        return ClassSet(tuple(names), tuple(palette[: len(names)]))

    @cached_property
    def _shares(self) -> np.ndarray:
        """How frequent each shape is."""
        count = self.num_classes - 1
        ratios = self.imbalance ** -(np.arange(count) / max(count - 1, 1))
        shares: np.ndarray = ratios / ratios.sum()
        return shares

    def draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scene ``index``: image uint8 ``[h, w, bands]`` and labels uint8 ``[h, w]``."""
        image, labels, _ = self.draw_objects(index)
        return image, labels

    def draw_objects(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As :meth:`draw`, and what is seen of every object: its number from 1, in their order, uint16 ``[h, w]``."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        image = self._ground(random)
        labels = np.zeros((self.height, self.width), np.uint8)
        objects = np.zeros((self.height, self.width), np.uint16)
        side = min(self.height, self.width)
        before: tuple[float, float, float] | None = None
        count = int(random.integers(self.objects[0], self.objects[1] + 1))
        for number in range(1, count + 1):
            kind = 1 + int(random.choice(len(self._shares), p=self._shares))
            radius = float(random.uniform(0.18, 0.36)) * side
            centre = float(random.uniform(0, self.height)), float(random.uniform(0, self.width))
            if before is not None and random.random() < self.occlusion:
                turn = random.uniform(0, 2 * np.pi)
                centre = before[0] + before[2] * np.sin(turn), before[1] + before[2] * np.cos(turn)
            before = (*centre, radius)
            chance, step = random.random(), 1 + int(random.integers(self.num_classes - 1))
            other = (kind + step) % self.num_classes  # any but its own
            label = other if index < self.train and chance < self.mislabelled else kind
            part, inside = self._put(image, random, kind, centre, radius)
            labels[part][inside], objects[part][inside] = label, number
        for number in range(count + 1, count + 1 + self.lines):
            inside = self._line(image, random)
            labels[inside], objects[inside] = self.num_classes, number
        if self.noise:
            quick = np.random.Generator(np.random.SFC64([self.seed, index]))  # half of a scene's time is its noise
            noise = quick.standard_normal(image.shape, np.float32)
            noise *= np.float32(self.noise)
            image += noise
        np.clip(image, 0, 255, out=image)
        return self._to_bands(image.astype(np.uint8)), labels, objects

    def _ground(self, random: np.random.Generator) -> np.ndarray:
        low, high = (random.uniform(20, 200) + random.uniform(-15, 15, (2, 3))).astype(np.float32)
        angle = random.uniform(0, 2 * np.pi)
        rows = np.linspace(0, np.sin(angle), self.height, dtype=np.float32)[:, None]
        slope = (rows + np.linspace(0, np.cos(angle), self.width, dtype=np.float32) + 1) / 2
        ground: np.ndarray = low + (high - low) * slope[..., None]
        return ground

    def _put(
        self, image: np.ndarray, random: np.random.Generator, kind: int, centre: tuple[float, float], radius: float
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """One shape, computed in its own square only: which that is, and where in it the shape lies."""
        top, left = (max(0, int(c - radius)) for c in centre)
        bottom, right = int(centre[0] + radius) + 2, int(centre[1] + radius) + 2
        y, x = np.ogrid[top : min(bottom, self.height), left : min(right, self.width)]
        dy, dx = (y - centre[0]).astype(np.float32), (x - centre[1]).astype(np.float32)
        inside = _inside((kind - 1) % len(OUTLINES), dy, dx, radius, float(random.uniform(0, 2 * np.pi)))
        colour = np.array(_colour(kind - 1)) + random.normal(0, COLOUR_SPREAD, 3)
        shade = (random.uniform(-25, 25) / radius * dy).astype(np.float32) + np.zeros_like(dx)
        part = np.s_[top : top + inside.shape[0], left : left + inside.shape[1]]
        image[part][inside] = colour.astype(np.float32) + shade[inside][:, None]
        return part, inside

    def _line(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A straight thin line across the scene: where it lies, bool ``[h, w]``."""
        angle, width = random.uniform(0, np.pi), random.uniform(1, 3)
        y, x = random.uniform(0, self.height), random.uniform(0, self.width)
        rows, columns = np.ogrid[: self.height, : self.width]
        inside = np.abs((rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)) <= width / 2
        image[inside] = random.uniform(0, 255) + random.uniform(-15, 15, 3)
        return inside

    def _to_bands(self, image: np.ndarray) -> np.ndarray:
        if self.bands == 3:
            return image
        mix = np.random.Generator(np.random.Philox(key=[self.bands, 7])).dirichlet(np.ones(3), self.bands)
        if self.bands == 1:
            mix = np.full((1, 3), 1 / 3)
        banded: np.ndarray = (image.astype(np.float32) @ mix.T.astype(np.float32)).round().astype(np.uint8)
        return banded


@dataclass(frozen=True)
class Scene:
    """One scene: image and labels, drawn when they are asked for."""

    shapes: Shapes
    index: int

    @property
    def where(self) -> str:
        return f"shapes, scene {self.index}"

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def file(self) -> None:
        """There is none."""

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """uint8 ``[height, width, bands]``, whatever ``shrink`` and ``values``.

        Raises:
            DataError: other ``channels`` than its bands.
        """
        if channels != self.shapes.bands:
            raise DataError(
                f"{self.where}: has {self.shapes.bands} channels, {channels} are expected; "
                f"ask for shapes:bands={channels}"
            )
        return Pixels(_drawn(self.shapes, self.index)[0].copy())

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.shapes.height, self.shapes.width

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it."""
        return _drawn(self.shapes, self.index)[1].astype(np.uint8 if ignore_index <= 255 else np.int32)

    @property
    def has_label_map(self) -> bool:
        return True

    @property
    def has_instances(self) -> bool:
        return True

    def instances(self) -> tuple[Instance, ...]:
        """What is seen of every shape and line; none of those that others hide."""
        _, labels, objects = _drawn(self.shapes, self.index)
        masks = [objects == number for number in range(1, int(objects.max()) + 1)]
        return tuple(Instance(int(labels[mask][0]), mask) for mask in masks if mask.any())

    def stored_as(self) -> str:
        return "drawn with the scene"

    def annotations(self) -> tuple[Annotation, ...]:
        return ()


@lru_cache(maxsize=8)
def _drawn(shapes: Shapes, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, labels and objects of a scene: whoever asks for one asks for the next soon, several threads at a time."""
    return shapes.draw_objects(index)


SHAPE_CLASSES = Shapes().classes


def _colour(kind: int) -> Colour:
    """What the shapes of a kind, from 0, look like: far apart for as many as wanted."""
    if kind < len(COLOURS):
        return COLOURS[kind]
    red, green, blue = colorsys.hsv_to_rgb(kind * 0.618034 % 1, 0.45 + 0.4 * (kind % 2), 0.95 - 0.3 * (kind // 2 % 2))
    return round(255 * red), round(255 * green), round(255 * blue)


def _inside(outline: int, dy: np.ndarray, dx: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """The pixels whose centre lies in the shape; every outline lies within ``radius`` of its centre."""
    u = np.float32(np.cos(angle)) * dx + np.float32(np.sin(angle)) * dy
    v = np.float32(np.cos(angle)) * dy - np.float32(np.sin(angle)) * dx
    square = u * u + v * v
    root = np.sqrt(np.float32(3))
    inside: np.ndarray
    name = OUTLINES[outline]
    if name == "disc":
        inside = square <= radius**2
    elif name == "square":
        inside = np.maximum(np.abs(u), np.abs(v)) <= radius / np.sqrt(2)
    elif name == "triangle":
        inside = (v >= -radius / 2) & (root * u + v <= radius) & (-root * u + v <= radius)
    elif name == "ring":
        inside = (square <= radius**2) & (square >= (0.5 * radius) ** 2)
    elif name == "cross":
        arm = 0.25 * radius
        inside = (np.minimum(np.abs(u), np.abs(v)) <= arm) & (np.maximum(np.abs(u), np.abs(v)) <= 0.96 * radius)
    elif name == "star":
        inside = square <= (radius * (0.68 + 0.32 * np.cos(5 * np.arctan2(v, u)))) ** 2
    elif name == "hexagon":
        reach = np.maximum(np.maximum(np.abs(u), np.abs(u / 2 + root / 2 * v)), np.abs(u / 2 - root / 2 * v))
        inside = reach <= radius * root / 2
    else:
        inside = (square <= radius**2) & (v >= 0)
    return inside
