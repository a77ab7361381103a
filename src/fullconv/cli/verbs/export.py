"""``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Model
from fullconv.cli.verbs.shared import app, say
from fullconv.there import refuse_existing

EXPORT = (
    "fullconv export runs/mine --out model.onnx",
    "fullconv export runs/mine --out model.xml --check my_data",
    "fullconv export runs/mine --for hub --out hub",
)


@app.command(help_formatter=Help(*EXPORT), usage="Usage: fullconv export MODEL --out OUT [OPTIONS]")
def export(
    model: Model,
    /,
    *,
    to: str = "",
    out: Path,
    scores: bool = False,
    probabilities: bool = False,
    check: str = "",
    split: str = "val",
    int8: bool = False,
    calibrate: str = "",
    consumer: Annotated[str, Parameter(name="--for")] = "",
    tile: int = 512,
    resolution: float | None = None,
) -> int:
    """Write MODEL as a file for other programs: bytes of images in, labels out, of any size.

    Every runner that is installed computes images with it first, and the labels have to be PyTorch's. If they are not,
    nothing is written and the exit code is 4.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    to
        onnx, openvino (an .xml with its .bin beside it) or torch (a .pt2 for torch.export.load); by default as --out
        ends, or as --for needs it.
    out
        The file to write; for triton and hub a folder.
    scores
        Further output: the score of every class at every pixel.
    probabilities
        Further output: the probability of every class at every pixel.
    check
        DATA whose images are compared too, with the mean IoU of both.
    split
        The split of --check.
    int8
        Let the network compute in 8 bits, for --to openvino. The mean IoU on --check (else --calibrate) may lose 0.3
        points.
    calibrate
        DATA of the model's classes; its train images show what values there are.
    consumer
        The program that is to read it: model-api (openvino-model-api's SegmentationModel), deepness (the QGIS
        plugin), triton (a folder for Triton Inference Server) or hub (a folder with a model card; with --to that file
        too).
    tile
        The side of the tiles that deepness cuts.
    resolution
        For deepness: centimetres of ground a pixel in training; by default the plugin's user sets it.
    """
    from fullconv.exporting.targets import refuse_target, target_of

    if not consumer:
        refuse_target(to or target_of(out), out)
    refuse_existing(out)
    import fullconv

    with Bar("export", device="cpu") as bar:
        report = fullconv.export(
            model, to, out, scores=scores, probabilities=probabilities, check=check or None, split=split, int8=int8,
            calibrate=calibrate or None, consumer=consumer, tile=tile, resolution=resolution, progress=bar.stage,
        )  # fmt: skip
    for line in report.lines():
        say(line)
    return 0
