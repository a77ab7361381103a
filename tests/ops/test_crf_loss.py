"""The CRF loss against its formula: W as a dense matrix in float64, the gradient by autograd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.geometry import Window
from fullconv.ops import crf_loss as module
from fullconv.ops import dense_crf_loss
from fullconv.ops.cpu.lattice import filter_all

CAMVID = Path(__file__).parents[3] / "shared" / "data" / "camvid" / "train"
WINDOWS = [None, Window(0, 0, 24, 32), Window(3, 5, 32, 40), Window(1.5, 0.25, 31.5, 33.75), Window(0, 0, 21.0, 27.5)]


def formula(
    logits: Tensor,
    image: Tensor,
    window: Window | None = None,
    inside: Tensor | None = None,
    colour: float = 15.0,
    position: float = 100.0,
) -> Tensor:
    """Pixel by pixel: who covers what, then every place with every other."""
    height, width = logits.shape[-2:]
    size = image.shape[-2:]
    window = window or Window(0, 0, *size)
    losses = []
    for n in range(len(image)):
        top, below, left, right = inside[n].tolist() if inside is not None else (0, size[0], 0, size[1])
        cell = (window.height / height, window.width / width)
        share, features = torch.zeros(height * width, dtype=torch.float64), []
        for i in range(height):
            for j in range(width):
                total, area = torch.zeros(3, dtype=torch.float64), 0.0
                for y in range(top, below):
                    tall = min((i + 1) * cell[0], window.top + y + 1) - max(i * cell[0], window.top + y)
                    for x in range(left, right) if tall > 0 else ():
                        broad = min((j + 1) * cell[1], window.left + x + 1) - max(j * cell[1], window.left + x)
                        if broad > 0:
                            total += image[n, :, y, x].double() * tall * broad
                            area += tall * broad
                share[i * width + j] = area / (cell[0] * cell[1])
                place = [j * cell[1] / position, i * cell[0] / position]
                features.append([*place, *(total / (area or 1) / colour).tolist()])
        x = torch.tensor(features, dtype=torch.float64)
        weight = (-((x[:, None] - x) ** 2).sum(2) / 2).exp() * torch.outer(share, share)
        s = logits[n].double().softmax(0).flatten(1)
        losses.append((s @ weight * (1 - s)).sum() / weight.sum() if weight.sum() else (s * 0).sum())
    return torch.stack(losses).mean()


def scene(height: int, width: int, images: int = 1, seed: int = 0) -> Tensor:
    """Blobs of colour with noise, uint8 ``n 3 H W``."""
    random = np.random.default_rng(seed)
    blobs = random.integers(0, 220, (images, 3, -(-height // 6), -(-width // 6))).repeat(6, 2).repeat(6, 3)
    noise = random.integers(0, 30, (images, 3, height, width))
    return torch.from_numpy((blobs[:, :, :height, :width] + noise).astype(np.uint8))


def scores(images: int, classes: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(images, classes, height, width, dtype=torch.float64) * 2).to(dtype).requires_grad_()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("inside", [None, torch.tensor([(2, 11, 3, 17), (0, 20, 0, 26)])])
def test_is_the_formula(window: Window | None, inside: Tensor | None) -> None:
    image, logits = scene(20, 26, 2), scores(2, 3, 4, 6)
    for colour, position in ((15.0, 100.0), (60.0, 8.0)):
        found = dense_crf_loss(
            logits, image, crop=window, inside=inside, colour_deviation=colour, position_deviation=position
        )
        expected = formula(logits, image, window, inside, colour, position)
        assert 0.1 < expected.item() < 1
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(torch.autograd.grad(found, logits), torch.autograd.grad(expected, logits))


def test_gradcheck() -> None:
    image, logits = scene(12, 16, 2), scores(2, 3, 3, 4)
    inside = torch.tensor([(0, 12, 0, 16), (1, 6, 2, 9)])
    assert torch.autograd.gradcheck(lambda x: dense_crf_loss(x, image, inside=inside), logits)


def test_the_exact_filter_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    image, logits = scene(20, 26, 2), scores(2, 3, 5, 6)
    whole = dense_crf_loss(logits, image)
    monkeypatch.setattr(module, "PART_BYTES", 2 * 30 * 8 * 7)  # seven of thirty rows at a time
    torch.testing.assert_close(dense_crf_loss(logits, image), whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_of_training(dtype: torch.dtype) -> None:
    image, logits = scene(20, 26), scores(1, 3, 5, 6, dtype)
    found = dense_crf_loss(logits, image)
    expected = formula(logits.detach(), image)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.detach(), expected.float(), rtol=1e-5, atol=0)
    exact = logits.detach().double().requires_grad_()
    (slope,), (ours,) = torch.autograd.grad(formula(exact, image), exact), torch.autograd.grad(found * 3, logits)
    assert ours.dtype == dtype
    tolerance = max(1e-5, torch.finfo(dtype).eps)
    torch.testing.assert_close(ours.double(), 3 * slope, rtol=tolerance, atol=tolerance * float(slope.abs().max()))


def test_images_of_a_batch_do_not_see_each_other() -> None:
    image, logits = scene(60, 80, 3), scores(3, 4, 30, 40, torch.float32)
    assert module.EXACT_PLACES < 30 * 40
    alone = torch.stack([dense_crf_loss(logits[i : i + 1], image[i : i + 1]) for i in range(3)]).mean()
    torch.testing.assert_close(dense_crf_loss(logits, image), alone)


def test_what_lies_outside_has_no_part() -> None:
    """Neither colours nor scores, of padding and of places beside the window; also on the lattice."""
    image, logits = scene(96, 128, 2), scores(2, 4, 36, 48, torch.float32)
    inside, window = torch.tensor([(9, 96, 0, 77), (0, 0, 0, 0)]), Window(12, 0, 108, 144)
    other, noise = scene(96, 128, 2, seed=1), torch.randn_like(logits) * 9
    other[0, :, 9:, :77] = image[0, :, 9:, :77]
    found = dense_crf_loss(logits, image, crop=window, inside=inside)
    gradient = torch.autograd.grad(found, logits)[0]
    touched = gradient[0].abs().amax(0) > 0
    assert touched[7:, :26].all()  # row 9 is row 21 of the enlarged map, whose places have 3 rows
    assert not touched[:7].any()
    assert not touched[:, 26:].any()
    assert not gradient[1].any()
    changed = torch.where(touched | (gradient[1:] > 9), logits, noise)
    torch.testing.assert_close(dense_crf_loss(changed, other, crop=window, inside=inside), found)
    nothing = dense_crf_loss(logits, image, inside=torch.zeros(2, 4, dtype=torch.int64))
    assert nothing == 0
    assert not torch.autograd.grad(nothing, logits)[0].any()


@pytest.mark.parametrize("stride", [4, 8])
def test_the_lattice_is_near_the_exact_filter_on_a_photograph(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/less.md states how near. The probabilities follow the image, as a trained network's do."""
    files = sorted(CAMVID.glob("*.png"))
    if not files:
        pytest.skip("needs the shared CamVid")
    image = torch.from_numpy(np.asarray(Image.open(files[0]).convert("RGB"))[:240, :320].copy()).permute(2, 0, 1)[None]
    grey = torch.nn.functional.avg_pool2d(image.float().mean(1, keepdim=True), stride)
    blurred = torch.nn.functional.avg_pool2d(grey, 5, 1, 2)
    centres = torch.linspace(30, 220, 6)[:, None, None]
    logits = (-(((blurred - centres) / 40) ** 2) + torch.randn(1, 6, *grey.shape[-2:]) / 2).requires_grad_()
    near = dense_crf_loss(logits, image)
    slope = torch.autograd.grad(near, logits)[0]
    monkeypatch.setattr(module, "EXACT_PLACES", 10**9)
    exact = dense_crf_loss(logits, image)
    expected = torch.autograd.grad(exact, logits)[0]
    assert not torch.equal(slope, expected)
    assert abs(near.item() / exact.item() - 1) < 0.1
    assert torch.cosine_similarity(slope.flatten(), expected.flatten(), 0) > 0.99
    assert (slope - expected).norm() < 0.15 * expected.norm()


