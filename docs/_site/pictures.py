"""The pictures of the docs, from built-in scenes: the commands of start.md, and photographs of the pages they write.

    python docs/_site/pictures.py FOLDER --minutes 15 --encoder-weights mobilenetv2.safetensors

FOLDER is where it works; what is there already is not made again. What stands behind it is added to the training. Pages
are photographed by Chromium.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

import fullconv
from fullconv.training.pictures import contact_sheet

DOCS = Path(__file__).parents[1]
OUT = DOCS / "pictures"
REVIEWED = "shapes:height=192,width=256,train=40,val=8,objects=3-6,occlusion=0.4,seed=5,mislabelled=0.05"
COLOURS = 255
WIDTH, REPORT, REVIEW = 1000, 900, 1100
CHECK = 0.6
"""Height of what start.md shows of check.png, of its width."""


def main(folder: Path, training: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for line in re.findall(r"^fullconv .*", (DOCS / "start.md").read_text(encoding="utf-8"), re.MULTILINE):
        words = shlex.split(line)
        if words[1] == "train":
            words = [*without(words, training), *training]
        if words[1] in ("evaluate", "predict") or not made(words):
            shutil.rmtree("masks", ignore_errors=words[1] != "predict" or not Path("masks").exists())
            subprocess.run(words, check=True)
    if not Path("doubtful").exists():
        subprocess.run(["fullconv", "convert", REVIEWED, "doubtful"], check=True)
    subprocess.run(["fullconv", "review", "runs/first", "doubtful", "--out", "review.html"], check=True)
    keep(sheet(), "sheet", WIDTH)
    keep(Image.open("runs/first/curves.png"), "curves", WIDTH)
    keep(overlays(), "overlay", WIDTH)
    check = Image.open(DOCS / "check.png")
    keep(check.crop((0, 0, check.width, round(CHECK * check.width))), "check", WIDTH, exact=True)
    for page, height in ("report", REPORT), ("review", REVIEW):
        keep(photograph(Path(f"{page}.html"), height), page, WIDTH, exact=page == "report")


def without(words: list[str], given: list[str]) -> list[str]:
    """A command without the options that are given anew."""
    for option in (word for word in given if word.startswith("--") and word in words):
        place = words.index(option)
        words = [*words[:place], *words[place + 2 :]]
    return words


def made(words: list[str]) -> bool:
    """Whether what a command writes is there."""
    out = words[words.index("--out") + 1] if "--out" in words else words[3]
    return Path(out).exists()


def sheet() -> Image.Image:
    """What a run draws, of three images."""
    spec = fullconv.open_dataset("my_data")
    segmenter = fullconv.load("runs/first/best.safetensors")
    return Image.fromarray(contact_sheet(segmenter, spec, spec.split("val")[:3], {}))


def overlays() -> Image.Image:
    """Three overlays beside each other."""
    files = sorted(Path("masks").glob("*.overlay.png"))[3:6]
    shown = [Image.open(file).convert("RGB") for file in files]
    result = Image.new(
        "RGB", (sum(one.width for one in shown) + 12 * (len(shown) - 1), max(o.height for o in shown)), "white"
    )
    place = 0
    for one in shown:
        result.paste(one, (place, 0))
        place += one.width + 12
    return result


def photograph(page: Path, height: int) -> Image.Image:
    program = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("no Chromium to photograph pages")
    shot = page.with_suffix(".png")
    asked = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    subprocess.run([program, *asked, f"--screenshot={shot}", page.resolve().as_uri()], check=True, capture_output=True)
    return Image.open(shot)


def keep(picture: Image.Image, name: str, width: int, exact: bool = False) -> None:
    """A picture no wider than ``width``, in few colours unless ``exact``, as the docs show it."""
    picture = picture.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    shown = picture if exact else picture.quantize(COLOURS, dither=Image.Dither.NONE)
    shown.save(OUT / f"{name}.png", optimize=True)
    print(f"{name}.png: {picture.width}x{picture.height}, {(OUT / f'{name}.png').stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
