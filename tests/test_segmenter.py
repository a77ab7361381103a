from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import fullconv
from fullconv.device import as_torch_calls_it, choose_device, choose_precision, devices_here
from fullconv.errors import ModelFileError, UsageError
from fullconv.model_file import read_header
from fullconv.models import build_model
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing
from tests.builders.models import CLASSES, make, picture


def test_a_file_holds_everything(tmp_path: Path) -> None:
    segmenter = make(resize=(64, 96))
    segmenter.provenance = {"data": "x"}
    segmenter.licence = "Apache-2.0"
    segmenter.save(tmp_path / "best.safetensors")
    again = Segmenter.load(tmp_path, "cpu", "fp32")  # the folder stands for its best model
    assert again.classes == CLASSES
    assert again.preprocessing == segmenter.preprocessing
    assert (again.provenance, again.licence) == ({"data": "x"}, "Apache-2.0")
    image = picture(70, 50)
    assert np.array_equal(again.predict(image).labels, segmenter.predict(image).labels)
    with safe_open(str(tmp_path / "best.safetensors"), "pt") as file:
        assert list(file.metadata()) == ["fullconv"]


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (33, 47), (64, 64)])
@pytest.mark.parametrize("resize", [None, (40, 72)])
def test_labels_have_the_size_of_the_image(size: tuple[int, int], resize: tuple[int, int] | None) -> None:
    prediction = make(resize=resize).predict(picture(*size), probabilities=True)
    assert prediction.labels.shape == size
    assert prediction.labels.dtype == np.uint8
    assert prediction.probabilities.shape == (3, *size)
    assert np.abs(prediction.probabilities.astype(np.float32).sum(0) - 1).max() < 0.01
    top = prediction.probabilities.argmax(0)
    assert (top == prediction.labels).mean() > 0.99


def test_every_kind_of_input_means_the_same(tmp_path: Path) -> None:
    segmenter, image = make(), picture(40, 50)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = segmenter.predict(image).labels
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        assert np.array_equal(segmenter.predict(given).labels, expected)
    grey = image[..., 0]
    assert np.array_equal(segmenter.predict(grey).labels, segmenter.predict(np.repeat(grey[..., None], 3, 2)).labels)
    assert make(channels=2).predict(picture(9, 9, 2)).labels.shape == (9, 9)
    for wrong in (image.astype(np.float32), picture(4, 4, 5)):
        with pytest.raises(UsageError, match="expected"):
            segmenter.predict(wrong)


def test_tiles_agree_with_the_whole_where_the_overlap_covers_the_context() -> None:
    """Two stages of a ResNet see 55 pixels, interpolation 16 more; tiles that overlap by 90 give the same labels."""
    built = build_model("fcn8s", 3, "resnet10t", model_args={"streams": [8, 4]})
    for score in built.network.score.values():
        nn.init.normal_(score.weight)
    segmenter = Segmenter(built, ClassSet(("a", "b", "c")), Preprocessing()).to("cpu", "fp32")
    image = picture(200, 264)
    with torch.inference_mode():
        logits, _ = segmenter.runner.coarse_logits(torch.from_numpy(image).permute(2, 0, 1)[None])
    built.network.score["4"].bias.data = -logits.mean((0, 2, 3)).clone()  # every class has its places
    whole = segmenter.predict(image).labels
    assert len(np.unique(whole)) == 3
    # 144 - 90 is no multiple of the stride: tiles that started there would see another grid
    tiled = segmenter.predict(image, tile=144, overlap=90, probabilities=True)
    assert np.array_equal(tiled.labels, whole)
    assert tiled.probabilities.shape == (3, 200, 264)


def test_normalise_is_the_formula() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    torch.testing.assert_close(normalise(pixels, preprocessing), (pixels / 255 - mean) / std)


def test_bf16_changes_few_labels() -> None:
    segmenter, image = make(), picture(96, 96)
    exact = segmenter.predict(image).labels
    segmenter.to("cpu", "bf16")
    assert (segmenter.predict(image).labels == exact).mean() > 0.9


