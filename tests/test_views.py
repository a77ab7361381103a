from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from fullconv import Views
from fullconv.errors import UsageError
from fullconv.segmenter import Segmenter
from tests.builders.models import make, picture


@torch.inference_mode()
def by_hand(segmenter: Segmenter, image: np.ndarray, views: Views) -> torch.Tensor:
    """The mean of the probabilities of images that are scaled and mirrored before anything of ours sees them."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    size, total = image.shape[:2], []
    for scale in views.scales:
        view = [max(1, round(side * scale)) for side in size]
        small = pixels if scale == 1 else interpolate(pixels, view, mode="bilinear", antialias=True)
        for mirrored in (False, True)[: 1 + views.flip]:
            given = small.flip(3) if mirrored else small
            (part,) = segmenter.parts(given)
            top, left, height, width = part.window
            up, across = size[0] / given.shape[2], size[1] / given.shape[3]
            enlarged = interpolate(
                part.logits.float(), (round(height * up), round(width * across)), mode="bilinear", align_corners=False
            )
            rows, columns = round(top * up), round(left * across)
            likely = enlarged[:, :, rows : rows + size[0], columns : columns + size[1]].softmax(1)
            total.append(likely.flip(3) if mirrored else likely)
    return torch.stack(total).mean(0)[0]


@pytest.mark.parametrize("views", [Views((1, 2)), Views((0.5, 1, 2)), Views((1,), True), Views((0.5, 2), True)])
def test_the_mean_of_views_is_that_of_whole_probabilities(views: Views) -> None:
    segmenter, image = make(), picture(64, 96)
    expected = by_hand(segmenter, image, views).numpy()
    found = segmenter.with_views(views).predict(image, probabilities=True)
    assert found.probabilities is not None
    assert np.abs(found.probabilities.astype(np.float32) - expected).max() < 2e-3  # float16
    best = np.sort(expected, 0)
    sure = best[-1] - best[-2] > 1e-4
    assert sure.mean() > 0.9
    assert (found.labels == expected.argmax(0))[sure].all()


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (61, 45)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    segmenter = make().with_views(Views((0.5, 1, 1.75), True))
    assert segmenter.predict(picture(*size)).labels.shape == size


def test_a_mirrored_image_has_the_mirrored_labels() -> None:
    segmenter, image = make().with_views(Views((1,), True)), picture(50, 77)
    ours, mirrored = (segmenter.predict(np.ascontiguousarray(i)).labels for i in (image, image[:, ::-1]))
    assert (ours == mirrored[:, ::-1]).mean() > 0.999  # the two are added in another order


def test_tiles_of_views_cover_the_image_and_say_that_they_differ() -> None:
    segmenter, image = make().with_views(Views((0.5, 1), True)), picture(300, 400)
    whole, tiled = segmenter.predict(image), segmenter.predict(image, tile=256)
    assert not whole.note
    assert "tile" in tiled.note
    assert (whole.labels == tiled.labels).mean() > 0.9


def test_one_view_as_it_is_is_no_view() -> None:
    segmenter = make()
    assert segmenter.with_views(Views()) is segmenter
    assert str(segmenter.with_views(Views((0.5, 1), True)).runner).endswith("scales 0.5, 1, each also mirrored")


@pytest.mark.parametrize(
    ("scales", "words"),
    [((), "found none"), ((0.01,), "found 0.01"), ((1, 9), "found 9"), ((float("nan"),), "found nan")],
)
def test_scales_that_cannot_be(scales: tuple[float, ...], words: str) -> None:
    with pytest.raises(UsageError, match=rf"scales must be numbers from 0.1 to 4.0, {words}"):
        Views(scales)
    with pytest.raises(UsageError, match="scales must differ, found 1 1"):
        Views((1, 1))
