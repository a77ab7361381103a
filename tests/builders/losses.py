"""Problems for the losses, and what plain PyTorch says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from hypothesis import strategies as st
from torch import Tensor

from fullconv.geometry import Window

Loss = Callable[..., Tensor]


def value_and_gradient(loss: Loss, logits: Tensor, labels: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    leaf = logits.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(leaf, labels, **options)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def plain_cross_entropy(logits: Tensor, labels: Tensor, **options: Any) -> Tensor:
    """PyTorch's own two functions, in float64; a window by ``grid_sample``."""
    crop, align = options.pop("crop", None), options.pop("align_corners", False)
    if options.get("weight") is not None:
        options["weight"] = options["weight"].double()
    full = enlarged(logits.double(), (labels.shape[-2], labels.shape[-1]), crop, align)
    return F.cross_entropy(full, labels.long(), **{"ignore_index": 255, **options})


def enlarged(logits: Tensor, size: tuple[int, int], crop: Window | None, align: bool) -> Tensor:
    if crop is None:
        return F.interpolate(logits, size, mode="bilinear", align_corners=align)
    y = 2 * (torch.arange(size[0], dtype=logits.dtype) + crop.top + 0.5) / crop.height - 1
    x = 2 * (torch.arange(size[1], dtype=logits.dtype) + crop.left + 0.5) / crop.width - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).expand(logits.shape[0], -1, -1, -1)
    return F.grid_sample(logits, grid.to(logits.device), padding_mode="border", align_corners=False)


def assert_same(got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(got[0].double(), expected[0].double(), rtol=tolerance, atol=1e-6)
    largest = float(expected[1].abs().max())
    torch.testing.assert_close(got[1].double(), expected[1].double(), rtol=tolerance, atol=tolerance * largest)


@st.composite
def problems(draw: st.DrawFn, most: int = 40) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Coarse logits of any layout and dtype, larger labels with ignored regions, and options."""
    n, c = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 5, 17, 40]))
    large = most > 9 and draw(st.sampled_from([False] * 9 + [True]))  # several blocks of columns, many tasks
    h, w = draw(st.integers(1, 40 if large else 9)), draw(st.integers(1, 170 if large else most))
    torch.manual_seed(draw(st.integers(0, 2**30)))
    logits = torch.randn(n, c, h, w) * draw(st.sampled_from([0.1, 3, 60]))
    layout = draw(st.sampled_from(["contiguous", "channels_last", "sliced", "transposed"]))
    if layout == "channels_last":
        logits = logits.contiguous(memory_format=torch.channels_last)
    elif layout == "sliced":
        logits = torch.randn(n, c, h + 2, 2 * w)[:, :, 1:-1, ::2]
    elif layout == "transposed":
        logits = torch.randn(n, c, w, h).transpose(2, 3)
    logits = logits.to(draw(st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.float16])))
    options: dict[str, Any] = {"align_corners": draw(st.booleans())}
    stride = draw(st.sampled_from([1, 2] if large else [1, 2, 4, 8]))
    kind = draw(st.sampled_from(["stride", "any", "fraction", "crop"]))
    if kind == "stride":
        size = (h * stride, w * stride)
    elif kind == "any":
        size = (draw(st.integers(h, 3 * h if large else 9 * h)), draw(st.integers(w, 2 * w if large else 5 * w)))
    elif kind == "fraction":
        size = (h + draw(st.integers(0, 1)), w + draw(st.integers(0, 1)))
    else:
        size = (draw(st.integers(1, h * stride)), draw(st.integers(1, w * stride)))
        top, left = (
            draw(st.integers(0, full - part)) for full, part in zip((h * stride, w * stride), size, strict=True)
        )
        shift = draw(st.sampled_from([0.0, 0.25, -7.5, 20.0]))  # the last two may lie outside the map
        options = {"crop": Window(top + shift, left + shift, h * stride, w * stride)}
    labels = torch.randint(0, c, (n, *size))
    ignore = draw(st.sampled_from([255, 255, 200, -100]))
    ignored = draw(st.sampled_from(["none", "some", "half", "all but one"]))
    if ignored == "some":
        labels[torch.rand(labels.shape) < 0.3] = ignore
    elif ignored == "half":
        labels[..., : size[1] // 2] = ignore
    elif ignored == "all but one":
        labels.fill_(ignore)
    labels[-1, -1, -1] = 0
    options["ignore_index"] = ignore
    labels = labels.to(draw(st.sampled_from([torch.int16, torch.int64] + [torch.uint8] * 2 * (ignore >= 0))))
    if draw(st.booleans()):
        labels = labels.repeat_interleave(2, 2)[:, :, ::2]  # not contiguous
    if draw(st.booleans()):
        options["weight"] = torch.rand(c) + 0.1
    options["label_smoothing"] = draw(st.sampled_from([0.0, 0.0, 0.1, 1.0]))
    options["reduction"] = draw(st.sampled_from(["mean", "sum"]))
    return logits, labels, options


def tolerance_of(logits: Tensor) -> float:
    """Gradients come back in the dtype of the logits."""
    return {torch.bfloat16: 1e-2, torch.float16: 2e-3}.get(logits.dtype, 2e-5)


def rounding_scale(problem: tuple[Tensor, Tensor, dict[str, Any]]) -> float:
    """The largest gradient that the pixels of one coarse place could give if their slopes did not cancel."""
    logits, labels, options = problem
    stride = max(labels.shape[1] / logits.shape[2], 1) * max(labels.shape[2] / logits.shape[3], 1)
    if options.get("crop"):
        stride = options["crop"].height * options["crop"].width / (logits.shape[2] * logits.shape[3])
    slopes = 4 * stride * float(logits.abs().max().float().clamp(min=1))
    counted = float((labels != options["ignore_index"]).sum())
    return slopes if options["reduction"] == "sum" else max(slopes / counted, 0.1)
