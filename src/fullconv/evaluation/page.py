"""The report of an evaluation as one page that needs no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from fullconv import draw
from fullconv.errors import plural
from fullconv.evaluation.detail import Detail
from fullconv.evaluation.finding import by_advice
from fullconv.evaluation.intervals import range_in_words
from fullconv.evaluation.metrics import Scores
from fullconv.evaluation.numbers import known_mean
from fullconv.evaluation.road import OTHERWISE, RoadScores
from fullconv.html.charts import bar, reliability, scatter
from fullconv.html.inline import data_uri, document

DEFINITIONS = {
    "mean_iou": ("mean IoU", "mean over classes of n_ii / (t_i + p_i - n_ii)"),
    "pixel_accuracy": ("pixel accuracy", "sum n_ii / sum t_i"),
    "mean_accuracy": ("mean accuracy", "mean over classes that occur in the truth of n_ii / t_i"),
    "fw_iou": ("frequency-weighted IoU", "the IoUs weighted by t_i"),
    "mean_dice": ("mean Dice (F1)", "mean over classes of 2 n_ii / (t_i + p_i)"),
}
HOW = (
    "n_ij: pixels of true class i predicted as j, summed over all images; t_i, p_i: pixels of class i in truth and "
    "prediction. Unlabelled pixels count nowhere; classes in neither truth nor prediction are in no mean."
)


@dataclass(frozen=True)
class Pictures:
    """What the page shows of images, each of them rows ``image | truth | prediction | errors``.

    Attributes:
        worst, median, best: by their mean IoU.
        confused: ``(words, row)`` of each image that shows classes which are confused most, in words for each pair.
        note: what to know of them.
    """

    worst: Sequence[draw.Row] = ()
    median: Sequence[draw.Row] = ()
    best: Sequence[draw.Row] = ()
    confused: Sequence[tuple[Sequence[str], draw.Row]] = ()
    note: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a report comes from.

    Attributes:
        title: the model and the data, in words.
        facts: what is known of them by name.
        files: texts to be unfolded, by name: the run's configuration, its environment.
        curves: the run's curves, uint8 ``[h, w, 3]``.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    curves: np.ndarray | None = None


def report_page(scores: Scores, detail: Detail, pictures: Pictures, origin: Origin) -> str:
    """The page: scores with intervals, findings, classes, confusion, calibration, boundaries, images, origin."""
    return document(
        f"{origin.title}: fullconv evaluate",
        [
            _head(scores, detail, pictures, origin), _findings(scores), _means(scores, detail),
            _classes(scores, detail), _confusion(scores, pictures), _calibration(detail),
            _uncertainty(detail), _boundaries(detail),
            *(_images(name, rows, scores) for name, rows in (
                ("Worst images", pictures.worst), ("Images in the middle", pictures.median),
                ("Best images", pictures.best),
            )),
            _origin(origin),
        ],
    )  # fmt: skip


def _head(scores: Scores, detail: Detail, pictures: Pictures, origin: Origin) -> str:
    notes = "".join(f'<div class="soft">{escape(note)}</div>' for note in (*scores.notes, pictures.note) if note)
    low, high = detail.intervals["mean_iou"]
    apart = "" if math.isnan(low) else f" (of all such images probably {low:.3f} to {high:.3f}: see Scores)"
    verdict = f"mean IoU {_number(scores.mean_iou)} of {plural(scores.images, 'image')}{apart}"
    return f'<h1>{escape(origin.title)}</h1><div class="verdict">{verdict}</div>{notes}'


def _findings(scores: Scores) -> str:
    """Those of one advice together."""
    kinds = {one.text: one.kind for one in scores.findings}
    lines = []
    for texts, advice in by_advice(scores.findings):
        said = [f'<div><span class="tag">{escape(kinds[text])}</span>{escape(text)}</div>' for text in texts]
        lines.append(f'<li class="bad">{"".join(said)}<div class="fix">Try: {escape(advice)}</div></li>')
    return _section("What goes wrong", f"<ul>{''.join(lines)}</ul>") if lines else ""


def _means(scores: Scores, detail: Detail) -> str:
    rows = []
    for name, (words, definition) in DEFINITIONS.items():
        value = known_mean(scores.dice) if name == "mean_dice" else getattr(scores, name)
        rows.append([words, _number(value), _interval(detail.intervals[name]), definition])
    ece = _number(detail.reliability.expected_error)
    rows += [
        ["mean boundary IoU", _number(detail.boundary.mean_iou), "", "of masks' rims, 2 % of the diagonal deep"],
        ["mean boundary F", _number(detail.boundary.mean_f), "", "of contours within 0.75 % of the diagonal"],
        ["calibration error (ECE)", ece, "", "sum of n_b / n |accuracy - confidence|"],
        ["cross-entropy", _number(scores.loss), "", "mean over labelled pixels"],
        *_road(scores.road),
    ]  # fmt: skip
    heads = ["score", "value", "range (95 %)", "definition"]
    if not any(row[2] for row in rows):  # too few images
        heads, rows = heads[:2] + heads[3:], [row[:2] + row[3:] for row in rows]
    table = _table(heads, [[escape(cell) for cell in row] for row in rows])
    said = "".join(f'<p class="soft">{escape(words)}</p>' for words in (range_in_words(scores.images), HOW))
    return _section("Scores", f'<div class="wide words">{table}</div>{said}')


def _road(road: RoadScores | None) -> list[list[str]]:
    if road is None:
        return []
    where = f"of {road.kind}, at the threshold of MaxF"
    return [
        [f"KITTI Road MaxF ({road.kind})", _number(road.max_f), "", f"largest F1 over 256 thresholds, {OTHERWISE}"],
        ["average precision", _number(road.average_precision), "", "mean of the best precisions at recall 0, 0.1, ..."],
        ["precision, recall", f"{_number(road.precision)}, {_number(road.recall)}", "", where],
        ["FPR, FNR", f"{_number(road.false_positive_rate)}, {_number(road.false_negative_rate)}", "", where],
    ]  # fmt: skip


def _classes(scores: Scores, detail: Detail) -> str:
    total, rows = max(1, sum(scores.pixels)), []
    columns = (scores.iou, scores.dice, scores.precision, scores.recall, detail.boundary.iou, detail.boundary.f)
    for index, (name, colour) in enumerate(zip(scores.classes.names, scores.classes.palette, strict=True)):
        iou = scores.iou[index]
        swatch = f'<span class="swatch" style="background: rgb{tuple(colour)}"></span>{escape(name)}'
        values = [_number(column[index]) for column in columns]
        drawn = "" if math.isnan(iou) else bar(iou)
        rows.append([swatch, drawn, *values, f"{scores.pixels[index] / total:.2%}"])
    heads = ("class", "", "IoU", "Dice", "precision", "recall", "boundary IoU", "boundary F", "of the pixels")
    return _section("Classes", f'<div class="wide">{_table(heads, rows)}</div>')


def _confusion(scores: Scores, pictures: Pictures) -> str:
    picture = draw.confusion_picture(scores.confusion, scores.classes.names)
    parts = [_picture(picture, "confusion matrix", lossless=True, width=min(picture.shape[1], 900))]
    for pairs, row in pictures.confused:
        parts.append(f"<h3>{'<br>'.join(escape(words) for words in pairs)}</h3>{_sheet([row], scores)}")
    return _section("Confusion", "".join(parts))


def _calibration(detail: Detail) -> str:
    words = (
        "Labelled pixels by the probability of their class; a larger dot is more pixels. Below the diagonal the model "
        f"is surer than it is right. Expected calibration error: {_number(detail.reliability.expected_error)}."
    )
    curve = detail.reliability.curve()
    return _section("Calibration", f'{reliability(curve)}<p class="soft">{escape(words)}</p>') if curve else ""


def _uncertainty(detail: Detail) -> str:
    points = [(image.uncertainty, 1 - image.pixel_accuracy, image.key[1]) for image in detail.images if image.pixels]
    words = (
        "Each dot is an image. Further right, the model is less sure of it (uncertainty: 1 minus the probability of "
        "the predicted class, the mean over its pixels); further up, more of its labelled pixels are wrong (error). "
        "Where dots rise to the right, the model knows which images it gets wrong. "
        f"Here {detail.uncertainty_in_words()}."
    )
    drawn = scatter(points, "uncertainty", "error")
    return _section("Uncertainty of images", f'{drawn}<p class="soft">{escape(words)}</p>') if points else ""


def _boundaries(detail: Detail) -> str:
    rows = [
        [
            f"{width} pixel{'s' * (width > 1)}",
            _number(near.pixel_accuracy),
            _number(near.mean_iou),
            f"{near.pixels:,}",
        ]
        for width, near in detail.boundary.trimap.items()
    ]
    table = _table(("of a true boundary within", "pixel accuracy", "mean IoU", "labelled pixels"), rows)
    return _section("Near boundaries", table)


def _images(name: str, rows: Sequence[draw.Row], scores: Scores) -> str:
    return _section(name, _sheet(rows, scores)) if rows else ""


def _sheet(rows: Sequence[draw.Row], scores: Scores) -> str:
    return _picture(draw.contact_sheet(rows, scores.classes, width=256), "image, truth, prediction, errors")


def _origin(origin: Origin) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in origin.facts.items())
    parts = [f"<dl>{facts}</dl>" if facts else ""]
    if origin.curves is not None:
        parts.append(f"<h3>Training</h3>{_picture(origin.curves, 'curves of the training', lossless=True)}")
    for name, text in origin.files.items():
        parts.append(f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>")
    return _section("Where it comes from", "".join(parts)) if any(parts) else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _picture(picture: np.ndarray, words: str, lossless: bool = False, width: int | None = None) -> str:
    style = f' style="max-width: {width}px"' if width else ""
    return f'<img src="{data_uri(picture, lossless)}" alt="{escape(words)}"{style}>'


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _interval(bounds: tuple[float, float]) -> str:
    return "" if math.isnan(bounds[0]) else f"({bounds[0]:.3f} to {bounds[1]:.3f})"
