"""Probabilities of whole images: the image-level prior, superpixels, and what predict and evaluate make of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.crf import CRF, dense_crf
from fullconv.data import Shapes
from fullconv.errors import ModelFileError, UsageError
from fullconv.geometry import Window
from fullconv.ops import upsample
from fullconv.refinement import ImageLevel, Refinement, Superpixels, with_prior
from fullconv.refinement.superpixels import smooth_over
from fullconv.segmenter import Segmenter
from tests.builders.models import make, picture

PRIOR = {"image_level": {"pooling": "lse", "sharpness": 5.0}}


def taught() -> Segmenter:
    """A model that says that it was trained with tags."""
    segmenter = make()
    segmenter.provenance |= PRIOR
    return segmenter


def test_the_prior_by_hand() -> None:
    """Two pixels, two classes: 0.6 * 0.1 : 0.4 * 0.5 and 0.9 * 0.1 : 0.1 * 0.5."""
    likely = np.array([[[0.6, 0.9]], [[0.4, 0.1]]], np.float32)
    better = with_prior(likely, np.array([0.1, 0.5], np.float32))
    np.testing.assert_allclose(better[:, 0, 0], [6 / 26, 20 / 26], rtol=1e-6)
    np.testing.assert_allclose(better[:, 0, 1], [9 / 14, 5 / 14], rtol=1e-6)


def test_image_level_probabilities_by_hand() -> None:
    """Two places of one weight, with probabilities 0.8 and 0.5 of the first class."""
    logits = torch.log(torch.tensor([[[[0.8, 0.5]], [[0.2, 0.5]]]]))
    whole = [(logits, Window(0, 0, 4, 8), (4, 8))]
    expected = [((0.8**5 + 0.5**5) / 2) ** 0.2, ((0.2**5 + 0.5**5) / 2) ** 0.2]
    torch.testing.assert_close(ImageLevel().probabilities(whole), torch.tensor([expected]))
    torch.testing.assert_close(ImageLevel("max").probabilities(whole), torch.tensor([[0.8, 0.5]]))


@given(st.sampled_from(["lse", "max"]), st.integers(1, 15), st.integers(1, 23))
def test_pooling_in_parts_is_pooling_of_the_whole(pooling: str, row: int, column: int) -> None:
    """Cut where one likes, in whatever order."""
    logits = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(row))
    level = ImageLevel(pooling)
    whole = level.probabilities([(logits, Window(0, 0, 16, 24), (16, 24))])
    cuts = [
        (logits, Window(top, left, 16, 24), (bottom - top, right - left))
        for top, bottom in ((row, 16), (0, row))
        for left, right in ((0, column), (column, 24))
    ]
    torch.testing.assert_close(level.probabilities(cuts), whole)


def test_superpixels_average_within_and_not_across() -> None:
    """Against a loop; of an image in two halves, each is one."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 12:] = 200
    segments = Superpixels(sigma=0).of(image)
    assert len(np.unique(segments)) == 2
    likely = np.random.default_rng(0).random((3, 20, 30)).astype(np.float32)
    smooth = smooth_over(likely, segments)
    for part in np.unique(segments):
        here = segments == part
        assert here[:, :12].all() or here[:, 12:].all()
        for before, after in zip(likely, smooth, strict=True):
            np.testing.assert_allclose(after[here], before[here].mean(), rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"sigma": -1}, {"smallest": 0}, {"scale": float("nan")}])
def test_superpixels_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="superpixels have a scale above 0"):
        Superpixels(**wrong)


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.segmentation", None)
    with pytest.raises(UsageError, match=r"scikit-image, which is not installed .*fullconv\[weak\]"):
        Superpixels().of(np.zeros((4, 4, 3), np.uint8))


