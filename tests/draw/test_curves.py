from __future__ import annotations

from fullconv import draw
from fullconv.training.config import TrainConfig


def test_curves_are_drawn() -> None:
    names = ("train_loss", "val_loss", "mean_iou", "pixel_accuracy", "mean_accuracy")
    history = [{"epoch": e, **dict.fromkeys(names, 0.1 * e)} for e in (1, 2, 3)]
    picture = draw.curves(history)
    assert picture.shape == (400, 1100, 3)
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
        of_train, of_val = axes[1], axes[-1]
        labels = {line.get_label(): list(line.get_ydata()) for line in (*of_train.get_lines(), *of_val.get_lines())}
        assert labels == {f"train: {words}": [30_000, 15_000], "val: cross-entropy per pixel": [1.0, 0.5]}
        assert len(axes) == (2 if words == "cross-entropy" else 3)
        legends = {text.get_text() for one in (of_train, of_val) for text in one.get_legend().get_texts()}
        assert legends == set(labels)
        shown = {line.get_label() for line in axes[0].get_lines()}
        assert {"val mean IoU", "train mean IoU", "train pixel accuracy"} <= shown
    assert draw.curves(rows, "dice").shape[2] == 3