def test_a_second_run_gives_the_same_bits() -> None:
    """Also in threads; with another number of them PyTorch's softmax may round otherwise, the lattice does not."""
    image, logits = scene(60, 80, 3), scores(3, 4, 30, 40, torch.float32)
    points, values = torch.randn(3, 1200, 5).numpy(), torch.rand(3, 1200, 4).numpy()
    threads, found, filtered = torch.get_num_threads(), [], []
    try:
        for count in (2, 2, 1):
            torch.set_num_threads(count)
            loss = dense_crf_loss(logits, image)
            found.append((loss.detach(), torch.autograd.grad(loss, logits)[0]))
            filtered.append(filter_all(points, values))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    torch.testing.assert_close(found[2], found[0])
    assert np.array_equal(filtered[0], filtered[1])
    assert np.array_equal(filtered[0], filtered[2])


def test_agreeing_with_the_image_costs_less() -> None:
    """Two flat colours, named each by its own class, cost nothing; one place with the wrong name does."""
    image = torch.full((1, 3, 32, 32), 20, dtype=torch.uint8)
    image[:, :, :, 16:] = 220
    right = torch.zeros(1, 2, 8, 8)
    right[0, 0, :, :4], right[0, 1, :, 4:] = 50, 50
    wrong = right.clone()
    wrong[0, :, 3, 1] = right[0, :, 3, 6]
    across = right.mT.contiguous()
    assert dense_crf_loss(right, image) < 1e-6
    assert dense_crf_loss(right, image) < dense_crf_loss(wrong, image) < dense_crf_loss(across, image)
    softer = (wrong / 25).requires_grad_()
    slope = torch.autograd.grad(dense_crf_loss(softer, image), softer)[0]
    assert slope[0, 0, 3, 1] < 0 < slope[0, 1, 3, 1]  # a step against it names the place as its neighbours are


