"""One contestant of one measurement in a process of its own, so that its peak memory is its own.

    python benchmarks/contestants.py train fullconv-fcn8s-resnet34 [HEIGHT WIDTH [MODEL_ARGS]] [--device cuda]

prints one JSON line. ``run.py`` calls it in turn for every contestant. A peer's name that ends in ``+bf16`` trains
under bf16 autocast with channels last, as its users on a GPU would; without it as its documentation shows, in fp32.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE, CLASSES = (320, 480), 21
BATCH = {"cpu": 4, "cuda": 16}
STEPS = {"cpu": (2, 6), "cuda": (10, 40)}  # to warm up, timed
PREDICTIONS = {"cpu": (2, 10), "cuda": (10, 50)}

Step = Callable[[], None]


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["train", "predict"])
    parser.add_argument("name")
    parser.add_argument("size", nargs="*", type=int, default=SIZE)
    parser.add_argument("--model-args", type=json.loads, default={})
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    size, device = tuple(options.size), options.device
    if options.kind == "train":
        print(json.dumps(time_training(options.name, size, options.model_args, device)))
    else:
        print(json.dumps(time_prediction(options.name, size, device)))


def time_training(name: str, size: tuple[int, int], model_args: dict[str, Any], device: str) -> dict[str, float]:
    """Median seconds of a whole step (forward, loss, backward, AdamW), and the memory it adds at its peak."""
    batch = BATCH[device]
    pixels = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8).to(device)
    labels = torch.randint(0, CLASSES, (batch, *size)).to(device)
    step = ours(name, pixels, labels, model_args) if name.startswith("fullconv") else plain(name, pixels, labels)
    memory = Memory(device)
    warm_up, steps = STEPS[device]
    times = [timed(step, device) for _ in range(warm_up + steps)][warm_up:]
    return {"seconds": median(times), "images_per_s": batch / median(times), "extra_mib": memory.added()}


def ours(name: str, pixels: Tensor, labels: Tensor, model_args: dict[str, Any]) -> Step:
    """``fullconv-MODEL-ENCODER`` as ``fullconv train`` runs it by default."""
    from fullconv.device import choose_precision
    from fullconv.freed import keep_freed_memory
    from fullconv.models import build_model
    from fullconv.ops import upsample_cross_entropy
    from fullconv.runner import normalise
    from fullconv.spec import Preprocessing
    from fullconv.training.config import TrainConfig
    from fullconv.training.optimisation import make_optimizer

    _, model, encoder = name.split("-")
    keep_freed_memory()
    device = pixels.device
    tiny = torch.zeros(1, CLASSES, 1, 1, requires_grad=True, device=device)  # load the kernels: not the step's memory
    upsample_cross_entropy(tiny, torch.zeros(1, 1, 1, dtype=labels.dtype, device=device)).backward()
    network = (
        build_model(model, CLASSES, encoder, model_args=model_args)
        .network.train()
        .to(device, memory_format=torch.channels_last)
    )
    optimizer = make_optimizer(network, TrainConfig())
    bf16 = choose_precision("auto", device) == "bf16"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(normalise(pixels, Preprocessing()))
        loss = upsample_cross_entropy(logits, labels, crop=network.window(logits.shape[-2:], pixels.shape[-2:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain(name: str, pixels: Tensor, labels: Tensor) -> Step:
    """A peer trained plainly: full-resolution logits, ``F.cross_entropy``; fp32, or with ``+bf16`` under autocast."""
    bf16, device = name.endswith("+bf16"), pixels.device.type
    layout = torch.channels_last if bf16 else torch.contiguous_format
    network = peer(name.removesuffix("+bf16")).train().to(device, memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = network((pixels.float() / 255).contiguous(memory_format=layout))
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def time_prediction(name: str, size: tuple[int, int], device: str) -> dict[str, float]:
    """Median seconds from a uint8 image in memory to its label map in memory."""
    image = torch.randint(0, 256, (*size, 3), dtype=torch.uint8).numpy()
    if name.startswith("fullconv"):
        from fullconv.models import build_model
        from fullconv.segmenter import Segmenter
        from fullconv.spec import ClassSet, Preprocessing

        classes = ClassSet(tuple(f"c{i}" for i in range(CLASSES)))
        _, model, encoder = name.split("-")
        segmenter = Segmenter(build_model(model, CLASSES, encoder), classes, Preprocessing()).to(device)

        def predict() -> None:
            segmenter.predict(image)
    else:
        bf16 = name.endswith("+bf16")
        network = peer(name.removesuffix("+bf16")).eval().to(device)

        def predict() -> None:
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16):
                pixels = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
                network(pixels).argmax(1).cpu()

    warm_up, predictions = PREDICTIONS[device]
    times = [timed(predict, device) for _ in range(warm_up + predictions)][warm_up:]
    return {"seconds": median(times)}


def peer(name: str) -> nn.Module:
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


def timed(step: Step, device: str) -> float:
    started = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


class Memory:
    """MiB that are added from now on at the peak: of the process, or on a GPU what PyTorch allocated there."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.before = self.now()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far

    def now(self) -> float:
        return torch.cuda.memory_allocated() / 2**20 if self.device == "cuda" else resident("VmRSS")

    def added(self) -> float:
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else resident("VmHWM")
        return peak - self.before


def resident(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


if __name__ == "__main__":
    main()
