"""``dataset.yaml``: what a folder is, said by its owner; it overrides what would be recognised."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fullconv.data.dataset import VAL_FRACTION
from fullconv.errors import DataError
from fullconv.files import leads_outside, read_yaml
from fullconv.formats.problems import SEE_LINE, Problems
from fullconv.images.encoding import UNLABELLED, MaskEncoding
from fullconv.spec import ClassSet, Colour

FILE_NAME = "dataset.yaml"
Bounds = tuple[float, float]
RawValue = Annotated[int, Field(ge=-(2**31), lt=2**32)]
TRANSPARENT_IGNORED = "ignore"
LONGEST = 100
"""Characters of a wrong field that a message repeats."""


def _sound(classes: list[str] | dict[str, Colour]) -> list[str] | dict[str, Colour]:
    """Names and colours of which classes can be made."""
    if classes:
        ClassSet(tuple(classes), tuple(classes.values()) if isinstance(classes, dict) else ())
    return classes


def _inside(place: str) -> str:
    """A path that stays in the folder of ``dataset.yaml``."""
    if leads_outside(place):
        raise ValueError(f"{place!r} leads outside the data's folder; give a path below it")
    return place


RelativePath = Annotated[str, AfterValidator(_inside)]


class Description(BaseModel):
    """The fields of ``dataset.yaml``, all optional."""

    model_config = ConfigDict(extra="forbid")

    images: RelativePath = Field("", description="folder of the images, relative to dataset.yaml")
    masks: RelativePath = Field("", description="folder of the masks, relative to dataset.yaml")
    mask_suffix: str = Field("", description="what a mask's name has after the image's, for example _mask")
    classes: Annotated[list[str] | dict[str, Colour], AfterValidator(_sound)] = Field(
        [], description="class names in id order, or names with their RGB colours ({road: [128, 64, 128]})"
    )
    values: dict[RawValue, str] = Field(
        {}, description="raw mask value -> class name, for masks whose values are not ids"
    )
    ignore: list[RawValue | float | Colour] = Field(
        [], description="raw values or RGB colours of pixels without a label"
    )
    transparent: str = Field(
        "", description="what fully transparent pixels of masks are: a class, or 'ignore' for unlabelled"
    )
    kind: Literal["", "road", "lane"] = Field("", description="of KITTI Road's two kinds of masks: road or lane")
    labelled: dict[str, list[str]] = Field(
        {}, description="beginning of an image's name -> the classes that are labelled in it; others: all of them"
    )
    splits: dict[str, RelativePath] = Field({}, description="split -> list file, relative to dataset.yaml")
    val_fraction: float = Field(VAL_FRACTION, gt=0, lt=1, description="share of val where no split is given")
    split_seed: int = Field(0, description="seed of that split")
    channels: int | None = Field(None, ge=1, description="channels of the images; by default as the files have them")
    bands: list[str] = Field([], description="names of the images' bands, in their order: [red, green, blue, nir]")
    range: Bounds | list[Bounds] = Field(
        [], description="[low, high] of the values that become 0 and 255, or one of these per channel"
    )
    nodata: float | list[float | None] | None = Field(
        None, description="the value of pixels that hold nothing, or one per channel"
    )

    def ranges(self) -> tuple[tuple[float, float], ...]:
        """One pair for all channels, one for each, or none."""
        if isinstance(self.range, tuple):
            return (self.range,)
        return tuple(self.range)

    def nodatas(self) -> tuple[float | None, ...]:
        """One value for all channels, one for each, or none."""
        return tuple(self.nodata) if isinstance(self.nodata, list) else (self.nodata,)

    def class_set(self) -> ClassSet | None:
        """The declared classes, or None."""
        if isinstance(self.classes, dict) and self.classes:
            return ClassSet(tuple(self.classes), tuple(self.classes.values()))
        names = list(self.classes) or list(dict.fromkeys(self.values.values()))
        return ClassSet(tuple(names)) if names else None

    def encoding(self, classes: ClassSet | None, problems: Problems) -> MaskEncoding:
        """How masks are read, given the classes they are read into; what contradicts itself is left out."""
        ids = {name: index for index, name in enumerate(classes.names)} if classes else {}
        strange = [name for name in self.values.values() if name not in ids]
        if strange:
            text = f"{FILE_NAME}: values names class {strange[0]!r}, which classes does not"
            problems.report("description", text, "add it to classes")
        colours = {}
        if isinstance(self.classes, dict):
            colours = {colour: ids[name] for name, colour in self.classes.items()}
        if self.transparent not in ("", TRANSPARENT_IGNORED, *ids):
            problems.report(
                "description", f"{FILE_NAME}: transparent names {self.transparent!r}",
                f"expected one of the classes, or {TRANSPARENT_IGNORED!r}",
            )  # fmt: skip
        both = [value for value in self.ignore if value in self.values or value in colours]
        if both:
            text = f"{FILE_NAME}: {both[0]} is both a class and ignored"
            problems.report("description", text, "take it out of one of the two")
        return MaskEncoding(
            values={value: ids[name] for value, name in self.values.items() if name in ids},
            colours=colours,
            void_values=tuple(
                int(v) if float(v).is_integer() else v
                for v in self.ignore
                if not isinstance(v, tuple) and not math.isnan(v) and v not in both
            )
            or (() if 255 in self.values else None),
            void_colours=tuple(v for v in self.ignore if isinstance(v, tuple) and v not in both),
            by_value=("grey", "palette") if self.values else (),
            transparent=ids.get(self.transparent, UNLABELLED) if self.transparent else None,
            named_in=FILE_NAME if self.classes or self.values else "",
        )


def read_description(root: Path, problems: Problems) -> Description | None:
    """The folder's ``dataset.yaml``, or None: what is not YAML, and fields that are unknown or wrong, are left out."""
    path = root / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = read_yaml(path, DataError, "fields such as 'classes: [ground, road]'")
    except DataError as error:
        problems.caught("description", error)
        return None
    try:
        return Description(**content)
    except ValidationError as error:
        wrong = dict.fromkeys(str(one["loc"][0]) for one in error.errors())
        for name in wrong:
            text, expected = _wrong(name, error, content)
            problems.report("description", f"{path}: field {name}: {text}", expected)
        return Description(**{name: value for name, value in content.items() if name not in wrong})


def _wrong(name: str, error: ValidationError, content: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with a field: what was found, and what is expected."""
    first, *more = [one for one in error.errors() if str(one["loc"][0]) == name]
    if name not in Description.model_fields:
        near = difflib.get_close_matches(name, Description.model_fields, 1)
        return (
            f"there is none{f'; did you mean {near[0]}?' if near else ''}",
            f"the fields are {', '.join(Description.model_fields)}",
        )
    if first["type"] == "value_error":
        text, _, fix = first["msg"].removeprefix("Value error, ").partition("; ")
        return text, fix or SEE_LINE
    found = repr(content[name])
    shown = found if len(found) <= LONGEST else f"{found[:LONGEST]}..."
    why = "" if more else f" ({first['msg']})"  # else one of several forms
    return f"found {shown}", f"expected {Description.model_fields[name].description}{why}"
