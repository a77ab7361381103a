"""Whoever computes the coarse logits, the segmenter makes the same labels of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fullconv
from fullconv.errors import NotFiniteError, UsageError
from fullconv.facts import sees
from fullconv.geometry import Window, round_up, same_map
from fullconv.models.build import BuiltModel
from fullconv.models.context import Context
from fullconv.models.network import SegmentationNetwork
from fullconv.prediction.files import predict
from fullconv.runner import RunModel, Runner
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

STRIDE = 8
CONFIG = {"name": "pooled", "encoder": "none"}
WEIGHT = np.random.default_rng(5).normal(size=(6, 3)).astype(np.float32)


class Pooled(SegmentationNetwork):
    """Scores of the mean colour of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stride = self.coarsest_stride = STRIDE
        self.coordinates = same_map(STRIDE)
        self.score = nn.Conv2d(3, len(WEIGHT), 1, bias=False)
        self.score.weight.data = torch.from_numpy(WEIGHT)[..., None, None].clone()

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        padded = F.pad(pixels, (0, round_up(width, STRIDE) - width, 0, round_up(height, STRIDE) - height))
        scores: Tensor = self.score(F.avg_pool2d(padded, STRIDE))
        return scores


class NumpyRunner:
    """The same without PyTorch's network: what stands for another program."""

    device = torch.device("cpu")
    precision = "fp32"
    coarsest_stride = STRIDE
    side_by_side = False
    context = Context(4, True)  # beyond the grid of cells: a pixel reads its own and the nearer neighbour

    def __init__(self, preprocessing: Preprocessing, value: float = 0.0) -> None:
        self.mean, self.std = (np.array(part, np.float32) for part in (preprocessing.mean, preprocessing.std))
        self.value = value
        self.sizes: list[tuple[int, ...]] = []

    def __str__(self) -> str:
        return "numpy, fp32 on cpu"

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        n, c, height, width = pixels.shape
        self.sizes.append((n, c, height, width))
        array = (pixels.numpy().transpose(0, 2, 3, 1) / np.float32(255) - self.mean) / self.std
        h, w = round_up(height, STRIDE) // STRIDE, round_up(width, STRIDE) // STRIDE
        padded = np.zeros((n, h * STRIDE, w * STRIDE, c), np.float32)
        padded[:, :height, :width] = array
        cells = padded.reshape(n, h, STRIDE, w, STRIDE, c).mean((2, 4))
        logits = torch.from_numpy(cells @ WEIGHT.T + self.value).permute(0, 3, 1, 2)
        return logits, Window(0, 0, h * STRIDE, w * STRIDE)

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        again()
        return "the scores", "use --runner torch"


def pair(resize: tuple[int, int] | None = None) -> tuple[Segmenter, Segmenter, NumpyRunner]:
    """A segmenter that PyTorch computes, and one that numpy does."""
    classes, preprocessing = ClassSet(tuple("abcdef")), Preprocessing(resize=resize)
    built = BuiltModel(network=Pooled(), config=CONFIG)
    other = NumpyRunner(preprocessing)
    runner: Runner = other  # mypy: it is one
    return (
        Segmenter(built, classes, preprocessing),
        Segmenter(RunModel(runner, CONFIG, "MIT"), classes, preprocessing),
        other,
    )


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 6, 0), 6, 1)[:height, :width]


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (64, 96), (101, 67)])
@pytest.mark.parametrize("resize", [None, (40, 72)])
def test_labels_and_probabilities_of_another_runner(size: tuple[int, int], resize: tuple[int, int] | None) -> None:
    ours, other, runner = pair(resize)
    image = picture(*size)
    expected, found = (model.predict(image, probabilities=True) for model in (ours, other))
    assert np.array_equal(found.labels, expected.labels)
    assert found.probabilities is not None
    assert expected.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=2e-3)
    assert runner.sizes == [(1, 3, *(resize or size))]
    refined = (model.predict(image, crf=fullconv.CRF(iterations=2)).labels for model in (ours, other))
    assert np.array_equal(*refined)


def test_tiles_of_another_runner_follow_what_it_says_of_itself() -> None:
    ours, other, runner = pair()
    assert ours.runner.context == runner.context  # the one found by trying
    image = picture(150, 201)
    whole = ours.predict(image).labels
    assert len(np.unique(whole)) == 6
    tiled = other.predict(image, tile=64)
    assert np.array_equal(tiled.labels, whole)
    assert tiled.note == ""
    assert len(runner.sizes) > 6
    assert max(max(size[2:]) for size in runner.sizes) == 64
    seams = other.predict(image, tile=64, overlap=0)
    assert "sees 4 pixels around each" in seams.note
    assert not np.array_equal(seams.labels, whole)
    with pytest.raises(UsageError, match="at least 8 for this network"):
        other.predict(image, tile=7)


def test_scores_of_another_runner(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    ours, other, _ = pair()
    expected, found = (fullconv.evaluate(model, folder, "train", workers=0) for model in (ours, other))
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert np.array_equal(found.confusion, expected.confusion)


def test_masks_of_another_runner(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    images = make_folder(count=2) / "images"
    ours, other, _ = pair()
    written = [predict(model, images, tmp_path / name).written for name, model in (("a", ours), ("b", other))]
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_what_needs_the_network_is_refused_without_one(tmp_path: Path) -> None:
    _, other, _ = pair()
    assert "network: pooled on none\n" in repr(other)
    assert "computed by: numpy, fp32 on cpu" in repr(other)
    assert (other.precision, other.device.type, other.licence) == ("fp32", "cpu", "MIT")
    assert sees(other.preprocessing, other.runner).startswith("4 pixels around each")
    for attempt in (lambda: other.network, lambda: other.to("cpu"), lambda: other.save(tmp_path / "m.safetensors")):
        with pytest.raises(UsageError, match=r"numpy, fp32 on cpu computes this model.*\.safetensors"):
            attempt()
    assert not (tmp_path / "m.safetensors").exists()


def test_scores_of_another_runner_that_are_not_finite() -> None:
    _, other, runner = pair()
    runner.value = float("nan")
    with pytest.raises(NotFiniteError, match=r"the image: the scores are not finite.*use --runner torch"):
        other.predict(picture(20, 20))
