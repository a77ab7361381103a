from __future__ import annotations

from math import nan

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fullconv import draw
from fullconv.draw.curves import SCORES
from fullconv.training.config import TrainConfig


def test_curves_are_drawn() -> None:
    names = ("train_loss", "val_loss", "mean_iou", "pixel_accuracy", "mean_accuracy")
    history = [{"epoch": e, **dict.fromkeys(names, 0.1 * e)} for e in (1, 2, 3)]
    picture = draw.curves(history)
    assert picture.shape == (650, 1200, 3)
    assert (picture < 100).any()


def test_curves_name_the_loss_and_share_an_axis_only_with_the_same_one() -> None:
    rows = [{"epoch": e, "train_loss": 30_000 / e, "val_loss": 1.0 / e, "mean_iou": 0.1 * e} for e in (1, 2)]
    for options, words in (
        ({}, "cross-entropy"),
        ({"reduction": "sum"}, "cross-entropy, summed over the pixels"),
        ({"loss": "dice"}, "dice"),
        ({"class_weights": [1, 2]}, "cross-entropy, weighted by class"),
        ({"label_smoothing": 0.1}, "cross-entropy, label smoothing 0.1"),
    ):
        said = TrainConfig(**options).loss_in_words
        assert said == words
        axes = draw.curves_figure(rows, said).axes
        of_train, of_val = axes[0], axes[0 if words == "cross-entropy" else 1]
        labels = {line.get_label(): list(line.get_ydata()) for line in (*of_train.get_lines(), *of_val.get_lines())}
        assert labels == {f"train: {words}": [30_000, 15_000], "val: cross-entropy per pixel": [1.0, 0.5]}
        assert len(axes) == (3 if words == "cross-entropy" else 4)
        legends = {text.get_text() for one in (of_train, of_val) for text in one.get_legend().get_texts()}
        assert legends == set(labels)
        shown = {line.get_label() for line in axes[-2].get_lines()}
        assert {"val mean IoU", "train mean IoU", "train pixel accuracy"} <= shown
    assert draw.curves(rows, "dice").shape[2] == 3


def test_ticks_are_whole_epochs_however_few() -> None:
    for count in (1, 2, 3, 50):
        rows = [{"epoch": e, "train_loss": 1.0, "iou/a": 0.5, "rate": 0.1} for e in range(1, count + 1)]
        for axes in draw.curves_figure(rows, "cross-entropy").axes:
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks
            assert all(float(tick).is_integer() for tick in ticks)


def test_iou_of_each_class_and_the_rate_by_epoch() -> None:
    rows = [{"epoch": e, "iou/road": 0.1 * e, "iou/a class of a very long name": nan, "rate": 0.5 / e} for e in (1, 2)]
    *_, rate, by_class = draw.curves_figure(rows, "cross-entropy").axes
    assert list(rate.get_lines()[0].get_ydata()) == [0.5, 0.25]
    table = by_class.get_images()[0].get_array()
    assert table[0].tolist() == [0.1, 0.2]
    assert table.mask[1].all() or np.isnan(np.asarray(table)[1]).all()
    assert [text.get_text() for text in by_class.get_yticklabels()] == ["road", "a class of a very l…"]
    assert [text.get_text() for text in by_class.child_axes[0].get_yticklabels()] == ["0.20", "-"]
    assert [axes.get_title() for axes in (rate, by_class)] == [
        "mean learning rate of each epoch", "IoU of each class on val"
    ]  # fmt: skip
    many = [{"epoch": 1, **{f"iou/{i}": 0.5 for i in range(150)}}]
    assert len(draw.curves_figure(many, "cross-entropy").axes[-1].get_yticks()) == 50
    assert draw.curves(many).shape[0] < 2000


def test_curves_say_what_val_is_scored_against() -> None:
    rows = [{"epoch": 1, "train_loss": 1.0, "val_loss": 1.0, "mean_iou": 0.5, "rate": 0.1}]
    figure = draw.curves_figure(rows, "cross-entropy", "against boxes, not masks")
    assert "val against boxes, not masks; train on crops" in [axes.get_title() for axes in figure.axes]


def test_losses_are_drawn_from_zero() -> None:
    rows = [{"epoch": e, "train_loss": 3 - e, "val_loss": 2.0, "mean_iou": 0.9} for e in (1, 2)]
    assert draw.curves_figure(rows, "cross-entropy").axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize("loss", ["cross-entropy", "dice, weighted by class"])
@pytest.mark.parametrize("classes", [0, 2, 11, 21, 40])
def test_nothing_is_cut_or_lies_over_another_part(classes: int, loss: str) -> None:
    scores = {f"{split}{name}": 0.9 for split in ("", "train_") for name in SCORES}
    each = {f"iou/class {i} of a long name": 0.5 for i in range(classes)}
    rows = [{"epoch": e, "train_loss": 3.0, "val_loss": 2.0, "rate": 1e-4, **scores, **each} for e in range(1, 41)]
    figure = draw.curves_figure(rows, loss)
    FigureCanvasAgg(figure).draw()
    inner = figure.bbox.padded(-5)
    parts = [axes.get_tightbbox() for axes in figure.axes]
    for one in parts:
        assert inner.x0 <= one.x0 < one.x1 <= inner.x1
        assert inner.y0 <= one.y0 < one.y1 <= inner.y1
    assert not [(i, j) for i, one in enumerate(parts) for j, two in enumerate(parts) if i < j and one.overlaps(two)]
    shown = next(axes for axes in figure.axes if "scores" in axes.get_title())
    legend = shown.get_legend().get_window_extent()
    assert legend.y1 < shown.get_window_extent().y0
    assert shown.get_window_extent().x0 <= legend.x0 < legend.x1 <= shown.get_window_extent().x1
