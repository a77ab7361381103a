"""Each finding on an evaluation that was made to fail that way, and none where nothing fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import max_pool2d

import fullconv
from fullconv.cli.command import app
from fullconv.data import Shapes
from fullconv.errors import UsageError
from fullconv.evaluation.finding import Finding
from fullconv.evaluation.findings import FINER, Counts, findings
from fullconv.evaluation.metrics import Scores
from fullconv.evaluation.short import all_seen
from tests.builders.oracle import Change, oracle, shown

ALIKE = "--loss cross-entropy+dice, which counts every class alike"
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
    assert "fcn4s 4" in thin.advice
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


@pytest.mark.parametrize("random", [False, True])
def test_what_train_has_not_is_said_to_be_so(random: bool, data: Path) -> None:
    """Also of a network that learned for a short time: learning longer would not help."""
    segmenter = oracle(NAMES, 1, lambda truth: merged(truth, 3, 0))
    segmenter.provenance = {"not_in_train": ["speck", "ghost"]}
    if random:
        segmenter.provenance |= {"options": {"encoder_weights": "none"}, "steps": 9, "of_steps": 9, "epoch": 1}
    (one,) = (one for one in fullconv.evaluate(segmenter, data, workers=0).findings if "speck" in one.classes)
    assert one.kind == "unlearned"
    assert one.text == "speck is never predicted: 100 pixels in 1 of 4 images, and train has none"
    assert "train with images that show every class" in one.advice


def partly_ground(truth: Tensor) -> Tensor:
    """Most of each block."""
    upper = merged(truth, 1, 0)
    truth = truth.clone()
    truth[:, :, :40] = upper[:, :, :40]
    return truth


def test_confused(data: Path) -> None:
    kinds = found(data, change=partly_ground)
    assert set(kinds) == {("confused", "block")}
    assert kinds["confused", "block"].classes == ("block", "ground")
    assert kinds["confused", "block"].text == "block is confused with ground: 62% of its pixels are taken for it"


def test_swapped(data: Path) -> None:
    kinds = found(data, change=lambda truth: truth[:, [2, 1, 0, 3, 4]])
    assert set(kinds) == {("swapped", "ground")}
    assert kinds["swapped", "ground"].text.startswith("ground and pole are swapped: 100% and 100% of their pixels")


def test_classes_in_another_order(data: Path) -> None:
    """Round a circle, and one further each, as where ids begin with 1 in one of two data sets."""
    kinds = found(data, change=lambda truth: truth[:, [2, 0, 1, 3, 4]])  # what was 0 is scored as 1, ...
    assert set(kinds) == {("swapped", "ground")}
    assert kinds["swapped", "ground"].classes == ("ground", "block", "pole")
    assert kinds["swapped", "ground"].text == (
        "classes are in another order: most pixels are predicted ground as block (100%), block as pole (100%), pole as "
        "ground (100%)"
    )
    kinds = found(data, change=lambda truth: truth[:, [4, 0, 1, 2, 3]])
    assert kinds["swapped", "ground"].classes == ("ground", "block", "pole", "speck", "ghost")
    assert "swapped" not in {kind for kind, _ in found(data, change=lambda truth: merged(truth, 1, 0))}


def test_void_too_large(tmp_path: Path) -> None:
    labels = scenes()
    for ids in labels:
        ids[ids == 0] = 255
    folder = shown(tmp_path, NAMES, labels)
    (folder / "dataset.yaml").write_text((folder / "dataset.yaml").read_text() + "ignore: [255]\n")
    assert found(folder) == {}  # 45 %
    for ids in labels:
        ids[40:] = 255
    kinds = {finding.kind: finding for finding in scores(shown(tmp_path, NAMES, labels)).findings}
    void = sum(int((ids == 255).sum()) for ids in labels) / sum(ids.size for ids in labels)
    assert kinds["void"].text.startswith(f"void is {void:.0%} of all pixels: no score counts")
    assert "take its value out of ignore" in kinds["void"].advice


def round_things() -> list[np.ndarray]:
    return [Shapes(height=SIZE, width=SIZE).draw(index)[1] for index in range(8)]


@pytest.mark.parametrize(
    ("down", "right", "words"),
    [(1, 0, "1 pixel up"), (0, -1, "1 pixel to the right"), (-2, 2, "2 pixels down and 2 pixels to the left")],
)
def test_shifted_masks(down: int, right: int, words: str, tmp_path: Path) -> None:
    """Masks moved beside what the images show; the finding says how to move them back."""
    folder = shown(tmp_path, NAMES, round_things())
    for file in (folder / "masks").iterdir():
        Image.fromarray(np.roll(np.asarray(Image.open(file)), (down, right), (0, 1))).save(file)
    for stride in (1, 4):
        kinds = {finding.kind: finding for finding in scores(folder, stride).findings}
        assert f"masks fit the predictions better {words}: " in kinds["shifted"].text, stride


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_a_coarse_grid_shifts_no_mask(stride: int, tmp_path: Path) -> None:
    kinds = {finding.kind for finding in scores(shown(tmp_path, NAMES, round_things()), stride).findings}
    assert "shifted" not in kinds


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
    assert "(pixels by --model: fcn4s 4, fpn 4, unet 1)" in kinds["thin", "pole"].advice
    on_four = Counts(
        ("ground", "road", "pole"), ((900, 0, 0), (0, 500, 0), (100, 0, 0)), (True,) * 3, (1,) * 3, 1, (0, 0, 100), 4
    )
    (thin,) = [finding for finding in findings(on_four) if finding.kind == "thin"]
    assert "(pixels by --model: unet 1)" in thin.advice
    for name, stride in FINER.items():
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


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, f"--class-weights median-frequency, or {ALIKE}; more images"),
        ({"loss": "cross-entropy+dice"}, "--class-weights median-frequency; more images"),
        (
            {"class_weights": "median-frequency"},
            "--loss cross-entropy+dice, which counts every class alike; more images",
        ),
        ({"loss": "dice"}, "more images"),
        ({"loss": "cross-entropy+dice", "class_weights": [1.0, 2.0]}, "more images"),
    ],
)
def test_what_was_tried_is_no_advice(options: dict[str, object], advice: str) -> None:
    counts = Counts(("a", "b"), [[9_990, 0], [7, 3]], [True, True], [4, 1], 4, [0, 0], 1, options=options)
    rare = next(finding for finding in findings(counts) if finding.kind == "rare")
    assert rare.advice == f"{advice} that show it"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "more images of a"),
        ({"class_weights": "none", "loss": "focal"}, "more images of a"),
        (
            {"class_weights": "median-frequency"},
            "more images of a; without --class-weights, or with smaller ones for b",
        ),
        ({"loss": "dice"}, "more images of a; --loss cross-entropy, which counts every pixel alike"),
    ],
)
def test_what_was_not_used_is_not_to_be_left_out(options: dict[str, object], advice: str) -> None:
    counts = Counts(("a", "b"), [[900, 100], [0, 20]], [True, True], [4, 1], 4, [0, 0], 1, options=options)
    often = next(finding for finding in findings(counts) if finding.kind == "too-often")
    assert often.advice == advice


@pytest.mark.parametrize(("options", "words"), [({}, " or --class-weights"), ({"class_weights": [1.0, 2.0]}, ";")])
def test_weights_that_were_used_are_no_advice_where_all_is_one_class(options: dict[str, object], words: str) -> None:
    counts = Counts(("a", "b"), [[900, 0], [20, 0]], [True, True], [4, 1], 4, [0, 0], 1, options=options)
    (lone,) = findings(counts)
    assert lone.advice.startswith(f"train longer, with a smaller --rate{words}")


@pytest.mark.parametrize(
    ("options", "learned", "advice"),
    [
        ({}, False, "see whether train has it (fullconv check DATA); then more --epochs, or "),
        ({"minutes": None}, True, "more --epochs, or "),
        ({"minutes": 30.0}, True, "more --minutes, or "),
    ],
)
def test_longer_training_is_advised_as_the_run_was_told_its_length(
    options: dict[str, object], learned: bool, advice: str
) -> None:
    counts = Counts(
        ("a", "b", "c"), [[90, 0, 0], [9, 0, 0], [0, 0, 9]], [True] * 3, [4, 1, 1], 4, [0] * 3, 1, options=options,
        learned=learned,
    )  # fmt: skip
    (never,) = (one for one in findings(counts) if one.kind != "rare")
    assert never.kind == "never-predicted"
    assert never.advice.startswith(advice)


def test_pictures_that_are_written_are_named(data: Path, tmp_path: Path) -> None:
    for pictures, named in ((None, "--pictures FOLDER"), (tmp_path / "p", str(tmp_path / "p" / "worst.png"))):
        made = fullconv.evaluate(oracle(NAMES, 1, partly_ground), data, workers=0, pictures=pictures)
        assert f"the worst images ({named}): " in made.findings[0].advice


def test_what_train_was_seen_to_have_is_known_of_checked_runs_alone() -> None:
    assert all_seen({"epoch": 3, "options": {"minutes": 30.0}})
    unknown: list[dict[str, Any]] = [
        {},
        {"epoch": 3, "options": {"check": False}},
        {"epoch": 3, "labels": {"boxes": 3}},
    ]
    assert not any(map(all_seen, unknown))
