"""Which networks pass the export gate: ``python benchmarks/exports.py [NAME ...]`` (``make exports``) prints its table.

``NAME`` is a network, an encoder, or ``--torch``, ``--onnx`` for one kind of file. Rows are printed as they come.

Weights are random; norms have seen some noise and score layers are not zero, so that labels differ from place to place.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fullconv.errors import FullconvError
from fullconv.exported.build import build
from fullconv.exported.geometry import Places
from fullconv.exported.runners import ExportedRunner, open_runner
from fullconv.exporting.gate import generated_images, pass_gate
from fullconv.exporting.program import Program, open_torch, program_of, write_torch
from fullconv.models import build_model
from fullconv.names import RUNNERS
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(tuple(f"class {index}" for index in range(5)))
Row = tuple[str, str, dict[str, Any], dict[str, Any]]
NETWORKS: list[Row] = [
    ("fcn32s", "resnet10t", {}, {}),
    ("fcn16s", "resnet10t", {}, {}),
    ("fcn4s", "resnet10t", {}, {}),
    ("fcn8s", "mobilenetv2_050", {"last": "transposed"}, {}),
    ("fcn8s", "resnet10t", {"decoder": "wide"}, {}),
    ("unet", "resnet10t", {}, {}),
    ("unet", "resnet10t", {"upsampling": "interpolate", "last": "bilinear"}, {}),
    ("fpn", "resnet10t", {}, {}),
    ("segnet", "vgg16", {}, {}),
    ("deeplab", "resnet10t", {}, {}),
    ("deeplab", "resnet10t", {"head": "aspp"}, {}),
    ("deeplab", "vgg16", {"head": "large-fov"}, {}),
    ("dilated", "resnet10t", {}, {}),
    ("hypercolumn", "resnet10t", {}, {}),
]
ENCODERS: list[Row] = [
    ("fcn8s", "resnet10t", {}, {}),
    ("fcn8s", "vgg16", {}, {"padding": "same", "fc_channels": 256}),
    ("fcn8s", "vgg16", {}, {"padding": "paper", "fc_channels": 256}),
    ("fcn8s", "mobilenetv2_050", {}, {}),
    ("fcn8s", "mobilenetv3_small_050", {}, {}),
    ("fcn8s", "efficientnet_b0", {}, {}),
    ("fcn8s", "tf_efficientnet_lite0", {}, {}),
    ("fcn8s", "convnext_atto", {}, {}),
    ("fcn8s", "convnextv2_atto", {}, {}),
    ("fcn8s", "regnetx_002", {}, {}),
    ("fcn8s", "densenet121", {}, {}),
    ("fcn8s", "swin_tiny_patch4_window7_224", {}, {}),
    ("fcn8s", "mobileone_s0", {}, {}),
]
FOREIGN: list[Row] = [
    ("torchvision", "lraspp_mobilenet_v3_large", {}, {}),
    ("torchvision", "deeplabv3_mobilenet_v3_large", {}, {}),
    ("torchvision", "fcn_resnet50", {}, {}),
    *(
        ("smp", name, {"encoder_name": "mit_b0" if name == "Segformer" else "resnet18"}, {})
        for name in (
            "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
            "Segformer",
        )
    ),
    ("smp", "DPT", {"encoder_name": "tu-vit_tiny_patch16_224"}, {}),
]  # fmt: skip


def untrained(name: str, encoder: str, model_args: dict[str, Any], encoder_args: dict[str, Any]) -> Segmenter:
    torch.manual_seed(0)
    built = build_model(name, len(CLASSES), encoder, "none", model_args=model_args, encoder_args=encoder_args)
    network = built.network
    for key, value in network.named_parameters():
        if key in network.class_axes and value.ndim == 4 and not bool(value.any()):
            nn.init.normal_(value, std=value[0].numel() ** -0.5)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = None  # the mean of all that it sees
    with torch.no_grad():
        network.train()
        for _ in range(2):
            patches = torch.rand(4, 3, 12, 12).repeat_interleave(11, 2).repeat_interleave(11, 3)
            network((patches + 0.05 * torch.randn(patches.shape) - 0.45) / 0.225)
    return Segmenter(built, CLASSES, Preprocessing()).to("cpu", "fp32")


def judged(segmenter: Segmenter, kinds: tuple[str, ...]) -> str:
    """What the gate says of each kind of file, in a cell."""
    ours = segmenter.torch_runner
    places = Places.of(ours.network, ours.context)
    cells = []
    for kind in kinds:
        try:
            runners = list((as_program if kind == "torch" else as_onnx)(segmenter, places))
        except FullconvError as error:
            cells.append(f"{kind} refused: {error}")
            continue
        for runner in runners:
            try:
                rows = pass_gate(segmenter, runner, generated_images(3))
            except FullconvError as error:
                cells.append(f"{runner} refused: {error}")
            else:
                cells.append(f"{runner} equal at {sum(row.sure for row in rows):,} pixels")
    return "; ".join(cells)


def as_onnx(segmenter: Segmenter, places: Places) -> Iterator[ExportedRunner]:
    ours = segmenter.torch_runner
    model = build(ours.network, ours.preprocessing, places, segmenter.header()).SerializeToString()
    yield from (open_runner(name, model, places) for name in RUNNERS)


def as_program(segmenter: Segmenter, places: Places) -> Iterator[ExportedRunner]:
    ours = segmenter.torch_runner
    traced = program_of(Program(ours.network, ours.preprocessing, places), 3)
    with tempfile.TemporaryDirectory() as folder:
        header = {**segmenter.header(), "export": {}}
        with write_torch(traced, header, places, Path(folder) / "m.pt2") as file:
            runner, _ = open_torch(file)
    yield runner


def main(wanted: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    kinds = tuple(kind for kind in ("onnx", "torch") if f"--{kind}" in wanted) or ("onnx", "torch")
    for row in rows_of([name for name in wanted if not name.startswith("--")]):
        name, encoder, model_args, encoder_args = row
        said = ", ".join(f"{key}: {value}" for key, value in {**model_args, **encoder_args}.items())
        try:
            verdict = judged(untrained(*row), kinds)
        except FullconvError as error:
            verdict = f"cannot be built: {error}"
        print(f"| {name} | {encoder} | {said or '-'} | {verdict} |", flush=True)


def rows_of(wanted: list[str]) -> Iterator[Row]:
    for row in (*NETWORKS, *ENCODERS, *FOREIGN):
        if not wanted or any(name in row[:2] for name in wanted):
            yield row


if __name__ == "__main__":
    main(sys.argv[1:])
