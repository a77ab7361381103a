"""The loss of sets of queries against plain loops; EoMT trained end to end."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor

import fullconv
from fullconv.errors import DataError, UsageError
from fullconv.models import build_model
from fullconv.models.eomt import Queries
from fullconv.ops import upsample_argmax
from fullconv.training import set_loss as module
from fullconv.training.query_masks import held
from fullconv.training.ranks import Ranks
from fullconv.training.set_loss import Given, class_loss, labels_at, mask_losses, match, set_loss

VOID = 255


def scene() -> tuple[Queries, Tensor]:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 4, 6)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels[0][labels[0] == 1] = VOID
    return Queries(torch.randn(2, 4, 4), torch.randn(2, 4, 4, 6)), labels


def every_pixel(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x + 0.5) / width, (y + 0.5) / height], -1).reshape(1, -1, 2)


def test_labels_at_points_are_those_of_their_pixels() -> None:
    labels = torch.arange(12).reshape(1, 3, 4)
    assert torch.equal(labels_at(labels, every_pixel(3, 4)), labels.flatten(1))


def test_mask_losses_at_every_pixel_are_those_of_the_enlarged_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, labels = scene()
    labels = labels[:, :14, :21]  # the image ends before its map does
    given = Given(torch.tensor([0, 0, 1]), torch.tensor([2, 1, 3]), torch.tensor([0, 2, 1]))
    where = every_pixel(14, 21)
    monkeypatch.setattr(module, "uncertain_points", lambda masks, _: where.expand(len(masks), -1, -1))
    cross, dice = mask_losses(layer.masks, given, labels, VOID)
    expected_cross, expected_dice = 0.0, 0.0
    for image, query, label in zip(*given, strict=True):
        large = F.interpolate(layer.masks[image, query][None, None], scale_factor=4, mode="bilinear")[0, 0, :14, :21]
        valid = labels[image] != VOID
        x, t = large[valid], (labels[image] == label)[valid].float()
        expected_cross += F.binary_cross_entropy_with_logits(x, t)
        expected_dice += 1 - (2 * (x.sigmoid() * t).sum() + 1) / (x.sigmoid().sum() + t.sum() + 1)
    torch.testing.assert_close(cross, expected_cross)
    torch.testing.assert_close(dice, expected_dice)


def test_the_cheapest_of_all_assignments(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, labels = scene()
    present = [torch.tensor([0, 2]), torch.tensor([0, 1, 2])]
    seen: list[Tensor] = []
    plain = module.linear_sum_assignment

    def noted(cost: object) -> object:
        seen.append(torch.as_tensor(cost))
        return plain(cost)

    monkeypatch.setattr(module, "linear_sum_assignment", noted)
    (given,) = match([layer], labels, present, VOID)
    for image, (cost, classes) in enumerate(zip(seen, present, strict=True)):
        mine = given.image == image
        found = sum(
            float(cost[q, classes.tolist().index(int(k))])
            for q, k in zip(given.query[mine], given.label[mine], strict=True)
        )
        least = min(
            sum(float(cost[q, m]) for m, q in enumerate(order)) for order in permutations(range(4), len(classes))
        )
        assert found == pytest.approx(least, rel=1e-5)


def test_class_loss_weighs_what_is_given_nothing() -> None:
    layer, _ = scene()
    given = Given(torch.tensor([0, 1]), torch.tensor([2, 0]), torch.tensor([1, 0]))
    wanted = torch.full((2, 4), 3)
    wanted[0, 2], wanted[1, 0] = 1, 0
    expected = F.cross_entropy(layer.classes.flatten(0, 1), wanted.flatten(), torch.tensor([1.0, 1.0, 1.0, 0.1]))
    torch.testing.assert_close(class_loss(layer.classes, given, torch.tensor([False, False])), expected)


def test_void_teaches_nothing() -> None:
    ranks = Ranks(Fabric(accelerator="cpu", devices=1))
    layer, labels = scene()
    masks = layer.masks.clone().requires_grad_()
    labels[0] = VOID
    loss = set_loss([Queries(layer.classes, masks)], labels, VOID, ranks)
    loss.backward()
    assert loss > 0
    assert masks.grad is not None
    assert not masks.grad[0].any()
    assert masks.grad[1].any()
    nothing = set_loss([layer], torch.full_like(labels, VOID), VOID, ranks)
    assert nothing == 0


def test_attention_is_freed_block_by_block() -> None:
    """The published steps for ADE20K, of 26,536."""
    starts, ends = (3317, 8292, 13268, 18243), (6634, 11609, 16585, 21560)
    assert held(0, 26536, 4) == (1.0,) * 4
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        assert held(start - 1, 26536, 4)[index] == 1
        assert held(end + 1, 26536, 4)[index] == 0
        assert held((start + end) // 2, 26536, 4)[index] == pytest.approx(0.5**0.9, abs=1e-3)
    assert held(99, 100, 3)[-1] == 0
    assert all(map(math.isfinite, held(0, 1, 1)))


def test_it_learns_two_images() -> None:
    torch.manual_seed(0)
    network = build_model("eomt", 3, "test_vit", model_args={"queries": 6}).network.train()
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[0, :, 16:], labels[1, 16:] = 1, 2
    pixels = F.one_hot(labels, 3).permute(0, 3, 1, 2).float() + 0.1 * torch.randn(2, 3, 32, 32)
    ranks = Ranks(Fabric(accelerator="cpu", devices=1))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for step in range(40):
        loss = set_loss(network(pixels, masked=held(step, 40, network.query_blocks)), labels, VOID, ranks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        found = upsample_argmax(network.eval()(pixels), (32, 32))
    assert (found == labels).float().mean() > 0.9


def test_a_run_starts_from_one_of_other_classes(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    def data(name: str, classes: str) -> Path:
        root = make_folder(4, (32, 32), name)
        (root / "dataset.yaml").write_text(f"classes: [{classes}]\n", encoding="utf-8")
        return root

    options: dict[str, Any] = {
        "model": "eomt", "encoder": "test_vit", "model_args": {"queries": 8}, "epochs": 1, "batch_size": 4,
        "workers": 0, "precision": "fp32", "quiet": True, "check": False,
    }  # fmt: skip
    run = fullconv.train(data("one", "background, disc, square, triangle, ring"), tmp_path / "first", **options)
    assert 0 < run.scores["mean_iou"] <= 1
    options.pop("model_args")
    options.pop("encoder")
    again = fullconv.train(
        data("two", "background, ring, square, other, disc"), tmp_path / "second", init_from=str(run.path), **options
    )  # fmt: skip
    listing = (again.path / "weights.txt").read_text(encoding="utf-8")
    assert "ring: 4 -> 1" in listing
    assert "other: new, 3" in listing
    assert "triangle: left out" in listing
    assert "by class class_head.weight" in listing
    assert "copied   none_head.weight" in listing


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": "dice"}, UsageError, "has losses of its own; leave out --loss"),
        ({"labels": "tags"}, (UsageError, DataError), "learns from masks, found"),
    ],
)
def test_what_it_cannot_learn_from(options: dict[str, str], error: type, words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        fullconv.train("shapes", tmp_path / "run", model="eomt", encoder="test_vit", quiet=True, **options)
