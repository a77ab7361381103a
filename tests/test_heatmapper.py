from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.given import read_given
from fullconv.heatmapper import HeatMapper, combined, default_sizes
from fullconv.images.mask_reading import read_mask
from fullconv.images.pixels import read_image
from fullconv.spec import Preprocessing


@pytest.fixture(scope="module")
def mapper() -> HeatMapper:
    torch.manual_seed(0)
    return HeatMapper.load("resnet10t", "none", precision="fp32")


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_maps_are_summed_probabilities(mapper: HeatMapper) -> None:
    found = mapper.heat(picture(), ["dog", "domestic cat"], sizes=[(96, 128), (192, 256)])
    assert {size: m.shape for size, m in found.maps.items()} == {(96, 128): (3, 4), (192, 256): (6, 8)}
    classes = [*range(151, 269), *range(281, 286)]
    expected = mapper.probabilities(picture(), (96, 128))[classes].sum(0).numpy()
    np.testing.assert_allclose(found.maps[96, 128], expected, rtol=1e-6)
    assert found.combined.shape == (6, 8)
    assert found.enlarged().shape == (96, 128)


def test_combinations() -> None:
    maps = [np.full((2, 3), 0.01, np.float32), np.full((4, 6), 0.04, np.float32)]
    assert combined(maps, "geometric") == pytest.approx(np.full((4, 6), 0.02), rel=1e-5)
    assert combined(maps, "arithmetic") == pytest.approx(np.full((4, 6), 0.025), rel=1e-5)
    assert combined(maps, "max") == pytest.approx(np.full((4, 6), 0.04), rel=1e-5)
    with pytest.raises(UsageError, match="geometric, arithmetic or max, found 'median'"):
        combined(maps, "median")


def test_a_mirrored_image_has_the_mirrored_map_when_flips_are_averaged(mapper: HeatMapper) -> None:
    one = mapper.heat(picture(), "dog", sizes=[(128, 128)], flip=True).combined
    other = mapper.heat(picture()[:, ::-1].copy(), "dog", sizes=[(128, 128)], flip=True).combined
    np.testing.assert_allclose(one, other[:, ::-1], rtol=1e-3)


def test_mass_and_labels(mapper: HeatMapper) -> None:
    found = mapper.heat(picture(), "dog", sizes=[(128, 128)])
    assert found.mass_within(0, 0, 1, 1) == pytest.approx(1)
    halves = found.mass_within(0, 0, 1, 0.5), found.mass_within(0, 0.5, 1, 1)
    assert sum(halves) == pytest.approx(1)
    labels = found.labels(0.9999)
    assert labels.shape == (96, 128)
    assert labels.flat[found.enlarged().argmax()] == 1
    assert labels.sum() < found.labels(0.1).sum() == 96 * 128


def test_a_folder_gets_a_line_for_each_image_and_one_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for name in "abc":
        Image.fromarray(picture()).save(tmp_path / "photos" / f"{name}.png")
    command = ["heatmap", str(tmp_path / "photos"), "--synset", "dog", "--sizes", "64x96", "--encoder", "resnet10t"]
    assert run([*command, "--encoder-weights", "none", "--out", str(tmp_path / "maps")]) == 0
    said = capsys.readouterr()
    assert said.out.count("probably not there") == len(said.out.splitlines()) - 1 == 3
    (warning,) = said.err.splitlines()
    assert "warning: 3 of 3 images: no place reaches 0.5" in warning


