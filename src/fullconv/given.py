"""An image in whatever form it is given, or several of them -> pixels as a network takes them."""

from __future__ import annotations

import glob
import io
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor, bfloat16

from fullconv.errors import DataError, FullconvError, NotFiniteError, UsageError, first_few
from fullconv.formats.read.base import files_below, image_files
from fullconv.images.encoded import EncodedFile, ImageFile
from fullconv.images.files import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from fullconv.images.pixels import read_image, to_channels
from fullconv.images.raster_open import RASTER_SUFFIXES
from fullconv.images.stored import WIDE_MODES, Stored
from fullconv.images.values import to_pixels
from fullconv.spec import Preprocessing, Values
from fullconv.there import ADDRESS, matching

Given = str | os.PathLike[str] | bytes | BinaryIO | np.ndarray | Tensor | Image.Image
"""One image: a file, its bytes, an open file, a PIL image, an array ``[height, width, channels]`` or
``[height, width]``, or a tensor ``[channels, height, width]``."""
IMAGE = "the image"
NAMED = 10
"""So many images that are left out are named in a line."""
T = TypeVar("T")
HEIC = "save them as JPEG or PNG"
BY_WINDOW = "fullconv.predict labels them by window, in files"
ARRAY_FILE = b"\x93NUMPY"


def one_by_one(images: Any) -> tuple[list[Any], bool]:
    """What was given as a list, and whether it is one image (or nothing that can be one).

    Several are the images of a folder or glob in the order of their paths, the entries of a list or of any other
    iterable, of an array ``[n, height, width, channels]`` or of a tensor ``[n, channels, height, width]``.

    Raises:
        UsageError: a folder without images, a glob that matches none.
    """
    if isinstance(images, (np.ndarray, Tensor)):
        return (list(images), False) if images.ndim == 4 else ([images], True)
    if isinstance(images, (str, os.PathLike)):
        folder = Path(images)
        if glob.has_magic(os.fspath(images)) and not folder.exists() and not ADDRESS.match(os.fspath(images)):
            return list(matching(folder)), False
        if not folder.is_dir():
            return [images], True
        found = image_files(folder)
        if not found:
            raise no_images(folder, IMAGE_SUFFIXES)
        return list(found), False
    single = isinstance(images, (bytes, bytearray, memoryview, Image.Image, dict)) or hasattr(images, "read")
    return ([images], True) if single or not isinstance(images, Iterable) else (list(images), False)


def each(images: Any, predict: Callable[[Any], T]) -> T | list[T]:
    """What ``predict`` gives of an image, or of each of several (:func:`one_by_one`).

    Files of a folder or glob for which it raises are left out, with a warning that names them, as are files of a folder
    that are no images (:func:`unread`); the entries of a list keep their places, so there the first is an error.

    Raises:
        UsageError: as :func:`one_by_one` and ``predict``.
        DataError, NotFiniteError: of ``predict``; of a folder or glob where it raises for all.
    """
    found, single = one_by_one(images)
    if single:
        return predict(found[0])
    results, failed = list[T](), list[FullconvError]()
    for number, one in enumerate(found, 1):
        try:
            results.append(predict(one))
        except (DataError, NotFiniteError) as error:
            if not isinstance(images, (str, os.PathLike)):
                raise type(error)(f"image {number} of {len(found)}: {error}; take it out of the list") from error
            failed.append(error)
    if failed and not results:
        raise failed[0]
    names = [name for _, name in files_below(Path(images))] if isinstance(images, (str, os.PathLike)) else []
    for line in unread(names, IMAGE_SUFFIXES):
        warnings.warn(f"{images}: {line}", stacklevel=3)
    if failed:
        said = "; ".join(map(str, failed[:NAMED])) + (f"; and {len(failed) - NAMED} more" * (len(failed) > NAMED))
        warnings.warn(f"{images}: {len(failed)} of {len(found)} images are left out: {said}", stacklevel=3)
    return results


def unread(names: Iterable[str], taken: Sequence[str]) -> list[str]:
    """Of files that are left out, since their names do not end as those that are ``taken``; a line a kind."""
    heic, rasters, others = list[str](), list[str](), list[str]()
    for name in names:
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in taken:
            (heic if suffix in UNREAD_SUFFIXES else rasters if suffix in RASTER_SUFFIXES else others).append(name)
    said = {"HEIC is not read": (heic, HEIC), "rasters": (rasters, BY_WINDOW), "not images": (others, "")}
    return [
        f"left out, {what}: {len(found)} file{'s' * (len(found) != 1)} ({first_few(sorted(found))})"
        + f"; {advice}" * bool(advice)
        for what, (found, advice) in said.items()
        if found
    ]


def no_images(folder: Path, taken: Sequence[str]) -> UsageError:
    """Of a folder in which no name ends as one of these."""
    if any(name.lower().endswith(UNREAD_SUFFIXES) for _, name in files_below(folder)):
        return UsageError(f"{folder}: no images but HEIC in this folder; {HEIC}")
    return UsageError(f"{folder}: no images in this folder; expected {', '.join(taken)}")


