"""Tiny data made here, and the real data beside the checkout (tests that need it skip where it is missing)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

from fullconv.data import Shapes

if shutil.which("nvidia-smi") is None:  # no GPU: Triton's kernels run in its interpreter
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton

# no test depends on weights that happen to be cached, or waits for a network
NOWHERE = Path(tempfile.gettempdir()) / "fullconv-tests-without-weights"
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(NOWHERE), "TORCH_HOME": str(NOWHERE)}

# the same examples every time: a change is judged by what it changed; `make explore` looks for new ones
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is fetched, decoded or checked in a test is kept apart from the user's."""
    os.environ["FULLCONV_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def shared() -> Path:
    """The folder of real data and weights."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the real data (../shared) is not on this machine")
    return SHARED


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A plain folder of ``count`` shapes scenes with index masks."""

    def make(count: int = 6, size: tuple[int, int] = (48, 64), name: str = "photos") -> Path:
        root = tmp_path / name
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        scenes = Shapes(height=size[0], width=size[1])
        for index in range(count):
            image, labels = scenes.draw(index)
            Image.fromarray(image).save(root / "images" / f"scene_{index}.png")
            Image.fromarray(labels).save(root / "masks" / f"scene_{index}.png")
        return root

    return make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a tiny untrained model."""
    from tests.builders.models import make  # imports torch, and triton with it

    make().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture(params=["gdal", "tifffile"])
def raster_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the libraries that read rasters by window, alone."""
    from fullconv import gdal
    from fullconv.images import raster_open

    if request.param == "gdal" and not gdal.has_gdal():
        pytest.skip("rasterio is not installed")
    if request.param == "tifffile":
        monkeypatch.setattr(raster_open, "has_gdal", lambda: False)
    return str(request.param)
