"""Networks that other libraries saved, as models of ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from fullconv.errors import MOST_NAMED, ModelFileError, UsageError, first_few
from fullconv.files import replacing
from fullconv.models import build_model, elsewhere, keras_resnet
from fullconv.models.arguments import check_arguments
from fullconv.models.build import BuiltModel
from fullconv.models.classifier import build_classifier
from fullconv.models.smp_network import CONFIG, SMP, SmpNetwork
from fullconv.models.weights import read_safetensors
from fullconv.names import check_network
from fullconv.segmenter import Segmenter
from fullconv.spec import IMAGENET_MEAN, IMAGENET_STD, ClassSet, Preprocessing
from fullconv.text import parse_json, read_text
from fullconv.there import refuse_nothing_to_import

SMP_UNUSED = ("encoder_weights", "activation", "aux_params")


@dataclass(frozen=True)
class Unsaid:
    """What the files of other libraries do not say of a network.

    Attributes:
        classes: names of its output channels, in order.
        mean, std: what the images were normalised with in training, of 1; None: ImageNet's, what the libraries give
            for nearly all of their encoders.
    """

    classes: Sequence[str]
    mean: Sequence[float] | None
    std: Sequence[float] | None

    def class_set(self, path: Path, count: int, hint: str = "") -> ClassSet:
        """The classes of a network of ``count``.

        Raises:
            UsageError: more or fewer, or one without a name.
        """
        if len(self.classes) != count:
            raise UsageError(
                f"{path}: needs {count} class names{hint}, found {len(self.classes)}: "
                f"{first_few(self.classes, MOST_NAMED)}"
            )
        if not all(name.strip() for name in self.classes):
            raise UsageError(f"{path}: every class needs a name, found {first_few([*map(repr, self.classes)], 6)}")
        return ClassSet(tuple(self.classes))

    def preprocessing(self, path: Path, channels: int) -> Preprocessing:
        """With ImageNet's numbers where none are given.

        Raises:
            UsageError: neither one number nor one for each channel.
        """
        for name, given in (("mean", self.mean), ("std", self.std)):
            if given is not None and len(given) not in (1, channels):
                raise UsageError(
                    f"{path}: {name} needs 1 number or {channels}, one for each channel, found {len(given)}"
                )
        mean = tuple(IMAGENET_MEAN if self.mean is None else self.mean)
        return Preprocessing.for_channels(channels, mean, tuple(IMAGENET_STD if self.std is None else self.std))

    def assumed(self) -> list[str]:
        """What was taken for granted, for the provenance."""
        return [f"{name}: ImageNet's" for name, given in (("mean", self.mean), ("std", self.std)) if given is None]


def from_elsewhere(
    path: str | os.PathLike[str],
    classes: Sequence[str],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Segmenter:
    """A segmentation network that another library saved.

    Args:
        path: a folder that segmentation_models.pytorch's ``save_pretrained`` wrote (``config.json`` and safetensors),
            or the checkpoint of MindSpore's FCN-8s.
        classes: names of the output channels, in order; of a network with one channel also the background's, first.
        mean, std: what the images were normalised with in training, of 1; by default ImageNet's. The provenance then
            says ``assumed``, as it says what was ``left out``: an activation after the scores, a classification head.

    Raises:
        UsageError: a file of another kind, with what to do instead, or classes that do not fit.
        ModelFileError: a file that is damaged or does not fit.
    """
    path, unsaid = Path(path), Unsaid(classes, mean, std)
    if elsewhere.is_mindspore(path):
        return _from_mindspore(path, unsaid)
    refuse_other_kinds(path)
    return _from_smp(path, unsaid)


def _from_smp(folder: Path, unsaid: Unsaid) -> Segmenter:
    """A network of segmentation_models.pytorch."""
    config = _smp_config(folder)
    where = str(folder / CONFIG)
    architecture = check_network(config.pop("_model_class"), where, ModelFileError)
    check_network(config.get("encoder_weights") or "none", where, ModelFileError)
    args = {name: value for name, value in config.items() if name not in SMP_UNUSED}
    check_arguments(SMP, args, f"{where}: {architecture}", ModelFileError)
    channels, in_channels = args.get("classes", 1), args.get("in_channels", 3)
    sigmoid = channels == 1
    classes = unsaid.class_set(folder, 2 if sigmoid else channels, " (background first)" if sigmoid else "")
    preprocessing = unsaid.preprocessing(folder, in_channels)
    built = build_model("smp", len(classes), architecture, "none", in_channels, None, args)
    file = folder / "model.safetensors"
    state, _ = read_safetensors(file)
    _fill(built, SmpNetwork.own_names(state), file, f"its {CONFIG}")
    source = {"source": f"segmentation_models.pytorch {architecture} {args.get('encoder_name', '')}, {folder.name}"}
    if unsaid.assumed():
        source["assumed"] = ", ".join(unsaid.assumed())
    left_out = [f"activation {config['activation']}"] * bool(config.get("activation"))
    left_out += ["the classification head"] * any(name.startswith("classification_head.") for name in state)
    if left_out:
        source["left out"] = ", ".join(left_out)
    return Segmenter(built, classes, preprocessing, source)


def _from_mindspore(file: Path, unsaid: Unsaid) -> Segmenter:
    """The FCN-8s of MindSpore's tutorial on semantic segmentation, from its ``.ckpt``.

    Batch norms are taken into the convolutions before them: the same network in prediction, trained on without them.
    """
    state, unused = elsewhere.fcn8s_from_mindspore(elsewhere.read_mindspore(file), str(file))
    classes = unsaid.class_set(file, len(state["score.32.weight"]))
    arguments = {"padding": "same", "fc_channels": len(state.get("encoder.fc6.weight", ()))}
    built = build_model("fcn8s", len(classes), "vgg16", "none", 3, arguments, {"last": "transposed"})
    _fill(built, state, file, "FCN-8s")
    assumed = ["trained on images read blue first, as the tutorial", *unsaid.assumed()]
    source = {"source": f"MindSpore FCN-8s, {file.name}", "assumed": ", ".join(assumed)}
    if unused:
        source["left out"] = f"{len(unused)} parameters of no layer ({first_few(unused)})"
    return Segmenter(built, classes, unsaid.preprocessing(file, 3), source)


def _fill(built: BuiltModel, state: Mapping[str, Tensor], file: Path, what: str) -> None:
    """Give a network its trained weights, whose licence no file of other libraries states.

    Raises:
        ModelFileError: they are of another network.
    """
    try:
        built.network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelFileError(f"{file}: does not fit {what} ({' '.join(str(error).split())[:200]})") from error
    built.licence = "not stated"


def refuse_other_kinds(path: Path) -> None:
    """Refuse what is no folder of SMP and no checkpoint of MindSpore.

    Raises:
        UsageError: what it is, and what to do with it.
    """
    refuse_nothing_to_import(path)
    if elsewhere.is_mindspore(path):
        return
    if elsewhere.find_bundle(path) is not None:
        raise UsageError(
            f"{path}: variables of TensorFlow; a VGG16 among them is an encoder, not a whole network: "
            f"fullconv train DATA --encoder vgg16 --encoder-weights {path}"
        )
    if path.is_file():
        raise UsageError(f"{path}: {elsewhere.what_to_do(path) or _of_a_file(path)}")
    if not (path / CONFIG).is_file():
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
    file = folder / CONFIG
    if not file.is_file() or not (folder / "model.safetensors").is_file():
        raise UsageError(f"{folder}: expected {CONFIG} and model.safetensors, as save_pretrained writes them")
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
