"""Five ways to double an image: what stands between coarse logits and pixels, seen on pictures.

    python examples/02_upsampling.py TRAIN_FOLDER TEST_IMAGE --out upsampling.png

Every image is halved (the mean of 2x2 pixels) and doubled again: by nearest neighbour, bilinear and bicubic
interpolation, by a transposed convolution that holds the bilinear weights, and by the same convolution after it has
learned from the images of TRAIN_FOLDER. Prints the peak signal-to-noise ratio of each on TEST_IMAGE and draws a detail.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn

from fullconv.formats.read import image_files
from fullconv.images.pixels import read_image
from fullconv.ops import bilinear_kernel

KERNEL, STEPS, PATCHES, PATCH = 4, 1500, 8, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--out", type=Path, default=Path("upsampling.png"))
    options = parser.parse_args()
    torch.manual_seed(0)
    image = tensor(options.test)
    coarse = halved(image)
    learned = learn(large_enough(tensor(path) for path in image_files(options.train)[:50]))
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "nearest": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        "transposed, bilinear": doubling(),
        "transposed, learned": learned,
    }
    found = {}
    with torch.inference_mode():
        for name, way in ways.items():
            found[name] = way(coarse).clamp(0, 1)
            error = (found[name] - image)[..., 4:-4, 4:-4].square().mean()
            print(
                f"{name:22s} {tuple(coarse.shape[2:])} -> {tuple(found[name].shape[2:])}  {-10 * error.log10():.2f} dB"
            )
    draw({"original": image, **found}, options.out)
    print(options.out)


def doubling() -> nn.ConvTranspose2d:
    """A transposed convolution of stride 2 that starts as bilinear interpolation."""
    layer = nn.ConvTranspose2d(3, 3, KERNEL, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel(3, 3, KERNEL))
    return layer


def learn(images: list[Tensor]) -> nn.ConvTranspose2d:
    """The same after learning to undo :func:`halved`."""
    layer = doubling()
    optimizer = torch.optim.Adam(layer.parameters(), 1e-3)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / STEPS)
        chosen = [images[int(k)] for k in torch.randint(0, len(images), (PATCHES,))]
        patch = torch.cat([cut(image) for image in chosen])
        loss = (layer(halved(patch)) - patch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layer


def cut(image: Tensor) -> Tensor:
    """A random square at even coordinates."""
    top, left = (2 * int(torch.randint(0, (side - PATCH) // 2, ())) for side in image.shape[2:])
    return image[:, :, top : top + PATCH, left : left + PATCH]


def large_enough(images: Iterable[Tensor]) -> list[Tensor]:
    """Those that hold a patch."""
    found = [image for image in images if min(image.shape[2:]) > PATCH + 2]
    if not found:
        raise SystemExit(f"no training image is larger than {PATCH}x{PATCH}")
    return found


def tensor(path: Path) -> Tensor:
    """An image as float32 ``1 3 h w`` from 0 to 1, its sides even."""
    pixels = torch.from_numpy(read_image(path, 3)).permute(2, 0, 1)[None] / 255
    return pixels[:, :, : pixels.shape[2] // 2 * 2, : pixels.shape[3] // 2 * 2]


def halved(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 2)


def draw(pictures: dict[str, Tensor], out: Path) -> None:
    """The middle of each picture, enlarged so that its pixels are seen."""
    side, shown, header = 48, 240, 20
    sheet = Image.new("RGB", (len(pictures) * (shown + 6) + 6, shown + header + 6), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(pictures.items()):
        top, left = (picture.shape[2] - side) // 2, (picture.shape[3] - side) // 2
        detail = picture[0, :, top : top + side, left : left + side].permute(1, 2, 0).numpy()
        square = Image.fromarray((255 * detail).round().astype(np.uint8)).resize(
            (shown, shown), Image.Resampling.NEAREST
        )
        sheet.paste(square, (6 + column * (shown + 6), header))
        pen.text((6 + column * (shown + 6), 4), name, fill="black")
    sheet.save(out)


if __name__ == "__main__":
    main()
