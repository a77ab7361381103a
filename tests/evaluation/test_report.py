from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import fullconv
from fullconv import Views
from fullconv.cli.main import run
from fullconv.data import Shapes
from fullconv.errors import UsageError
from fullconv.evaluation.detail import ImageDetail
from fullconv.evaluation.intervals import means
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.evaluation.report import _pair
from fullconv.formats.open import shapes_dataset
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing

SCENES = "shapes:height=40,width=56,train=4,val=12"
DATA = shapes_dataset(Shapes(height=40, width=56, train=4, val=12))


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(1)
    built = fullconv.build_model("fcn8s", 5, "resnet18")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    return Segmenter(built, DATA.classes, Preprocessing()).to("cpu", "fp32")


def test_detail_is_that_of_single_predictions(segmenter: Segmenter, tmp_path: Path) -> None:
    scores = fullconv.evaluate(segmenter, DATA, per_image=tmp_path / "a.csv")
    detail = scores.detail
    assert detail is not None
    assert np.sum([image.counts for image in detail.images], 0)[1].tolist() == list(scores.pixels)
    whole = means(np.sum([image.counts for image in detail.images], 0))
    assert whole["mean_iou"] == pytest.approx(scores.mean_iou)
    assert whole["mean_dice"] == pytest.approx(np.nanmean(scores.dice))
    right = total = 0
    for item, image in zip(DATA.split("val"), detail.images, strict=True):
        picture, truth = item.image.shapes.draw(item.image.index)
        found = segmenter.predict(picture, probabilities=True)
        assert image.confidence == pytest.approx(float(found.probabilities.max(0).mean()), abs=1e-3)
        one = ConfusionMatrix(scores.classes)
        one.update(torch.from_numpy(found.labels), torch.from_numpy(truth))
        assert image.mean_iou == pytest.approx(one.mean_iou())
        right, total = right + (found.labels == truth).sum(), total + truth.size
    assert detail.reliability.right.sum() == right
    assert detail.reliability.pixels.sum() == total
    for name, (low, high) in detail.intervals.items():
        assert low <= float(whole[name]) <= high or high - low < 0.2, name
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [item.id for item in DATA.split("val")]
    unsure = [float(row["uncertainty"]) for row in rows]
    assert unsure == pytest.approx([1 - image.confidence for image in detail.images], abs=1e-6)
    wrong = [1 - float(row["pixel_accuracy"]) for row in rows]
    assert detail.uncertainty_tells_error == pytest.approx(spearmanr(unsure, wrong).statistic)
    assert f"rank correlation of {detail.uncertainty_tells_error:.2f}" in detail.uncertainty_in_words()
    assert float(rows[0]["mean_iou"]) == pytest.approx(detail.images[0].mean_iou, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((1, 2, 3, 4, 5, 6), "are mostly the worse ones"),
        ((1, 6, 2, 4, 5, 3), "are hardly more often the worse ones than others"),
        ((6, 5, 4, 3, 1, 2), "are mostly the better ones"),
    ],
)
def test_an_order_has_words_in_both_directions(wrong: tuple[int, ...], words: str, segmenter: Segmenter) -> None:
    detail = fullconv.evaluate(segmenter, DATA, detail=True).detail
    assert detail is not None
    counts = [np.array([[10 - n, 0], [10, 0], [10, 0]]) for n in wrong]
    images = [ImageDetail((0, f"{i}"), count, 1 - i / 10) for i, count in enumerate(counts)]
    said = dataclasses.replace(detail, images=images).uncertainty_in_words()
    assert said.startswith(f"the images that the model is unsure of {words}: ")


def test_examples_are_the_images_with_most_such_pixels(segmenter: Segmenter, tmp_path: Path) -> None:
    scores = fullconv.evaluate(segmenter, DATA, per_image=tmp_path / "a.csv")
    tables = []
    for item in DATA.split("val"):
        picture, truth = item.image.shapes.draw(item.image.index)
        one = ConfusionMatrix(scores.classes)
        one.update(torch.from_numpy(segmenter.predict(picture).labels), torch.from_numpy(truth))
        tables.append(one.counts.numpy())
    stacked = np.array(tables)
    assert scores.detail is not None
    assert scores.detail.examples
    for (true, taken), (_, name) in scores.detail.examples.items():
        best = stacked[:, true, taken].argmax()
        assert name == DATA.split("val")[best].id


def test_an_image_that_shows_several_confusions_is_shown_once(segmenter: Segmenter, tmp_path: Path) -> None:
    two = dataclasses.replace(DATA, splits={"val": DATA.split("val")[:2]})
    scores = fullconv.evaluate(segmenter, two, report=tmp_path / "r.html")
    assert scores.detail is not None
    images = set(scores.detail.examples.values())
    assert len(images) < len(scores.detail.examples)
    confusion = (tmp_path / "r.html").read_text().split("<h2>Confusion</h2>")[1].split("</section>")[0]
    assert confusion.count("<h3>") == len(images)
    assert confusion.count(" taken for ") == len(scores.detail.examples)


