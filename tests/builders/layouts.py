"""The same six pairs in each layout that images and mask files come in, and faults to bring into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

NAMES = "ground\nroad\nroof\n"
TRAIN, VAL = range(4), range(4, 6)


@dataclass
class Built:
    """A data set on disk.

    Attributes:
        given: the folder that is checked; the data may lie below it.
        root: where the data lie.
        images, masks: its files, in one order.
        lists: the list of its training part, if there is one.
    """

    given: Path
    root: Path
    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    lists: Path | None = None

    def add(self, image: Path, mask: Path, number: int) -> None:
        random = np.random.default_rng(number)
        image.parent.mkdir(parents=True, exist_ok=True)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8)).save(image)
        Image.fromarray(random.integers(0, 3, (12, 16), np.uint8)).save(mask)
        self.images.append(image)
        self.masks.append(mask)

    def remask(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write every mask again with other values."""
        for path in self.masks:
            with Image.open(path) as picture:
                values = np.asarray(picture)
            Image.fromarray(change(values)).save(path)


def plain(root: Path) -> Built:
    built = Built(root, root)
    for n in (*TRAIN, *VAL):
        built.add(root / "images" / f"p{n}.png", root / "masks" / f"p{n}.png", n)
    return built


def by_lists(root: Path) -> Built:
    built = plain(root)
    _lists(root, "p{}\n")
    built.lists = root / "train.txt"
    return built


def split_folders(root: Path) -> Built:
    built = Built(root, root)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        for n in numbers:
            built.add(root / split / "images" / f"p{n}.png", root / split / "masks" / f"p{n}.png", n)
    return built


def folders_of_splits(root: Path) -> Built:
    built = Built(root, root)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        for n in numbers:
            built.add(root / "images" / split / f"p{n}.png", root / "masks" / split / f"p{n}.png", n)
    return built


def labels_beside(root: Path) -> Built:
    built = Built(root, root)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        for n in numbers:
            built.add(root / split / f"p{n}.png", root / f"{split}_labels" / f"p{n}.png", n)
    return built


def together(root: Path) -> Built:
    built = Built(root, root)
    for n in (*TRAIN, *VAL):
        built.add(root / f"p{n}.png", root / f"p{n}_mask.png", n)
    return built


def voc_form(root: Path) -> Built:
    built = Built(root, root)
    for n in (*TRAIN, *VAL):
        built.add(root / "JPEGImages" / f"p{n}.png", root / "SegmentationClass" / f"p{n}.png", n)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    _lists(lists, "p{}\n")
    built.lists = lists / "train.txt"
    return built


def camvid_form(root: Path) -> Built:
    built = Built(root, root)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        for n in numbers:
            built.add(root / split / f"0001TP_{n}.png", root / f"{split}annot" / f"0001TP_{n}.png", n)
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        line = f"/SegNet/{split}/0001TP_{{0}}.png /SegNet/{split}annot/0001TP_{{0}}.png\n"
        (root / f"{split}.txt").write_text("".join(line.format(n) for n in numbers))
    built.lists = root / "train.txt"
    return built


def one_down(root: Path) -> Built:
    built = by_lists(root / "data")
    built.given = root
    return built


def two_down(root: Path) -> Built:
    built = labels_beside(root / "unpacked" / "data")
    built.given = root
    return built


def _lists(folder: Path, line: str) -> None:
    for split, numbers in (("train", TRAIN), ("val", VAL)):
        (folder / f"{split}.txt").write_text("".join(line.format(n) for n in numbers))


LAYOUTS = (
    plain, by_lists, split_folders, folders_of_splits, labels_beside, together, voc_form, camvid_form,
    one_down, two_down,
)  # fmt: skip


def no_mask(built: Built) -> None:
    built.masks.pop(1).unlink()


def two_of_a_name(built: Built) -> None:
    Image.new("RGB", (16, 12)).save(built.images[0].with_suffix(".jpg"))


def broken_mask(built: Built) -> None:
    built.masks.pop(0).write_bytes(b"no picture")


def jpeg_mask(built: Built) -> None:
    path = built.masks.pop(0)
    Image.new("L", (16, 12)).save(path.with_suffix(".jpg"))
    path.unlink()


def listed_and_gone(built: Built) -> None:
    _append(built, "{}gone")


def listed_outside(built: Built) -> None:
    _append(built, "../{}p0")


def list_in_latin_1(built: Built) -> None:
    assert built.lists is not None
    built.lists.write_bytes(built.lists.read_bytes() + "é\n".encode("latin-1"))


def blank_class(built: Built) -> None:
    (built.root / "classes.txt").write_text("ground\n\nroof\n")


def class_twice(built: Built) -> None:
    (built.root / "classes.txt").write_text("ground\nroad\nroad\n")


def class_twice_in_yaml(built: Built) -> None:
    (built.root / "dataset.yaml").write_text("classes: [ground, road, road]\n")


def unknown_field(built: Built) -> None:
    (built.root / "dataset.yaml").write_text("clases: [ground, road, roof]\n")


def no_yaml(built: Built) -> None:
    (built.root / "dataset.yaml").write_text("classes: [\n")


def value_of_no_class(built: Built) -> None:
    (built.root / "dataset.yaml").write_text("classes: [ground, road, roof]\nvalues: {0: ground, 1: road, 2: rood}\n")


def wrong_class_dict(built: Built) -> None:
    (built.root / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\nroad,1,1\nroof,9,9,9\n")


def only_0_and_255(built: Built) -> None:
    built.remask(lambda values: (255 * (values > 0)).astype(np.uint8))


def in_colours(built: Built) -> None:
    built.remask(lambda values: np.stack([values * 60, values * 20, 255 - values], 2).astype(np.uint8))


def instances(built: Built) -> None:
    built.remask(lambda values: values * np.uint8(70))


def nothing_labelled(built: Built) -> None:
    built.remask(lambda values: np.full_like(values, 255))


def below_0(built: Built) -> None:
    for number, path in enumerate(built.masks):
        with Image.open(path) as picture:
            values = np.asarray(picture.convert("L")).astype(np.int16)
        values[0] = -5
        path.unlink()
        built.masks[number] = path.with_suffix(".tif")
        tifffile.imwrite(path.with_suffix(".tif"), values)


def deep_image(built: Built) -> None:
    Image.fromarray(np.full((12, 16), 4000, np.uint16)).save(built.images[0])


def _append(built: Built, entry: str) -> None:
    assert built.lists is not None
    if built.lists.parent.name == built.root.name and (built.root / "trainannot").is_dir():
        line = f"{entry.format('train/')}.png {entry.format('trainannot/')}.png"
    else:
        line = entry.format("")
    built.lists.write_bytes(built.lists.read_bytes() + f"{line}\n".encode())


FAULTS = {
    no_mask: "unpaired", two_of_a_name: "unpaired", broken_mask: "unreadable", jpeg_mask: "unreadable",
    blank_class: "classes", class_twice: "classes", class_twice_in_yaml: "description", unknown_field: "description",
    no_yaml: "description", value_of_no_class: "description", wrong_class_dict: "classes", only_0_and_255: "undecided",
    in_colours: "undecided", instances: "undecided", nothing_labelled: "undecided", below_0: "undecided",
    deep_image: "values", listed_and_gone: "unpaired", listed_outside: "unpaired", list_in_latin_1: "lists",
}  # fmt: skip
"""Each fault with what it is about."""
OF_LISTS = (listed_and_gone, listed_outside, list_in_latin_1)
