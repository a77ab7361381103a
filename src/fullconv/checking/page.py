"""``check --html``: the findings as one page that needs no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from fullconv.checking.bars import share_bars
from fullconv.checking.findings import Finding, SplitItem
from fullconv.checking.histograms import value_histograms
from fullconv.checking.pictures import fault_pictures, image_picture, sample_pictures
from fullconv.checking.report import CheckReport
from fullconv.files import write_text
from fullconv.html.inline import document

SAMPLES, FAULTS, PAIRS = 6, 12, 6
"""Pictures shown of each split, of problems, and of each kind of pairs."""


def write_page(report: CheckReport, path: Path) -> None:
    """Write the page: findings, numbers, classes, and pictures of samples and of faults; one file, no scripts."""
    spec = report.dataset
    parts = [
        _head(report), _findings(report), _numbers(report), _classes(report), value_histograms(report),
        _faults(report), _pairs(report),
        *(_samples(report, split) for split in report.images),
    ]  # fmt: skip
    write_text(path, document(f"{spec.name}: fullconv check", parts))


def _head(report: CheckReport) -> str:
    spec, problems = report.dataset, len(report.problems)
    verdict = '<span class="verdict good">Fit for training.</span>'
    if problems:
        words = "1 problem" if problems == 1 else f"{problems} problems"
        verdict = f'<span class="verdict bad">{words}: training would go wrong.</span>'
    reasons = "".join(f'<div class="soft">{escape(reason)}</div>' for reason in spec.reasons)
    return f"<h1>{escape(spec.name)}</h1><div>{verdict}</div>{reasons}"


def _findings(report: CheckReport) -> str:
    """Problems first."""
    lines = [_finding(finding, problem) for problem in (True, False) for finding in report.shown(problem)]
    return f"<section><h2>Findings</h2><ul>{''.join(lines)}</ul></section>" if lines else ""


def _finding(finding: Finding, problem: bool) -> str:
    kind = ' class="bad"' if problem else ""
    return (
        f'<li{kind}><span class="tag">{escape(finding.kind)}</span>{escape(finding.seen)}'
        f'<div class="fix">Fix: {escape(finding.fix)}</div></li>'
    )


def _numbers(report: CheckReport) -> str:
    spec = report.dataset
    sizes = [f"{w}&times;{h} ({n})" for (h, w), n in report.sizes.most_common(5)]
    if len(report.sizes) > 5:
        sizes.append(f"{len(report.sizes) - 5} more sizes")
    present, declared = report.present(), "declared" if spec.declared else "counted from the masks"
    declared = "guessed" if report.guessed else declared
    rows = {
        "folder": escape(str(spec.root)),
        "layout": escape(spec.layout),
        "images": ", ".join(f"{count} {escape(split)}" for split, count in report.images.items()),
        "sizes, width x height": ", ".join(sizes) or "none could be read",
        "labels stored as": ", ".join(f"{escape(kind)} ({n})" for kind, n in report.encodings.most_common()),
        "classes": "none could be read"
        if report.classless
        else f"{len(present)} of {len(spec.classes)} {declared} are present",
        "without a label": ", ".join(f"{report.void_share(split):.2%} of {escape(split)}" for split in report.void),
    }
    if left_out := report.left_out():
        rows["left out of the figures"] = escape(left_out)
    if marked := report.annotations_in_words():
        rows["annotations"] = "<br>".join(map(escape, marked))
    cells = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    return f"<section><h2>What it holds</h2><dl>{cells}</dl></section>"


def _classes(report: CheckReport) -> str:
    """A table of all classes, and bars of their shares on a logarithmic scale."""
    spec, splits = report.dataset, list(report.pixels)
    weights = report.median_frequency_weights() if "train" in report.pixels else [math.nan] * len(spec.classes)
    heads = "".join(f"<th>{escape(split)} {what}</th>" for split in splits for what in ("pixels", "share", "images"))
    rows = []
    for index, (name, colour) in enumerate(zip(spec.classes.names, spec.classes.palette, strict=True)):
        cells = [f'<span class="swatch" style="background: rgb{colour}"></span>{escape(name)}', str(index)]
        for split in splits:
            pixels = report.pixels[split]
            share = pixels[index] / max(int(pixels.sum()), 1)
            cells += [f"{pixels[index]:,}", f"{share:.3%}", f"{report.presence[split][index]:,}"]
        cells.append("-" if math.isnan(weights[index]) else f"{weights[index]:.3g}")
        absent = not any(report.pixels[split][index] for split in splits)
        rows.append(f"<tr{' class=none' if absent else ''}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return (
        '<section><h2>Classes</h2><div class="wide"><table><thead><tr><th>class</th><th>id</th>'
        f"{heads}<th>weight</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="soft">Weight: median class frequency in train over the class\'s own '
        "(--class-weights median-frequency); 0 for absent classes.</p>"
        f"<h3>Share of the labelled pixels</h3>{share_bars(report)}</section>"
    )


def _pairs(report: CheckReport) -> str:
    """Some pairs of each kind of duplicates, evenly chosen."""
    parts = []
    for finding in report.findings:
        if finding.pairs:
            figures = [
                _figure([image_picture(report.dataset, item) for _, item in pair], map(report.name, pair))
                for pair in finding.pairs[:: -(-len(finding.pairs) // PAIRS)]
            ]
            parts.append(
                f'<h3>{escape(finding.text.partition(" (")[0])}</h3><div class="sheet">{"".join(figures)}</div>'
            )
    return f"<section><h2>Equal and nearly equal images</h2>{''.join(parts)}</section>" if parts else ""


def _faults(report: CheckReport) -> str:
    """Pictures of the items with problems; unknown mask pixels are magenta."""
    faulty: dict[int, tuple[SplitItem, list[str]]] = {}
    for finding in report.findings:
        for place in finding.items if finding.problem else ():
            faulty.setdefault(id(place[1]), (place, []))[1].append(finding.kind)
    figures = [
        _figure(fault_pictures(report.dataset, place[1]), [f"{report.name(place)} ({', '.join(kinds)})"])
        for place, kinds in list(faulty.values())[:FAULTS]
    ]
    if not figures:
        return ""
    more = f"; {len(faulty) - FAULTS} more are not shown" if len(faulty) > FAULTS else ""
    return (
        '<section><h2>Images with problems</h2><p class="soft">Image | mask; pixels that stand for no class are '
        f'magenta{more}.</p><div class="sheet">{"".join(figures)}</div></section>'
    )


def _samples(report: CheckReport, split: str) -> str:
    """Evenly chosen items of a split, image and labels."""
    faulty = {id(item) for finding in report.findings if finding.problem for _, item in finding.items}
    items = [item for item in report.dataset.splits[split] if id(item) not in faulty]
    if not items:
        return ""
    chosen = sorted({round(i) for i in np.linspace(0, len(items) - 1, SAMPLES)})
    figures = []
    for number in chosen:
        pictures = sample_pictures(report.dataset, items[number])
        figures.append(_figure(pictures, [report.name((split, items[number]))]))
    return f'<section><h2>Samples of {escape(split)}</h2><div class="sheet">{"".join(figures)}</div></section>'


def _figure(pictures: Sequence[str], captions: Iterable[str]) -> str:
    shown = [f'<img src="{uri}" alt="">' if uri else '<p class="lost">cannot be shown</p>' for uri in pictures]
    lines = "<br>".join(escape(caption) for caption in captions)
    return f"<figure><div>{''.join(shown)}</div><figcaption>{lines}</figcaption></figure>"
