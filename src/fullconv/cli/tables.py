"""Scores, findings and model headers as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from fullconv.cli.provenance import in_a_line, plain, provenance_rows
from fullconv.errors import first_few, plural
from fullconv.names import FOREIGN
from fullconv.spec import Values
from fullconv.terminal import print_lines

if TYPE_CHECKING:
    from fullconv.checking.report import CheckReport
    from fullconv.evaluation.compare import Comparison
    from fullconv.evaluation.metrics import Scores
    from fullconv.models.catalogue import Measured, Weights
    from fullconv.training.sweep import Swept


def score_table(scores: Scores, console: Console | None = None, what: str = "") -> None:
    """Per-class scores, then the four means; ``what`` was scored is the title."""
    console = console or Console(emoji=False)
    table = Table(
        Column("class", overflow="fold"),
        *(_right(name) for name in ("IoU", "precision", "recall", "Dice", "pixels")),
        title=escape(f"{what}: " * bool(what) + plural(scores.images, "image")),
        title_justify="left",
    )
    columns = (scores.iou, scores.precision, scores.recall, scores.dice)
    for name, pixels, *values in zip(scores.classes.names, scores.pixels, *columns, strict=True):
        if name in scores.unlabelled:
            shown = ["not labelled", "-", "-", "-"]
        else:
            shown = [_score(values[0]), *("-" if math.isnan(value) else f"{value:.4f}" for value in values[1:])]
        table.add_row(escape(name), *shown, f"{pixels:,}")
    console.print(table)
    console.print(
        f"mean IoU {_score(scores.mean_iou)}  pixel accuracy {_score(scores.pixel_accuracy)}  "
        f"mean accuracy {_score(scores.mean_accuracy)}  fw IoU {_score(scores.fw_iou)}  loss {_score(scores.loss)}",
        highlight=False,
    )
    if scores.masks:
        print_lines(console, str(scores.masks))
    if scores.road:
        print_lines(console, str(scores.road))
    if scores.absent:
        absent = first_few(scores.absent, 25)
        print_lines(console, f"absent from truth and prediction, left out of the mean IoU: {absent}")
    said = [scores.detail.uncertainty_in_words()] if scores.detail else []
    for note in (*said, *scores.notes):
        print_lines(console, note)


def comparison_table(comparison: Comparison, console: Console | None = None) -> None:
    """A row for each model, then of each but the first what differs."""
    console = console or Console(emoji=False)
    names, scores = comparison.names, comparison.scores
    table = Table(
        Column("model", overflow="fold"), *(_right(name) for name in ("mean IoU", "range (95 %)", "pixel accuracy"))
    )
    for name, one in zip(names, scores, strict=True):
        low, high = one.detail.intervals["mean_iou"] if one.detail else (math.nan, math.nan)
        apart = "too few images" if math.isnan(low) else f"{low:.4f} to {high:.4f}"
        table.add_row(escape(name), _score(one.mean_iou), apart, _score(one.pixel_accuracy))
    console.print(table)
    for name, differences in zip(names[1:], comparison.differences, strict=True):
        iou = differences["mean_iou"]
        words = f"mean IoU {iou.value:+.4f}, {iou.p_in_words()}"
        if not math.isnan(iou.p):
            words = f"mean IoU {iou.value:+.4f} ({iou.low:+.4f} to {iou.high:+.4f}), {iou.p_in_words()}: "
            words += "real" if iou.real else "not shown by these images"
        print_lines(console, f"{name} - {names[0]}:\n  {words}")
    for note in dict.fromkeys(note for one in scores for note in one.notes):
        print_lines(console, note)


def models_table(
    networks: Sequence[str],
    weights: Sequence[Weights],
    measured: Sequence[Measured],
    sizes: Mapping[str, int],
    recipes: Mapping[str, Sequence[str]],
    console: Console | None = None,
) -> None:
    """Networks with their figures, then trained weights with their sizes and licences.

    Args:
        sizes: parameters by the weights' names; 0 where they are not known.
        recipes: by the weights' names.
    """
    console = console or Console(emoji=False)
    if measured:
        _measured_table(measured, console)
    if rest := [name for name in networks if name not in {one.model for one in measured}]:
        console.print(f"{'not measured' if measured else 'networks (--model)'}: {', '.join(rest)}", highlight=False)
    if any(name in FOREIGN for name in networks):
        console.print(
            "whole networks of other libraries: --model torchvision or smp, --encoder NAME as they call it",
            highlight=False,
        )
    if not weights:
        return
    name = Column("--encoder, or MODEL where it has a slash", no_wrap=True)
    table = Table(name, _right("M param."), Column("licence", overflow="fold"))
    for row in weights:
        licence = row.licence if row.commercial else f"{row.licence}: not known to allow commercial use"
        table.add_row(row.name, f"{sizes[row.name] / 1e6:.1f}" if sizes[row.name] else "-", licence)
    console.print(table)
    if recipes:
        console.print("recipes with these; fullconv recipes NAME prints one:", highlight=False)
    for encoder, names in recipes.items():
        console.print(f"  {encoder}: {', '.join(names)}", highlight=False)


def _measured_table(measured: Sequence[Measured], console: Console) -> None:
    table = Table("--model", *(_right(head) for head in ("M parameters", "images/s", "MiB", "mean IoU")))
    for one in measured:
        figures = (f"{one.parameters:.1f}", f"{one.images_per_s:.1f}", str(one.extra_mib), f"{one.mean_iou:.3f}")
        table.add_row(one.network, *figures)
    console.print(table)
    console.print(
        "with mobilenetv2_100 (segnet: vgg16, untrained), a training step of 4 crops of 352x480 on two CPU cores; "
        "mean IoU on CamVid's val after 5 epochs (segnet: 2), far from what each can reach",
        highlight=False,
    )


def recipes_table(recipes: Mapping[str, str], console: Console | None = None) -> None:
    """A line for each: its name, and what it is for."""
    console = console or Console(emoji=False)
    table = Table(Column("--recipe", overflow="fold"), Column("for", ratio=1), expand=True)
    for name, subject in recipes.items():
        table.add_row(name, escape(subject))
    console.print(table)
    console.print("fullconv recipes NAME prints one, with its command, time and score", highlight=False)


def sweep_table(swept: Swept, console: Console | None = None) -> None:
    """One row per run."""
    console = console or Console(emoji=False)
    names = ("mean train loss", "last train loss", "last val loss", "best mean IoU", "epoch", "seconds")
    table = Table(escape(swept.option), *(_right(name) for name in names))
    for row in swept.rows:
        losses = [f"{row[name]:.4f}" for name in ("mean_train_loss", "last_train_loss", "last_val_loss")]
        iou = "-" if row["best_mean_iou"] is None else f"{row['best_mean_iou']:.4f}"
        table.add_row(escape(row["value"]), *losses, iou, str(row["best_epoch"]), f"{row['seconds']:.0f}")
    console.print(table)
    for row in swept.rows:
        if row.get("notes"):
            print_lines(console, f"{row['value']}: {row['notes']}")
    if swept.no_effect:
        line = f"note: every value of {swept.option} gave the same figures: it has no effect here"
        print_lines(console, line)
    print_lines(console, f"table: {swept.table}\nimage | truth | each run: {swept.picture}")


def check_table(report: CheckReport, console: Console | None = None) -> None:
    """What was found, per split and class, then notes and problems with what to do about them."""
    from fullconv.checking.values import value_lines

    console = console or Console(emoji=False)
    spec = report.dataset

    def say(line: str) -> None:
        print_lines(console, line)

    say(f"{spec.root}: {spec.layout}" if report.classless else spec.title)
    for reason in spec.reasons:
        say(f"  {reason}")
    if spec.licence:
        say(f"  licence of the public data of this layout: {spec.licence}")
    sizes = ", ".join(f"{w}x{h} ({n})" for (h, w), n in report.sizes.most_common(4))
    if len(report.sizes) > 4:
        sizes += f" and {len(report.sizes) - 4} more sizes"
    unread = "none, no mask fits the guessed classes" if report.guessed else "none, no pair could be read whole"
    say(f"sizes, width x height: {sizes or unread}")
    say(f"labels stored as: {', '.join(f'{kind} ({n})' for kind, n in report.encodings.most_common())}")
    if report.values is not None:
        kind = "8 bits" if spec.values is None or not spec.values.range else f"range {spec.values}"
        say(f"values of the images: {kind}")
        for line in value_lines(spec, report.values):
            say(line)
    for line in report.annotations_in_words():
        say(f"annotations: {line}")
    for line in report.supervision:
        say(line)
    declared = "declared" if spec.declared else "counted from the masks, not declared"
    declared = "guessed, see the problem" if report.guessed else declared
    present = f"{len(report.present())} of {plural(len(spec.classes), 'class', 'is')} present"
    say(f"ids: {present if report.sizes else 'none could be read'}{'' if report.classless else f' ({declared})'}")
    if left_out := report.left_out():
        say(f"sizes, shares, weights, and notes on rare classes and equal images leave out {left_out}")
    if any(counts.any() for counts in report.pixels.values()):  # of a guess, too: how frequent each colour is
        console.print(_class_table(report))
    for word, problem in (("note", False), ("problem", True)):
        for finding in report.shown(problem):
            say(f"{word}: {finding.seen}\n  fix: {finding.fix}")
    count = len(report.problems)
    say(f"{count} problem{'' if count == 1 else 's'}: training would go wrong" if count else _fit(report))


def _fit(report: CheckReport) -> str:
    """The last line where there is no problem."""
    alone = any(finding.kind == "one-image" for finding in report.findings)
    return "sound, but one image is too few to tell how good a model is" if alone else "fit for training"


def _class_table(report: CheckReport) -> Table:
    """Of each class its share of the pixels and its images, by split, and its weight."""
    splits = list(report.images)
    heads = [f"{split}\n{what}" for split in splits for what in ("pixels", "images")]
    weights = report.median_frequency_weights() if "train" in report.pixels else []
    table = Table(Column("class", min_width=13), *map(_right, heads), *([_right("weight")] if weights else []))
    for index, name in enumerate(report.dataset.classes.names):
        cells = []
        for split in splits:
            total = max(int(report.pixels[split].sum()), 1)
            cells += [f"{report.pixels[split][index] / total:.2%}", str(int(report.presence[split][index]))]
        table.add_row(escape(name), *cells, *([f"{weights[index]:.3g}"] if weights else []))
    table.add_section()
    cells = [cell for split in splits for cell in (f"{report.void_share(split):.2%}", str(report.images[split]))]
    table.add_row("ignored / all", *cells)
    return table


def info_table(path: Path, header: dict[str, Any], console: Console | None = None) -> None:
    """What a model file says of itself, and the log of its run beside it."""
    from fullconv.evaluation.log_findings import log_beside

    console = console or Console(emoji=False)
    model, classes, preprocessing = header["model"], header["classes"], header["preprocessing"]
    table = Table(show_header=False)
    channels = model["in_channels"]
    rows = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "network": f"{model['name']} on {model['encoder']}, {channels} channel{'s' * (channels != 1)}",
        "network arguments": in_a_line(model["model_args"]),
        "encoder arguments": in_a_line(model["encoder_args"]),
        "classes": f"{len(classes['names'])}: {', '.join(classes['names'])}",
        "ignored id": str(classes["ignore_index"]),
        "mean": f"{plain(list(map(float, preprocessing['mean'])))} (of pixels / 255)",
        "std": plain(list(map(float, preprocessing["std"]))),
        "values": str(Values.from_dict(stored)) if (stored := preprocessing.get("values")) else "8 bits",
        "resize": str(preprocessing.get("resize") or "none, any size"),
        "encoder weights licence": header.get("weights_licence") or "not stated",
        "written by": f"fullconv {header.get('fullconv', '?')}, format {header['format_version']}",
    }
    rows |= provenance_rows(header.get("provenance", {}), len(log_beside(path)))
    for key, value in rows.items():
        table.add_row(key, escape(value))
    console.print(table)


def _score(value: float) -> str:
    return "nan (absent)" if math.isnan(value) else f"{value:.4f}"


def _right(name: str) -> Any:
    return Column(name, justify="right")
