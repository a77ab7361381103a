"""``shapes``: procedural scenes with exact masks, any size, deterministic by index; needs no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fullconv.spec import ClassSet

SHAPE_CLASSES = ClassSet(
    ("background", "disc", "square", "triangle", "ring"),
    ((40, 40, 48), (230, 80, 70), (80, 160, 240), (250, 200, 60), (120, 210, 120)),
)


COLOUR_SPREAD = 15.0


@dataclass(frozen=True)
class Shapes:
    """Scenes of discs, squares, triangles and rings on a shaded, noisy ground.

    Attributes:
        height, width: of every image, in pixels.
        train, val: images per split.
        seed: scenes are functions of ``(seed, index)``.

    A shape's colour is its class's with a random change (standard deviation 15 per channel): it helps, the outline
    decides.
    """

    height: int = 96
    width: int = 96
    train: int = 256
    val: int = 64
    seed: int = 0

    def draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scene ``index``: image uint8 ``[h, w, 3]`` and labels uint8 ``[h, w]``."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        image = self._ground(random, y, x)
        labels = np.zeros((self.height, self.width), dtype=np.uint8)
        size = min(self.height, self.width)
        for _ in range(int(random.integers(2, 4))):
            kind = int(random.integers(1, len(SHAPE_CLASSES)))
            radius = float(random.uniform(0.18, 0.36)) * size
            centre = (float(random.uniform(0, self.height)), float(random.uniform(0, self.width)))
            inside = _inside(kind, y - centre[0], x - centre[1], radius, float(random.uniform(0, 2 * np.pi)))
            colour = np.array(SHAPE_CLASSES.palette[kind]) + random.normal(0, COLOUR_SPREAD, 3)
            shade = random.uniform(-25, 25) * (y[inside] - centre[0]) / radius
            image[inside] = colour + shade[:, None]
            labels[inside] = kind
        image += random.normal(0, 8, image.shape)
        return image.clip(0, 255).astype(np.uint8), labels

    def _ground(self, random: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        low, high = (random.uniform(20, 200) + random.uniform(-15, 15, (2, 3))).astype(np.float32)
        angle = random.uniform(0, 2 * np.pi)
        slope = (np.sin(angle) * y / self.height + np.cos(angle) * x / self.width + 1) / 2
        ground: np.ndarray = low + (high - low) * slope[..., None]
        return ground


def _inside(kind: int, dy: np.ndarray, dx: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """The pixels whose centre lies in the shape."""
    u = np.cos(angle) * dx + np.sin(angle) * dy
    v = -np.sin(angle) * dx + np.cos(angle) * dy
    square = dx * dx + dy * dy
    inside: np.ndarray
    if kind == 1:
        inside = square <= radius**2
    elif kind == 2:
        inside = np.maximum(np.abs(u), np.abs(v)) <= 0.85 * radius
    elif kind == 3:
        root = np.sqrt(np.float32(3))
        inside = (v >= -radius / 2) & (root * u + v <= radius) & (-root * u + v <= radius)
    else:
        inside = (square <= radius**2) & (square >= (0.5 * radius) ** 2)
    return inside