def test_one_and_many_channels() -> None:
    image, logits = scene(20, 26), scores(1, 3, 5, 6)
    grey = image[:, :1]
    torch.testing.assert_close(
        dense_crf_loss(logits, grey), dense_crf_loss(logits, grey.expand(-1, 3, -1, -1).contiguous())
    )
    torch.testing.assert_close(dense_crf_loss(logits, torch.cat([image, grey], 1)), dense_crf_loss(logits, image))
    torch.testing.assert_close(dense_crf_loss(logits, image.float()), dense_crf_loss(logits, image))


def test_nan_scores_are_not_hidden() -> None:
    image, logits = scene(60, 80), scores(1, 4, 30, 40, torch.float32).detach()
    logits[0, 1, 4, 4] = float("nan")
    assert dense_crf_loss(logits, image).isnan()


def test_a_second_derivative_is_refused() -> None:
    image, logits = scene(20, 26), scores(1, 3, 5, 6)
    (slope,) = torch.autograd.grad(dense_crf_loss(logits, image), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        slope.sum().backward()


def test_refuses() -> None:
    image, logits = scene(20, 26), scores(1, 3, 5, 6)
    for words, scores_, image_, more in [
        ("n c h w", logits[0], image, {}),
        ("n c h w", logits, torch.cat([image, image]), {}),
        ("not be empty", logits, image[:, :, :0], {}),
        ("0 to 255", logits, image.long(), {}),
        ("inside of shape", logits, image, {"inside": torch.zeros(2, 4)}),
        ("above 0", logits, image, {"colour_deviation": 0}),
        ("above 0", logits, image, {"position_deviation": float("nan")}),
        ("finite and not empty", logits, image, {"crop": Window(0, 0, 0, 4)}),
    ]:
        with pytest.raises(ValueError, match=words):
            dense_crf_loss(scores_, image_, **more)
    many = scores(1, 2, 40, 40, torch.float32)
    with pytest.raises(UsageError, match="so small"):
        dense_crf_loss(many, scene(40, 40), colour_deviation=1e-3, position_deviation=1e-3)