def name_of(image: object) -> str:
    """What to call it: its path, or the name of an open file; else empty."""
    path = image if isinstance(image, (str, os.PathLike)) else getattr(image, "name", "")
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""


def read_given(image: Given, preprocessing: Preprocessing) -> np.ndarray:
    """The image's pixels, uint8 ``[height, width, channels]``, of the channels and values that a model takes.

    Raises:
        UsageError: an image that cannot be; an address, a folder or a list, which are no image.
        DataError: a file that cannot be read.
    """
    channels, values = preprocessing.channels, preprocessing.values
    file = _file(image)
    if file is not None:
        return read_image(file, channels, values=values or Values(fill=preprocessing.fill))
    array = _array(image, channels, values)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uif" or not array.size:
        raise UsageError(f"expected an array [height, width, {channels}] of numbers, found {array.dtype} {array.shape}")
    if array.ndim == 3 and array.shape[0] == channels and array.shape[2] not in {1, 3, 4, channels}:
        raise UsageError(
            f"expected an array [height, width, {channels}], found {array.dtype} {array.shape}, which looks like "
            "[channels, height, width]; give array.transpose(1, 2, 0)"
        )
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype == np.uint8 and array.shape[2] != channels and {channels, array.shape[2]} <= {1, 3, 4}:
        array = to_channels(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), channels)
    try:
        return to_pixels(Stored(array), channels, values or Values(), IMAGE).image
    except DataError as error:
        raise UsageError(str(error)) from error


def _file(image: Any) -> ImageFile | None:
    """What is given as a file or as its bytes; None for all else.

    Raises:
        UsageError: an address or a folder; a file opened as text.
    """
    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        if ADDRESS.match(name):
            raise UsageError(
                f"{name}: an address, where an image is wanted, and none is fetched; save it as a file, or give its "
                "bytes: urllib.request.urlopen(ADDRESS).read()"
            )
        if os.path.isdir(name):
            raise UsageError(f"{name}: a folder, where an image is wanted; give one of its files")
        if not os.path.exists(name):
            raise DataError(f"{os.path.abspath(name)}: no such file")
        return Path(name)
    if hasattr(image, "read") and not isinstance(image, Image.Image):
        name = name_of(image)
        image = "" if isinstance(image, io.TextIOBase) else image.read()  # text need not even decode
        if isinstance(image, str):
            raise UsageError(f"{name or IMAGE}: opened as text; open it with mode 'rb'")
    else:
        name = ""
    if not isinstance(image, (bytes, bytearray, memoryview)):
        return None
    content = bytes(image)
    if not content:
        raise UsageError(f"{name or IMAGE}: no bytes, where an image file is expected; was it read to its end before?")
    return EncodedFile(content, name or IMAGE, ".npy" if content.startswith(ARRAY_FILE) else "")


def _array(image: Any, channels: int, values: Values | None) -> np.ndarray:
    """What is given in memory as ``[height, width, channels]`` or ``[height, width]``.

    Raises:
        UsageError: no image, or a tensor whose values or order could mean several things.
    """
    if isinstance(image, Image.Image):
        picture = ImageOps.exif_transpose(image)
        wide = picture.mode in WIDE_MODES
        return np.asarray(picture) if wide else to_channels(picture, channels if channels in (1, 3, 4) else 3)
    if isinstance(image, Tensor):
        return _of_tensor(image, channels, values)
    if np.ma.is_masked(image):
        raise UsageError("expected an array without masked values; give image.filled(NODATA)")
    if isinstance(image, (list, tuple)):
        raise UsageError(f"a {type(image).__name__}, where one image is wanted; give its entries one by one")
    if not hasattr(image, "__array__"):
        raise UsageError(
            f"expected an image: a file, its bytes, a PIL image, an array [height, width, {channels}] or a tensor "
            f"[{channels}, height, width]; found {type(image).__name__}"
        )
    return np.asarray(image)


def _of_tensor(image: Tensor, channels: int, values: Values | None) -> np.ndarray:
    """``[c, h, w]``, as PyTorch orders images, or ``[h, w]``.

    Raises:
        UsageError: channels that are not first; floats, unless the model's values have a range that such are for.
    """
    shape = list(image.shape)
    if image.is_floating_point() and not (values and values.range):
        raise UsageError(
            f"a tensor of {str(image.dtype).removeprefix('torch.')} {shape}: whether its values are 0 to 1, 0 to 255 "
            "or already normalised cannot be known; give uint8, of 0 to 1 by (255 * image).round().to(torch.uint8)"
        )
    if image.ndim not in (2, 3):
        raise UsageError(f"expected a tensor [{channels}, height, width], found {shape}")
    colours = {1, 3, 4} if channels in (1, 3, 4) else {channels}
    if image.ndim == 3 and shape[0] not in colours:
        hint = "; give image.permute(2, 0, 1)" if shape[2] in colours else ""
        raise UsageError(f"expected a tensor [{channels}, height, width], channels first, found {shape}{hint}")
    whole = image.float() if image.dtype == bfloat16 else image  # numpy has no such type
    array: np.ndarray = whole.detach().cpu().numpy()
    return array if image.ndim == 2 else array.transpose(1, 2, 0)
