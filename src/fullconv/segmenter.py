"""A network that knows its classes and its preprocessing. Read this first: everything that predicts goes through it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from fullconv.crf import CRF
from fullconv.errors import NotFiniteError, UsageError, first_few
from fullconv.facts import facts, in_lines
from fullconv.given import IMAGE, Given, each, name_of, read_given
from fullconv.html.notebook import card, class_table
from fullconv.label_map import Prediction
from fullconv.loading import load_model
from fullconv.model_file import FORMAT_VERSION, model_file, write_model
from fullconv.models.build import BuiltModel
from fullconv.models.finite import not_finite
from fullconv.models.network import SegmentationNetwork
from fullconv.parts import Part, Wanted, counted, image_maps, resized_part, sound
from fullconv.refinement import Refinement, Superpixels
from fullconv.resizing import Sizes, resize_note
from fullconv.runner import RunModel, Runner, TorchRunner
from fullconv.spec import ClassSet, Preprocessing
from fullconv.tiles import parts_of
from fullconv.tiling import TILE, Tiling, check_tiles, choose_tiling, seam_note
from fullconv.views import Views, ViewsRunner, behind


class Segmenter:
    """Network, classes and preprocessing in one object and one file.

    Args:
        model: a network with the arguments that build it again, or what another runner computes.
        classes: what the ids mean.
        preprocessing: how pixels become network input.
        provenance: what is worth knowing of where it comes from, JSON-ready.
    """

    def __init__(
        self,
        model: BuiltModel | RunModel,
        classes: ClassSet,
        preprocessing: Preprocessing,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.runner: Runner = model.runner if isinstance(model, RunModel) else TorchRunner(model.network, preprocessing)
        self.config = model.config
        self.licence = model.licence
        self.classes = classes
        self.preprocessing = preprocessing
        self.provenance = dict(provenance or {})

    def __repr__(self) -> str:
        return in_lines("Segmenter", facts(self.header(), self.runner))

    def _repr_html_(self) -> str:
        """For notebooks: the same, and the classes with their colours."""
        table = class_table(self.classes.names, self.classes.palette)
        return card("Segmenter", facts(self.header(), self.runner), table)

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.safetensors`` file, in one step.

        Raises:
            NotFiniteError: the weights are not; nothing is written.
            UsageError: another runner computes this model.
        """
        state = self.network.state_dict()
        bad = not_finite(state)
        if bad:
            raise NotFiniteError(f"{path}: not written, the weights of {first_few(bad)} are not finite")
        write_model(path, state, self.header())

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
    def load(cls, path: str | Path, device: str = "auto", precision: str = "auto", runner: str = "auto") -> Segmenter:
        """Read a model file, the best model of a run folder, or an exported file.

        Args:
            path: ``best.safetensors``, or the folder that holds it; ``.onnx`` or OpenVINO's ``.xml``.
            device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ...
            precision: ``auto`` (bf16 where the processor computes in it; fp32 for exported files), ``bf16`` or
                ``fp32``.
            runner: who computes: ``torch``, ``onnxruntime``, ``openvino``, or ``auto``: PyTorch, and of exported files
                the fastest that is installed. ``str(segmenter.runner)`` says which.

        Raises:
            UsageError: no such file or runner.
            ModelFileError: as :func:`fullconv.loading.load_model`.
        """
        loaded = load_model(model_file(path), runner, device, precision)
        segmenter = cls(*loaded)
        return segmenter if isinstance(loaded.model, RunModel) else segmenter.to(device, precision)

    # -- who computes --------------------------------------------------------------------------------------------

    @property
    def torch_runner(self) -> TorchRunner:
        """The runner where it is PyTorch.

        Raises:
            UsageError: it is another one.
        """
        runner = behind(self.runner)
        if not isinstance(runner, TorchRunner):
            raise UsageError(
                f"{self.runner} computes this model, so it cannot be moved, saved or trained; load the .safetensors "
                "file that it was made from"
            )
        return runner

    @property
    def network(self) -> SegmentationNetwork:
        """The network in PyTorch.

        Raises:
            UsageError: another runner computes this model.
        """
        return self.torch_runner.network

    def with_network(self, network: SegmentationNetwork) -> Segmenter:
        """The same with another network of this architecture: its moving average."""
        other = copy.copy(self)
        other.runner = TorchRunner(network, self.preprocessing, self.precision)
        return other

    def with_views(self, views: Views) -> Segmenter:
        """The same, each image's probabilities averaged over ``views``; itself where there is nothing to average."""
        if not views:
            return self
        other = copy.copy(self)
        other.runner = ViewsRunner(behind(self.runner), views)
        return other

    def to(self, device: str = "auto", precision: str = "auto") -> Segmenter:
        """Move the network and choose its arithmetic; returns itself.

        Raises:
            UsageError: no such device or precision, or another runner computes this model.
        """
        self.torch_runner.to(device, precision)
        return self

    @property
    def device(self) -> torch.device:
        return self.runner.device

    @property
    def precision(self) -> str:
        return self.runner.precision

    # -- prediction ----------------------------------------------------------------------------------------------

    @overload
    def predict(self, image: Given, **options: Any) -> Prediction: ...

    @overload
    def predict(self, image: Iterable[Given], **options: Any) -> list[Prediction]: ...

    def predict(  # type: ignore[misc]  # the options of both are these
        self,
        image: Given | Iterable[Given],
        *,
        tile: int = TILE,
        overlap: int | None = None,
        exact: bool = False,
        views: Views | None = None,
        probabilities: bool = False,
        confidence: bool = False,
        entropy: bool = False,
        image_prior: bool = False,
        superpixels: Superpixels | None = None,
        crf: CRF | None = None,
    ) -> Prediction | list[Prediction]:
        """Label every pixel of an image of any size, or of several images.

        Args:
            image: a file, its bytes, an open file, a PIL image, an array ``[height, width, channels]`` (or ``[height,
                width]``, grey), or a tensor ``[channels, height, width]``: uint8, or of the type that the model's range
                of values is for. Where an image holds nothing (nodata, not finite) the network sees the mean, and
                labels it all the same. Of a folder, a glob, a list, or an array or tensor with one dimension more in
                front, the predictions are a list, all in memory; :func:`fullconv.predict` writes files one by one.
                Files of a folder or glob that cannot be predicted are left out with a warning; a list refuses them.
            tile: larger images are cut into overlapping tiles of this side, so that memory stays bounded.
            overlap: of neighbouring tiles, in pixels; by default so much that no label depends on pixels beyond its
                tile, but at most half of the tile (:attr:`Prediction.note` says when that is not enough).
            exact: let the tile grow where half of it is not enough, so that labels are those of the whole image (bit
                for bit on one thread, up to rounding on several); of networks that see all of an image they cannot be,
                and :attr:`Prediction.note` says so.
            views: average over them (:meth:`with_views`).
            probabilities, confidence, entropy: also give the field of this name of the :class:`Prediction`.
            image_prior: multiply by how probable each class is in the image as a whole, of a model that was trained
                with image tags (docs/less.md). This and the next two, in this order, hold the probabilities of the
                whole image in memory.
            superpixels, crf: average over superpixels; a fully connected CRF (:func:`fullconv.crf.dense_crf`).

        Raises:
            UsageError: an image, tile or overlap that cannot be; a model without image-level probabilities.
            NotFiniteError: the network's scores of this image are nan or infinite.
        """
        refinement = Refinement.of(self.provenance, image_prior, superpixels, crf)
        asked = self.with_views(views or Views())
        return each(image, lambda one: asked.predict_pixels(
            read_given(one, self.preprocessing), tile=tile, overlap=overlap, exact=exact, probabilities=probabilities,
            confidence=confidence, entropy=entropy, refinement=refinement, name=name_of(one),
        ))  # fmt: skip

    @torch.inference_mode()
    def predict_pixels(
        self,
        pixels: np.ndarray,
        *,
        tile: int = TILE,
        overlap: int | None = None,
        exact: bool = False,
        probabilities: bool = False,
        confidence: bool = False,
        entropy: bool = False,
        refinement: Refinement | None = None,
        name: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """As :meth:`predict`, of what the network sees: a sample's image, uint8 ``[height, width, channels]``.

        ``name`` is what errors and the prediction call it; ``progress`` is called after each tile with how many of the
        pixels are computed, and of how many.
        """
        pixels = np.require(pixels, requirements=["C", "W"])  # PyTorch wants memory that may be written
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        size = (pixels.shape[0], pixels.shape[1])
        note = self.seam_note(size, tile, overlap, exact) or self.resize_note(Counter([size]))
        parts = sound(lambda: self.parts(batch, tile, overlap, exact), self.runner, [name or IMAGE])
        if progress is not None:
            parts = counted(parts, size[0] * size[1], progress)
        wanted = Wanted(probabilities, confidence, entropy)
        maps = image_maps(parts, batch, len(self.classes), wanted, refinement)
        return Prediction(*maps[:2], self.classes, pixels, note, name, *maps[2:])

    def parts(
        self, pixels: Tensor, tile: int = TILE, overlap: int | None = None, exact: bool = False
    ) -> Iterator[Part]:
        """Coarse logits of images uint8 ``n c H W``: whole if they fit into a tile, else tile by tile."""
        self.check_tiles(tile, overlap)
        if self.preprocessing.resize is not None:
            yield resized_part(self.runner, pixels, self.preprocessing.resize)
        else:
            height, width = pixels.shape[-2:]
            yield from parts_of(self.runner, pixels, self.tiling((height, width), tile, overlap, exact))

    def tiling(
        self, size: tuple[int, int], tile: int = TILE, overlap: int | None = None, exact: bool = False
    ) -> Tiling:
        """How an image of ``(height, width)`` is cut.

        Raises:
            UsageError: a tile or overlap that cannot be.
        """
        self.check_tiles(tile, overlap)
        step = self.runner.coarsest_stride
        return choose_tiling(size, tile, overlap, step, lambda: self.runner.context, exact=exact)

    def check_tiles(self, tile: int, overlap: int | None) -> None:
        """Refuse tiles that cannot be.

        Raises:
            UsageError: no whole numbers, or no room for a step of the network.
        """
        check_tiles(tile, overlap, self.runner.coarsest_stride)

    def seam_note(
        self, size: tuple[int, int], tile: int = TILE, overlap: int | None = None, exact: bool = False
    ) -> str:
        """Where labels of an image of ``(height, width)`` may differ from those of it as a whole; empty: nowhere.

        Raises:
            UsageError: a tile or overlap that cannot be.
        """
        chosen = self.tiling(size, tile, overlap, exact)
        if max(size) <= chosen.tile or self.preprocessing.resize is not None:
            return ""
        pixels, local = self.runner.context
        return seam_note(chosen.tile, chosen.overlap, pixels, local, chosen.step)

    def resize_note(self, sizes: Sizes) -> str:
        """What :func:`fullconv.resizing.resize_note` says of images of these sizes."""
        return resize_note(self.preprocessing, self.provenance, sizes)
