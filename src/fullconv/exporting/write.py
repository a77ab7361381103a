"""An ONNX model -> the file of a target, beside its place until the gate has seen it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullconv.errors import FullconvError
from fullconv.exported.header import KEY
from fullconv.files import replacing
from fullconv.libraries import library

if TYPE_CHECKING:
    import onnx

LARGEST = 2 << 30
"""Bytes of one ONNX file, a limit of its format."""


@contextlib.contextmanager
def write_onnx(model: onnx.ModelProto, out: Path) -> Iterator[Path]:
    """The file under a temporary name; when the block ends well it takes the name ``out``.

    Raises:
        FullconvError: more than an ONNX file can hold.
    """
    if model.ByteSize() >= LARGEST:
        raise FullconvError(f"{out}: {model.ByteSize() / 1e9:.1f} GB, an ONNX file holds 2; use --to openvino")
    with replacing(out) as temporary:
        temporary.write_bytes(model.SerializeToString())
        yield temporary


@contextlib.contextmanager
def write_openvino(model: onnx.ModelProto, out: Path, converted: Any = None) -> Iterator[Path]:
    """The same as OpenVINO's pair of files, ``.xml`` and ``.bin``.

    Args:
        model: the metadata are its own.
        converted: what is written instead: the quantised model; None: ``model``, in fp32.
    """
    openvino = library("openvino", "export --to openvino")
    if converted is None:
        converted = openvino.Core().read_model(model.SerializeToString())
    for prop in model.metadata_props:
        converted.set_rt_info(prop.value, [KEY, "header" if prop.key == KEY else prop.key])
    with replacing(out) as temporary:
        weights = temporary.with_suffix(".bin")
        try:
            openvino.save_model(converted, str(temporary), compress_to_fp16=False)
            yield temporary
            os.replace(weights, out.with_suffix(".bin"))
        finally:
            weights.unlink(missing_ok=True)