def test_the_steps_come_in_their_order() -> None:
    segmenter, image = taught(), picture(40, 56)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.no_grad():
        (part,) = segmenter.parts(pixels)
    likely = upsample(part.logits, (40, 56), part.window).softmax(1)[0]
    everywhere = upsample(part.logits.softmax(1) ** 5, (40, 56), part.window)[0]
    shown = everywhere.mean((1, 2)) ** 0.2  # pooling weighs places as enlarging does
    expected = (likely * shown[:, None, None]) / (likely * shown[:, None, None]).sum(0)
    got = segmenter.predict(image, image_prior=True, probabilities=True).probabilities
    np.testing.assert_allclose(got, expected, atol=2e-3)
    pieces = Superpixels()
    smooth = smooth_over(expected.numpy(), pieces.of(image))
    got = segmenter.predict(image, image_prior=True, superpixels=pieces, probabilities=True).probabilities
    np.testing.assert_allclose(got, smooth, atol=2e-3)
    crf = CRF(iterations=2)
    all_of_them = segmenter.predict(image, image_prior=True, superpixels=pieces, crf=crf, probabilities=True)
    np.testing.assert_allclose(all_of_them.probabilities, dense_crf(smooth, image, crf), atol=2e-2)
    assert not Refinement()
    assert str(Refinement(ImageLevel(), pieces)) == f"the image-level prior, {pieces}"


def test_a_model_without_tags_has_no_prior(tmp_path: Path) -> None:
    for ask in (
        lambda: make().predict(picture(20, 20), image_prior=True),
        lambda: fullconv.predict(make(), tmp_path, tmp_path / "out", image_prior=True),
        lambda: fullconv.evaluate(make(), "shapes", image_prior=True),
    ):
        with pytest.raises(UsageError, match="not trained with image tags, so it has no image-level probabilities"):
            ask()
    for damage in ({"pooling": "median", "sharpness": 5}, {"pooling": "lse", "sharpness": 0}, {"pooling": "lse"}, 5):
        with pytest.raises(ModelFileError, match="its header is damaged"):
            ImageLevel.of({"image_level": damage})


def test_tiles_refine_the_whole_image() -> None:
    """Of a network that sees little, tiles change neither probabilities nor the image-level ones."""
    segmenter, image = taught(), picture(200, 240)
    whole = segmenter.predict(image, image_prior=True, superpixels=Superpixels())
    tiled = segmenter.predict(image, image_prior=True, superpixels=Superpixels(), tile=128, overlap=64)
    assert (whole.labels == tiled.labels).mean() > 0.9
    assert tiled.note  # which says that labels may differ from the whole image's


def test_scores_are_of_the_masks_that_predict_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the commands, of a model file: what a model was trained with is in its header."""
    shapes = Shapes(height=40, width=56, train=1, val=2, num_classes=3)
    torch.manual_seed(1)
    built = fullconv.build_model("fcn8s", 3, "resnet18")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    model, images = str(tmp_path / "m.safetensors"), tmp_path / "images"
    Segmenter(built, shapes.classes, fullconv.Preprocessing(), PRIOR).save(model)
    images.mkdir()
    truths = []
    for index in (1, 2):
        image, labels = shapes.draw(index)
        Image.fromarray(image).save(images / f"{index}.png")
        truths.append(labels)
    options = ["--image-prior", "--superpixels", "--precision", "fp32", "--device", "cpu"]
    assert run(["predict", model, str(images), *options, "--out", str(tmp_path / "masks")]) == 0
    masks = [np.asarray(Image.open(tmp_path / "masks" / f"{index}.png")) for index in (1, 2)]
    data = "shapes:height=40,width=56,train=1,val=2,num_classes=3"
    scores = tmp_path / "scores.json"
    assert run(["evaluate", model, data, *options, "--workers", "0", "--json", str(scores)]) == 0
    said = json.loads(scores.read_text())
    assert said["pixel_accuracy"] == pytest.approx(np.mean([m == t for m, t in zip(masks, truths, strict=True)]))
    assert said["image_prior"] is True
    assert said["superpixels"] == {"scale": 100.0, "sigma": 0.8, "smallest": 20}
    assert "after the image-level prior, Superpixels(scale=100.0" in capsys.readouterr().out


def test_a_large_raster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior needs all of an image."""
    monkeypatch.setattr("fullconv.prediction.files.LARGE", 100)
    monkeypatch.setattr("fullconv.prediction.raster.LARGE", 100)
    Image.fromarray(picture(20, 20)).save(tmp_path / "a.png")
    result = fullconv.predict(taught(), tmp_path / "a.png", tmp_path / "out", image_prior=True)
    assert len(result.failed) == 1
    assert "--image-prior would hold all in memory" in result.failed[0]
