"""What mask files say beside their labels: palettes, EXIF orientation, pixels without a number; judged all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fullconv.checking.findings import SplitItem, file_name
from fullconv.checking.report import CheckReport
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sources import EncodedMask, FileMask
from fullconv.data.turning import WORDS, turning
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.contents import Contents, summed_up
from fullconv.formats.survey import palettes_count
from fullconv.images.files import open_image
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import contradiction, value_ids
from fullconv.images.tiff import is_tiff
from fullconv.spec import Colour


@dataclass(frozen=True)
class Form:
    """Of one item.

    Attributes:
        turned: which of :data:`fullconv.data.turning.WORDS` it is, or empty.
        gaps: whether the mask has pixels without a number, or of GDAL's no data.
        palette: the colours that its values are shown in, where values count.
    """

    turned: str = ""
    gaps: bool = False
    palette: Mapping[int, Colour] = field(default_factory=dict)


def form_of(spec: DatasetSpec, item: Item) -> Form:
    """What is said of an item that could be read; only masks that may have gaps or palettes are read again."""
    turned, source = turning(item), item.annotation
    if not isinstance(source, FileMask | EncodedMask):
        return Form(turned)
    try:
        found = _contents(source)
    except DataError:
        return Form(turned)
    if found is None:
        return Form(turned)
    shown: Mapping[int, Colour] = {}
    if palettes_count(source.encoding) and found.mask.kind == "palette":
        ids = value_ids(found.mask, source.encoding, len(spec.classes), spec.classes.ignore_index)
        shown = {v: colour for v, colour in found.stated().items() if ids.get(v) != spec.classes.ignore_index}
    return Form(turned, bool(found.has & {"missing", "no data"}), shown)


def _contents(source: FileMask | EncodedMask) -> Contents | None:
    path = source.file()
    if not is_tiff(path) and path.suffix.lower() != ".npy":
        with open_image(path) as picture:
            if picture.mode != "P":
                return None
        path = source.file()
    return summed_up(read_mask(path))


def judge_forms(report: CheckReport, places: Sequence[SplitItem], forms: Sequence[Form]) -> None:
    """Add what is to be said of all of them."""
    spec = report.dataset
    for kind, (text, fix) in WORDS.items():
        here = tuple(place for place, form in zip(places, forms, strict=True) if form.turned == kind)
        if here:
            names = first_few([file_name(spec, item) for _, item in here])
            report.add("turned", f"{len(here)} of {len(places)} pairs: {text} ({names})", fix, items=here)
    gaps = [place for place, form in zip(places, forms, strict=True) if form.gaps]
    if gaps:
        names = first_few([file_name(spec, item) for _, item in gaps])
        report.add(
            "gaps",
            f"{plural(len(gaps), 'mask', 'has')} pixels without a number (NaN, or GDAL's no data), which are "
            f"unlabelled ({names})",
            "nothing, if that is intended; else give these pixels an id",
        )
    if any(finding.kind == "undecided" for finding in report.findings):
        return  # asked already
    shown: dict[int, tuple[Colour, Item]] = {}
    for (_, item), form in zip(places, forms, strict=True):
        for value, colour in form.palette.items():
            first, other = shown.setdefault(value, (colour, item))
            if first != colour:
                line = contradiction(_name(item), colour, value, first, _name(other))
                report.add("undecided", line, "only you can know: do what the line says", problem=True)
                return  # one is enough: the question is the same for all


def _name(item: Item) -> str:
    return str(item.annotation.where if isinstance(item.annotation, FileMask) else item.id)
