"""What a prediction is answered as: pictures, polygons, JSON; which of them, by ``Accept``."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from fullconv.draw import OPACITY
from fullconv.images.certainty import to_bytes
from fullconv.images.write import mask_image
from fullconv.label_map import Prediction
from fullconv.polygons.contents import coco_entry, geojson
from fullconv.polygons.trace import TOLERANCE
from fullconv.prediction.polygon_files import Written, numbered
from fullconv.prediction.settings import Settings
from fullconv.serving.models import Served
from fullconv.serving.pieces import refuse_many_pieces
from fullconv.serving.problems import Problem

LEVEL = 3
"""Of zlib, as masks that predict writes are nearly as small."""


class Options(BaseModel):
    """What may be asked for in the address of a request."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field("", max_length=200, description="The model's name; by default the first.")
    kind: str = Field("", alias="as", max_length=20, description="An answer by name, whatever Accept says.")
    tolerance: float = Field(TOLERANCE, ge=0, le=1000, description="Of polygons, in pixels.")
    min_area: int = Field(0, ge=0, le=1_000_000_000, description="Of polygons, in pixels.")
    opacity: float = Field(OPACITY, ge=0, le=1, description="Of the overlay.")
    maps: bool = Field(False, description="In JSON, also ids and confidence of every pixel as a PNG in base64.")


class Answer(NamedTuple):
    """One way to answer.

    Attributes:
        media_type: of the body.
        make: the body of a prediction.
        confidence: whether it needs the probability of every label.
        polygons: whether polygons are made for it.
    """

    media_type: str
    make: Callable[[Prediction, Served, Options], bytes]
    confidence: bool = False
    polygons: bool = False


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=LEVEL)
    return buffer.getvalue()


def _ids(prediction: Prediction, served: Served, options: Options) -> bytes:
    few = len(prediction.classes) <= 256
    return _png(Image.fromarray(prediction.labels.astype(np.uint8 if few else np.uint16)))


def _palette(prediction: Prediction, served: Served, options: Options) -> bytes:
    return _png(mask_image(prediction.labels, prediction.classes))


def _overlay(prediction: Prediction, served: Served, options: Options) -> bytes:
    return _png(Image.fromarray(prediction.overlay(options.opacity)))


def _confidence(prediction: Prediction, served: Served, options: Options) -> bytes:
    assert prediction.confidence is not None
    return _png(Image.fromarray(to_bytes("confidence", prediction.confidence)))


def _geojson(prediction: Prediction, served: Served, options: Options) -> bytes:
    refuse_many_pieces(prediction, options.min_area)
    return json.dumps(geojson(prediction.polygons(options.tolerance, options.min_area))).encode()


def _coco(prediction: Prediction, served: Served, options: Options) -> bytes:
    refuse_many_pieces(prediction, options.min_area)
    height, width = prediction.labels.shape
    image = {"file_name": prediction.name, "height": height, "width": width}
    pieces = [coco_entry(piece) for piece in prediction.polygons(options.tolerance, options.min_area)]
    return json.dumps(numbered([Written((image, pieces))], prediction.classes)).encode()


def _json(prediction: Prediction, served: Served, options: Options) -> bytes:
    return json.dumps(summary(prediction, served, options.maps)).encode()


def summary(prediction: Prediction, served: Served, maps: bool) -> dict[str, Any]:
    """Areas and mean confidence by class; with ``maps`` every pixel's, as :func:`packed` has them."""
    assert prediction.confidence is not None
    classes, (height, width) = prediction.classes, prediction.labels.shape
    sums = np.bincount(prediction.labels.ravel(), prediction.confidence.ravel(), minlength=len(classes))
    rows = []
    for index, (name, area) in enumerate(prediction.areas().items()):
        sure = float(sums[index]) / area.pixels if area.pixels else None
        share = None if math.isnan(area.share) else area.share
        rows.append({"id": index, "name": name, "pixels": area.pixels, "share": share, "confidence": sure})
    answer: dict[str, Any] = {
        "model": served.name, "version": served.version, "width": width, "height": height, "classes": rows,
        "confidence": float(prediction.confidence.mean()), "note": prediction.note,
    }  # fmt: skip
    if maps:
        answer["maps"] = base64.b64encode(_png(packed(prediction))).decode()
    return answer


def packed(prediction: Prediction) -> Image.Image:
    """Ids and confidence as one RGB picture, which a browser reads exactly: id = red + 256 green, and blue / 255."""
    assert prediction.confidence is not None
    ids = prediction.labels.astype(np.uint16)
    planes = ((ids & 255).astype(np.uint8), (ids >> 8).astype(np.uint8), to_bytes("confidence", prediction.confidence))
    return Image.fromarray(np.stack(planes, axis=2))


ANSWERS = {
    "json": Answer("application/json", _json, confidence=True),
    "palette": Answer("image/png", _palette),
    "ids": Answer("image/png", _ids),
    "overlay": Answer("image/png", _overlay),
    "confidence": Answer("image/png", _confidence, confidence=True),
    "geojson": Answer("application/geo+json", _geojson, polygons=True),
    "coco": Answer("application/vnd.coco+json", _coco, polygons=True),
}
"""By the name that ``?as=`` or ``Accept: image/png; as=NAME`` gives; of two of one media type the first is meant."""


def choose(accept: str, kind: str = "") -> str:
    """The name of the answer that is asked for; JSON where nothing is.

    Raises:
        Problem: 406, nothing of it can be given.
    """
    if kind:
        if kind not in ANSWERS:
            raise Problem(406, f"as={kind[:20]!r} is not known; there are {', '.join(ANSWERS)}")
        return kind
    best, weight = "", 0.0
    for part in accept[:1000].split(",") if accept.strip() else ("*/*",):
        media_type, *rest = (word.strip().lower() for word in part.split(";"))
        given = dict(word.split("=", 1) for word in rest if "=" in word)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            quality = 0.0
        name = next((n for n, a in ANSWERS.items() if _fits(media_type, given.get("as", ""), n, a)), "")
        if name and quality > weight:
            best, weight = name, quality
    if not best:
        types = ", ".join(dict.fromkeys(answer.media_type for answer in ANSWERS.values()))
        raise Problem(406, f"nothing of what Accept names can be given; there are {types}")
    return best


def _fits(media_type: str, asked: str, name: str, answer: Answer) -> bool:
    if asked and asked != name:
        return False
    major = answer.media_type.partition("/")[0]
    return media_type in (answer.media_type, f"{major}/*", "*/*")


def settings_of(answer: Answer) -> Settings:
    """What the segmenter is asked for."""
    return Settings(confidence=answer.confidence)
