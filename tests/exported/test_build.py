"""Artefacts of any size of image have PyTorch's labels, scores and probabilities, whoever computes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import torch

from fullconv.device import computing_threads
from fullconv.exported.build import build
from fullconv.exported.geometry import LABELS, LOGITS, PROBABILITIES, SCORES, Places
from fullconv.exported.runners import open_runner
from fullconv.models.context import Context
from fullconv.names import RUNNERS as NAMES
from fullconv.ops import upsample
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from tests.builders.exports import tiny

SIZES = [(1, 1), (2, 40), (33, 65), (200, 131), (64, 96)]


def artefact(segmenter: Segmenter, **outputs: bool) -> tuple[bytes, Places]:
    places = Places.of(segmenter.network, Context(32, True))
    ours = segmenter.torch_runner
    return build(ours.network, ours.preprocessing, places, segmenter.header(), **outputs).SerializeToString(), places


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    patches = np.random.default_rng(3).integers(0, 256, (height // 7 + 1, width // 7 + 1, channels), dtype=np.uint8)
    return np.repeat(np.repeat(patches, 7, 0), 7, 1)[:height, :width]


@pytest.mark.parametrize(
    ("stride", "offset", "channels", "classes", "resize"),
    [
        (8, None, 3, 6, None),
        (1, None, 1, 6, None),
        (1, Fraction(-7), 3, 6, None),  # a crop
        (4, Fraction(1, 3), 3, 6, None),  # fractions of a pixel, and places before the first
        (16, Fraction(-25, 2), 5, 300, None),  # the image lies far inside; int32 labels
        (8, None, 3, 6, (48, 75)),
        (1, None, 4, 6, (61, 64)),
        (4, Fraction(1, 3), 3, 6, (97, 40)),
    ],
)
def test_every_output_is_that_of_pytorch(
    stride: int, offset: Fraction | None, channels: int, classes: int, resize: tuple[int, int] | None
) -> None:
    model = tiny(stride, offset, channels, ClassSet(tuple(f"class {i}" for i in range(classes))), resize)
    content, places = artefact(model, scores=True, probabilities=True)
    runners = [open_runner(name, content, places) for name in NAMES]
    seen = set()
    for size in SIZES:
        image = picture(*size, channels)
        (part,) = model.parts(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        scores = upsample(part.logits, size, part.window).detach().numpy()
        expected = model.predict(image, probabilities=True)
        assert expected.probabilities is not None
        first, second = np.sort(scores[0], 0)[::-1][:2]
        sure = first - second > 1e-3
        seen.update(np.unique(expected.labels[sure]).tolist())
        for runner in runners:
            labels, logits, full, chances = runner.run(image[None], (LABELS, LOGITS, SCORES, PROBABILITIES))
            assert labels.dtype == (np.uint8 if classes <= 256 else np.int32)
            assert labels.shape == (1, *size)
            assert np.array_equal(labels[0][sure], expected.labels[sure])
            np.testing.assert_allclose(logits, part.logits.detach().numpy(), atol=1e-4)
            np.testing.assert_allclose(full, scores, atol=2e-4)
            np.testing.assert_allclose(chances[0], expected.probabilities, atol=2e-3)
    assert len(seen) > 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_ask_at_once_and_each_gets_its_own(name: str, threads: int) -> None:
    """Each asks with PyTorch's number of threads, as streams do with one."""
    model = tiny()
    runner = open_runner(name, *artefact(model))
    images = [picture(20 + number % 3, 30 + number) for number in range(12)]

    def logits(image: np.ndarray) -> np.ndarray:
        with computing_threads(threads):
            return runner.coarse_logits(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].numpy()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(logits, images * 4))
    for image, scores in zip(images * 4, found, strict=True):
        (part,) = model.parts(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        np.testing.assert_allclose(scores, part.logits.detach().numpy(), atol=1e-4)


def test_a_batch_has_the_labels_of_each_image() -> None:
    model = tiny()
    content, places = artefact(model)
    images = np.stack([picture(40, 50), picture(40, 50)[::-1]])
    for name in NAMES:
        labels, _ = open_runner(name, content, places).run(images, (LABELS, LOGITS))
        for image, found in zip(images, labels, strict=True):
            assert np.array_equal(found, model.predict(image).labels)
