"""``--for triton``: a model of NVIDIA Triton Inference Server's repository (``config.pbtxt`` and ``1/model.onnx``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fullconv.exporting.artefact import Asked, write_artefact
from fullconv.exporting.report import ExportReport
from fullconv.exporting.targets import ONNX
from fullconv.files import new_folder
from fullconv.libraries import library
from fullconv.segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

NAME = "triton"
RUNNERS = ("onnxruntime",)
"""Triton's backend for ONNX files."""
BATCH = 8
"""Requests for images of one size that Triton may join."""
TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 6: "TYPE_INT32"}
"""By ONNX's numbers."""


def write_for_triton(segmenter: Segmenter, out: Path, asked: Asked, report: ExportReport) -> None:
    """The folder, after the gate.

    Raises:
        GateError: other labels; nothing is written.
    """
    onnx = library("onnx", f"export --for {NAME}")
    with new_folder(out) as folder:
        file = folder / "1" / "model.onnx"
        write_artefact(segmenter, ONNX, file, asked, report)
        model = onnx.load(str(file))
        (folder / "config.pbtxt").write_text(config_of(model), encoding="utf-8")


def config_of(model: onnx.ModelProto) -> str:
    """``ModelConfig`` as text. It names no model: that is its folder's name, which may be changed so."""
    lines = ['backend: "onnxruntime"', f"max_batch_size: {BATCH}"]
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        lines.append(f"{kind} [")
        lines.append(",\n".join(_tensor(value) for value in values))
        lines.append("]")
    lines.append("dynamic_batching { }")
    for prop in model.metadata_props:
        lines.append(f"parameters {{ key: {_quoted(prop.key)} value {{ string_value: {_quoted(prop.value)} }} }}")
    return "\n".join(lines) + "\n"


def _tensor(value: onnx.ValueInfoProto) -> str:
    """Without its first axis, the batch's, which ``max_batch_size`` implies."""
    kind = value.type.tensor_type
    sides = [side.dim_value or -1 for side in kind.shape.dim[1:]]
    return f"  {{ name: {_quoted(value.name)} data_type: {TYPES[kind.elem_type]} dims: {sides} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format, which escapes as JSON does where there are no control characters."""
    return json.dumps(text, ensure_ascii=False)
