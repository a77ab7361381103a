"""ImageNet weights through timm's and torchvision's own downloads, without their long silence when offline."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants
from torch import Tensor

from fullconv.errors import UsageError

REACH_SECONDS = 6.0
TORCHVISION_HOST = "https://download.pytorch.org"
LOCAL_FILE = "or give a file with --encoder-weights FILE, or random ones with --encoder-weights none"
_REFUSALS = (OSError, RuntimeError, ValueError)


def reachable(url: str, seconds: float = REACH_SECONDS) -> bool:
    """Whether anything answers at ``url`` within ``seconds``, name look-up included (a refusal is an answer)."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
            answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def timm_weights(name: str) -> dict[str, Tensor]:
    """The state dict of timm's pretrained classifier ``name``, from its cache or the Hugging Face hub.

    Raises:
        UsageError: it has no pretrained weights, or they are neither cached nor to be reached.
    """
    if not timm.list_pretrained(name) and not timm.is_model_pretrained(name):
        raise UsageError(f"timm has no pretrained weights for {name}; use --encoder-weights none, or a file")
    source = timm.get_pretrained_cfg(name)
    assert source is not None  # it has weights
    host = constants.ENDPOINT if source.hf_hub_id else str(source.url)
    if source.hf_hub_id:
        with contextlib.suppress(*_REFUSALS), _hub_offline():
            return timm.create_model(name, pretrained=True).state_dict()
    what = f"the ImageNet weights of {name}"
    if not reachable(host):
        raise UsageError(_advice(what, host, "no network", LOCAL_FILE))
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except _REFUSALS as error:
        raise UsageError(_advice(what, host, str(error).splitlines()[0], LOCAL_FILE)) from error


@contextlib.contextmanager
def _hub_offline() -> Iterator[None]:
    """Let the Hugging Face hub look into its cache only."""
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def torchvision_weights(name: str) -> dict[str, Tensor]:
    """The state dict of torchvision's network ``name`` (its default weights), cached by torch.

    Raises:
        UsageError: it has none, or they are neither cached nor to be reached.
    """
    import torchvision

    try:
        weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError) as error:
        raise UsageError(f"torchvision has no weights for {name}; give a file, or --encoder-weights none") from error
    what = f"torchvision's {name} weights"
    cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    else_ = f"or put {cached.name} into {cached.parent}"
    if not cached.is_file() and not reachable(TORCHVISION_HOST):
        raise UsageError(_advice(what, TORCHVISION_HOST, "no network", else_))
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            weights.url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise UsageError(_advice(what, TORCHVISION_HOST, str(error), else_)) from error
    return state


def _advice(what: str, host: str, reason: str, otherwise: str) -> str:
    return f"{what} are not in the cache and {host} gave no download ({reason}); connect once, {otherwise}"
