"""Models by name: our own files, and trained networks from elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torchvision
from safetensors.torch import save as to_bytes

from fullconv.errors import ModelFileError, UsageError, first_few
from fullconv.files import cache_folder, replacing
from fullconv.formats.read import VOC_CLASSES
from fullconv.models import build_model, download, elsewhere, keras_resnet
from fullconv.models.arguments import check_arguments, check_network
from fullconv.models.classifier import build_classifier
from fullconv.models.smp_network import SMP, SmpNetwork
from fullconv.models.torchvision_network import TorchvisionNetwork, torchvision_networks
from fullconv.models.weights import read_safetensors
from fullconv.segmenter import Segmenter
from fullconv.spec import IMAGENET_MEAN, IMAGENET_STD, ClassSet, Preprocessing
from fullconv.text import parse_json, read_text

TORCHVISION = "torchvision/"
SMP_CONFIG = "config.json"
SMP_UNUSED = ("encoder_weights", "activation", "aux_params")
TORCHVISION_LICENCE = "BSD-3-Clause (torchvision; trained on COCO images with VOC's classes)"


def load(path: str | os.PathLike[str], device: str = "auto", precision: str = "auto") -> Segmenter:
    """A model file, the best model of a run folder, or ``torchvision/NAME``.

    Networks of torchvision are downloaded by torchvision once and kept as our own file, with VOC's classes, their
    preprocessing and licence, under ``$FULLCONV_CACHE`` (else ``~/.cache/fullconv``).

    Args:
        device, precision: as for :meth:`Segmenter.load`.

    Raises:
        UsageError: no such file or network, or its weights cannot be had.
        ModelFileError: not a fullconv model, damaged, or of a newer format.
    """
    return Segmenter.load(find_model(path), device, precision)


def find_model(path: str | os.PathLike[str]) -> Path:
    """The file or folder meant; a network from elsewhere is fetched first."""
    name = os.fspath(path).replace(os.sep, "/")
    if (Path(path) / SMP_CONFIG).is_file() and not (Path(path) / "best.safetensors").is_file():
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


def from_smp(
    folder: str | os.PathLike[str],
    classes: Sequence[str],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Segmenter:
    """A network that segmentation_models.pytorch's ``save_pretrained`` wrote (``config.json`` and safetensors).

    Args:
        folder: what it wrote.
        classes: names of the output channels, in order; of a network with one channel also the background's, first.
        mean, std: what the images were normalised with in training, of 1. The folder does not say; by default
            ImageNet's, what the library gives for nearly all of its encoders. The provenance then says ``assumed``, as
            it says what was ``left out``: an activation after the scores, a classification head.

    Raises:
        UsageError: no such folder, or classes that do not fit.
        ModelFileError: a file that is damaged or does not fit.
    """
    folder = Path(folder)
    config = _smp_config(folder)
    where = str(folder / SMP_CONFIG)
    architecture = check_network(config.pop("_model_class"), where, ModelFileError)
    check_network(config.get("encoder_weights") or "none", where, ModelFileError)
    args = {name: value for name, value in config.items() if name not in SMP_UNUSED}
    check_arguments(SMP, args, f"{where}: {architecture}", ModelFileError)
    channels = args.get("classes", 1)
    expected = 2 if channels == 1 else channels
    if len(classes) != expected:
        hint = " (background first)" if channels == 1 else ""
        raise UsageError(f"{folder}: needs {expected} class names{hint}, found {len(classes)}: {', '.join(classes)}")
    if not all(name.strip() for name in classes):
        raise UsageError(f"{folder}: every class needs a name, found {', '.join(map(repr, classes))}")
    in_channels = args.get("in_channels", 3)
    assumed = [f"{name}: ImageNet's" for name, given in (("mean", mean), ("std", std)) if given is None]
    preprocessing = _preprocessing(folder, in_channels, mean, std)
    built = build_model("smp", expected, architecture, "none", in_channels, None, args)
    file = folder / "model.safetensors"
    state, _ = read_safetensors(file)
    try:
        built.network.load_state_dict(SmpNetwork.own_names(state))
    except RuntimeError as error:
        raise ModelFileError(f"{file}: does not fit its {SMP_CONFIG} ({' '.join(str(error).split())[:200]})") from error
    built.licence = "not stated"
    source = {"source": f"segmentation_models.pytorch {architecture} {args.get('encoder_name', '')}, {folder.name}"}
    if assumed:
        source["assumed"] = ", ".join(assumed)
    left_out = [f"activation {config['activation']}"] * bool(config.get("activation"))
    left_out += ["the classification head"] * any(name.startswith("classification_head.") for name in state)
    if left_out:
        source["left out"] = ", ".join(left_out)
    return Segmenter(built, ClassSet(tuple(classes)), preprocessing, source)


def from_elsewhere(
    path: str | os.PathLike[str],
    classes: Sequence[str],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Segmenter:
    """A segmentation network that another library saved: a folder of SMP (:func:`from_smp`), or MindSpore's FCN-8s.

    Raises:
        UsageError: a file of another kind, with what to do instead.
        ModelFileError: a file that is damaged or does not fit.
    """
    path = Path(path)
    if elsewhere.is_mindspore(path):
        return from_mindspore(path, classes, mean, std)
    refuse_other_kinds(path)
    return from_smp(path, classes, mean, std)


def refuse_other_kinds(path: Path) -> None:
    """Refuse what is no folder of SMP and no checkpoint of MindSpore.

    Raises:
        UsageError: what it is, and what to do with it.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; docs/import.md lists what is read")
    if elsewhere.is_mindspore(path):
        return
    if elsewhere.find_bundle(path) is not None:
        raise UsageError(
            f"{path}: variables of TensorFlow; a VGG16 among them is an encoder, not a whole network: "
            f"fullconv train DATA --encoder vgg16 --encoder-weights {path}"
        )
    if path.is_file():
        raise UsageError(f"{path}: {elsewhere.what_to_do(path) or _of_a_file(path)}")
    if not (path / SMP_CONFIG).is_file():
        raise UsageError(f"{path}: {_of_a_folder(path)}")


