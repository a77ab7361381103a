"""What an exported file says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullconv.errors import ModelFileError
from fullconv.exported.geometry import Places
from fullconv.libraries import library
from fullconv.model_file import checked_header

if TYPE_CHECKING:
    import onnx

SUFFIXES = (".onnx", ".xml")
KEY = "fullconv"
"""Of the metadata: our whole header as JSON; the other keys say parts of it for other readers."""


def metadata(header: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """A header as metadata: whole for us, and what others may want to know under names of its own."""
    classes = header["classes"]
    return {
        KEY: {**header, "export": {**header.get("export", {}), **places.to_dict()}},
        "class_names": classes["names"],
        "palette": classes["palette"],
        "ignore_index": classes["ignore_index"],
        "preprocessing": header["preprocessing"],
        "provenance": header["provenance"],
        "licence": header["weights_licence"] or "not stated",
    }


def refuse_runners(model: onnx.ModelProto, names: list[str]) -> None:
    """Say in an ONNX model who is not to compute it."""
    for prop in model.metadata_props:
        if prop.key == KEY:
            header = json.loads(prop.value)
            prop.value = json.dumps({**header, "export": {**header["export"], "refused": names}})


def read_exported_header(file: Path) -> dict[str, Any]:
    """The header in an ONNX file or in OpenVINO's ``.xml``.

    Raises:
        UsageError: the library that reads such files is not installed.
        ModelFileError: a file that is damaged, or that fullconv did not export.
    """
    text = _from_onnx(file) if file.suffix == ".onnx" else _from_xml(file)
    if text is None:
        raise ModelFileError(f"{file}: fullconv did not export it, so its classes and sizes are not known; export it")
    header = checked_header(text, file)
    if not isinstance(header.get("export"), dict):
        raise ModelFileError(f"{file}: its fullconv header is damaged (no export); export it again")
    return header


def _from_onnx(file: Path) -> str | None:
    onnx = library("onnx", f"{file}: to read an ONNX file")
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise ModelFileError(f"{file}: not a readable ONNX file ({error}); export it again") from error
    found: str | None = {prop.key: prop.value for prop in model.metadata_props}.get(KEY)
    return found


def _from_xml(file: Path) -> str | None:
    openvino = library("openvino", f"{file}: to read a file of OpenVINO")
    try:
        model = openvino.Core().read_model(str(file))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise ModelFileError(f"{file}: not a readable OpenVINO model with its .bin beside it ({reason})") from error
    if not model.has_rt_info([KEY, "header"]):
        return None
    return str(model.get_rt_info([KEY, "header"]).astype(str))
