"""A network that knows its classes and its preprocessing. Read this first: everything that predicts goes through it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv import draw
from fullconv.crf import CRF, dense_crf
from fullconv.device import autocast, choose_device, choose_precision
from fullconv.errors import DataError, ModelFileError, NotFiniteError, UsageError, first_few
from fullconv.files import replacing
from fullconv.geometry import Window
from fullconv.images.pixels import read_image, to_channels
from fullconv.images.stored import WIDE_MODES, Stored
from fullconv.images.values import to_pixels
from fullconv.images.write import write_mask
from fullconv.model_file import FORMAT_VERSION, model_file, read_header
from fullconv.models.arguments import described, names_widths
from fullconv.models.build import BuiltModel, build_model
from fullconv.models.context import Context, context
from fullconv.models.finite import first_bad_layer, not_finite
from fullconv.models.weights import read_safetensors
from fullconv.ops import upsample, upsample_argmax
from fullconv.ops.checks import kept, to_device
from fullconv.spec import ClassSet, Preprocessing, Values
from fullconv.tiling import TILE, check_tiles, choose_overlap, seam_note, tile_windows


@dataclass(frozen=True)
class Prediction:
    """What :meth:`Segmenter.predict` saw in one image.

    Attributes:
        labels: the class of every pixel, uint8 (int32 above 256 classes) ``[height, width]``.
        probabilities: float16 ``[classes, height, width]``, or None where not asked for.
        classes: names and colours of the ids.
        image: what was segmented, uint8 ``[height, width, channels]``.
        note: where labels may differ from those of the image as a whole, because it went in tiles; else empty.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    classes: ClassSet
    image: np.ndarray
    note: str = ""

    def overlay(self, opacity: float = 0.5, only: Iterable[str] | None = None) -> np.ndarray:
        """The classes' colours over the image, uint8 ``[height, width, 3]``; those named in ``only`` if it is given."""
        ids = None if only is None else self.classes.ids(only)
        return draw.overlay(self.image, self.labels, self.classes, opacity, ids)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / max(self.labels.size, 1)
        order = [int(index) for index in np.argsort(-shares, kind="stable") if shares[index] > 0]
        shown = [f"{self.classes.names[index]} {shares[index]:.1%}" for index in order]
        return f"Prediction({height}x{width}: {first_few(shown)})"

    def _repr_png_(self) -> bytes:
        """The overlay, which notebooks show."""
        buffer = io.BytesIO()
        Image.fromarray(self.overlay()).save(buffer, format="PNG")
        return buffer.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the labels as a palette PNG (16-bit above 255 classes)."""
        write_mask(path, self.labels, self.classes)


class Part(NamedTuple):
    """Coarse logits ``1 c h w`` or ``n c h w`` of a part of the image(s): pixels ``rows`` x ``columns``."""

    logits: Tensor
    window: Window
    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def probabilities(self) -> Tensor:
        """Float32 ``n classes height width``, on the CPU."""
        return upsample(self.logits.float(), self.size, self.window).softmax(1).cpu()


class Segmenter:
    """Network, classes and preprocessing in one object and one file.

    Args:
        model: the network with the arguments that build it again.
        classes: what the ids mean.
        preprocessing: how pixels become network input.
        provenance: what is worth knowing of where it comes from, JSON-ready.
    """

    def __init__(
        self,
        model: BuiltModel,
        classes: ClassSet,
        preprocessing: Preprocessing,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.network = model.network.eval()
        self.config = model.config
        self.licence = model.licence
        self.classes = classes
        self.preprocessing = preprocessing
        self.provenance = dict(provenance or {})
        self.precision = "fp32"
        self._context: Context | None = None

    def __repr__(self) -> str:
        network = f"{self.config['name']} on {self.config['encoder']}"
        return f"Segmenter({network}: {first_few(list(self.classes.names))}; {self.precision} on {self.device})"

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.safetensors`` file, in one step.

        Raises:
            NotFiniteError: the weights are not; nothing is written.
        """
        bad = not_finite(self.network.state_dict())
        if bad:
            raise NotFiniteError(f"{path}: not written, the weights of {first_few(bad)} are not finite")
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        with replacing(path) as temporary:
            temporary.write_bytes(to_bytes(state, {"fullconv": json.dumps(self.header())}))

    def header(self) -> dict[str, Any]:
        """Everything about the model but its weights, JSON-ready; kept in the metadata of its file."""
        return {
            "format_version": FORMAT_VERSION,
            "fullconv": version("fullconv"),
            "model": self.config,
            "classes": self.classes.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "weights_licence": self.licence,
            "provenance": self.provenance,
        }

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", precision: str = "auto") -> Segmenter:
        """Read a model file, or the best model of a run folder.

        Args:
            path: ``best.safetensors``, or the folder that holds it.
            device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ...
            precision: ``auto`` (bf16 where the processor computes in it), ``bf16`` or ``fp32``.

        Raises:
            UsageError: no such file.
            ModelFileError: not a fullconv model, damaged, of a newer format, or with weights that are not finite.
        """
        file = model_file(path)
        header = read_header(file)
        state, _ = read_safetensors(file)
        try:
            with torch.random.fork_rng(devices=[]):  # its first, random weights are no matter of the host program
                segmenter = from_header(header, str(file), sum(value.numel() for value in state.values()))
            segmenter.network.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"{file}: its header does not fit its weights ({reason}); save it again") from error
        return segmenter.to(device, precision)

    def to(self, device: str = "auto", precision: str = "auto") -> Segmenter:
        """Move the network and choose its arithmetic; returns itself."""
        chosen = choose_device(device)
        self.network.eval().to(device=chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.precision = choose_precision(precision, chosen)
        return self

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    # -- prediction ----------------------------------------------------------------------------------------------

    def predict(
        self,
        image: str | Path | np.ndarray | Image.Image,
        *,
        tile: int = TILE,
        overlap: int | None = None,
        probabilities: bool = False,
        crf: CRF | None = None,
    ) -> Prediction:
        """Label every pixel of an image of any size.

        Args:
            image: a file, a PIL image, or ``[height, width, channels]`` (or ``[height, width]``, grey): uint8, or of
                the type that the model's range of values is for. Where an image holds nothing (nodata, not finite)
                the network sees the mean, and labels it all the same.
            tile: larger images are cut into overlapping tiles of this side, so that memory stays bounded.
            overlap: of neighbouring tiles, in pixels; by default so much that no label depends on pixels beyond its
                tile, but at most half of the tile (:attr:`Prediction.note` says when that is not enough).
            probabilities: also give the probability of every class at every pixel.
            crf: refine with a fully connected CRF (:func:`fullconv.crf.dense_crf`); this holds the probabilities
                of the whole image in memory.

        Raises:
            UsageError: an image, tile or overlap that cannot be.
            NotFiniteError: the network's scores of this image are nan or infinite.
        """
        pixels = self._read(image)
        name = str(image) if isinstance(image, (str, Path)) else "the image"
        return self.predict_pixels(pixels, tile=tile, overlap=overlap, probabilities=probabilities, crf=crf, name=name)

    @torch.inference_mode()
    def predict_pixels(
        self,
        pixels: np.ndarray,
        *,
        tile: int = TILE,
        overlap: int | None = None,
        probabilities: bool = False,
        crf: CRF | None = None,
        name: str = "the image",
    ) -> Prediction:
        """As :meth:`predict`, of what the network sees: a sample's image, uint8 ``[height, width, channels]``.

        ``name`` is what errors call it.
        """
        pixels = np.require(pixels, requirements=["C", "W"])  # PyTorch wants memory that may be written
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        size = (pixels.shape[0], pixels.shape[1])
        note = self.seam_note(size, tile, overlap)
        kind = np.uint8 if len(self.classes) <= 256 else np.int32
        labels = np.empty(size, dtype=kind)
        chances = np.empty((len(self.classes), *size), dtype=np.float16) if probabilities else None
        if crf is not None:
            refined = dense_crf(
                self.probabilities(self._sound(batch, tile, overlap, name), 1, size)[0].numpy(), pixels, crf
            )
            chances = refined.astype(np.float16) if probabilities else None
            return Prediction(refined.argmax(0).astype(kind), chances, self.classes, pixels, note)
        for part in self._sound(batch, tile, overlap, name):
            place = (part.rows, part.columns)
            labels[place] = upsample_argmax(part.logits, part.size, crop=part.window)[0].cpu().numpy()
            if chances is not None:
                chances[:, part.rows, part.columns] = part.probabilities()[0].half().numpy()
        return Prediction(labels, chances, self.classes, pixels, note)

    def _sound(self, pixels: Tensor, tile: int, overlap: int | None, name: str) -> Iterator[Part]:
        """The parts of one image, refused where their logits are not finite: argmax would make labels of them."""
        for part in self.parts(pixels, tile, overlap):
            if not bool(part.logits.isfinite().all()):
                raise self.not_finite_error([name], lambda: list(self.parts(pixels, tile, overlap)))
            yield part

    def not_finite_error(self, images: Sequence[str], forward: Callable[[], Any]) -> NotFiniteError:
        """What to raise where logits are not finite: in which images, from which layer on, and what to do.

        Args:
            images: names of all such images.
            forward: runs the network on one of them again.
        """
        bad = not_finite(self.network.state_dict())
        where = f"the weights of {first_few(bad)}" if bad else "the scores"
        if not bad and (found := first_bad_layer(self.network, forward)):
            where = f"the activations of {found[0]}"
        hint = "use an earlier model" if bad else "use --precision fp32" if self.precision != "fp32" else "retrain it"
        return NotFiniteError(f"{first_few(list(images))}: {where} are not finite (nan or inf), so no labels; {hint}")

    def probabilities(self, parts: Iterable[Part], images: int, size: tuple[int, int]) -> Tensor:
        """The parts of ``images`` of one size -> the probability of every class at every pixel, on the CPU."""
        result = torch.empty(images, len(self.classes), *size)
        for part in parts:
            result[:, :, part.rows, part.columns] = part.probabilities()
        return result

    def parts(self, pixels: Tensor, tile: int = TILE, overlap: int | None = None) -> Iterator[Part]:
        """Coarse logits of images uint8 ``n c H W``: whole if they fit into a tile, else tile by tile."""
        height, width = pixels.shape[-2:]
        resize = self.preprocessing.resize
        step: Any = self.network.coarsest_stride
        self.check_tiles(tile, overlap)
        if resize is not None:
            pixels = _resized(pixels, resize)
            logits, window = self.coarse_logits(pixels)
            window = window.scaled(height / resize[0], width / resize[1])
            yield Part(logits, window, slice(0, height), slice(0, width))
            return
        if overlap is None:  # to ask how far the network sees takes a moment
            overlap = 0 if max(height, width) <= tile else choose_overlap(tile, self.context.pixels, step)
        for t in tile_windows(height, width, tile, overlap, step):
            logits, window = self.coarse_logits(pixels[:, :, t.top : t.bottom, t.left : t.right])
            inner = window._replace(top=window.top + t.keep_top - t.top, left=window.left + t.keep_left - t.left)
            yield Part(logits, inner, slice(t.keep_top, t.keep_bottom), slice(t.keep_left, t.keep_right))

    @property
    def context(self) -> Context:
        """How far the network sees; found once, in a second or so."""
        if self._context is None:
            network: Any = self.network
            self._context = context(network, self.preprocessing.channels)
        return self._context

    def check_tiles(self, tile: int, overlap: int | None) -> None:
        """Refuse tiles that cannot be.

        Raises:
            UsageError: no whole numbers, or no room for a step of the network.
        """
        step: Any = self.network.coarsest_stride
        check_tiles(tile, overlap, step)

    def sees(self) -> str:
        """How far the network sees, in words."""
        if self.preprocessing.resize is not None:
            return "every image whole, at {} x {}: it never goes in tiles".format(*self.preprocessing.resize)
        return str(self.context)

    def seam_note(self, size: tuple[int, int], tile: int = TILE, overlap: int | None = None) -> str:
        """Where labels of an image of ``(height, width)`` may differ from those of it as a whole; empty: nowhere.

        Raises:
            UsageError: a tile or overlap that cannot be.
        """
        self.check_tiles(tile, overlap)
        step: Any = self.network.coarsest_stride
        if max(size) <= tile or self.preprocessing.resize is not None:
            return ""
        pixels, exact = self.context
        chosen = choose_overlap(tile, pixels, step) if overlap is None else overlap
        return seam_note(tile, chosen, pixels, exact, step)

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """Raw uint8 pixels ``n c H W`` -> logits ``n classes h w`` and where the image lies in them."""
        with autocast(self.device, self.precision):
            logits = self.network(self.normalise(pixels.to(self.device, non_blocking=True)))
        return logits, self.network.window(logits.shape[-2:], pixels.shape[-2:])  # type: ignore[operator]

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 ``n c H W`` -> float32 ``(pixel / 255 - mean) / std``."""
        return normalise(pixels, self.preprocessing)

    def _read(self, image: str | Path | np.ndarray | Image.Image) -> np.ndarray:
        channels, values = self.preprocessing.channels, self.preprocessing.values
        if isinstance(image, (str, Path)):
            return read_image(Path(image), channels, values=values or Values(fill=self.preprocessing.fill))
        if isinstance(image, Image.Image):
            picture = ImageOps.exif_transpose(image)
            wide = picture.mode in WIDE_MODES
            array = np.asarray(picture) if wide else to_channels(picture, channels if channels in (1, 3, 4) else 3)
        elif np.ma.is_masked(image):
            raise UsageError("expected an array without masked values; give image.filled(NODATA)")
        else:
            array = np.asarray(image)
        if array.ndim not in (2, 3) or array.dtype.kind not in "uif" or not array.size:
            raise UsageError(
                f"expected an array [height, width, {channels}] of numbers, found {array.dtype} {array.shape}"
            )
        array = array[..., None] if array.ndim == 2 else array
        if array.dtype == np.uint8 and array.shape[2] != channels and {channels, array.shape[2]} <= {1, 3, 4}:
            array = to_channels(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), channels)
        try:
            return to_pixels(Stored(array), channels, values or Values(), "the image").image
        except DataError as error:
            raise UsageError(str(error)) from error


def from_header(header: dict[str, Any], where: str, stored: int | None = None) -> Segmenter:
    """The segmenter that a header describes, with random weights.

    Args:
        where: the file, for messages.
        stored: values in the file, if known: a network that is much larger is refused before memory is taken for it.

    Raises:
        ModelFileError: the header says more than an architecture, or one that cannot be built.
    """
    wanted = described(header["model"], where)
    classes, preprocessing = _meaning(header, where, wanted)
    try:
        if stored is not None and names_widths(wanted):
            with torch.device("meta"):
                values = sum(value.numel() for value in build_model(**wanted).network.state_dict().values())
            if values > 2 * stored:
                raise ModelFileError(f"{where}: its header describes {values} values, it holds {stored}; save it again")
        model = build_model(**wanted)
    except ModelFileError:
        raise
    except UsageError as error:
        raise ModelFileError(f"{where}: {error}") from error
    model.licence = header.get("weights_licence", "")
    return Segmenter(model, classes, preprocessing, header["provenance"])


def _meaning(header: dict[str, Any], where: str, model: dict[str, Any]) -> tuple[ClassSet, Preprocessing]:
    """What a header says of classes and pixels, which has to fit its network."""
    try:
        classes, preprocessing = ClassSet.from_dict(header["classes"]), Preprocessing.from_dict(header["preprocessing"])
    except (UsageError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"{where}: the classes or the preprocessing in its header are damaged ({error}); save it again"
        ) from error
    for what, said, own in (
        ("classes", len(classes), model["num_classes"]),
        ("channels", preprocessing.channels, model["in_channels"]),
    ):
        if said != own:
            raise ModelFileError(f"{where}: its header names {said} {what} for a network of {own}; save it again")
    return classes, preprocessing


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 ``n c H W`` -> float32 ``(pixel / 255 - mean) / std``, channels last in memory."""
    offset, factor = _offset_and_factor(tuple(preprocessing.mean), tuple(preprocessing.std), pixels.device)
    return torch.addcmul(offset, pixels.float(), factor).contiguous(memory_format=torch.channels_last)


@kept
def _offset_and_factor(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    middle, width = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return to_device(-middle / width, device), to_device(1 / (255 * width), device)


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, antialiased when shrinking; on the processor, which alone does it on uint8."""
    return interpolate(pixels.cpu(), size, mode="bilinear", antialias=True)
