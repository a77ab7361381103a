"""Images that are scored in streams, one thread each: the same counts as one after another."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import fullconv
from fullconv import Superpixels
from fullconv.data import Shapes
from fullconv.device import computing_threads
from fullconv.errors import NotFiniteError
from fullconv.evaluation.metrics import Scores
from fullconv.formats.open import shapes_dataset
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing

DATA = shapes_dataset(Shapes(height=40, width=56, train=1, val=9))


def model(**options: object) -> Segmenter:
    torch.manual_seed(1)
    built = fullconv.build_model("fcn8s", 5, "resnet10t")
    for layer in built.network.score.values():
        torch.nn.init.normal_(layer.weight)
    return Segmenter(built, DATA.classes, Preprocessing(**options)).to("cpu", "fp32")


def scored(segmenter: Segmenter, threads: int, **options: object) -> tuple[Scores, set[str], list[int]]:
    """Also which threads computed, and what progress said."""
    names: set[str] = set()
    told: list[int] = []
    compute = segmenter.runner.coarse_logits

    def watched(pixels: torch.Tensor) -> object:
        names.add(threading.current_thread().name.split("_")[0])
        return compute(pixels)

    segmenter.runner.coarse_logits = watched
    try:
        with computing_threads(threads):
            result = fullconv.evaluate(
                segmenter, DATA, workers=0, progress=lambda done, _: told.append(done), **options
            )
            assert torch.get_num_threads() == threads
    finally:
        del segmenter.runner.coarse_logits
    return result, names, told


@pytest.mark.parametrize("options", [{}, {"resize": (48, 48)}])
def test_scores_are_those_of_one_thread(options: dict[str, object]) -> None:
    segmenter = model(**options)
    found, names, told = scored(segmenter, 2)
    expected, alone, _ = scored(segmenter, 1)
    assert (names, alone) == ({"stream"}, {"MainThread"})
    assert np.array_equal(found.confusion, expected.confusion)
    assert found.to_dict() == expected.to_dict()
    assert told == list(range(1, 10))


def test_tiles_and_refinements_take_all_threads() -> None:
    assert scored(model(), 2, tile=32, overlap=0)[1] == {"MainThread"}
    assert scored(model(), 2, superpixels=Superpixels())[1] == {"MainThread"}


def test_scores_that_are_not_finite_are_named_and_no_thread_stays() -> None:
    segmenter = model()
    with torch.no_grad():
        segmenter.network.score["32"].bias[0] = torch.nan
    before = threading.active_count()
    with pytest.raises(NotFiniteError, match=r"shapes_\d+: the weights of score\.32\.bias are not finite"):
        scored(segmenter, 2)
    assert threading.active_count() == before
