"""One measurement of the kernels beside plain PyTorch, in a process of its own; ``run.py`` calls it for each.

    python benchmarks/kernels.py time cross-entropy-21-8 [--device cuda]
    python benchmarks/kernels.py memory cross-entropy-21-8 ours|plain [--device cuda]
    python benchmarks/kernels.py powers
    python benchmarks/kernels.py time step-crf --processor

prints one JSON line. ``time`` runs both sides in turn and gives the median seconds of each, and of their ratio;
``--processor`` counts the processor's seconds of one thread, for a machine that does other work too.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Call = Callable[[], object]
ROUNDS = {"cpu": 21, "cuda": 101}


def cross_entropy(classes: int, stride: int, batch: int, device: str) -> dict[str, Call]:
    """Forward and backward at 512x512; ``plain`` is the eager pair, ``compiled`` the same under torch.compile."""
    from fullconv.ops import upsample_cross_entropy

    logits = torch.randn(batch, classes, 512 // stride, 512 // stride, device=device).mul_(3).requires_grad_()
    labels = torch.randint(0, classes, (batch, 512, 512), device=device)

    def pair(x: Tensor) -> Tensor:
        return F.cross_entropy(F.interpolate(x, (512, 512), mode="bilinear"), labels)

    def both(loss: Callable[[Tensor], Tensor]) -> Call:
        def run() -> Tensor:
            return torch.autograd.grad(loss(logits), logits)[0]

        return run

    calls = {"ours": both(lambda x: upsample_cross_entropy(x, labels)), "plain": both(pair)}
    if device == "cuda":
        calls["compiled"] = both(torch.compile(pair))
    return calls


def argmax(device: str) -> dict[str, Call]:
    """Labels of one image of 1024x1024, 21 classes, stride 8."""
    from fullconv.ops import upsample_argmax

    logits = torch.randn(1, 21, 128, 128, device=device)
    return {
        "ours": lambda: upsample_argmax(logits, (1024, 1024)),
        "plain": lambda: F.interpolate(logits, (1024, 1024), mode="bilinear").argmax(1),
    }


def counts(device: str) -> dict[str, Call]:
    """Confusion counts of 1024x1024 uint8 labels whose regions are 16 pixels wide, 21 classes, a tenth ignored."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    from fullconv.ops import confusion_counts

    def labels() -> Tensor:
        return torch.randint(0, 21, (64, 64)).repeat_interleave(16, 0).repeat_interleave(16, 1).to(torch.uint8)

    target, prediction = labels(), labels()
    target[:102] = 255
    target, prediction = target.to(device), prediction.to(device)

    def numpy_counts() -> np.ndarray:
        truth, guess = target.numpy(), prediction.numpy()
        counted = truth != 255
        return np.bincount(truth[counted].astype(np.int64) * 21 + guess[counted], minlength=441)

    calls: dict[str, Call] = {
        "ours": lambda: confusion_counts(prediction, target, 21),
        "torchmetrics": lambda: multiclass_confusion_matrix(prediction, target, 21, ignore_index=255),
    }
    if device == "cpu":
        calls["plain"] = numpy_counts
    return calls


