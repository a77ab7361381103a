"""A folder of scenes, and each way to spoil it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from fullconv.data import Shapes
from fullconv.palette import voc_palette
from tests.builders.images import save_mask

NAMES = ["ground", "disc", "square", "triangle", "ring"]
SIZE = (48, 64)
PALETTE = np.array(voc_palette(5), np.uint8)


def truth(index: int) -> np.ndarray:
    return Shapes(height=SIZE[0], width=SIZE[1]).draw(index)[1]


def describe(root: Path, **fields: object) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": NAMES, **fields}, sort_keys=False))


def lists(root: Path, train: list[int], val: list[int]) -> None:
    for split, numbers in (("train", train), ("val", val)):
        (root / f"{split}.txt").write_text("".join(f"scene_{n}\n" for n in numbers))


def copy(root: Path, kind: str, source: int, target: int) -> None:
    data = (root / kind / f"scene_{source}.png").read_bytes()
    (root / kind / f"scene_{target}.png").write_bytes(data)


def recolour(root: Path, count: int = 6) -> None:
    """RGB masks in the VOC colours, with smoothed edges in scene 0."""
    for index in range(count):
        mask = Image.fromarray(PALETTE[truth(index)])
        if index == 0:
            mask = mask.resize((128, 96), Image.Resampling.BICUBIC).resize((64, 48), Image.Resampling.BILINEAR)
        mask.save(root / "masks" / f"scene_{index}.png")


def colours() -> dict[str, list[int]]:
    return dict(zip(NAMES, PALETTE.tolist(), strict=True))


def broken_image(root: Path) -> None:
    path = root / "images" / "scene_1.png"
    path.write_bytes(path.read_bytes()[:300])


def jpeg_mask(root: Path) -> None:
    (root / "masks" / "scene_1.png").unlink()
    Image.fromarray(truth(1)).save(root / "masks" / "scene_1.jpg")


def small_mask(root: Path) -> None:
    save_mask(root / "masks" / "scene_1.png", truth(1)[:24, :32])


def turned_mask(root: Path) -> None:
    save_mask(root / "masks" / "scene_1.png", truth(1).T)


def strange_id(root: Path) -> None:
    save_mask(root / "masks" / "scene_1.png", np.where(truth(1) == 0, 9, truth(1)))


def bare_image(root: Path) -> None:
    (root / "masks" / "scene_1.png").unlink()


def bad_list(root: Path) -> None:
    lists(root, [0, 1, 2, 77], [3])


def only_0_and_255(root: Path) -> None:
    (root / "dataset.yaml").unlink()
    for index in range(6):
        save_mask(root / "masks" / f"scene_{index}.png", 255 * (truth(index) > 0))


def rgb_without_names(root: Path) -> None:
    (root / "dataset.yaml").unlink()
    recolour(root)


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8))


def photograph(root: Path) -> None:
    _noise().save(root / "masks" / "scene_1.png")


def grey_photograph(root: Path) -> None:
    _noise().convert("L").save(root / "masks" / "scene_1.png")


def jpeg_photograph(root: Path) -> None:
    (root / "masks" / "scene_1.png").unlink()
    _noise().save(root / "masks" / "scene_1.jpg")


def swapped_folders(root: Path) -> None:
    """Photographs, which drawn scenes are not, among the masks."""
    (root / "dataset.yaml").unlink()
    for image in (root / "images").iterdir():
        _noise().save(image)
    (root / "images").rename(root / "photographs")
    (root / "masks").rename(root / "images")
    (root / "photographs").rename(root / "masks")


def smoothed_rgb(root: Path) -> None:
    recolour(root)
    describe(root, classes=colours())


def strange_colour(root: Path) -> None:
    smoothed_rgb(root)
    mask = PALETTE[truth(1)].copy()
    mask[5:25, 5:25] = (10, 250, 250)
    Image.fromarray(mask).save(root / "masks" / "scene_1.png")


def smoothed_values(root: Path) -> None:
    describe(root, classes=["ground", "thing"], values={0: "ground", 255: "thing"})
    for index in range(6):
        mask = Image.fromarray((255 * (truth(index) > 0)).astype(np.uint8))
        if index == 1:
            mask = mask.resize((128, 96), Image.Resampling.BILINEAR).resize((64, 48), Image.Resampling.BILINEAR)
        mask.save(root / "masks" / f"scene_{index}.png")


def one_id(root: Path) -> None:
    for index in range(6):
        save_mask(root / "masks" / f"scene_{index}.png", np.full(SIZE, 2))


def lonely_mask(root: Path) -> None:
    save_mask(root / "masks" / "lonely.png", truth(1))


def unlisted_pair(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4])


def leak(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4, 5])
    for kind in ("images", "masks"):
        copy(root, kind, 1, 4)


def one_file_in_both(root: Path) -> None:
    lists(root, [0, 1, 2, 5], [3, 4, 5])


def near_leak(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4, 5])
    with Image.open(root / "images" / "scene_1.png") as image:
        brighter = np.minimum(np.asarray(image).astype(int) + 5, 255).astype(np.uint8)
    Image.fromarray(brighter).save(root / "images" / "scene_4.png")


def copies(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4, 5])
    copy(root, "images", 1, 2)  # the masks differ


def near_copies(root: Path) -> None:
    near_leak(root)
    lists(root, [0, 1, 4], [2, 3, 5])


def interpolated_ids(root: Path) -> None:
    for index in range(6):
        mask = Image.fromarray(truth(index)).resize((128, 96), Image.Resampling.BILINEAR)
        mask.resize((64, 48), Image.Resampling.BILINEAR).save(root / "masks" / f"scene_{index}.png")


def blank_mask(root: Path) -> None:
    save_mask(root / "masks" / "scene_1.png", np.full(SIZE, 255))


def mostly_void(root: Path) -> None:
    for index in range(6):
        labels = truth(index)
        labels[:40] = 255
        save_mask(root / "masks" / f"scene_{index}.png", labels)


def only_in_val(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4, 5])
    for index in range(6):
        labels = np.where(truth(index) == 4, 0, truth(index))
        labels[:9, :9] = 4 if index == 5 else labels[:9, :9]
        save_mask(root / "masks" / f"scene_{index}.png", labels)


def rare_class(root: Path) -> None:
    lists(root, [0, 1, 2], [3, 4, 5])
    for index in range(6):
        labels = np.where(truth(index) == 4, 0, truth(index))
        labels[:2, :2] = 4
        save_mask(root / "masks" / f"scene_{index}.png", labels)
