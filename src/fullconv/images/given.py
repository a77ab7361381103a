"""An image in whatever form it is given -> pixels as a network takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fullconv.errors import DataError, UsageError
from fullconv.images.pixels import read_image, to_channels
from fullconv.images.stored import WIDE_MODES, Stored
from fullconv.images.values import to_pixels
from fullconv.spec import Preprocessing, Values

Given = str | Path | np.ndarray | Image.Image
"""A file, an array ``[height, width, channels]`` or ``[height, width]``, or a PIL image."""


def read_given(image: Given, preprocessing: Preprocessing) -> np.ndarray:
    """The image's pixels, uint8 ``[height, width, channels]``, of the channels and values that a model takes.

    Raises:
        UsageError: an image that cannot be.
        DataError: a file that cannot be read.
    """
    channels, values = preprocessing.channels, preprocessing.values
    if isinstance(image, (str, Path)):
        return read_image(Path(image), channels, values=values or Values(fill=preprocessing.fill))
    if isinstance(image, Image.Image):
        picture = ImageOps.exif_transpose(image)
        wide = picture.mode in WIDE_MODES
        array = np.asarray(picture) if wide else to_channels(picture, channels if channels in (1, 3, 4) else 3)
    elif np.ma.is_masked(image):
        raise UsageError("expected an array without masked values; give image.filled(NODATA)")
    else:
        array = np.asarray(image)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uif" or not array.size:
        raise UsageError(f"expected an array [height, width, {channels}] of numbers, found {array.dtype} {array.shape}")
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype == np.uint8 and array.shape[2] != channels and {channels, array.shape[2]} <= {1, 3, 4}:
        array = to_channels(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), channels)
    try:
        return to_pixels(Stored(array), channels, values or Values(), "the image").image
    except DataError as error:
        raise UsageError(str(error)) from error
