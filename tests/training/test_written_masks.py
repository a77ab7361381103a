"""``evaluate`` scores what ``predict`` writes: its counts against scikit-learn's on the mask files themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score

import fullconv
from fullconv import CRF
from fullconv.cli.main import run
from fullconv.data import Shapes
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

NAMES = ("ground", "disc", "square", "triangle", "ring")
SIZES = ((41, 57), (41, 57), (33, 90), (96, 48))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights whose classes all appear."""
    torch.manual_seed(3)
    built = fullconv.build_model("fcn8s", len(NAMES), "resnet10t")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    segmenter = Segmenter(built, ClassSet(NAMES), Preprocessing()).to("cpu", "fp32")
    pixels = torch.from_numpy(Shapes(height=96, width=96).draw(0)[0]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits, _ = segmenter.runner.coarse_logits(pixels)
    built.network.score["8"].bias.data = -logits.mean((0, 2, 3)).clone()
    segmenter.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def make_data(root: Path, values: dict[int, str], void: Sequence[int] = (255,), sizes: object = SIZES) -> Path:
    """A folder whose masks hold the ids of ``values``, all val."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    own = {NAMES.index(name.lower()): value for value, name in values.items()}
    names = []
    for index, (height, width) in enumerate(sizes):
        image, labels = Shapes(height=height, width=width, seed=4).draw(index)
        mask = np.vectorize(lambda k: own.get(k, void[0]))(labels).astype(np.uint8)
        names.append(f"{root.name}_{index}")
        Image.fromarray(image).save(root / "images" / f"{names[-1]}.png")
        Image.fromarray(mask).save(root / "masks" / f"{names[-1]}.png")
    (root / "dataset.yaml").write_text(yaml.safe_dump({"values": values, "ignore": list(void)}))
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text("\n".join(names))
    return root


def written(model: Path, roots: dict[Path, dict[int, str]], out: Path, *options: str) -> np.ndarray:
    """scikit-learn's confusion matrix of the files that ``fullconv predict`` wrote."""
    truths, guesses = [], []
    for root, values in roots.items():
        arguments = [str(model), str(root / "images"), "--out", str(out / root.name)]
        assert run(["predict", *arguments, "--precision", "fp32", "--device", "cpu", *options]) == 0
        for path in sorted((root / "masks").iterdir()):
            truth, guess = np.array(Image.open(path)), np.array(Image.open(out / root.name / path.name))
            assert truth.shape == guess.shape
            known = np.isin(truth, list(values))
            truths.append(np.vectorize({v: NAMES.index(n.lower()) for v, n in values.items()}.get)(truth[known]))
            guesses.append(guess[known])
    return confusion_matrix(np.concatenate(truths), np.concatenate(guesses), labels=range(len(NAMES)))


EVERY = dict(enumerate(NAMES))
SOME = {1: "Ring", 4: "ground"}  # other ids, another case, another order


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ([EVERY], []),
        ([SOME], []),
        ([SOME], ["--tile", "64", "--overlap", "16"]),
        ([EVERY, SOME], []),
        ([SOME], ["--crf-with", "iterations=2"]),
    ],
    ids=["all classes", "some classes", "tiles", "mixture", "crf"],
)
def test_counts_are_those_of_the_written_masks(
    model: Path, parts: list[dict[int, str]], options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = {make_data(tmp_path / f"part{i}", values, (9,)): values for i, values in enumerate(parts)}
    expected = written(model, roots, tmp_path / "masks", *options)
    data = "+".join(map(str, roots))
    command = ["evaluate", str(model), data, "--precision", "fp32", "--device", "cpu", "--workers", "0", *options]
    assert run([*command, "--json", str(tmp_path / "scores.json")]) == 0
    tiles = {"tile": 64, "overlap": 16} if "--tile" in options else {}
    crf = CRF(iterations=2) if "--crf-with" in options else None
    scores = fullconv.evaluate(Segmenter.load(model, "cpu", "fp32"), data, workers=0, crf=crf, **tiles)
    assert np.array_equal(scores.confusion, expected)
    said = json.loads((tmp_path / "scores.json").read_text())
    assert said["mean_iou"] == scores.mean_iou
    known = [
        NAMES.index(name) for name in EVERY.values() if any(name in (n.lower() for n in p.values()) for p in parts)
    ]
    truth, guess = (np.repeat(np.indices(expected.shape)[axis].ravel(), expected.ravel()) for axis in (0, 1))
    assert scores.mean_iou == pytest.approx(jaccard_score(truth, guess, labels=known, average="macro"))
    output = capsys.readouterr().out
    if parts == [EVERY]:
        assert "do not label" not in output
        return
    # predicted, though the image's data set does not label it: an error, and said
    assert sum(scores.outside) > 100
    if len(parts) == 1:
        assert scores.outside == tuple(0 if k in (0, 4) else int(expected[:, k].sum()) for k in range(5))
        assert set(scores.unlabelled) == {"disc", "square", "triangle"}
        assert np.isnan(scores.iou[1:4]).all()
    assert scores.absent == ()
    line = " ".join(output.split())
    assert f"{sum(scores.outside):,} of {expected.sum():,} labelled pixels" in line
    assert f"disc {scores.outside[1]:,}" in line


def test_restricted_scores_choose_among_the_classes_of_the_data(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_data(tmp_path / "part", SOME, (9,))
    segmenter = Segmenter.load(model, "cpu", "fp32")
    plain, restricted = (fullconv.evaluate(segmenter, root, workers=0, restrict=r) for r in (False, True))
    assert plain.pixels == restricted.pixels
    truths, guesses = [], []
    for path in sorted((root / "images").iterdir()):
        chances = segmenter.predict(path, probabilities=True).probabilities.astype(np.float32)
        chances[[1, 2, 3]] = -1
        mask = np.array(Image.open(root / "masks" / path.name))
        truths.append({1: 4, 4: 0}[k] for k in mask[mask != 9])
        guesses.append(chances.argmax(0)[mask != 9])
    truth = np.concatenate([list(t) for t in truths])
    expected = confusion_matrix(truth, np.concatenate(guesses), labels=range(5))
    assert np.abs(np.array(restricted.confusion) - expected).sum() <= 4  # float16 has ties
    assert sum(restricted.outside) == 0
    assert restricted.loss < plain.loss
    assert run(["evaluate", str(model), str(root), "--restrict", "--workers", "0", "--json", str(tmp_path / "s")]) == 0
    assert "restricted: the class of each pixel was chosen among" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "s").read_text())["restrict"] is True


def test_training_scores_a_mixture_as_evaluate_does(tmp_path: Path) -> None:
    parts = [make_data(tmp_path / "a", EVERY), make_data(tmp_path / "b", SOME, (9,))]
    data = "+".join(map(str, parts))
    trained = fullconv.train(
        data, tmp_path / "run", model="fcn32s", encoder="resnet10t", epochs=1, batch_size=4, crop=(32, 32), workers=0,
        check=False, quiet=True, precision="fp32", device="cpu",
    )  # fmt: skip
    segmenter = trained.segmenter("cpu")
    segmenter.to("cpu", "fp32")
    scores = fullconv.evaluate(segmenter, data, workers=0)
    kept = trained.scores
    assert (kept["mean_iou"], kept["notes"]) == (pytest.approx(scores.mean_iou), list(scores.notes))
    # the loss is training's own: each image is asked about the classes of its data set
    assert kept["loss"] == pytest.approx(fullconv.evaluate(segmenter, data, workers=0, restrict=True).loss, rel=1e-5)
