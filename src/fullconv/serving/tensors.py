"""Requests and answers of the Open Inference Protocol (v2): tensors as JSON, or as bytes behind it.

Format: KServe's "Open Inference Protocol", and Triton's extension for binary tensor data.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np

from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem

IMAGES, LABELS, CONFIDENCE = "images", "labels", "confidence"
"""Names of tensors, those of exported files."""
LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes of the body are JSON; the rest are tensors."""
JSON_BYTES = 8_000_000
"""JSON of a request: read, it takes up to twenty times as much memory."""
NUMBERS = 2_000_000
"""Numbers of an answer in JSON, each of which takes some 50 bytes while it is written."""
TYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"),
    "FP32": np.dtype("<f4"),
}  # fmt: skip


class Asked(NamedTuple):
    """A request.

    Attributes:
        images: ``[n, height, width, channels]``.
        outputs: names of the tensors that are wanted, and whether as bytes.
        id: of the request, given back.
    """

    images: np.ndarray
    outputs: dict[str, bool]
    id: str


def parse(body: bytes, header_length: str | None, limits: Limits) -> Asked:
    """A request.

    Raises:
        Problem: 400, it is none; 413, more pixels than the limit, or more JSON than :data:`JSON_BYTES` and
            :data:`NUMBERS`.
    """
    cut = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 12):
            raise Problem(400, f"{LENGTH} is a whole number, found {header_length[:40]!r}")
        cut = int(header_length)
        if cut > len(body):
            raise Problem(400, f"{LENGTH} is {cut}, the body has {len(body)} bytes")
    if cut > JSON_BYTES:
        raise Problem(413, f"more than {JSON_BYTES / 1e6:g} MB of JSON; send tensors as bytes (binary_data_size)")
    try:
        request = json.loads(body[:cut])
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the request is not JSON ({error})") from error
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(400, f"expected one entry in inputs, called {IMAGES}")
    name = str(request.get("id", ""))[:200]
    images, outputs = _tensor(inputs[0], body[cut:], limits), _outputs(request)
    numbers = math.prod(images.shape[:3]) * sum(not binary for binary in outputs.values())
    if numbers > NUMBERS:
        raise Problem(413, f"an answer of {numbers} numbers in JSON, {NUMBERS} at most; ask for bytes (binary_data)")
    return Asked(images, outputs, name)


def _tensor(given: dict[str, Any], binary: bytes, limits: Limits) -> np.ndarray:
    if given.get("name") != IMAGES:
        raise Problem(400, f"the input is called {IMAGES}, found {str(given.get('name'))[:40]!r}")
    kind, shape = given.get("datatype"), given.get("shape")
    if not isinstance(kind, str) or kind not in TYPES:
        raise Problem(400, f"{IMAGES}: datatype is one of {', '.join(TYPES)}, found {str(kind)[:40]!r}")
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(n) is int and n > 0 for n in shape):
        raise Problem(400, f"{IMAGES}: shape is [n, height, width, channels], found {str(shape)[:60]}")
    if math.prod(shape[:3]) > limits.pixels or shape[3] > 256 or shape[0] > limits.queue:
        raise Problem(413, f"{IMAGES}: {shape} is more than {limits.megapixels:g} megapixels or {limits.queue} images")
    count, type_ = math.prod(shape), TYPES[kind]
    parameters = given.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if size != count * type_.itemsize or len(binary) != size:
            raise Problem(
                400, f"{IMAGES}: {kind} {shape} has {count * type_.itemsize} bytes, binary_data_size is "
                f"{str(size)[:20]} and {len(binary)} follow",
            )  # fmt: skip
        return np.frombuffer(binary, type_).reshape(shape)
    if binary:
        raise Problem(400, f"{len(binary)} bytes follow, and {IMAGES} has no binary_data_size")
    return _listed(given.get("data"), kind, count).reshape(shape)


def _listed(data: Any, kind: str, count: int) -> np.ndarray:
    """Numbers of JSON, flat or nested, if they are so many and fit the type.

    They are looked at before numpy is: of a list with one long word it makes an array of which every entry is as long.
    """
    flat, type_ = data if isinstance(data, list) else [data], TYPES[kind]
    while flat and isinstance(flat[0], list):
        width = len(flat[0])
        if not all(isinstance(row, list) and len(row) == width for row in flat):
            raise Problem(400, f"{IMAGES}: data are lists of numbers, all of one length")
        if len(flat) * width > count:
            raise Problem(400, f"{IMAGES}: expected {count} numbers in data, found {len(flat) * width} or more")
        flat = [value for row in flat for value in row]
    if any(isinstance(value, list) for value in flat):
        raise Problem(400, f"{IMAGES}: data are lists of numbers, all of one length")
    if len(flat) != count:
        raise Problem(400, f"{IMAGES}: expected {count} numbers in data, found {len(flat)}")
    odd = next((type(value).__name__ for value in flat if type(value) not in (int, float)), "")
    if odd:
        raise Problem(400, f"{IMAGES}: expected {count} numbers in data, found {odd}")
    if type_.kind != "f":
        limits = np.iinfo(type_)
        if not all(type(value) is int and limits.min <= value <= limits.max for value in flat):
            raise Problem(400, f"{IMAGES}: data hold values that are no {kind}")
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, np.float64 if type_.kind == "f" else type_).astype(type_)
    except OverflowError as error:
        raise Problem(400, f"{IMAGES}: data hold values that are no {kind}") from error
    if type_.kind == "f" and not np.isfinite(values).all():
        raise Problem(400, f"{IMAGES}: data hold values that are no {kind}, nan or infinite")
    return values


def _outputs(request: dict[str, Any]) -> dict[str, bool]:
    def binary(of: dict[str, Any], key: str, default: bool) -> bool:
        parameters = of.get("parameters")
        return bool(parameters.get(key, default)) if isinstance(parameters, dict) else default

    every = binary(request, "binary_data_output", False)
    given = request.get("outputs")
    if given is None:
        return {LABELS: every}
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given) or not given:
        raise Problem(400, f"outputs is a list of {LABELS} and {CONFIDENCE}")
    wanted = {str(one.get("name"))[:40]: binary(one, "binary_data", every) for one in given}
    for name in wanted:
        if name not in (LABELS, CONFIDENCE):
            raise Problem(400, f"there are the outputs {LABELS} and {CONFIDENCE}, found {name!r}")
    if any(isinstance(one.get("parameters"), dict) and one["parameters"].get("classification") for one in given):
        raise Problem(400, "classification is for one label an image; every pixel has one here")
    return wanted


def answer(head: dict[str, Any], tensors: dict[str, np.ndarray], binary: dict[str, bool]) -> tuple[bytes, int | None]:
    """The body, and how much of it is JSON where bytes follow."""
    outputs, behind = list[dict[str, Any]](), list[bytes]()
    for name, array in tensors.items():
        kind = next(kind for kind, type_ in TYPES.items() if type_ == array.dtype.newbyteorder("<"))
        entry: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
        if binary[name]:
            behind.append(array.astype(TYPES[kind]).tobytes())
            entry["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        outputs.append(entry)
    text = json.dumps({**head, "outputs": outputs}).encode()
    return b"".join([text, *behind]), len(text) if behind else None
