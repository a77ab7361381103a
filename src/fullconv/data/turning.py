"""EXIF orientation of images and their labels: one rule for both, and words for where only one of them carries it."""

from __future__ import annotations

from pathlib import PurePath

from fullconv.data.dataset import AnnotationSource, Item
from fullconv.data.drawing import Outlines
from fullconv.data.mixing import Relabelled
from fullconv.data.sources import EncodedMask, FileMask
from fullconv.errors import DataError
from fullconv.images.files import stored_size
from fullconv.images.orientation import SWAPS

IMAGE, MASK, BOTH, STORED, SHOWN = "image", "mask", "both", "stored", "shown"
WORDS = {
    IMAGE: ("image has an EXIF orientation, its mask has none: taken as made on the image as it is shown",
            "look at them overlaid (--html); masks of the pixels as stored need images without the orientation"),
    MASK: ("mask has an EXIF orientation, its image has none: the mask is turned, the image is not",
           "look at them overlaid (--html), and save both upright"),
    BOTH: ("image and its mask have different EXIF orientations: each is turned by its own",
           "look at them overlaid (--html), and save both upright"),
    STORED: ("image with an EXIF orientation was labelled as stored, by the size that its file of outlines states: "
             "the outlines are turned with it", "nothing, if they fit the image (--html)"),
    SHOWN: ("image with an EXIF orientation: its outlines are taken as drawn on the image as it is shown",
            "look at them overlaid (--html); outlines of the pixels as stored need images without it"),
}  # fmt: skip
"""What is said of pairs whose EXIF orientations are not the same, and what to do."""


def turning(item: Item) -> str:
    """Which of :data:`WORDS` an item is, empty for none: image and labels are turned alike, or not at all."""
    try:
        image, mask = _of_image(item), _of_labels(item)
    except DataError:
        return ""  # named where they are read
    if isinstance(mask, str):
        return mask if image != 1 else ""
    if image == mask:
        return ""
    return IMAGE if mask == 1 else MASK if image == 1 else BOTH


def size_line(item: Item, image: tuple[int, ...], mask: tuple[int, ...]) -> str:
    """The line about an image and labels of different sizes, ``(height, width, ...)``."""
    name = PurePath(item.annotation.where).name
    line = f"{item.image.where}: is {image[1]}x{image[0]}, but its mask {name} is {mask[1]}x{mask[0]}"
    advice = "export the mask at the image's size"
    if image[:2] == mask[1::-1]:
        of_image, of_mask = _of_image(item), _of_labels(item)
        turned = [of if isinstance(of, int) and of >= SWAPS else 0 for of in (of_image, of_mask)]
        if bool(turned[0]) != bool(turned[1]):
            one, other = ("image", "mask") if turned[0] else ("mask", "image")
            line += f" (sides swapped: the EXIF orientation {max(turned)} of the {one} turns it, the {other} has none)"
            advice = "make the mask on the image as it is shown, or save the image without its EXIF orientation"
        else:
            line += " (sides swapped: one of them was turned)"
    return f"{line}; {advice}"


def _of_image(item: Item) -> int:
    file = item.image.file()
    return 1 if file is None else stored_size(file)[1]


def _of_labels(item: Item) -> int | str:
    """The orientation of a mask; of outlines whether they were drawn on the image as stored or as shown."""
    source: AnnotationSource = item.annotation
    while isinstance(source, Relabelled):
        source = source.annotation
    if isinstance(source, Outlines):
        return STORED if source.turn() != 1 else SHOWN
    return stored_size(source.file())[1] if isinstance(source, FileMask | EncodedMask) else 1