def test_the_command_writes_pictures_and_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    command = ["heatmap", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--synset", "n02084071", "--sizes", "64x96"]
    command += ["128x192", "--encoder", "resnet10t", "--encoder-weights", "none", "--threshold", "0.5"]
    assert run([*command, "--out", str(tmp_path / "maps")]) == 3  # one file could not be read
    said = capsys.readouterr()
    assert "b.png: not an image" in said.err
    assert said.out.startswith("a.png: dog: at most 0.")
    assert "probably not there" in said.out  # its weights are random
    assert "a.png: no place reaches 0.5" in said.err
    with np.load(tmp_path / "maps" / "a.npz") as file:
        shapes = {name: file[name].shape for name in file}
    assert shapes == {"combined": (4, 6), "64x96": (2, 3), "128x192": (4, 6)}
    assert read_image(tmp_path / "maps" / "a.png").shape[1] > 4 * 300
    assert read_image(tmp_path / "maps" / "a.overlay.png").shape[1] >= 128
    assert set(np.unique(read_mask(tmp_path / "maps" / "a.labels.png").stored)) <= {0, 1}
    assert not (tmp_path / "maps" / "b.png").exists()


def test_the_sizes_of_an_image_are_told(mapper: HeatMapper, tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    told: list[tuple[str, int, int]] = []
    fullconv.heatmap(
        tmp_path / "a.png", "n02084071", mapper=mapper, sizes=[(64, 96), (128, 192)],
        part=lambda path, done, of: told.append((path.name, done, of)),
    )  # fmt: skip
    every = 64 * 96 + 128 * 192
    assert told == [("a.png", 0, every), ("a.png", 64 * 96, every), ("a.png", every, every)]


def test_default_sizes_keep_proportions_and_stay_bounded() -> None:
    assert default_sizes(1600, 2560) == [(400, 640), (800, 1280), (1600, 2560)]
    for height, width in ((300, 6000), (6000, 300)):
        for rows, columns in default_sizes(height, width):
            assert rows * columns <= 1.01 * 8_000_000
        assert columns / rows == pytest.approx(width / height, rel=0.05)


def test_a_picture_is_turned_as_its_file_says() -> None:
    image = Image.new("RGB", (60, 40))
    image.getexif()[0x0112] = 6
    assert read_given(image, Preprocessing()).shape == (60, 40, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--synset", "dogg"], "did you mean"),
        (["--synset", "dog", "--sizes", "64"], "HEIGHTxWIDTH"),
        (["--synset", "dog", "--sizes", "8x8"], "at least 32x32"),
        (["--synset", "dog", "--combine", "median"], "geometric, arithmetic or max"),
        (["--synset", "dog", "--threshold", "2"], "0 to 1"),
    ],
)
def test_bad_usage_ends_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    command = ["heatmap", str(tmp_path / "a.png"), "--encoder", "resnet10t", "--encoder-weights", "none"]
    assert run([*command, *arguments, "--out", str(tmp_path / "maps")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "maps").exists()


def test_the_dog_and_the_cats(shared: Path) -> None:
    """The seed's picture at the seed's sizes: the maximum and most of the mass lie on the animal."""
    weights = str(shared / "weights/mobilenetv2_100-imagenet.safetensors")
    options = {"encoder": "mobilenetv2_100", "encoder_weights": weights, "precision": "fp32"}
    sizes = [(400, 640), (800, 1280), (1600, 2560)]
    dog = fullconv.heatmap(shared / "data/heatmap/dog.jpg", "n02084071", sizes=sizes, **options)[0]
    assert [m.shape for m in dog.maps.values()] == [(13, 20), (25, 40), (50, 80)]
    assert dog.mass_within(0.38, 0.43, 0.94, 0.645) >= 0.45
    row, column = np.unravel_index(dog.combined.argmax(), dog.combined.shape)
    assert 0.38 <= (row + 0.5) / 50 <= 0.94
    assert 0.43 <= (column + 0.5) / 80 <= 0.645
    cats = fullconv.heatmap(shared / "data/heatmap/twocats.jpg", "n02121808", **options)[0]
    assert cats.mass_within(0.08, 0, 0.78, 0.95) >= 0.93


def test_an_unknown_synset_is_refused_before_weights_are_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(HeatMapper, "load", lambda *_, **__: pytest.fail("weights were asked for"))
    assert run(["heatmap", str(tmp_path / "a.png"), "--synset", "doog", "--out", str(tmp_path / "out")]) == 2
    assert "did you mean" in capsys.readouterr().err
