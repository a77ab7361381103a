"""Every training option, once: its default, its meaning, and so its ``--flag`` and its line in ``config.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fullconv.errors import UsageError
from fullconv.files import read_yaml, write_text
from fullconv.libraries import installed
from fullconv.training import option_values
from fullconv.training.option_names import explain
from fullconv.training.recipes import find_recipe

MACHINE = ("threads", "workers", "cache", "device", "devices", "nodes", "strategy", "track")
"""Options that say where a run goes, and nothing of what comes out of it."""


class TrainConfig(BaseModel):
    """Options of a training run. Lengths are pixels, ``(height, width)``; rates are per step unless said."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # the network
    model: str = Field(
        "fcn8s",
        description="network: fcn32s, fcn16s, fcn8s, fcn4s, unet, fpn, segnet, deeplab, dilated, hypercolumn, eomt; "
        "or of regions: maskrcnn, rcnn, sds",
    )
    encoder: str = Field("resnet34", description="encoder: vgg16, or any timm network with features (transformers too)")
    encoder_weights: str = Field(
        "auto",
        description="auto (imagenet where it is cached or a host answers within 10 s, else none; none for shapes), "
        "imagenet (downloaded once), none, or a .safetensors or .pth file",
    )
    encoder_args: dict[str, Any] = Field(
        {},
        description="as --encoder-args.NAME VALUE: arguments of the encoder's architecture, timm's or those of VGG16; "
        "for example --encoder-args.drop-path-rate 0.1",
    )
    model_args: dict[str, Any] = Field(
        {},
        description="as --model-args.NAME VALUE: arguments of the network; for example --model-args.head-channels 64",
    )
    init_from: str = Field(
        "",
        description="a fullconv model file or run whose parameters of the same name are the start, with its encoder "
        "where none is given; score layers go by the classes' names",
    )

    # the data
    crop: tuple[int, int] | None = Field(
        None, description="size of training crops; by default the most common image size, each side at most 512"
    )
    resize: tuple[int, int] | None = Field(
        None, description="bring every image to this size, in training and in prediction; by default none is resized"
    )
    scale: tuple[float, float] = Field((0.75, 1.5), description="range of the random zoom of training samples")
    flip: bool = Field(True, description="mirror half of the training samples")
    colour: float = Field(
        0.2, ge=0, lt=1, description="range of random brightness, contrast and (of 3 channels) saturation"
    )
    input_range: Literal["encoder", "unit"] = Field(
        "encoder", description="what the network sees: encoder (mean and deviation of its weights) or unit (0 to 1)"
    )
    filter_small: bool = Field(
        False,
        description="leave out train and val images smaller than the crop, and say how many, instead of padding them",
    )
    cache: bool = Field(
        False, description="decode every image once into a memory-mapped file (~/.cache/fullconv), and read from it"
    )
    check: bool = Field(True, description="read all of the data first and stop where training would go wrong")

    # learning from less
    labels: Literal["masks", "boxes", "tags", "scribbles", "points", "auto"] = Field(
        "auto",
        description="what training images teach with: masks, boxes, tags, scribbles or points, as annotated or derived "
        "from masks; auto: each with what it has",
    )
    objects: Literal["annotated", "components"] = Field(
        "annotated",
        description="what an object is for --model maskrcnn: annotated (as outlines say), or components: where there "
        "are masks only, every connected component of a class, so touching objects are one",
    )
    crf_loss: float = Field(
        0.0, ge=0, description="weight of the CRF loss: what looks alike and lies near should be of one class; 0: none"
    )
    crf_loss_start: float = Field(
        0.5, ge=0, lt=1, description="share of the epochs that learn from the labels alone before the CRF loss is added"
    )
    crf_loss_deviations: tuple[float, float] = Field(
        (100, 15),
        description="how far the CRF loss sees: standard deviations of place, in pixels, and of colour, of 255",
    )
    tag_pooling: Literal["lse", "max"] = Field(
        "lse", description="how the scores of an image's places become those of its tags: lse (log-sum-exp) or max"
    )
    tag_pooling_sharpness: float = Field(
        5.0, gt=0, description="of the log-sum-exp: near 0 it is the mean, the larger the closer to max"
    )
    box_labels: Literal["grabcut", "inner", "filled", "boxsup"] = Field(
        "grabcut",
        description="first labels of images that teach with boxes: grabcut, inner (fifth of each box) or filled, then "
        "predictions (Simple Does It); or boxsup (segments chosen by overlap and by the network)",
    )
    point_labels: Literal["superpixels", "dots"] = Field(
        "superpixels",
        description="labels of images that teach with points: superpixels (up to 64 pixels of the one around each "
        "too), or dots of 3x3 pixels",
    )
    rounds: int | None = Field(
        None,
        ge=1,
        description="how often labels of images that teach with boxes are made, in equal parts of the epochs; by "
        "default 3 times, of fewer epochs once for each",
    )

    # the optimisation
    minutes: float | None = Field(
        None,
        gt=0,
        description="time of the whole run, which its number of epochs follows; by default 30, where neither epochs "
        "nor a recipe are given",
    )
    epochs: int = Field(30, ge=1, description="passes over the training data, unless epoch_steps says otherwise")
    epoch_steps: int | None = Field(
        None, ge=1, description="steps of an epoch, each of which ends with a validation; by default one pass"
    )
    batch_size: int = Field(
        8, ge=1, description="images per step, over all devices together: each of 2 takes half of them"
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="adamw, adam or sgd")
    loss: Literal["cross-entropy", "focal", "ohem", "dice", "cross-entropy+dice"] = Field(
        "cross-entropy",
        description="cross-entropy (nll, of the log-softmax, is the same), focal (gamma 2), ohem (hardest quarter), "
        "dice, cross-entropy+dice",
    )
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="of the cross-entropy or focal loss over labelled pixels: mean, or sum as in the FCN paper"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the cross-entropy's target that is spread over all classes"
    )
    rate: float = Field(1e-3, gt=0, description="learning rate of the layers over the encoder")
    encoder_rate: float | None = Field(None, ge=0, description="learning rate of the encoder; by default the same")
    freeze: Literal["none", "encoder"] = Field(
        "none",
        description="encoder: its weights stay as they are (--encoder-rate 0), and where images do not change it sees "
        "each once",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(1e-4, ge=0, description="decay of weights (not of biases and norms)")
    schedule: Literal["one-cycle", "poly", "step", "constant"] = Field(
        "one-cycle", description="how the rate changes: one-cycle, poly, step or constant"
    )
    poly_power: float = Field(0.9, gt=0, description="exponent of the poly schedule")
    step_epochs: int = Field(50, ge=1, description="epochs between drops of the step schedule")
    step_factor: float = Field(0.1, gt=0, lt=1, description="factor of each drop of the step schedule")
    class_weights: Literal["none", "median-frequency"] | list[float] = Field(
        "none", description="none, median-frequency, or one weight per class: 1,2,0.5"
    )
    clip_norm: float = Field(0.0, ge=0, description="largest norm of the gradient; 0 for no limit")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights; 0 for none")
    early_stopping: int = Field(
        0,
        ge=0,
        description="stop after this many epochs without a better val mean IoU (or val loss at the same); 0: never",
    )

    # the machine
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="auto (bf16 where the processor or GPU computes in it, fp16 on older GPUs), bf16, fp16 or fp32",
    )
    threads: int | None = Field(
        None, ge=1, description="computing threads of a process, by default one per core; 1 where others use the cores"
    )
    workers: int | None = Field(None, ge=0, description="reading processes; by default by the number of cores")
    sync_batch_norm: bool = Field(
        False, description="batch norm's statistics over the whole batch, not each device's part of it"
    )
    track: str = Field(
        "auto",
        description="who is told the figures of every epoch beside log.csv: tensorboard, mlflow, wandb, trackio (each "
        "an extra), several joined by commas, or none; auto: tensorboard where it is installed",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the weights, the order and the augmentation")
    device: Literal["auto", "cpu", "cuda", "gpu", "mps"] = Field("auto", description="auto, cpu, cuda (or gpu), or mps")
    devices: str = Field("auto", description="how many devices (2; on a CPU: processes), which GPUs (0,1), or auto")
    nodes: int = Field(1, ge=1, description="machines")
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = Field(
        "auto", description="auto (ddp for several devices), ddp, or ddp_find_unused_parameters_true"
    )

    _flags = field_validator("encoder_args", "model_args", mode="before")(option_values.flags_as_values)
    _loss = field_validator("loss", mode="before")(option_values.loss_of_one_name)
    _devices = field_validator("devices", mode="before")(option_values.devices_as_text)
    _devices_exist = field_validator("devices")(option_values.devices_in_words)
    _trackers = field_validator("track")(option_values.known_trackers)
    _class_weights = field_validator("class_weights", mode="before")(option_values.weights_as_numbers)

    @model_validator(mode="before")
    @classmethod
    def _frozen(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("freeze") == "encoder" and values.get("encoder_rate") is None:
            return {**values, "encoder_rate": 0.0}
        return values

    @model_validator(mode="after")
    def _sensible(self) -> TrainConfig:
        for name in ("crop", "resize"):
            size = getattr(self, name)
            if size is not None and min(size) < 1:
                raise ValueError(f"{name} must be at least 1x1, found {size[0]}x{size[1]}")
        if self.freeze == "encoder" and self.encoder_rate:
            raise ValueError(f"freeze: a frozen encoder has no rate, found encoder_rate {self.encoder_rate:g}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be two positive numbers, low then high, found {self.scale}")
        if not min(self.crf_loss_deviations) > 0:
            raise ValueError(f"crf_loss_deviations must be two positive numbers, found {self.crf_loss_deviations}")
        if self.label_smoothing and "cross-entropy" not in self.loss:
            raise ValueError(f"label_smoothing belongs to the cross-entropy loss, found loss {self.loss}")
        if self.reduction == "sum" and self.loss not in ("cross-entropy", "focal"):
            raise ValueError(f"reduction sum belongs to cross-entropy or focal, found loss {self.loss}")
        if self.class_weights != "none" and self.loss == "dice":
            raise ValueError("class_weights: the dice loss already counts every class alike; use none")
        if isinstance(self.class_weights, list) and (min(self.class_weights) < 0 or max(self.class_weights) == 0):
            raise ValueError(f"class_weights must be 0 or more and not all 0, found {self.class_weights}")
        return self

    @property
    def tracked(self) -> list[str]:
        """Who is told the figures of every epoch."""
        if self.track == "auto":
            return ["tensorboard"] if installed("tensorboard") else []
        return [] if self.track == "none" else list(dict.fromkeys(self.track.split(",")))

    @property
    def loss_in_words(self) -> str:
        """What the train loss is; ``cross-entropy`` alone is what the val loss is too."""
        parts = [self.loss, "summed over the pixels" if self.reduction == "sum" else ""]
        parts += ["weighted by class"] * (self.class_weights != "none")
        parts += [f"label smoothing {self.label_smoothing:g}"] * (self.label_smoothing > 0)
        return ", ".join(part for part in parts if part)

    def changed(self) -> dict[str, Any]:
        """Options that differ from the defaults, but for those of the machine and its arithmetic.

        Of paths their last part, so that a model which is shared says nothing of the machine.
        """
        usual = type(self)().model_dump(mode="json")
        values = {
            name: value
            for name, value in self.model_dump(mode="json").items()
            if value != usual[name] and name not in (*MACHINE, "precision")
        }
        for name in ("init_from", "encoder_weights"):
            if name in values:
                values[name] = Path(values[name]).name
        return values

    @classmethod
    def load(cls, recipe: str | os.PathLike[str] | None, given: dict[str, Any]) -> TrainConfig:
        """Defaults, overridden by a recipe file, overridden by what was given.

        Raises:
            UsageError: no such recipe, not YAML, or an option that is unknown or out of range.
        """
        values: dict[str, Any] = {}
        if recipe is not None:
            values = read_yaml(find_recipe(recipe), UsageError, "training options such as 'epochs: 30'")
            if "accelerator" in values:  # written before 'device' was its name
                values["device"] = values.pop("accelerator")
        try:
            return cls(**{**values, **given})
        except ValidationError as error:
            raise UsageError(explain(error, str(recipe or "the options"), cls.model_fields)) from error

    def save(self, path: Path, reasons: Mapping[str, str] | None = None) -> None:
        """Write as YAML, with every option's meaning as a comment, and why it was chosen where it was."""
        lines, reasons = [], reasons or {}
        for name, value in self.model_dump(mode="json").items():
            lines.append(f"# {type(self).model_fields[name].description}")
            if name in reasons:
                lines.append(f"# chosen: {reasons[name]}")
            text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
            lines.append(f"{name}: {text.removesuffix(chr(10)).removesuffix('...').rstrip()}")
        write_text(path, "\n".join(lines) + "\n")
