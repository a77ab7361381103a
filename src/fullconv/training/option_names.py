"""What options are called: by us, by other programs, and in messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from pydantic import ValidationError

from fullconv.errors import first_few

SECTIONS = {
    "Network": "model",
    "Data": "crop",
    "Learning from less": "labels",
    "Optimisation": "minutes",
    "Machine": "precision",
}
"""What options are about: a title, and the first of them; the next title ends it."""

SYNONYMS = {
    "rate": "lr lr0 learning_rate learningrate base_lr",
    "batch_size": "batch bs b batchsize train_batch_size",
    "resize": "imgsz img_size image_size size img input_size imsize",
    "crop": "imgsz img_size image_size size crop_size patch_size",
    "tile": "imgsz img_size size tile_size window",
    "epochs": "epoch e ep n_epochs num_epochs max_epochs iterations",
    "minutes": "time max_time time_limit budget hours",
    "epoch_steps": "steps_per_epoch val_interval val_every",
    "threads": "num_threads cpus cores nthreads",
    "track": "logger log tracker wandb mlflow tensorboard",
    "model": "arch architecture network net",
    "encoder": "backbone arch architecture",
    "encoder_weights": "pretrained weights backbone_weights",
    "init_from": "weights checkpoint ckpt load finetune fine_tune pretrained_model",
    "resume": "continue resume_from checkpoint ckpt",
    "out": "output o output_dir outdir save_dir project name save dest destination run_dir log_dir",
    "recipe": "config cfg c yaml hyp",
    "device": "accelerator gpu cuda",
    "devices": "gpu gpus ngpu num_gpus gpu_ids",
    "workers": "num_workers nw j n_jobs",
    "optimizer": "optim optimiser opt",
    "schedule": "scheduler lr_scheduler lr_schedule",
    "weight_decay": "wd decay l2",
    "clip_norm": "grad_clip clip_grad gradient_clip max_norm",
    "early_stopping": "patience early_stop",
    "label_smoothing": "smoothing",
    "class_weights": "class_weight cls_weights",
    "encoder_rate": "backbone_lr encoder_lr",
    "loss": "criterion loss_fn",
    "precision": "amp fp16 half bf16 dtype",
    "colour": "color color_jitter hsv_h hsv_s hsv_v",
    "flip": "fliplr hflip augment aug",
    "scale": "zoom augment aug",
    "ema": "ema_decay moving_average",
    "seed": "random_seed manual_seed",
    "overlay": "show visualize vis viz",
    "probabilities": "probs softmax scores",
    "confidence": "conf threshold thr",
    "to": "format type output_format",
    "split": "subset set task",
    "report": "html",
    "html": "report",
    "json": "save_json report html",
}
"""Options, and what other programs call them."""


EXPECTED = {
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected true or false",
}
"""Faults in our words, by pydantic's names for them."""


def synonyms_of(name: str) -> list[str]:
    """Our options, of any verb, that other programs call so (``lr``); the likeliest first."""
    return [option for option, others in SYNONYMS.items() if name in others.split()]


def near_options(name: str, options: Iterable[str]) -> list[str]:
    """Those that are spelled nearly so."""
    return difflib.get_close_matches(name, list(options), 3, cutoff=0.6)


def meant(name: str, options: Collection[str]) -> str:
    """``did you mean rate?``: what others call so, else what is spelled nearly so; empty where there is nothing."""
    found = [option for option in synonyms_of(name.casefold()) if option in options] or near_options(name, options)
    return f"did you mean {first_few(found)}?" if found else ""


def explain(error: ValidationError, where: str, options: Collection[str], flags: bool = False) -> str:
    """The first fault in one line, an unknown option with the nearest names of ``options``.

    Args:
        where: the options are from.
        flags: they were typed as flags, which then name themselves.
    """
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no option {name!r}; {meant(name, options) or 'fullconv train --help lists them'}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "dict_type":
        typed = f"--{name.replace('_', '-')}.NAME VALUE"
        message = f"expected {typed if flags else 'names and values'}"
    message = EXPECTED.get(first["type"], message).replace("Input should be", "expected")
    at = f"--{name.replace('_', '-')}" if flags and name else f"{where}: {name}" if name else where
    near = ""
    if first["type"] == "literal_error":
        near = meant(str(first["input"]).casefold(), re.findall("'([^']+)'", first["ctx"]["expected"]))
    return f"{at}: {message}" + (f" (found {first['input']!r})" if name else "") + (f"; {near}" if near else "")
