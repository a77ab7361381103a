"""A review as one page that needs no other file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from fullconv.files import write_text
from fullconv.html.charts import bar
from fullconv.html.inline import document
from fullconv.reviewing.result import Place, Review, ToLabel, ranked
from fullconv.spec import ClassSet

IMAGES = 30
"""Rows of the table of images."""
HOW = (
    "A connected region of a mask is listed where the model holds its label at least ten times less probable than is "
    "usual for labels of its class: mean of -log p over the region without its rim, less the median of that over all "
    "regions of the class; small regions count less. The model may be wrong instead: look, before anything is changed."
)
ORDER = (
    "By how undecided the model is (mean entropy) times how far an image is, in what the model sees in it, from all "
    "that have a mask or stand before it. Right: where it is undecided, yellow most."
)
STYLE = """<style>
.place { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px; margin: 0 0 4px; align-items: start; }
.next { display: grid; grid-template-columns: repeat(auto-fill, minmax(500px, 1fr)); gap: 16px; }
.place + .said { margin-bottom: 22px; }
.said .swatch { margin: 0 4px 0 8px; }
.heads { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px; font-size: 12px; color: var(--soft); }
</style>"""


@dataclass(frozen=True)
class Pictures:
    """What the page shows, each as data URIs: of the first places, and of the first images to label."""

    places: Sequence[Sequence[str]] = field(default=())
    label_next: Sequence[Sequence[str]] = field(default=())


def write_page(path: str | os.PathLike[str], title: str, review: Review, pictures: Pictures) -> None:
    """Write the page; ``title`` is text."""
    parts = [STYLE, _head(title, review), _places(review, pictures), _next(review, pictures), _classes(review)]
    write_text(path, document(title, [*parts, _images(review)]))


def _head(title: str, review: Review) -> str:
    first, *rest = review.lines()
    soft = "".join(f'<div class="soft">{escape(line)}</div>' for line in rest)
    return f'<h1>{escape(title)}</h1><div class="verdict">{escape(first)}</div>{soft}'


def _places(review: Review, pictures: Pictures) -> str:
    if not review.masks:
        return ""
    if not review.places:
        return _section("Masks that are probably wrong", "<p>No place stands out.</p>")
    shown = [_place(*pair, review.classes) for pair in zip(review.places, pictures.places, strict=False)]
    more = len(review.places) - len(shown)
    rest = f'<p class="soft">{more:,} more places are in the JSON file.</p>' if more else ""
    heads = "".join(f"<span>{words}</span>" for words in ("image", "place", "mask", "prediction"))
    content = f'<p class="soft">{escape(HOW)}</p><div class="heads">{heads}</div>{"".join(shown)}{rest}'
    return _section("Masks that are probably wrong", content)


def _place(place: Place, uris: Sequence[str], classes: ClassSet) -> str:
    images = "".join(f'<img src="{uri}" alt="">' for uri in uris)
    said = (
        f"<strong>{escape(place.image)}</strong> ({escape(place.split)}): {_class(place.label, classes)}, "
        f"{place.share:.0%} of it predicted as {_class(place.predicted, classes)} at {place.sure:.2f}; "
        f"{place.pixels:,} pixels; label {place.times:,.0f} times less probable than usual"
    )
    return f'<div class="place">{images}</div><div class="said">{said}</div>'


def _class(name: str, classes: ClassSet) -> str:
    colour = tuple(classes.palette[classes.names.index(name)])
    return f'<span class="swatch" style="background: rgb{colour}"></span>{escape(name)}'


def _next(review: Review, pictures: Pictures) -> str:
    if not review.label_next:
        return ""
    pairs = enumerate(zip(review.label_next, pictures.label_next, strict=False), 1)
    figures = "".join(_figure(number, *pair) for number, pair in pairs)
    more = len(review.label_next) - len(pictures.label_next)
    rest = f'<p class="soft">{more:,} more are in the JSON file, in their order.</p>' if more > 0 else ""
    return _section("Label next", f'<p class="soft">{escape(ORDER)}</p><div class="next">{figures}</div>{rest}')


def _figure(number: int, one: ToLabel, uris: Sequence[str]) -> str:
    images = "".join(f'<img src="{uri}" alt="">' for uri in uris)
    said = f"{number}. {escape(one.image)}: entropy {one.entropy:.3f}, distance {one.distance:.3f}"
    return f"<figure><div>{images}</div><figcaption>{said}</figcaption></figure>"


def _classes(review: Review) -> str:
    if not review.masks:
        return ""
    rows = []
    for one in ranked(review.by_class):
        share = one.places / max(one.regions, 1)
        likely = _class(one.predicted, review.classes) if one.predicted else ""
        none = "" if one.regions else ' class="none"'
        usual = f"{one.usual:.3f}" if one.regions else "-"
        cells = (
            _class(one.name, review.classes), bar(min(1.0, share)), f"{one.places:,}", f"{one.regions:,}",
            f"{share:.1%}", usual, likely,
        )  # fmt: skip
        rows.append(f"<tr{none}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    heads = ("class", "", "probably wrong", "regions", "share", "usual probability", "predicted instead")
    return _section("Classes", _table(heads, rows))


def _images(review: Review) -> str:
    shown = [mask for mask in review.masks[:IMAGES] if mask.places]
    if not shown:
        return ""
    rows = [
        f"<tr><td>{escape(mask.image)}</td><td>{escape(mask.split)}</td><td>{mask.places:,}</td>"
        f"<td>{mask.pixels:,}</td><td>{mask.score:.2f}</td><td>{mask.loss:.3f}</td></tr>"
        for mask in shown
    ]
    heads = ("image", "split", "places", "pixels in them", "score", "mean loss")
    return _section("Images, the most doubtful first", _table(heads, rows))


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
