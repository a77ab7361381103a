"""Each finding on an evaluation that was made to fail that way, and none where nothing fails."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

import fullconv
from fullconv.cli.main import app
from fullconv.errors import UsageError
from fullconv.evaluation.findings import Finding
from fullconv.evaluation.metrics import Scores
from tests.builders.oracle import Change, oracle, shown

NAMES = ("ground", "block", "pole", "speck", "ghost")
SIZE = 64


def scenes() -> list[np.ndarray]:
    """Four images: half of each a block, a pole of 3 pixels; a speck of 10 x 10 pixels in one."""
    labels = np.zeros((4, SIZE, SIZE), np.uint8)
    labels[:, :, :32] = 1
    labels[:, :, 48:51] = 2
    labels[2, 8:18, 34:44] = 3
    return list(labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shown(tmp_path_factory.mktemp("scenes"), NAMES, scenes())


def scores(data: Path, stride: int = 1, change: Change | None = None) -> Scores:
    return fullconv.evaluate(oracle(NAMES, stride, change), data, workers=0)


def found(data: Path, stride: int = 1, change: Change | None = None) -> dict[tuple[str, str], Finding]:
    """By kind and first class."""
    return {(finding.kind, finding.classes[0]): finding for finding in scores(data, stride, change).findings}


def test_nothing_is_said_where_nothing_fails(data: Path) -> None:
    assert found(data) == {}


def test_a_thin_class_is_lost_on_a_coarse_grid(data: Path) -> None:
    kinds = found(data, stride=16)
    assert set(kinds) == {(kind, name) for name in ("pole", "speck") for kind in ("never-predicted", "thin")} | {
        ("rare", "speck")
    }
    thin = kinds["thin", "pole"]
    assert "100% of its pixels lie in parts narrower than the 16 pixels between two places" in thin.text
    assert "--model fcn4s" in thin.advice
    assert found(data, stride=2) == {}  # 3 pixels are wider


def merged(truth: Tensor, gone: int, into: int) -> Tensor:
    truth = truth.clone()
    truth[:, into] += truth[:, gone]
    truth[:, gone] = 0
    return truth


def test_never_predicted_and_rare(data: Path) -> None:
    kinds = found(data, change=lambda truth: merged(truth, 3, 0))
    assert set(kinds) == {("never-predicted", "speck"), ("rare", "speck")}
    assert kinds["never-predicted", "speck"].text == (
        "speck is never predicted: 100 pixels in 1 of 4 images, 100% of them taken for ground"
    )
    assert kinds["rare", "speck"].text == "speck is rare: 0.61% of the labelled pixels, in 1 of 4 images"
    assert "--class-weights median-frequency" in kinds["rare", "speck"].advice


def test_confused(data: Path) -> None:
    def change(truth: Tensor) -> Tensor:
        upper = merged(truth, 1, 0)
        truth = truth.clone()
        truth[:, :, :40] = upper[:, :, :40]
        return truth

    kinds = found(data, change=change)
    assert set(kinds) == {("confused", "block")}
    assert kinds["confused", "block"].classes == ("block", "ground")
    assert kinds["confused", "block"].text == "block is confused with ground: 62% of its pixels are taken for it"


def test_swapped(data: Path) -> None:
    kinds = found(data, change=lambda truth: truth[:, [2, 1, 0, 3, 4]])
    assert set(kinds) == {("swapped", "ground")}
    assert kinds["swapped", "ground"].text.startswith("ground and pole are swapped: 100% and 100% of their pixels")


def test_one_class_alone(data: Path) -> None:
    def change(truth: Tensor) -> Tensor:
        truth = truth * 0
        truth[:, 0] = 1
        return truth

    kinds = found(data, change=change)
    assert list(kinds) == [("one-class", "ground")]
    assert kinds["one-class", "ground"].text == "every pixel is predicted as ground, of 4 classes that are there"


def test_too_often(data: Path) -> None:
    def change(truth: Tensor) -> Tensor:
        truth = truth.clone()
        truth[:, 2] = 2 * max_pool2d(truth[:, 2], 9, 1, 4)
        return truth

    kinds = found(data, change=change)
    assert kinds["too-often", "pole"].classes == ("pole", "ground")
    assert (
        kinds["too-often", "pole"].text == "pole is predicted too often: 27% of what is called so is it, 73% is ground"
    )


def test_a_class_that_the_split_has_not(data: Path) -> None:
    def change(truth: Tensor) -> Tensor:
        truth = truth.clone()
        truth[:, 4, :2, :2] = 2
        return truth

    kinds = found(data, change=change)
    assert kinds["not-in-truth", "ghost"].classes == ("ghost",)
    assert "ghost is predicted at 16 pixels, and no image of this split has it" in kinds["not-in-truth", "ghost"].text


def test_advice_names_what_there_is(data: Path) -> None:
    """Options of train and evaluate, and networks of the stride that is said."""
    kinds = found(data, 16) | found(data, 1, lambda truth: merged(truth, 3, 0))
    verbs = [app[verb].assemble_argument_collection() for verb in ("train", "evaluate")]
    flags = {name for arguments in verbs for argument in arguments for name in argument.names}
    for finding in kinds.values():
        assert set(re.findall(r"--[a-z-]+", finding.advice)) <= flags
    assert "(--model fcn4s or fpn: 4 pixels, unet: 1)" in kinds["thin", "pole"].advice
    for name, stride in {"fcn4s": 4, "fpn": 4, "unet": 1}.items():
        network = fullconv.build_model(name, 2, "resnet10t").network.eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, 64, 64)).shape[2] == 64 // stride


def test_the_worst_images_come_first_and_are_drawn(data: Path, tmp_path: Path) -> None:
    def change(truth: Tensor) -> Tensor:
        return merged(truth, 2, 0) if truth[:, 3].any() else truth

    segmenter = oracle(NAMES, 1, change)
    result = fullconv.evaluate(segmenter, data, workers=0, pictures=tmp_path / "p")
    assert [image.id for image in result.worst] == ["2", "0", "1", "3"]
    assert result.worst[0].file == str(data / "images" / "2.png")
    # ground, block, pole, speck of image 2: 0 for the pole, and the ground has its pixels too
    ground = (SIZE * 32 - 3 * SIZE - 100) / (SIZE * 32 - 100)
    assert result.worst[0].mean_iou == pytest.approx((ground + 1 + 0 + 1) / 4)
    assert [image.mean_iou for image in result.worst[1:]] == [1, 1, 1]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["confusion.png", "worst.png"]
    with pytest.raises(UsageError, match="is a file; --pictures is the folder"):
        fullconv.evaluate(segmenter, data, workers=0, pictures=data / "val.txt")
