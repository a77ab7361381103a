"""The loss of a set of queries: each class of an image is given to one of them, which learns its class and mask.

Sources: Carion et al., arXiv:2005.12872, section 3.1 (matching); Cheng et al., arXiv:2112.01527, sections 3.3 and 4.1
(losses at sampled points, their weights); Kirillov et al., arXiv:1912.08193, section 3.1 (where it is uncertain).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fullconv.models.eomt import STRIDE, Queries
from fullconv.training.ranks import Ranks

CLASS, MASK, DICE = 2.0, 5.0, 5.0
"""Weights of the parts."""
NONE = 0.1
"""Weight of queries that are given nothing."""
POINTS = 12544
"""At so many points of an image masks are compared; of one smaller than 224x224 at one for every four pixels."""
TRIED, UNCERTAIN = 3, 0.75
"""Of so many times the points those that are nearest to a mask's border are taken, as this share of all."""


class Given(NamedTuple):
    """Pairs over a batch: of each the image, the query and the class that it is given, int64 ``[m]``."""

    image: Tensor
    query: Tensor
    label: Tensor


def set_loss(layers: Sequence[Queries], labels: Tensor, ignore_index: int, ranks: Ranks) -> Tensor:
    """The sum over the layers, a scalar whose mean over the ranks is that of the batch; void teaches nothing.

    Args:
        layers: what the queries say, before each block and at the end.
        labels: ids ``n H W``.
        ignore_index: of void.
    """
    count = layers[0].classes.shape[2] - 1
    with torch.no_grad():
        seen = torch.stack([(labels == one).flatten(1).any(1) for one in range(count)], 1)
        present = [row.nonzero()[:, 0] for row in seen.cpu()]
        given = match(layers, labels, present, ignore_index)
    total = ranks.mean(torch.tensor(float(sum(map(len, present))), device=labels.device)).clamp(min=1)
    bare = torch.tensor([len(one) == 0 for one in present], device=labels.device)
    loss = layers[0].masks.new_zeros((), dtype=torch.float32)
    for layer, pairs in zip(layers, given, strict=True):
        loss = loss + CLASS * class_loss(layer.classes.float(), pairs, bare)
        mask, dice = mask_losses(layer.masks.float(), pairs, labels, ignore_index)
        loss = loss + (MASK * mask + DICE * dice) / total
    return loss


@torch.no_grad()
def match(
    layers: Sequence[Queries], labels: Tensor, present: Sequence[Tensor], ignore_index: int
) -> list[Given]:  # fmt: skip
    """Of each layer who is given what: the cheapest assignment, by class, mask and overlap at random points.

    Args:
        present: the classes of each image, on the CPU.
    """
    costs: list[list[Tensor]] = [[] for _ in layers]
    for image, classes in enumerate(present):
        where = torch.rand(1, _points(labels), 2, device=labels.device)
        known = labels_at(labels[image : image + 1], where)[0]
        valid = (known != ignore_index).float()
        classes = classes.to(labels.device)
        truth = (known == classes[:, None]).float()
        for rows, layer in zip(costs, layers, strict=True):
            x = at(layer.masks[image : image + 1].float(), where, labels.shape)[0]
            chance = layer.classes[image].float().softmax(1)
            rows.append(_cost(x, truth, valid) - CLASS * chance[:, classes])
    flat = torch.cat([cost.flatten() for rows in costs for cost in rows]).cpu()  # one wait for all
    pieces = iter(flat.split([cost.numel() for rows in costs for cost in rows]))
    result = []
    for rows in costs:
        pairs: list[tuple[int, int, int]] = []
        for image, (cost, classes) in enumerate(zip(rows, present, strict=True)):
            chosen, kinds = linear_sum_assignment(next(pieces).reshape(cost.shape).nan_to_num(1e6, 1e6, -1e6).numpy())
            pairs += [(image, int(q), int(classes[k])) for q, k in zip(chosen, kinds, strict=True)]
        table = torch.tensor(pairs, dtype=torch.int64, device=labels.device).reshape(-1, 3)
        result.append(Given(*table.T))
    return result


