"""``predict``, ``pseudo-label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Data, Images, Model, Precision, Runner
from fullconv.cli.verbs.shared import app, complain, computes_on, say, say_data, starting
from fullconv.prediction.alone import refuse_alone
from fullconv.there import refuse_existing

PREDICT = (
    "fullconv predict runs/mine photos --out masks --overlay",
    "fullconv predict runs/mine map.tif --out masks --polygons gpkg --min-area 50",
    "fullconv predict model.onnx a.jpg b.jpg --out masks --confidence",
)
PSEUDO_LABEL = (
    "fullconv pseudo-label runs/mine photos --out labelled",
    "fullconv pseudo-label runs/mine photos --out labelled --confidence 0.8 --crf",
)
SECTIONS = {"What is written": "out", "Large images": "tile", "Better labels": "scales", "Machine": "device"}
"""Titles of the help, and the first option of each."""


@app.command(
    help_formatter=Help(*PREDICT, sections=SECTIONS),
    usage="Usage: fullconv predict MODEL IMAGES --out OUT [OPTIONS]",
)
def predict(
    model: Model,
    /,
    *images: Images,
    out: Path,
    overlay: bool = False,
    overlay_classes: str = "",
    probabilities: bool = False,
    confidence: bool = False,
    entropy: bool = False,
    instances: bool = False,
    polygons: Annotated[
        Literal["", "geojson", "gpkg", "coco", "labelme", "yolo", "qupath"], Parameter(show_choices=False)
    ] = "",
    tolerance: float = 1.0,
    min_area: int = 0,
    areas: Path | None = None,
    resume: bool = False,
    tile: int = 2048,
    overlap: int | None = None,
    exact: bool = False,
    level: int = 0,
    overviews: bool = False,
    scales: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    flip: bool = False,
    image_prior: bool = False,
    superpixels: bool = False,
    crf: bool = False,
    crf_with: str = "",
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
) -> int:
    """Write a mask STEM.png under --out for every image; STEM.tif for a raster: large, georeferenced, with nodata.

    Rasters (GeoTIFF, JPEG 2000, VRT, OME, slides) are read, labelled and written by window. Where a run is killed, the
    same command goes on with the rows that are missing.

    Parameters
    ----------
    model
        A model file, an exported .onnx or .xml, a run folder, or torchvision/NAME (downloaded once).
    images
        Image files, folders of them, or globs.
    out
        The folder for the masks.
    overlay
        Also write STEM.overlay.png, the classes' colours over the image and a legend below it.
    overlay_classes
        Paint these classes alone there: road,sidewalk.
    probabilities
        Also write STEM.npz with the float16 probabilities [classes, height, width].
    confidence
        Also write STEM.confidence.png, the probability of each pixel's class in bytes: value / 255 (0 only where a
        raster holds nothing).
    entropy
        Also write STEM.entropy.png, how undecided the model is in bytes: value / 255, where 0 is sure and 1 all classes
        alike (255 only where a raster holds nothing).
    instances
        Also write instances.json: the objects of all images with scores and masks (run lengths), as COCO's JSON. For
        models trained with --model maskrcnn.
    polygons
        geojson, gpkg, coco, labelme, yolo or qupath: also write the pieces of every class as polygons whose borders are
        shared, without gaps or overlaps:
        STEM.geojson (longitude and latitude for rasters with a CRS, else pixels; qupath: pixels), STEM.gpkg (map
        coordinates), STEM.json of LabelMe, STEM.txt of YOLO, or polygons.json of COCO for all images. Needs the extra
        polygons.
    tolerance
        Of polygons, in pixels: corners that cut off less than its square go; 0 keeps the borders of the pixels.
    min_area
        Of polygons, in pixels: smaller pieces become the neighbour with the longest shared border.
    areas
        Also write this CSV file: pixels, share, and where a raster has a projection square metres, by image and class.
    resume
        Leave out what an earlier run with the same model and options finished.
    tile
        Images larger than this go in tiles of this side, with bounded memory.
    overlap
        Overlap of neighbouring tiles in pixels; by default so much that labels are those of the whole image, but at
        most half a tile. Where that is not enough it is said; fullconv info MODEL shows how far the network sees.
    exact
        Let the tile grow where half of it is not enough: labels are those of the whole image. Networks
        that see all of an image cannot; it is said, and their scores are blended over the overlap, as always.
    level
        Which level of a pyramid (overview of a TIFF) to label: 0 is the full size.
    overviews
        Also write smaller copies into the TIFF files.
    scales
        Average the probabilities of the image at several scales of its sides: 0.5 0.75 1 1.25 1.5. Of rasters, of each
        tile.
    flip
        Average with those of the mirrored image, at every scale.
    image_prior
        Multiply by how probable each class is in the image as a whole, of a model that was trained with image tags.
        This, --superpixels and --crf, in this order, hold the probabilities of the whole image, whatever --tile.
    superpixels
        Let every superpixel have one class: needs the extra weak.
    crf
        Refine the masks with a fully connected CRF: edges follow the image, specks vanish.
    crf_with
        The same with other settings: appearance=3,colour_deviation=5,...
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    """
    refuse_alone(
        overlay=overlay, overlay_classes=bool(overlay_classes), polygons=bool(polygons), tolerance=tolerance,
        min_area=min_area, instances=instances, views=flip or tuple(scales or (1.0,)) != (1.0,), areas=areas,
        resume=resume,
    )  # fmt: skip
    import fullconv
    from fullconv.libraries import library

    for package in ("shapely", "rasterio") if polygons else ():
        library(package, "polygons")  # refused before PyTorch is loaded
    with starting():
        from fullconv.pretrained import load

        segmenter = load(model, device, precision, runner)
    with Bar("predict", device=str(segmenter.device)) as bar:

        def told(path: Path, error: str, some: int, every: int) -> None:
            if error:
                complain(error)
            bar(some, every)

        early: list[str] = []

        def noted(line: str) -> None:
            say(f"note: {line}")
            early.append(line)

        result = fullconv.predict(
            segmenter,
            images,
            out,
            overlay=overlay,
            overlay_classes=[name.strip() for name in overlay_classes.split(",")] if overlay_classes else None,
            probabilities=probabilities,
            confidence=confidence,
            entropy=entropy,
            instances=instances,
            polygons=polygons,
            tolerance=tolerance,
            min_area=min_area,
            areas=areas,
            tile=tile,
            overlap=overlap,
            exact=exact,
            views=fullconv.Views(tuple(scales or (1.0,)), flip),
            level=level,
            overviews=overviews,
            image_prior=image_prior,
            superpixels=fullconv.Superpixels() if superpixels else None,
            crf=fullconv.CRF.parse(crf_with) if crf or crf_with else None,
            resume=resume,
            progress=told,
            done=bar.rows,
            noted=noted,
        )
    before = f" beside {result.skipped} that were done before" if result.skipped else ""
    masks = len(result.written)
    say(f"{masks} mask{'s' * (masks != 1)} in {out}{before}, computed by {segmenter.runner}")
    for note in result.notes:
        if note not in early:
            say(f"  {note}")
    if result.failed:
        complain(f"{len(result.failed)} of {len(result.failed) + len(result.written)} images have no mask")
    return result.exit_code


@app.command(help_formatter=Help(*PSEUDO_LABEL), usage="Usage: fullconv pseudo-label MODEL DATA --out OUT [OPTIONS]")
def pseudo_label(
    model: Model,
    data: Data,
    /,
    *,
    out: Path,
    labels: Literal["auto", "boxes", "tags", "scribbles", "points"] = "auto",
    confidence: float = 0.5,
    image_prior: bool = False,
    superpixels: bool = False,
    crf: bool = False,
    crf_with: str = "",
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
) -> int:
    """Label the images of DATA that have no mask, and write all of DATA as a folder to train on.

    OUT holds images, masks (palette PNG), lists of splits, dataset.yaml and provenance.json, which says where the
    labels come from. Masks that are there already are copied. fullconv train OUT takes it as it is.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    data
        Data of which some or all images have no mask, or a folder of images.
    out
        The folder to make.
    labels
        What labels are held to: auto is what an image without a mask was annotated with. Boxes: outside is background,
        and inside no class but theirs; tags: no class but them; scribbles and points: those pixels are theirs. One of
        these kinds alone also labels train images that have a mask, as if they had only that.
    confidence
        Pixels whose class is less probable are void; 0 for none.
    image_prior
        Multiply by how probable each class is in the image as a whole, of a model that was trained with image tags.
        This, --superpixels, what labels are held to and --crf go in this order.
    superpixels
        Let every superpixel have one class: needs the extra weak.
    crf
        Refine the label maps with a fully connected CRF first.
    crf_with
        The same with other settings: appearance=3,colour_deviation=5,...
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    """
    refuse_existing(out, "folder for the pseudo-labels")
    import fullconv

    with starting():
        computing = computes_on(model, device)
    with Bar("pseudo-label", device=computing) as progress:
        done = fullconv.pseudo_label(
            model,
            data,
            out,
            labels=labels,
            confidence=confidence,
            image_prior=image_prior,
            superpixels=fullconv.Superpixels() if superpixels else None,
            crf=fullconv.CRF.parse(crf_with) if crf or crf_with else None,
            device=device,
            precision=precision,
            runner=runner,
            progress=progress,
        )
    say_data(done.source, done.reasons)
    for line in (*done.lines(), *done.notes):
        say(line if line.startswith(str(out)) else f"  {line}")
    return 0