def _of_a_file(path: Path) -> str:
    if path.suffix == ".safetensors" and "fullconv" in read_safetensors(path)[1]:
        return "a model of fullconv already; use it as it is"
    return (
        "weights without their network; start from them: fullconv train DATA --encoder NAME "
        "--encoder-weights FILE; a network of segmentation_models.pytorch is saved by its save_pretrained"
    )


def _of_a_folder(path: Path) -> str:
    if (path / "best.safetensors").is_file():
        return "a run of fullconv; its model is used as it is"
    if (path / "saved_model.pb").is_file():
        return "a saved_model of TensorFlow without variables/variables.index; copy the whole folder"
    return "expected config.json and model.safetensors, which segmentation_models.pytorch's save_pretrained writes"


def from_mindspore(
    file: Path,
    classes: Sequence[str],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Segmenter:
    """The FCN-8s of MindSpore's tutorial on semantic segmentation, from its ``.ckpt``.

    Batch norms are taken into the convolutions before them: the same network in prediction, trained on without them.

    Args:
        file: what ``mindspore.save_checkpoint`` wrote.
        classes: names of the output channels, in order.
        mean, std: of red, green and blue in training, of 1; by default ImageNet's, as in the tutorial.

    Raises:
        UsageError: classes that do not fit.
        ModelFileError: a file that is damaged, or of another network.
    """
    state, unused = elsewhere.fcn8s_from_mindspore(elsewhere.read_mindspore(file), str(file))
    count, width = len(state["score.32.weight"]), len(state.get("encoder.fc6.weight", ()))
    if len(classes) != count or not all(name.strip() for name in classes):
        raise UsageError(f"{file}: needs {count} class names, found {len(classes)}: {', '.join(classes)}")
    arguments = {"padding": "same", "fc_channels": width}
    built = build_model("fcn8s", count, "vgg16", "none", 3, arguments, {"last": "transposed"})
    try:
        built.network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelFileError(f"{file}: does not fit FCN-8s ({' '.join(str(error).split())[:200]})") from error
    built.licence = "not stated"
    source = {
        "source": f"MindSpore FCN-8s, {file.name}",
        "assumed": "trained on images read blue first, as the tutorial",
    }
    for name, given in (("mean", mean), ("std", std)):
        source["assumed"] += "" if given else f", {name}: ImageNet's"
    if unused:
        source["left out"] = f"{len(unused)} parameters of no layer ({first_few(unused)})"
    preprocessing = _preprocessing(file, 3, mean, std)
    return Segmenter(built, ClassSet(tuple(classes)), preprocessing, source)


def _preprocessing(
    path: Path, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preprocessing:
    """With ImageNet's numbers where none are given.

    Raises:
        UsageError: neither one number nor one for each channel.
    """
    for name, given in (("mean", mean), ("std", std)):
        if given is not None and len(given) not in (1, channels):
            raise UsageError(f"{path}: {name} needs 1 number or {channels}, one for each channel, found {len(given)}")
    chosen = tuple(IMAGENET_MEAN if mean is None else mean), tuple(IMAGENET_STD if std is None else std)
    return Preprocessing.for_channels(channels, *chosen)


def import_keras(path: str | os.PathLike[str], out: str | os.PathLike[str], head_weights: str = "") -> None:
    """Make a weights file for ``heatmap --encoder keras_resnet50`` of Keras's ResNet-50.

    Args:
        path: the ``.h5`` file that Keras wrote.
        out: the ``.safetensors`` file to write.
        head_weights: an HDF5 file with ``w`` and ``b`` for the last layer, where it is not in the first.

    Raises:
        UsageError: no such file, or no last layer.
        ModelFileError: another network's, or a damaged file.
    """
    network = build_classifier(keras_resnet.NAME, os.fspath(path), head_weights).network
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    state["fc.weight"] = state["fc.weight"].flatten(1)
    said = {
        "architecture": keras_resnet.NAME, "mean": keras_resnet.MEAN, "std": keras_resnet.STD,
        "licence": keras_resnet.LICENCE, "source": f"Keras ResNet50, {Path(path).name}",
    }  # fmt: skip
    with replacing(out) as temporary:
        temporary.write_bytes(to_bytes(state, {"format": "pt", "timm": json.dumps(said)}))


def _smp_config(folder: Path) -> dict[str, Any]:
    file = folder / SMP_CONFIG
    if not file.is_file() or not (folder / "model.safetensors").is_file():
        raise UsageError(f"{folder}: expected {SMP_CONFIG} and model.safetensors, as save_pretrained writes them")
    text = read_text(file, ModelFileError)
    try:
        config = parse_json(text)
        known = isinstance(config, dict) and "_model_class" in config
    except ValueError as error:
        raise ModelFileError(f"{file}: not readable ({error}); save the model again") from error
    if not known:
        raise ModelFileError(
            f"{file}: names no _model_class; save the model with segmentation_models.pytorch 0.4 or later"
        )
    return dict(config)
