"""``heatmap``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Images, Precision
from fullconv.cli.verbs.shared import app, complain, say, starting
from fullconv.errors import DataError, UsageError

HEATMAP = (
    "fullconv heatmap photos --synset dog --out maps",
    "fullconv heatmap dog.jpg --synset n02084071 --out maps --sizes 300x480 600x960",
    "fullconv heatmap *.jpg --synset dog --out maps --encoder tf_efficientnet_lite0",
)


@app.command(help_formatter=Help(*HEATMAP), usage="Usage: fullconv heatmap IMAGES --synset SYNSET --out OUT [OPTIONS]")
def heatmap(
    *images: Images,
    synset: list[str],
    out: Path,
    encoder: str = "resnet50",
    encoder_weights: str = "imagenet",
    head_weights: str = "",
    sizes: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    combine: str = "geometric",
    flip: bool = False,
    threshold: float = 0.0,
    device: str = "auto",
    precision: Precision = "auto",
) -> int:
    """Show where an ImageNet class, or a group of them, is in images: no training, no masks.

    Writes STEM.png (image, map of each size, combined map), STEM.overlay.png and STEM.npz under --out, in colours that
    stand for probabilities from 0 to 1; says how probable it is at most, and at the end in how many images
    that is below 0.5.

    Parameters
    ----------
    images
        Image files, folders of them, or globs.
    synset
        A WordNet id (n02084071) or a word (dog); several are looked for together.
    out
        The folder for the maps.
    encoder
        A timm classifier, torchvision's as torchvision/NAME, or keras_resnet50.
    encoder_weights
        imagenet (downloaded once), none, or a file; for keras_resnet50 an .h5 file of Keras.
    head_weights
        An HDF5 file with datasets w and b for the last layer alone.
    sizes
        HEIGHTxWIDTH that the image is brought to, several; by default heights 400, 800 and 1600.
    combine
        How the maps are joined: geometric, arithmetic or max.
    flip
        Average with the maps of the mirrored image.
    threshold
        Above 0, also write STEM.labels.png: where the map reaches this share of its maximum.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    """
    from fullconv.models.synsets import find_synset

    if not images:
        raise UsageError("no images given; name files, folders or globs")
    for name in synset:
        find_synset(name)  # refuses an unknown one before weights are fetched
    with starting():
        from fullconv.heatmapper import LIKELY, HeatMap, HeatMapper
        from fullconv.prediction.heat_maps import heatmap as find
        from fullconv.prediction.heat_maps import parse_size
        from fullconv.prediction.inputs import left_out

    chosen = [parse_size(text) for text in sizes] if sizes else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        with starting():
            mapper = HeatMapper.load(
                encoder, encoder_weights, head_weights=head_weights, device=device, precision=precision
            )
    for warning in caught:
        if warning.category is UserWarning:
            complain(f"warning: {warning.message}")
    failed: list[DataError] = []
    missed: list[Path] = []

    def unreadable(error: DataError) -> None:
        failed.append(error)
        complain(str(error))

    def told(path: Path, map_: HeatMap) -> None:
        say(f"{path.name}: {map_.summary()}")
        if not map_.found:
            missed.append(path)

    with Bar("heatmap", device=str(mapper.device)) as done:
        found = find(
            images, synset, out, mapper=mapper, sizes=chosen, combine=combine, flip=flip,  # type: ignore[arg-type]
            threshold=threshold, unreadable=unreadable, progress=told, done=done, part=done.rows,
        )  # fmt: skip
    say(f"{len(found)} heat map{'s' * (len(found) != 1)} in {out}")
    for note in left_out(images, out):
        say(f"  {note}")
    if missed:
        where = str(missed[0]) if len(missed) == 1 else f"{len(missed)} of {len(found)} images"
        complain(f"warning: {where}: no place reaches {LIKELY:g}, so all else together is more probable everywhere")
    return max((error.exit_code for error in failed), default=0)
