"""KITTI Road."""

from __future__ import annotations

import re
from pathlib import Path

from fullconv.errors import plural
from fullconv.formats.description import FILE_NAME, Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, image_files, in_form_of, listed
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet

FRAME = re.compile(r"(um|umm|uu)_\d{6}\.png")
"""What KITTI Road calls its images."""


def recognise_kitti_road(root: Path, description: Description, problems: Problems) -> Found | None:
    """KITTI Road: ``training/image_2`` and ``training/gt_image_2`` with ``um_road_000000.png`` or ``um_lane_...``."""
    images, masks = root / "training" / "image_2", root / "training" / "gt_image_2"
    if not (images.is_dir() and masks.is_dir()):
        return None
    names = [path.name for path in image_files(images)]
    found = {
        kind: [n for n in names if (masks / n.replace("_", f"_{kind}_", 1)).is_file()] for kind in ("road", "lane")
    }
    kind = description.kind or ("lane" if len(found["lane"]) > len(found["road"]) else "road")
    if description.kind and not found[kind]:
        problems.report(
            "description", f"{root / FILE_NAME}: kind is {kind}, but there is no {kind} mask in {masks}",
            "take the line out, or add the masks",
        )  # fmt: skip
    other = len(names) - len(found[kind])
    reasons = [
        f"training/image_2 and training/gt_image_2: KITTI Road, masks of the {kind}",
        "mask colours: (255, 0, 255) positive, (255, 0, 0) negative, (0, 0, 0) ignored",
    ]
    if all(found.values()):
        counts = " and ".join(f"{len(there)} {name}" for name, there in found.items())
        other_kind = "road" if kind == "lane" else "lane"
        why = "as dataset.yaml says" if description.kind else "of which there are more"
        if not description.kind and len(found["lane"]) == len(found["road"]):
            why = "as both are as many"
        reasons.append(
            f"two kinds of masks are there, {counts}; {kind} is used, {why}: 'kind: {other_kind}' in dataset.yaml "
            f"takes the {other_kind}"
        )
    if other:
        reasons.append(f"{plural(other, f'image without a {kind} mask', 'is')} left out")
    pairs = [(name, name.replace("_", f"_{kind}_", 1)) for name in found[kind]]
    public = all(FRAME.fullmatch(name) for name in names)
    if not public:
        reasons.append(in_form_of("KITTI Road"))
    return Found(
        "kitti_road",
        reasons,
        {"": listed(pairs, images, masks, problems)},
        ClassSet(("background", kind), ((255, 0, 0), (255, 0, 255))),
        MaskEncoding(colours={(255, 0, 0): 0, (255, 0, 255): 1}, void_colours=((0, 0, 0),)),
        public=public,
    )