def _cost(x: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Of each query, with logits ``x [q, k]`` at points, for each of some masks ``[m, k]``: ``[q, m]``."""
    inside, outside = truth * valid, (1 - truth) * valid
    mask = (F.softplus(-x) @ inside.T + F.softplus(x) @ outside.T) / valid.sum().clamp(min=1)
    chance = x.sigmoid() * valid
    dice = 1 - (2 * chance @ inside.T + 1) / (chance.sum(1)[:, None] + inside.sum(1) + 1)
    return MASK * mask + DICE * dice


def class_loss(classes: Tensor, given: Given, bare: Tensor) -> Tensor:
    """Weighted cross-entropy over the queries; images without a labelled pixel (``bare``, bool ``[n]``) teach nothing.

    Args:
        classes: logits ``n q classes + 1``.
    """
    count = classes.shape[2] - 1
    wanted = torch.full(classes.shape[:2], count, device=classes.device)
    wanted[given.image, given.query] = given.label
    wanted[bare] = -100
    weight = classes.new_ones(count + 1)
    weight[-1] = NONE
    loss = F.cross_entropy(classes.transpose(1, 2), wanted, weight, reduction="sum")
    return loss / weight[wanted.clamp(min=0)][~bare].sum().clamp(min=NONE)


def mask_losses(masks: Tensor, given: Given, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice loss of the masks that are given something, summed over them, at sampled points.

    Args:
        masks: logits ``n q h w``.
    """
    if not len(given.image):
        return masks.sum() * 0, masks.sum() * 0
    mine = masks[given.image, given.query][:, None]
    where = uncertain_points(mine.detach(), labels)
    x = at(mine, where, labels.shape)[:, 0]
    known = labels_at(labels[given.image], where)
    valid, truth = (known != ignore_index).float(), (known == given.label[:, None]).float()
    cross = F.binary_cross_entropy_with_logits(x, truth, reduction="none")
    mask = ((cross * valid).sum(1) / valid.sum(1).clamp(min=1)).sum()
    chance = x.sigmoid() * valid
    dice = 1 - (2 * (chance * truth).sum(1) + 1) / (chance.sum(1) + (truth * valid).sum(1) + 1)
    return mask, dice.sum()


@torch.no_grad()
def uncertain_points(masks: Tensor, labels: Tensor) -> Tensor:
    """Points of each of some masks ``m 1 h w``: most of them near its border, others anywhere, ``m k 2``."""
    count = _points(labels)
    near = int(UNCERTAIN * count)
    tried = torch.rand(len(masks), TRIED * count, 2, device=masks.device)
    best = at(masks, tried, labels.shape)[:, 0].abs().topk(near, 1, largest=False).indices
    chosen = tried.gather(1, best[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, torch.rand(len(masks), count - near, 2, device=masks.device)], 1)


def at(maps: Tensor, where: Tensor, labels: Sequence[int]) -> Tensor:
    """Values ``n c k`` of maps ``n c h w`` at points of the images, bilinear.

    Args:
        where: ``n k 2``, x and y as shares of the image's width and height.
        labels: ``n H W``, the size of the images, which begin where the maps do and may end earlier.
    """
    height, width = (STRIDE * side for side in maps.shape[-2:])
    share = where.new_tensor([labels[-1] / width, labels[-2] / height])
    return F.grid_sample(maps, 2 * (where * share)[:, None] - 1, align_corners=False, padding_mode="border")[:, :, 0]


def labels_at(labels: Tensor, where: Tensor) -> Tensor:
    """The ids ``n k`` of the pixels in which points lie."""
    height, width = labels.shape[-2:]
    x = (where[..., 0] * width).long().clamp(max=width - 1)
    y = (where[..., 1] * height).long().clamp(max=height - 1)
    return labels.flatten(1).gather(1, y * width + x)


def _points(labels: Tensor) -> int:
    return min(POINTS, -(-labels.shape[-2] * labels.shape[-1] // 4))
