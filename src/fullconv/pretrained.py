"""Models by name: our own files, and torchvision's trained networks."""

from __future__ import annotations

import os
from pathlib import Path

import torchvision

from fullconv.errors import UsageError
from fullconv.files import cache_folder
from fullconv.formats.read import VOC_CLASSES
from fullconv.model_file import is_model_folder
from fullconv.models import build_model, download
from fullconv.models.mask_rcnn import MASK_RCNN, own_state
from fullconv.models.smp_network import CONFIG as SMP_CONFIG
from fullconv.models.torchvision_network import TorchvisionNetwork, torchvision_networks
from fullconv.regions.segmenter import RegionSegmenter, is_region_file
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

TORCHVISION = "torchvision/"
TORCHVISION_LICENCE = "BSD-3-Clause (torchvision; trained on COCO images with VOC's classes)"
MASK_RCNN_LICENCE = "BSD-3-Clause (torchvision; trained on COCO's images and annotations)"


def load(
    path: str | os.PathLike[str], device: str = "auto", precision: str = "auto", runner: str = "auto"
) -> Segmenter:
    """A model file, an exported one, the best model of a run folder, or ``torchvision/NAME``.

    Networks of torchvision are downloaded by torchvision once and kept as our own file, with VOC's classes (Mask R-CNN:
    COCO's), their preprocessing and licence, under ``$FULLCONV_CACHE`` (else ``~/.cache/fullconv``).

    Args:
        device, precision, runner: as for :meth:`Segmenter.load`.

    Raises:
        UsageError: no such file or network, or its weights cannot be had.
        ModelFileError: not a fullconv model, damaged, or of a newer format.
    """
    found = find_model(path)
    kind = RegionSegmenter if is_region_file(found) else Segmenter
    return kind.load(found, device, precision, runner)


def find_model(path: str | os.PathLike[str]) -> Path:
    """The file or folder meant; a network from elsewhere is fetched first."""
    name = os.fspath(path).replace(os.sep, "/")
    if (Path(path) / SMP_CONFIG).is_file() and not is_model_folder(Path(path)):
        raise UsageError(
            f"{path}: a folder of another library ({SMP_CONFIG}); make it one of our model files first: "
            "fullconv import FOLDER OUT --classes sky,road,..."
        )
    if Path(path).exists() or not name.startswith(TORCHVISION):
        return Path(path)
    name = name.removeprefix(TORCHVISION)
    file = cache_folder() / "models" / "torchvision" / f"{name}.safetensors"
    if not file.is_file():
        from_torchvision(name).save(file)
    return file


def from_torchvision(name: str) -> Segmenter:
    """One of torchvision's trained segmentation networks, with its classes, preprocessing and licence.

    Raises:
        UsageError: no such network, or its weights cannot be had.
    """
    if name in MASK_RCNN:
        return mask_rcnn_from_torchvision(name)
    if name not in torchvision_networks():
        TorchvisionNetwork(name, 21)  # says what is near
    state = download.torchvision_weights(name)
    built = build_model("torchvision", len(VOC_CLASSES), name)
    try:
        built.network.load_state_dict(TorchvisionNetwork.own_names(state))
    except RuntimeError as error:
        raise UsageError(f"torchvision's weights do not fit its {name} ({str(error).splitlines()[0]})") from error
    built.licence = TORCHVISION_LICENCE
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    source = {"source": f"torchvision {name} {weights.name}"}
    return Segmenter(built, VOC_CLASSES, Preprocessing(tuple(preset.mean), tuple(preset.std)), source)


def mask_rcnn_from_torchvision(name: str) -> Segmenter:
    """torchvision's Mask R-CNN, trained on COCO's 80 classes of objects, with its preprocessing and licence.

    Raises:
        UsageError: its weights cannot be had.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    named = list(weights.meta["categories"])
    kept = [i for i, word in enumerate(named) if word != "N/A"]  # numbers that COCO leaves free
    classes = ClassSet(("background", *(named[i] for i in kept[1:])))
    state = download.torchvision_weights(name)
    sizes = {"min_size": 800, "max_size": 1333}
    built = build_model("maskrcnn", len(classes), "resnet50", model_args={**MASK_RCNN[name], **sizes})
    try:
        built.network.load_state_dict(own_state(name, state, kept))
    except (RuntimeError, IndexError) as error:
        raise UsageError(f"torchvision's weights do not fit its {name} ({str(error).splitlines()[0]})") from error
    built.licence = MASK_RCNN_LICENCE
    source = {"source": f"torchvision {name} {weights.name}"}
    return Segmenter(built, classes, Preprocessing(), source)