def test_a_few_pixels_are_counted_instead_of_a_share_of_nothing(segmenter: Segmenter) -> None:
    scores = fullconv.evaluate(segmenter, DATA)
    names, pixels = scores.classes.names, (20_000, 20_000, 0, 0, 0)
    few = dataclasses.replace(scores, pixels=pixels, confusion=((19_997, 3, 0), (20, 19_980, 0)))
    assert _pair(few, (0, 1)) == f"{names[0]} taken for {names[1]}: 3 of its 20,000 pixels"
    assert _pair(few, (1, 0)) == f"{names[1]} taken for {names[0]}: 0.1% of its pixels"


def test_a_column_of_ranges_is_left_out_where_there_is_none(segmenter: Segmenter, tmp_path: Path) -> None:
    for images, shown in ((12, True), (2, False)):
        some = dataclasses.replace(DATA, splits={"val": DATA.split("val")[:images]})
        page = tmp_path / f"{images}.html"
        fullconv.evaluate(segmenter, some, report=page)
        assert ("<th>range (95 %)</th>" in page.read_text()) == shown
        assert "<th>definition</th>" in page.read_text()


def test_the_page_needs_no_other_file_and_shows_everything(segmenter: Segmenter, tmp_path: Path) -> None:
    run_folder = tmp_path / "runs" / "<first>"
    run_folder.mkdir(parents=True)
    segmenter.save(run_folder / "best.safetensors")
    (run_folder / "config.yaml").write_text("rate: 0.001 # <b>\n")
    page = tmp_path / "report.html"
    command = ["evaluate", str(run_folder), SCENES, "--report", str(page), "--json", str(tmp_path / "s.json")]
    assert run([*command, "--precision", "fp32"]) == 0
    text = page.read_text()
    assert "<b>" not in text  # names and files are text
    assert "&lt;first&gt; on shapes" in text
    assert "rate: 0.001" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "images are only a sample. Measured on all images of their kind, the score would probably (95%) lie" in text
    assert "leaves out that another training of the same network would score otherwise" in text
    assert "Here the images that the model is unsure of are " in text
    assert text.count("<circle") >= 9  # a dot for each image
    for heading in (
        "Scores",
        "Classes",
        "Confusion",
        "Calibration",
        "Uncertainty of images",
        "Near boundaries",
        "Worst images",
        "Best images",
    ):
        assert f"<h2>{heading}</h2>" in text
    kept = json.loads((tmp_path / "s.json").read_text())
    assert f"{kept['mean_iou']:.4f}" in text
    assert kept["detail"]["intervals"]["mean_iou"][0] <= kept["mean_iou"]
    assert len(kept["detail"]["boundary_iou"]) == 5


def test_pictures_are_labelled_as_they_were_scored(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fullconv import draw

    sheets: list[draw.Row] = []
    real = draw.contact_sheet
    monkeypatch.setattr(draw, "contact_sheet", lambda rows, *a, **k: sheets.extend(rows) or real(rows, *a, **k))
    views = Views((0.5, 1), True)
    scores = fullconv.evaluate(segmenter, DATA, views=views, report=tmp_path / "r.html")
    by_name = {item.id: item for item in DATA.split("val")}
    assert len({row.name for row in sheets}) >= 8
    for row in sheets:
        picture = by_name[row.name].image.shapes.draw(by_name[row.name].image.index)[0]
        assert (row.predictions[0] == segmenter.with_views(views).predict(picture).labels).all()
    assert scores.notes == ("the mean of scales 0.5, 1, each also mirrored",)


def test_folders_are_refused_before_the_work(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; give the name of the file to write"):
        fullconv.evaluate(segmenter, DATA, report=tmp_path)


def test_an_image_without_a_label_has_no_score(
    segmenter: Segmenter, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    from PIL import Image

    root = make_folder(2)
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(root / "masks" / "scene_0.png")
    (root / "dataset.yaml").write_text(f"classes: [{', '.join(DATA.classes.names)}]\n")
    scores = fullconv.evaluate(segmenter, root, "train", report=tmp_path / "r.html", per_image=tmp_path / "i.csv")
    with (tmp_path / "i.csv").open() as file:
        empty = [(row["image"], row["mean_iou"] == "") for row in csv.DictReader(file)]
    assert empty == [("scene_0", True)]
    assert np.isnan(scores.mean_iou)
    assert scores.detail is not None
    assert np.isnan(scores.detail.intervals["mean_iou"]).all()


def test_no_table_is_wider_than_the_page(segmenter: Segmenter, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    fullconv.evaluate(segmenter, DATA, report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name, longer in zip(
        DATA.classes.names, ("traffic sign, seen from behind", "a_name_without_any_place"), strict=False
    ):
        page = page.replace(f"</span>{name}</td>", f"</span>{longer}</td>")
    measure = "Math.max(...[...document.querySelectorAll('.wide')].map(d => d.scrollWidth - d.clientWidth))"
    page = page.replace("</body>", f"<script>document.body.dataset.beyond = {measure}</script></body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    for width in (600, 1000, 1400):
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
        shown = subprocess.run([*command, f"file://{tmp_path}/page.html"], capture_output=True, text=True, check=True)
        assert 'data-beyond="0"' in shown.stdout, width
