"""The one file of a model: where it lies, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullconv.errors import ModelFileError, UsageError, first_few
from fullconv.files import replacing
from fullconv.text import parse_json

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
BEST = "best.safetensors"
"""The model of a run folder."""
HUB = "model.safetensors"
"""The model of a folder that ``export --for hub`` wrote."""


def model_file(path: str | Path) -> Path:
    """The model file meant by a file or by a run folder."""
    path = folder = Path(path)
    if path.is_dir():
        path = path / (HUB if (path / HUB).is_file() and not (path / BEST).is_file() else BEST)
    if path.suffix == ".pt2" and path.is_file():
        raise UsageError(f"{path}: a program for torch.export.load; give the .safetensors file that it was made from")
    if not path.is_file() and path.name == BEST and (runs := sorted(path.parent.glob(f"*/{BEST}"))):
        names = first_few([str(run.parent) for run in runs])
        raise UsageError(f"{path.parent}: holds runs, and is none itself; give one of {names}")
    if not path.is_file():
        what = "holds no model" if folder.is_dir() else "no such model"
        raise UsageError(
            f"{folder}: {what}; give a .safetensors file that fullconv saved, a run folder, or an exported "
            ".onnx or .xml"
        )
    return path


def read_header(path: str | Path) -> dict[str, Any]:
    """What a model file says of itself, without reading its weights.

    Raises:
        UsageError, ModelFileError: as :meth:`fullconv.Segmenter.load`.
    """
    file = model_file(path)
    text = header_text(file)
    if text is None:
        raise ModelFileError(
            f"{file}: weights that fullconv did not save; use them as --encoder-weights, or give a fullconv model"
        )
    return checked_header(text, file)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is a run, or what ``export --for hub`` wrote."""
    if (folder / BEST).is_file():
        return True
    return (folder / HUB).is_file() and header_text(folder / HUB) is not None


def header_text(file: Path) -> str | None:
    """Our header in a safetensors file.

    Raises:
        ModelFileError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="np") as content:
            found: str | None = (content.metadata() or {}).get("fullconv")
    except (SafetensorError, OSError) as error:
        if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"):
            raise ModelFileError(f"{file}: an image, where a model is wanted: a .safetensors file or a run") from error
        raise ModelFileError(
            f"{file}: not a readable safetensors file ({error}); it may be truncated: copy or save it again"
        ) from error
    return found


def checked_header(text: str, file: Path) -> dict[str, Any]:
    """The header that a model file holds as JSON.

    Raises:
        ModelFileError: it is damaged, or of a newer format.
    """
    try:
        header: dict[str, Any] = parse_json(text)
        number = int(header["format_version"])
        missing = [name for name in ("model", "classes", "preprocessing", "provenance") if name not in header]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelFileError(f"{file}: its fullconv header is damaged ({error}); save it again") from error
    if number < 1:
        raise ModelFileError(f"{file}: its fullconv header is damaged (format {number}); save it again")
    if number > FORMAT_VERSION:
        raise ModelFileError(
            f"{file}: format {number}, written by fullconv {header.get('fullconv', '?')}; this version reads up to "
            f"{FORMAT_VERSION}: upgrade fullconv"
        )
    if missing:
        raise ModelFileError(f"{file}: its fullconv header is damaged (no {missing[0]}); save it again")
    if not isinstance(header["provenance"], dict) or not isinstance(header.get("weights_licence", ""), str):
        raise ModelFileError(
            f"{file}: its fullconv header is damaged (provenance or licence are of another type); save it again"
        )
    return header


def write_model(path: str | Path, state: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write weights, and what is to be said of them, into one ``.safetensors`` file, in one step."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, {"fullconv": json.dumps(header)}))
