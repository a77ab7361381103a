"""A network as a program of PyTorch's own (``.pt2``): ``torch.export.load`` runs it, without fullconv."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental import _config
from torch.utils._sympy.value_ranges import ValueRanges

from fullconv.errors import FullconvError
from fullconv.exported.geometry import LABELS, LOGITS, PROBABILITIES, SCORES, Places
from fullconv.exported.header import KEY, metadata
from fullconv.exported.runners import ExportedRunner
from fullconv.exported.tracing import Plain, quiet, reason_of, refuse_objects, same_padding_of_multiples
from fullconv.files import replacing
from fullconv.models.network import SegmentationNetwork
from fullconv.spec import Preprocessing

ASSERTION = torch.ops.aten._assert_scalar.default


class Program(nn.Module):
    """The same arithmetic as :mod:`fullconv.exported.sides`, in PyTorch: ``images`` uint8 ``n H W c`` -> outputs."""

    factor: Tensor
    offset: Tensor

    def __init__(
        self, network: SegmentationNetwork, preprocessing: Preprocessing, places: Places,
        scores: bool = False, probabilities: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        refuse_objects(network)
        self.network = Plain(network)
        self.places, self.resize = places, preprocessing.resize
        self.scores, self.probabilities = scores, probabilities
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
        self.register_buffer("offset", -mean / std)
        self.register_buffer("factor", 1 / (255 * std))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        pixels = images.permute(0, 3, 1, 2)
        if self.resize is not None:
            pixels = F.interpolate(pixels, self.resize, mode="bilinear", antialias=True)
        pixels = torch.addcmul(self.offset, pixels.float(), self.factor)
        if (multiple := self.places.multiple) > 1:
            height, width = (-(-side // multiple) * multiple for side in pixels.shape[2:])
            pixels = F.pad(pixels, (0, width - pixels.shape[3], 0, height - pixels.shape[2]))
        logits = self.network(pixels)
        enlarged = self.enlarged(self.enlarged(logits, 2, images.shape[1]), 3, images.shape[2])
        labels = enlarged.argmax(1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int32)
        outputs = {LABELS: labels, LOGITS: logits}
        if self.scores:
            outputs[SCORES] = enlarged
        if self.probabilities:
            outputs[PROBABILITIES] = enlarged.softmax(1)
        return outputs

    def enlarged(self, values: Tensor, dim: int, size: int) -> Tensor:
        """Interpolate along one axis to ``size`` pixels, at places that are fractions of whole numbers."""
        places, coarse = self.places, values.shape[dim]
        twice = 2 * torch.arange(size, device=values.device) + 1
        if places.fits_image:
            above, below = twice * coarse - size, 2 * size
        else:
            top, bottom = places.start.numerator, places.start.denominator
            seen, of = (1, 1) if self.resize is None else (self.resize[dim - 2], size)
            above = twice * (bottom * seen) + (2 * top - bottom * places.stride) * of
            below = 2 * bottom * places.stride * of
        above = above.clamp(min=0)
        low = above // below
        shape = [-1 if axis == dim else 1 for axis in range(4)]
        fraction = ((above - low * below).float() / below).view(shape)
        low = low.clamp(max=coarse - 1)
        high = (low + 1).clamp(max=coarse - 1)
        return values.index_select(dim, low) * (1 - fraction) + values.index_select(dim, high) * fraction


def program_of(program: Program, channels: int) -> torch.export.ExportedProgram:
    """Traced for any number and size of images.

    The tracer sees one size, larger than that of the coarsest map's first place, and writes down as conditions what
    held for it (``rows > 1``). These are taken out again: sizes for which they matter are the gate's to judge.

    Raises:
        FullconvError: PyTorch cannot trace the network.
    """
    free = torch.export.Dim.DYNAMIC
    images = torch.zeros(2, 67, 93, channels, dtype=torch.uint8)
    oblivious = _config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    try:
        with torch.no_grad(), quiet(), same_padding_of_multiples(), oblivious:
            traced = torch.export.export(
                program.eval(), (images,), dynamic_shapes={"images": {0: free, 1: free, 2: free}},
                prefer_deferred_runtime_asserts_over_guards=True,
            )  # fmt: skip
    except Exception as error:  # on what it cannot trace the exporter raises almost anything
        raise FullconvError(
            f"PyTorch cannot write this network as a program ({reason_of(error)}); try --to onnx, or predict with the "
            ".safetensors file"
        ) from error
    for node in [node for node in traced.graph.nodes if node.target is ASSERTION]:
        traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.graph_module.recompile()
    for symbol in traced.range_constraints:
        traced.range_constraints[symbol] = ValueRanges(1, 1 << 16)
    traced._guards_code = []
    traced._example_inputs = None  # they alone would be written as a pickle
    return traced


@contextlib.contextmanager
def write_torch(
    traced: torch.export.ExportedProgram, header: Mapping[str, Any], places: Places, out: Path
) -> Iterator[Path]:
    """The file under a temporary name; when the block ends well it takes the name ``out``."""
    said = metadata(header, places)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}
    with replacing(out) as temporary:
        with quiet():
            torch.export.save(traced, temporary, extra_files=texts)
        yield temporary


def open_torch(file: Path) -> tuple[ExportedRunner, int]:
    """Who computes such a file, and the channels of its images.

    It is for a file that was written just now: loading one of others may run a program that it holds.
    """
    said = {KEY: ""}
    module = torch.export.load(file, extra_files=said).module()
    header = json.loads(said[KEY])

    def run(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        with torch.inference_mode():
            found = module(torch.from_numpy(images))
        return [found[name].numpy() for name in outputs]

    places = Places.from_dict(header["export"])
    runner = ExportedRunner(run, places, f"torch.export {torch.__version__}, fp32 on cpu", "fp32")
    return runner, len(header["preprocessing"]["mean"])
