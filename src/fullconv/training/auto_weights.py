"""``encoder_weights: auto``: ImageNet weights where they are at hand, else random ones, with a line that says so."""

from __future__ import annotations

from fullconv.data import DatasetSpec
from fullconv.errors import UsageError
from fullconv.models import download
from fullconv.models.variants import FOREIGN
from fullconv.models.vgg import NAME as VGG
from fullconv.training.choosing.encoders import LADDER
from fullconv.training.config import TrainConfig

AUTO = "auto"
FITTING = {"taps", "img_size", "patch_size", "drop_path_rate", "drop_rate", "padding"}
"""Arguments of encoders with which their trained weights fit."""


def weights_at_hand(config: TrainConfig, spec: DatasetSpec) -> tuple[str, str]:
    """What ``encoder_weights`` means here, ``imagenet`` or ``none``, and a line about it where they could not be had.

    Other values stand. Networks that start from another model, whole networks of other libraries, and the drawn images
    of ``shapes`` need none. Where the encoder is chosen later, the first that can be
    had decides.
    """
    if config.encoder_weights != AUTO:
        return config.encoder_weights, ""
    if config.init_from or config.model in FOREIGN or spec.layout == "shapes":
        return "none", ""
    chosen_later = config.minutes is not None and "encoder" not in config.model_fields_set
    ladder = LADDER if chosen_later else (config.encoder,)
    found = next((one for one in ladder if not download.unavailable(one)), "")
    name = found or ladder[0]
    strange = sorted(set(config.encoder_args) - FITTING)
    why = "" if found else download.unavailable(name)
    if strange:
        why = f"with other {', '.join(strange)} they may not fit"
    if not why:
        try:
            download.torchvision_weights(name) if name == VGG else download.timm_weights(name)
        except UsageError as error:
            why = str(error)
    if not why:
        return "imagenet", ""
    return "none", (
        f"no ImageNet weights of {name} ({why}): the encoder starts from random weights and learns much slower; "
        "connect once, or give a file with --encoder-weights FILE"
    )
