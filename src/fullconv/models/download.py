"""ImageNet weights through timm's and torchvision's own downloads, without their long silence when offline."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.files import cache_folder

REACH_SECONDS = 6.0
LIMIT_SECONDS = 10.0
"""So long a host is waited for that nobody asked for by name (``encoder_weights: auto``)."""
REMEMBERED_SECONDS = 600
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm's weights are called on the Hugging Face hub."""
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


def unavailable(name: str) -> str:
    """Why the ImageNet weights of an encoder (timm's, or torchvision's ``vgg16``) cannot be had here and now; empty
    where they are cached or their host answers.

    A host that gave no answer within :data:`LIMIT_SECONDS` is not asked again for :data:`REMEMBERED_SECONDS`, by no
    process of this user; ``HF_HUB_OFFLINE`` is taken to mean every host.
    """
    if name == "vgg16":
        if _torchvision_file(name).is_file():
            return ""
        return _no_answer(TORCHVISION_HOST)
    source = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if source is None or not timm.is_model_pretrained(name):
        return "timm has none"
    if source.hf_hub_id:
        found = (try_to_load_from_cache(source.hf_hub_id, file, cache_dir=constants.HF_HUB_CACHE) for file in HUB_FILES)
        return "" if any(isinstance(path, str) for path in found) else _no_answer(constants.ENDPOINT)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / str(source.url).rpartition("/")[2]
    return "" if cached.is_file() else _no_answer(str(source.url))


def _no_answer(host: str) -> str:
    """Why a host is not asked, or that it did not answer."""
    if constants.HF_HUB_OFFLINE:
        return "not cached, and HF_HUB_OFFLINE is set"
    kept = cache_folder() / "unreachable" / re.sub(r"\W+", "_", host)
    with contextlib.suppress(OSError):
        if 0 <= time.time() - kept.stat().st_mtime < REMEMBERED_SECONDS:
            return f"not cached, and {host} gave no answer a few minutes ago"
    if reachable(host, LIMIT_SECONDS):
        return ""
    with contextlib.suppress(OSError):  # then it is asked again
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch()
    return f"not cached, and {host} gave no answer within {LIMIT_SECONDS:g} s"


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
    what, cached = f"torchvision's {name} weights", _torchvision_file(name)
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


def _torchvision_file(name: str) -> Path:
    """Where torch keeps the default weights of one of torchvision's networks."""
    import torchvision

    weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    return Path(torch.hub.get_dir()) / "checkpoints" / str(weights.url).rpartition("/")[2]


def _advice(what: str, host: str, reason: str, otherwise: str) -> str:
    return f"{what} are not in the cache and {host} gave no download ({reason}); connect once, {otherwise}"