def test_many_classes_are_16_bit(tmp_path: Path) -> None:
    names = tuple(f"c{i}" for i in range(300))
    built = build_model("fcn32s", 300, "resnet18")
    built.network.score["32"].bias.data[299] = 9
    prediction = Segmenter(built, ClassSet(names), Preprocessing()).to("cpu", "fp32").predict(picture(20, 20))
    prediction.save(tmp_path / "m.png")
    assert (np.array(Image.open(tmp_path / "m.png")) == 299).all()


def damaged(path: Path, kind: str) -> None:
    make().save(path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "foreign":
        save_file({"w": torch.ones(2)}, path)
    elif kind == "text":
        path.write_text("hello")
    else:
        with safe_open(str(path), "pt") as file:
            header = json.loads(file.metadata()["fullconv"])
        state = load_file(path)
        if kind == "newer":
            header["format_version"] = 99
        elif kind == "other model":
            header["model"]["model_args"] = {"head_channels": 8}
        elif kind == "no classes":
            del header["classes"]
        save_file(state, path, {"fullconv": json.dumps(header) if kind != "no json" else "{"})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "may be truncated"),
        ("text", "not a readable safetensors"),
        ("foreign", "fullconv did not save"),
        ("newer", "format 99.*upgrade fullconv"),
        ("no json", "header is damaged"),
        ("other model", "does not fit its weights"),
        ("no classes", "header is damaged .no classes"),
    ],
)
def test_files_that_are_not_models(kind: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    damaged(path, kind)
    with pytest.raises(ModelFileError, match=words):
        Segmenter.load(path, "cpu")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("classes", {"names": ["a"], "palette": [[0, 0, 0]]}),
        ("classes", {"names": [*"abcdefgh"], "palette": []}),
        ("classes", {"names": ["a", "b\n", "c"]}),
        ("classes", {"names": ["a", None, "c"]}),
        ("classes", {"ignore_index": float("inf")}),
        ("classes", {"ignore_index": 1 << 20}),
        ("preprocessing", {"mean": [0.5], "std": [0.5]}),
        ("preprocessing", {"mean": [float("nan")] * 3}),
        ("preprocessing", {"mean": [1e39] * 3}),
        ("preprocessing", {"std": [float("inf")] * 3}),
        ("preprocessing", {"std": [1e-320] * 3}),
        ("preprocessing", {"resize": [0, 8]}),
        ("preprocessing", {"resize": [1, 2, 3]}),
        ("preprocessing", {"resize": [1.5, 2]}),
        ("preprocessing", {"values": {}}),
        ("provenance", "x"),
        ("weights_licence", 5),
        ("format_version", float("inf")),
    ],
)
def test_what_a_header_says_of_classes_and_pixels_fits_the_network(part: str, changes: object, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    segmenter = make()
    count = len(segmenter.classes)
    assert count not in (1, 8)
    segmenter.save(path)
    with safe_open(str(path), "pt") as file:
        header = json.loads(file.metadata()["fullconv"])
    if isinstance(changes, dict):
        header[part] |= changes
    else:
        header[part] = changes
    save_file(load_file(path), path, {"fullconv": json.dumps(header)})
    with pytest.raises(ModelFileError) as caught:
        Segmenter.load(path, "cpu")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_device_and_precision(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match=f"^{re.escape(str(tmp_path))}: holds no model; give a .safetensors file"):
        fullconv.load(tmp_path)
    with pytest.raises(UsageError, match="not available"):
        choose_device("nonsense")
    kind = "mps" if devices_here()[-1] == "mps" else "cuda"
    assert [as_torch_calls_it(name) for name in ("gpu", "gpu:1", "cpu")] == [kind, f"{kind}:1", "cpu"]
    with pytest.raises(UsageError, match="auto, bf16, fp16 or fp32"):
        choose_precision("fp8", torch.device("cpu"))


def test_masked_values_are_refused_and_not_labelled() -> None:
    image = np.ma.MaskedArray(np.zeros((8, 8, 3), np.uint8), mask=np.eye(8, dtype=bool)[..., None].repeat(3, 2))
    with pytest.raises(UsageError, match="without masked values"):
        make().predict(image)
    assert make().predict(image.filled(0)).labels.shape == (8, 8)
