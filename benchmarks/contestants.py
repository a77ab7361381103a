"""One contestant of one measurement in a process of its own, so that its peak memory is its own.

    python benchmarks/contestants.py train fullconv-fcn8s-resnet34 [HEIGHT WIDTH [MODEL_ARGS]]

prints one JSON line. ``run.py`` calls it in turn for every contestant.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE, BATCH, CLASSES = (320, 480), 4, 21
STEPS, WARM_UP, PREDICTIONS = 6, 2, 10

Step = Callable[[], None]


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    kind, name, *more = sys.argv[1:]
    size = (int(more[0]), int(more[1])) if more else SIZE
    if kind == "train":
        print(json.dumps(time_training(name, size, json.loads(more[2]) if len(more) > 2 else {})))
    else:
        print(json.dumps(time_prediction(name, size)))


def time_training(name: str, size: tuple[int, int], model_args: dict[str, Any]) -> dict[str, float]:
    """Median seconds of a whole step (forward, loss, backward, AdamW), and the memory it adds at its peak."""
    pixels = torch.randint(0, 256, (BATCH, 3, *size), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH, *size))
    step = ours(name, pixels, labels, model_args) if name.startswith("fullconv") else plain(name, pixels, labels)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    times = [timed(step) for _ in range(WARM_UP + STEPS)][WARM_UP:]
    return {"seconds": median(times), "images_per_s": BATCH / median(times), "extra_mib": memory("VmHWM") - before}


def ours(name: str, pixels: Tensor, labels: Tensor, model_args: dict[str, Any]) -> Step:
    """``fullconv-MODEL-ENCODER`` as ``fullconv train`` runs it by default."""
    from fullconv.device import choose_precision
    from fullconv.models import build_model
    from fullconv.ops import upsample_cross_entropy
    from fullconv.segmenter import normalise
    from fullconv.spec import Preprocessing
    from fullconv.training.config import TrainConfig
    from fullconv.training.memory import keep_freed_memory
    from fullconv.training.optimisation import make_optimizer

    _, model, encoder = name.split("-")
    keep_freed_memory()
    tiny = torch.zeros(1, CLASSES, 1, 1, requires_grad=True)  # load the kernels: a library, not memory of the step
    upsample_cross_entropy(tiny, torch.zeros(1, 1, 1, dtype=labels.dtype)).backward()
    network = (
        build_model(model, CLASSES, encoder, model_args=model_args)
        .network.train()
        .to(memory_format=torch.channels_last)
    )
    optimizer = make_optimizer(network, TrainConfig())
    bf16 = choose_precision("auto", torch.device("cpu")) == "bf16"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network(normalise(pixels, Preprocessing()))
        loss = upsample_cross_entropy(logits, labels, crop=network.window(logits.shape[-2:], pixels.shape[-2:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain(name: str, pixels: Tensor, labels: Tensor) -> Step:
    """A rival trained plainly: fp32, full-resolution logits, ``F.cross_entropy``."""
    network = rival(name).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)

    def step() -> None:
        logits = network(pixels.float() / 255)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def time_prediction(name: str, size: tuple[int, int]) -> dict[str, float]:
    """Median seconds from a uint8 image to its label map."""
    image = torch.randint(0, 256, (*size, 3), dtype=torch.uint8).numpy()
    if name.startswith("fullconv"):
        from fullconv.models import build_model
        from fullconv.segmenter import Segmenter
        from fullconv.spec import ClassSet, Preprocessing

        classes = ClassSet(tuple(f"c{i}" for i in range(CLASSES)))
        _, model, encoder = name.split("-")
        segmenter = Segmenter(build_model(model, CLASSES, encoder), classes, Preprocessing()).to("cpu")

        def predict() -> None:
            segmenter.predict(image)
    else:
        network = rival(name).eval()

        def predict() -> None:
            with torch.inference_mode():
                network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).argmax(1)

    times = [timed(predict) for _ in range(WARM_UP + PREDICTIONS)][WARM_UP:]
    return {"seconds": median(times)}


def rival(name: str) -> nn.Module:
    if name == "torchvision-fcn-resnet50":
        from torchvision.models.segmentation import fcn_resnet50

        class Scores(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)

            def forward(self, x: Tensor) -> Tensor:
                return self.network(x)["out"]

        return Scores()
    import segmentation_models_pytorch as smp

    _, network, encoder = name.split("-")
    makers = {"unet": smp.Unet, "fpn": smp.FPN, "deeplabv3": smp.DeepLabV3}
    built: nn.Module = makers[network](encoder, encoder_weights=None, classes=CLASSES)
    return built


def timed(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def memory(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


if __name__ == "__main__":
    main()
