"""Segmenters that classify regions: R-CNN and SDS, in one file like any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from fullconv.errors import ModelFileError, NotFiniteError, UsageError, first_few
from fullconv.model_file import BEST, model_file, read_header, write_model
from fullconv.models.build import BuiltModel, build_model
from fullconv.models.finite import not_finite
from fullconv.models.rebuild import rebuild
from fullconv.models.weights import read_safetensors
from fullconv.names import REGION_MODELS
from fullconv.regions.features import RegionFeatures
from fullconv.regions.options import RegionOptions
from fullconv.regions.refine import Grid, Pixels, Refiner
from fullconv.regions.runner import RegionParts, RegionRunner
from fullconv.runner import RunModel
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

DESCRIBES, SHARED = "features.encoder.", "refiner.network.encoder."
"""Two names of one encoder; a file has the first."""


class RegionSegmenter(Segmenter):
    """R-CNN or SDS with its classes and preprocessing; it predicts, evaluates and draws like any segmenter.

    Args:
        name: ``rcnn`` (features of each region's box) or ``sds`` (and of its mask).
        built: of :func:`encoder_of`.
        classes: what the ids mean; what is called background has no SVM and wins where no score is positive.
        preprocessing: how pixels become network input.
        options: how regions are found and described.
        provenance: what is worth knowing of where it comes from, JSON-ready.

    Raises:
        UsageError: images that are not grey or RGB.
    """

    runner: RegionRunner

    def __init__(
        self,
        name: str,
        built: BuiltModel,
        classes: ClassSet,
        preprocessing: Preprocessing,
        options: RegionOptions,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        if preprocessing.channels not in (1, 3):
            raise UsageError(
                f"{name} finds regions in images of one or three channels, found {preprocessing.channels} bands; "
                "train a network (fcn8s), or keep three bands"
            )
        warped = options.warp if options.features == "warped" else None
        encoder = built.network.encoder
        features = RegionFeatures(encoder, preprocessing, name == "sds", warped)  # type: ignore[arg-type]
        refiner: Refiner | None = None
        if options.refine != "none":
            refiner = (
                Grid(features.width, len(classes))
                if options.refine == "grid"
                else Pixels(built.network, preprocessing, len(classes))
            )
        parts = RegionParts(features, len(classes), refiner)
        config = {**built.config, "name": name, "model_args": options.to_dict()}
        runner = RegionRunner(parts, options, classes.background)
        super().__init__(RunModel(runner, config, built.licence), classes, preprocessing, provenance)
        self.options = options

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.safetensors`` file, the SVMs as tensors, in one step.

        Raises:
            NotFiniteError: the weights are not; nothing is written.
        """
        state = {n: v for n, v in self.runner.parts.state_dict().items() if not n.startswith(SHARED)}
        if bad := not_finite(state):
            raise NotFiniteError(f"{path}: not written, the weights of {first_few(bad)} are not finite")
        write_model(path, state, self.header())

    @classmethod
    def load(
        cls, path: str | Path, device: str = "auto", precision: str = "auto", runner: str = "auto"
    ) -> RegionSegmenter:
        """Read a model file, or the model of a run folder; arguments as for :meth:`fullconv.Segmenter.load`.

        Raises:
            UsageError: no such file, or another runner than PyTorch.
            ModelFileError: not a region model, damaged, or of a newer format.
        """
        file = model_file(path)
        if runner not in ("auto", "torch"):
            raise UsageError(f"{file}: a region model is computed by PyTorch, found --runner {runner}; leave it out")
        header = read_header(file)
        if not is_region_model(header):
            raise ModelFileError(f"{file}: no region model; fullconv.load opens any")
        state, _ = read_safetensors(file)
        try:
            with torch.random.fork_rng(devices=[]):
                segmenter = _from_header(header, str(file))
            if segmenter.options.refine == "pixels":
                encoder = {n.removeprefix(DESCRIBES): v for n, v in state.items() if n.startswith(DESCRIBES)}
                state = {**state, **{SHARED + name: value for name, value in encoder.items()}}
            segmenter.runner.parts.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"{file}: its header does not fit its weights ({reason}); save it again") from error
        return segmenter.to(device, precision)

    def to(self, device: str = "auto", precision: str = "auto") -> RegionSegmenter:
        """Move the encoder and choose its arithmetic; returns itself.

        Raises:
            UsageError: no such device or precision.
        """
        self.runner.to(device, precision)
        return self

    @property
    def torch_runner(self) -> NoReturn:
        """There is none.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.config['name']} labels regions, it is no network that computes labels in one piece: it cannot be "
            "exported or be the start of another training"
        )


def encoder_of(
    name: str,
    num_classes: int,
    encoder: str = "resnet34",
    encoder_weights: str = "none",
    in_channels: int = 3,
    encoder_args: dict[str, Any] | None = None,
    options: RegionOptions | None = None,
) -> BuiltModel:
    """A network with the taps that a region model needs; the rest as :func:`fullconv.models.build_model`."""
    return build_model(
        (options or RegionOptions()).network, num_classes, encoder, encoder_weights, in_channels, encoder_args
    )


def is_region_model(header: Mapping[str, Any]) -> bool:
    """Whether a model file's header describes a region model."""
    model = header["model"]
    return isinstance(model, dict) and model.get("name") in REGION_MODELS


def is_region_file(path: Path) -> bool:
    """Whether a model file, or that of a run folder, holds a region model; not where it holds no model at all."""
    file = path / BEST if path.is_dir() else path
    return file.suffix == ".safetensors" and file.is_file() and is_region_model(read_header(file))


def _from_header(header: Mapping[str, Any], where: str) -> RegionSegmenter:
    """The segmenter that a header describes, with random weights.

    Raises:
        ModelFileError: the header says more than an architecture, or one that cannot be built.
    """
    model = dict(header["model"])
    options = RegionOptions.of(model.get("model_args", {}), f"{where}: model_args", ModelFileError)
    network = {**header, "model": {**model, "name": options.network, "model_args": {}}}
    built, classes, preprocessing = rebuild(network, where)
    return RegionSegmenter(model["name"], built, classes, preprocessing, options, header["provenance"])
