from __future__ import annotations

import pytest

from fullconv.segmenter import Segmenter
from tests.builders import models


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return models.make()
