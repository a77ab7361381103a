"""Keras's ``.h5`` files of weights, read without Keras: the arrays of each layer by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fullconv.errors import MOST_NAMED, ModelFileError, UsageError, first_few

MOST_BYTES = 4 << 30
"""No network of ours is larger."""


def read_keras(path: str | Path) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer that has some, in Keras's order (kernel, bias; gamma, beta, mean, variance).

    Takes what ``save_weights`` and ``save`` wrote since Keras 1 (``layer_names``, ``weight_names``), and Keras 3's
    ``.weights.h5``.

    Raises:
        UsageError: no such file.
        ModelFileError: not a Keras file, damaged, or one that names other files.
    """
    return {name: [array for _, array in sorted(arrays.items())] for name, arrays in _read(Path(path), _layers).items()}


def read_arrays(path: str | Path, *names: str) -> list[np.ndarray]:
    """Arrays at the root of an HDF5 file, by name.

    Raises:
        UsageError: no such file.
        ModelFileError: not an HDF5 file, or without these arrays.
    """

    def listed(file: h5py.File) -> Iterator[tuple[str, int, Any]]:
        for index, name in enumerate(names):
            if name not in file:
                raise ModelFileError(
                    f"{path}: holds no array {name!r}; expected {' and '.join(names)}, found "
                    f"{first_few(list(file), MOST_NAMED) or 'nothing'}"
                )
            yield "", index, file[name]

    return [array for _, array in sorted(_read(Path(path), listed)[""].items())]


def _read(path: Path, listed: Any) -> dict[str, dict[int, np.ndarray]]:
    """What ``listed`` finds in the file: ``(layer, place, dataset)``."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give an .h5 file that Keras wrote")
    found: dict[str, dict[int, np.ndarray]] = {}
    total = 0
    try:
        with h5py.File(path, "r") as file:
            for layer, place, data in listed(file):
                if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f":
                    raise ModelFileError(f"{path}: {layer or data.name} holds something other than numbers")
                if data.file.filename != file.filename or data.external or data.is_virtual:
                    raise ModelFileError(f"{path}: {data.name} lies in another file; save the weights into one")
                total += data.nbytes
                if total > MOST_BYTES:
                    raise ModelFileError(f"{path}: more than {MOST_BYTES >> 30} GiB of weights")
                found.setdefault(layer, {})[place] = data[()].astype(np.float32)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelFileError(
            f"{path}: not an HDF5 file, or a truncated one ({reason}); copy or save it again"
        ) from error
    if not found:
        raise ModelFileError(f"{path}: no layers of Keras in it; give what save_weights or save wrote")
    return found


def _layers(file: h5py.File) -> Iterator[tuple[str, int, Any]]:
    root: Any = file.get("model_weights", file)
    if "layers" in root and "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        yield from _keras_3(root["layers"])
        return
    for layer in _texts(root, "layer_names"):
        for place, weight in enumerate(_texts(root[layer], "weight_names")):
            yield layer, place, root[layer][weight]


def _keras_3(layers: h5py.Group) -> Iterator[tuple[str, int, Any]]:
    """``layers/conv2d_1/vars/0``, whose group ``vars`` says what the layer is called."""
    for group in layers.values():
        variables: Any = group.get("vars", {}) if isinstance(group, h5py.Group) else {}
        for place in variables:
            yield str(variables.attrs.get("name", group.name)), int(place), variables[place]


def _texts(group: h5py.Group, name: str) -> list[str]:
    """A list of names among the attributes; Keras cuts long ones in pieces, ``layer_names0``, ``layer_names1``, ..."""
    parts = [name] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