def training_step(device: str, side: str | None = None) -> dict[str, Call]:
    """FCN-8s ResNet-34, 150 classes, 320x480, batch 4: as ``fullconv train`` runs it, and plainly.

    Plainly means ``F.interpolate`` and ``F.cross_entropy``, in fp32 on a processor, in bf16 like ours on a GPU.
    """
    from fullconv.device import choose_precision
    from fullconv.freed import keep_freed_memory
    from fullconv.models import build_model
    from fullconv.ops import upsample_cross_entropy
    from fullconv.training.config import TrainConfig
    from fullconv.training.optimisation import make_optimizer

    pixels = torch.randn(4, 3, 320, 480, device=device)
    labels = torch.randint(0, 150, (4, 320, 480), device=device)

    def step(ours: bool) -> Call:
        network = build_model("fcn8s", 150, "resnet34").network.train().to(device)
        if ours or device == "cuda":
            network.to(memory_format=torch.channels_last)
        optimizer = make_optimizer(network, TrainConfig())
        bf16 = choose_precision("auto", torch.device(device)) == "bf16" and (ours or device == "cuda")

        def run() -> None:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = network(pixels.contiguous(memory_format=torch.channels_last) if ours else pixels)
            if ours:
                loss = upsample_cross_entropy(logits, labels, crop=network.window(logits.shape[-2:]))
            else:
                full = F.interpolate(logits.float(), scale_factor=8, mode="bilinear")
                loss = F.cross_entropy(full[:, :, :320, :480], labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return run

    if side != "plain":
        keep_freed_memory()
    return {name: step(name == "ours") for name in (("ours", "plain") if side is None else (side,))}


def crf_step(device: str, pictures: Path | None = None) -> dict[str, Call]:
    """The CamVid recipe's network and step, 352x480, batch 8, 3 % of the pixels labelled; and with the CRF loss.

    Args:
        pictures: a folder of photographs; drawn scenes when None.
    """
    from fullconv.device import choose_precision
    from fullconv.freed import keep_freed_memory
    from fullconv.models import build_model
    from fullconv.ops import dense_crf_loss, upsample_cross_entropy
    from fullconv.training.config import TrainConfig
    from fullconv.training.optimisation import make_optimizer

    keep_freed_memory()
    pixels = torch.from_numpy(np.stack(images_of(pictures))).permute(0, 3, 1, 2).to(device)
    labels = torch.randint(0, 11, (8, 352, 480), dtype=torch.uint8)
    labels[torch.rand(labels.shape) > 0.03] = 255
    labels, inside = labels.to(device), torch.tensor([(0, 352, 0, 480)] * 8, device=device)
    arguments = {"streams": [32, 16, 8, 4], "head_channels": 64}
    network = build_model("fcn8s", 11, "mobilenetv2_100", model_args=arguments).network.train().to(device)
    network.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, TrainConfig())
    bf16 = choose_precision("auto", torch.device(device)) == "bf16"

    def step(crf: bool) -> Call:
        def run() -> None:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = network((pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
            window = network.window(logits.shape[-2:], (352, 480))
            loss = upsample_cross_entropy(logits, labels, crop=window)
            if crf:
                loss = loss + dense_crf_loss(logits, pixels, crop=window, inside=inside)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return run

    return {"ours": step(False), "with the CRF loss": step(True)}


def images_of(pictures: Path | None) -> list[np.ndarray]:
    """Eight, 352x480, uint8 RGB: photographs at 1.5 times their size, as the recipe trains on them, or scenes."""
    from PIL import Image

    from fullconv.data import Shapes
    from fullconv.data.augment import resize_image

    if pictures is None:
        scenes = Shapes(height=352, width=480, objects=(10, 20))
        return [scenes.draw(index)[0] for index in range(8)]
    files = sorted(pictures.iterdir())
    chosen = [np.asarray(Image.open(file).convert("RGB")) for file in files[:: len(files) // 8][:8]]
    return [resize_image(image, (540, 720))[100:452, 120:600] for image in chosen]


def powers_per_second() -> dict[str, float]:
    """How many ``exp2`` all cores take in a second when numbers and results stay in the first cache: the limit."""
    from fullconv.ops.cpu.maths import exp2, kernel
    from fullconv.ops.cpu.threads import run_all

    @kernel
    def repeat(x: np.ndarray, out: np.ndarray, times: int) -> None:
        for _ in range(times):
            for i in range(x.shape[0]):
                out[i] += exp2(x[i])

    count, repeats, threads = 2048, 20_000, torch.get_num_threads()
    numbers = -np.random.default_rng(0).random((threads, count), np.float32)
    tasks = [(row, np.zeros(count, np.float32), repeats) for row in numbers]
    run_all(repeat, tasks)
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        run_all(repeat, tasks)
        seconds.append(time.perf_counter() - started)
    return {"per_second": threads * count * repeats / float(np.median(seconds))}


CASES: dict[str, Callable[[str], dict[str, Call]]] = {
    "cross-entropy-21-8": lambda device: cross_entropy(21, 8, 4, device),
    "cross-entropy-21-32": lambda device: cross_entropy(21, 32, 4, device),
    "cross-entropy-150-4": lambda device: cross_entropy(150, 4, 16 if device == "cuda" else 2, device),
    "argmax-21-8": argmax,
    "counts-21": counts,
    "step-150": training_step,
    "step-crf": crf_step,
}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["time", "memory", "powers"])
    parser.add_argument("case", nargs="?", choices=list(CASES))
    parser.add_argument("side", nargs="?", default="ours")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=Path, help="a folder of photographs for step-crf, instead of drawn scenes")
    parser.add_argument("--processor", action="store_true", help="count the processor's seconds of one thread")
    options = parser.parse_args()
    clock = time.process_time if options.processor else time.perf_counter
    if options.processor:
        torch.set_num_threads(1)
    if options.what == "powers":
        print(json.dumps(powers_per_second()))
    elif options.what == "time":
        step = options.case.startswith("step-")
        rounds = 7 if step and options.device == "cpu" else ROUNDS[options.device]
        make = CASES[options.case] if options.pictures is None else lambda device: crf_step(device, options.pictures)
        print(json.dumps(times(make(options.device), rounds, options.device, clock)))
    else:
        calls = (
            training_step(options.device, options.side)
            if options.case == "step-150"
            else CASES[options.case](options.device)
        )
        print(json.dumps({"extra_mib": extra_memory(calls[options.side], options.device)}))


def times(
    calls: dict[str, Call], rounds: int, device: str, clock: Callable[[], float] = time.perf_counter
) -> dict[str, object]:
    """Median seconds of each call, and quartiles of the ratio of each to ours, all calls once a round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(rounds + 2):
        for name, call in calls.items():
            synchronize(device)
            started = clock()
            call()
            synchronize(device)
            if index >= 2:
                seconds[name].append(clock() - started)
    ratios = {
        name: np.quantile(np.array(values) / np.array(seconds["ours"]), [0.25, 0.5, 0.75]).tolist()
        for name, values in seconds.items()
        if name != "ours"
    }
    return {"seconds": {name: float(np.median(values)) for name, values in seconds.items()}, "ratios": ratios}


def extra_memory(call: Call, device: str) -> float:
    """MiB by which the call's peak lies above what was there before it (warmed up on a GPU, compiled on a CPU)."""
    if device == "cuda":
        call()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    small = torch.randn(1, 3, 4, 4, requires_grad=True)  # loads and compiles, so that only the call itself is measured
    from fullconv.ops import confusion_counts, upsample_argmax, upsample_cross_entropy

    ids = torch.zeros(1, 8, 8, dtype=torch.int64)
    upsample_cross_entropy(small, ids).backward()
    confusion_counts(upsample_argmax(small, (8, 8)), ids.to(torch.uint8), 3)
    F.cross_entropy(F.interpolate(small, (8, 8), mode="bilinear"), ids).backward()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    call()
    return memory("VmHWM") - before


def memory(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
