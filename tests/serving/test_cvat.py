"""CVAT's function and its nuclio folder, through cvat-sdk's own types: the masks are the predicted ones."""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.errors import DataError, UsageError
from fullconv.label_map import Prediction
from fullconv.segmenter import Segmenter
from tests.builders.consumers import patches
from tests.builders.serving import png

IMAGE = patches(41, 64)


@pytest.fixture(scope="module")
def folder(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fullconv.cvat_function(file, tmp_path_factory.mktemp("cvat") / "out")


@pytest.fixture(scope="module")
def right(segmenter: Segmenter) -> Prediction:
    return segmenter.predict(IMAGE, confidence=True)


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fp32(function: Any, segmenter: Segmenter) -> Any:
    function.segmenter = segmenter  # the tests' arithmetic
    return function


def test_cvats_own_types_hold_the_masks(folder: Path, segmenter: Segmenter, right: Prediction) -> None:
    pytest.importorskip("cvat_sdk", reason="cvat-sdk is not installed")
    from cvat_sdk import models
    from cvat_sdk.masks import decode_mask

    function = fp32(loaded(folder / "function.py").create(), segmenter)
    assert {label.name: label.id for label in function.spec.labels} == {"ground": 0, "disc": 1, "ring": 2}
    context = SimpleNamespace(frame_name="a.png", conf_threshold=None, conv_mask_to_poly=False)
    shapes = function.detect(context, Image.fromarray(IMAGE))
    height, width = right.labels.shape
    found = np.full(right.labels.shape, 255)
    for shape in shapes:
        assert isinstance(shape, models.LabeledShapeRequest)
        mask = decode_mask(shape.points, image_width=width, image_height=height)
        assert (found[mask] == 255).all()
        found[mask] = shape.label_id
    assert np.array_equal(found, right.labels)


class Uploaded(NamedTuple):
    """What cvat-sdk's driver sends to a task whose labels are in another order, with one that the model has not."""

    labels: dict[int, str]
    shapes: list[Any]


def annotated(function: Any, monkeypatch: pytest.MonkeyPatch, images: list[np.ndarray], **options: Any) -> Uploaded:
    from cvat_sdk import models
    from cvat_sdk.auto_annotation import driver

    labels = {10: "ring", 11: "ground", 12: "sky", 13: "disc"}
    task = SimpleNamespace(
        labels=[models.Label(name=n, id=id, type="any", attributes=[], sublabels=[]) for id, n in labels.items()],
        samples=[
            SimpleNamespace(
                frame_name=f"{index}.png", frame_index=index,
                media=SimpleNamespace(load_image=functools.partial(Image.fromarray, pixels)),
            )
            for index, pixels in enumerate(images, 5)
        ],
    )  # fmt: skip
    monkeypatch.setattr(driver, "TaskDataset", lambda client, id, **more: task)
    sent = list[Any]()

    def create(action: str, id: int, patched_labeled_data_request: Any) -> None:
        assert (action, id) == ("create", 137)
        sent.extend(patched_labeled_data_request.shapes)

    api = SimpleNamespace(partial_update_annotations=create)
    client: Any = SimpleNamespace(logger=logging.getLogger("cvat"), tasks=SimpleNamespace(api=api))
    driver.annotate_task(client, 137, function, **options)
    return Uploaded(labels, sent)


def test_cvats_driver_uploads_the_predicted_masks(
    folder: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cvat_sdk", reason="cvat-sdk is not installed")
    from cvat_sdk.masks import decode_mask

    images = [IMAGE, np.ascontiguousarray(IMAGE[:, ::-1])]
    function = fp32(loaded(folder / "function.py").create(), segmenter)
    sent = annotated(function, monkeypatch, images)
    found = [np.full(IMAGE.shape[:2], 255) for _ in images]
    for shape in sent.shapes:
        mask = decode_mask(shape.points, image_width=64, image_height=41)
        found[shape.frame - 5][mask] = segmenter.classes.names.index(sent.labels[shape.label_id])
        assert (shape.type.value, shape.source) == ("mask", "auto")
    assert all(np.array_equal(f, segmenter.predict(i).labels) for f, i in zip(found, images, strict=True))
    polygons = annotated(function, monkeypatch, images, conv_mask_to_poly=True, conf_threshold=0.2).shapes
    assert {shape.type.value for shape in polygons} == {"polygon"}
    assert {shape.frame for shape in polygons} == {5, 6}


def test_thresholds_and_polygons(folder: Path, segmenter: Segmenter, right: Prediction) -> None:
    pytest.importorskip("cvat_sdk", reason="cvat-sdk is not installed")
    from cvat_sdk.masks import decode_mask

    function = fp32(loaded(folder / "function.py").create(), segmenter)
    middle = float(np.median(right.confidence))
    context = SimpleNamespace(frame_name="a.png", conf_threshold=middle, conv_mask_to_poly=False)
    masks = [
        decode_mask(s.points, image_width=64, image_height=41) for s in function.detect(context, Image.fromarray(IMAGE))
    ]
    assert np.array_equal(np.any(masks, axis=0), right.confidence >= middle)
    context = SimpleNamespace(frame_name="a.png", conf_threshold=None, conv_mask_to_poly=True)
    shapes = function.detect(context, Image.fromarray(IMAGE))
    assert {shape.type.value for shape in shapes} == {"polygon"}
    assert {shape.label_id for shape in shapes} == set(np.unique(right.labels).tolist())


def test_the_nuclio_folder(folder: Path, right: Prediction, segmenter: Segmenter) -> None:
    config = yaml.safe_load((folder / "nuclio" / "function.yaml").read_text())
    labels = json.loads(config["metadata"]["annotations"]["spec"])
    assert [label["name"] for label in labels] == ["ground", "disc", "ring"]
    main = loaded(folder / "nuclio" / "main.py")
    context = SimpleNamespace(user_data=SimpleNamespace(), Response=SimpleNamespace)
    main.init_context(context)
    context.user_data.model = segmenter
    body = {"image": base64.b64encode(png(IMAGE)).decode(), "threshold": 0}
    reply = main.handler(context, SimpleNamespace(body=json.dumps(body).encode()))
    found = np.full(right.labels.shape, 255)
    for entry in json.loads(reply.body):
        *flat, left, top, last, bottom = entry["mask"]
        box = np.reshape(flat, (bottom - top + 1, last - left + 1)).astype(bool)
        found[top : bottom + 1, left : last + 1][box] = right.classes.names.index(entry["label"])
        assert entry["type"] == "mask"
        assert 0 < float(entry["confidence"]) <= 1
    assert np.array_equal(found, right.labels)
    bad = main.handler(context, SimpleNamespace(body=b'{"image": "?"}'))
    assert bad.status_code == 400


def test_what_cannot_be_written_is_refused(folder: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="exists; choose another name"):
        fullconv.cvat_function(file, folder)
    assert run(["cvat-function", str(file), str(folder.parent / "other")]) == 0
    assert "cvat-cli task auto-annotate" in capsys.readouterr().out
    from fullconv.serving.cvat import answer

    with pytest.raises(DataError, match="base64"):
        answer(fullconv.load(file), b"[]")
