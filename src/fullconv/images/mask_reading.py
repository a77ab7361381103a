"""Mask files of every format, read as they are stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from fullconv.errors import DataError
from fullconv.images.damage import damage
from fullconv.images.encoded import ImageFile
from fullconv.images.files import frames, open_array, open_image
from fullconv.images.mask_file import LossyMask, MaskFile, UnfitMask, clear_parts, lossy, of_numbers, of_planes
from fullconv.images.mask_tiff import mask_from_tiff
from fullconv.images.orientation import TAG, upright
from fullconv.images.photograph import refuse_photograph
from fullconv.images.tiff import is_tiff
from fullconv.images.tiff_image import tiff_header

LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "AVIF")
GREY_BITS = {"L;2": 2, "L;4": 4}
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
"""The palette of a grey file."""
_DEPTHS = {
    "1": "grey, 1 bit",
    "L": "grey, 8 bits",
    "LA": "grey with alpha",
    "P": "palette",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
}


def read_mask(path: ImageFile) -> MaskFile:
    """A mask file as it is stored.

    Raises:
        DataError: JPEG (its compression changes labels), damaged, of several frames, or of an unusable kind.
    """
    if path.suffix.lower() == ".npy":
        array = open_array(path)
        if array.ndim != 2 or array.dtype.kind not in "biuf":
            raise DataError(f"{path}: holds {array.dtype} {list(array.shape)}; expected integers [height, width]")
        return of_numbers(path, np.asarray(array))
    mask = mask_from_tiff(path) if is_tiff(path) else _from_picture(path)
    if mask.palette is not None and np.array_equal(mask.palette, RAMP[: len(mask.palette)]):
        mask = replace(mask, kind="grey", white=255, palette=None)  # a grey file by another name
    if mask.kind == "colour" and mask.stored.max(initial=0) == 1 and mask.grey_values() is None:
        turned = {"orientation": mask.orientation, "missing": mask.missing, "plane": "channel"}
        mask = of_planes(path, list(np.moveaxis(mask.stored, 2, 0)), turned)  # 0 and 1 are no colours
    return mask


def _from_picture(path: ImageFile) -> MaskFile:
    """All but TIFF and arrays."""
    with open_image(path) as image:
        white = _white(image)  # known until it is decoded
        if image.format in LOSSY_FORMATS or (image.format == "WEBP" and not _lossless(image)):
            try:
                pixels = np.asarray(image.convert("RGB"))
            except (OSError, SyntaxError, ValueError, EOFError) as error:  # a sound copy would be no better
                raise LossyMask(lossy(f"{path}: {damage(error)}, and", str(image.format))) from error
            refuse_photograph(MaskFile(path, "colour", pixels))
            raise LossyMask(lossy(f"{path}:", str(image.format)))
        count = frames(image)
        if count > 1:
            raise UnfitMask(
                f"{path}: holds {count} frames; a mask is one picture: save the right frame, or ids, as PNG"
            )
        if _wide(image) and image.mode in ("LA", "RGB", "RGBA"):
            raise DataError(
                f"{path}: a colour mask of 16 bits, which would be cut to 8; save it with 8 bits, or as grey"
            )
        orientation = image.getexif().get(TAG, 1)
        mask = _of_mode(path, image, white)
    if orientation == 1:
        return mask
    clear = mask.transparent
    return replace(
        mask,
        stored=upright(mask.stored, orientation),
        transparent=None if clear is None else upright(clear, orientation),
        orientation=orientation,
    )


def _of_mode(path: ImageFile, image: Image.Image, white: int) -> MaskFile:
    mode, key = image.mode, image.info.get("transparency")
    if mode == "1":
        return MaskFile(path, "grey", np.array(image).astype(np.uint8), white=1)
    if mode in ("L", "LA"):
        array = np.asarray(image)
        if mode == "LA":
            return MaskFile(path, "grey", array[..., 0], 255, transparent=clear_parts(array[..., 1], path))
        values = array if white == 255 else ((array.astype(np.int64) * white + 127) // 255).astype(np.uint8)
        return MaskFile(path, "grey", values, white, transparent=_keyed(array, key), keyed=True)
    if mode == "P":
        values, palette = np.asarray(image), np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        return MaskFile(path, "palette", values, palette=palette, transparent=_keyed(values, key), keyed=True)
    if mode.startswith("I;16") or mode == "I":
        array, white = np.asarray(image).astype(np.int64), white if white > 255 else 65535
        array = (array * white + 32767) // 65535  # Pillow stretches PGM of 9 to 15 bits
        return MaskFile(
            path, "grey", array, white if array.min(initial=0) >= 0 and array.max(initial=0) <= white else 0
        )
    if mode == "F":
        return of_numbers(path, np.asarray(image))
    if mode in ("RGB", "RGBA"):
        array = np.asarray(image)
        if mode == "RGBA":
            return MaskFile(path, "colour", array[..., :3], transparent=clear_parts(array[..., 3], path))
        clear = (array == np.array(key)).all(-1) if isinstance(key, tuple) else None
        return MaskFile(path, "colour", array, transparent=clear if clear is not None and clear.any() else None)
    raise DataError(f"{path}: a mask of mode {mode}; expected an index, palette or RGB PNG")


def _keyed(values: np.ndarray, key: int | bytes | None) -> np.ndarray | None:
    """Where the value (or one of the values) lies that a file calls fully transparent."""
    if key is None:
        return None
    empty = [key] if isinstance(key, int) else [value for value, alpha in enumerate(key) if alpha == 0]
    clear = np.isin(values, empty)
    return clear if clear.any() else None


def _white(image: Image.Image) -> int:
    """The largest value of a grey file, before Pillow stretches it to 0 .. 255."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    name, *more = raw if isinstance(raw, tuple) else (raw,)
    if image.format == "PPM" and more and isinstance(more[0], int):
        return more[0]
    return 2 ** GREY_BITS.get(str(name), 8) - 1


def _wide(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel, which Pillow reads as 8."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    return "16" in str(raw[0] if isinstance(raw, tuple) else raw)


def _lossless(image: Image.Image) -> bool:
    """Whether a WebP file is lossless: its pixels are in a chunk ``VP8L``."""
    file = getattr(image, "fp", None)
    if file is None:
        return False
    file.seek(0)
    head: bytes = file.read(1 << 12)
    file.seek(0)
    return b"VP8L" in head and b"VP8 " not in head


def stored_form(path: ImageFile) -> str:
    """How a mask file stores its labels, in words, from its header."""
    if path.suffix.lower() == ".npy":
        return "array (.npy)"
    header = tiff_header(path)
    if header is not None and not (header.plain and header.pages == 1):
        many = f"{header.pages} pages" if header.pages > 1 else f"{header.samples} band{'s' * (header.samples > 1)}"
        return f"{many} of {header.dtype} (TIFF)"
    try:
        with open_image(path) as image:
            depth = "grey, 16 bits" if image.mode.startswith("I") else _DEPTHS.get(image.mode, image.mode)
            return f"{depth} ({image.format})"
    except DataError:
        return "unreadable"
