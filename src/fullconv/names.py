"""Whether a network, an encoder, a precision or a runner is called so, and what may be meant where none is.

Nothing here loads PyTorch, so a mistyped name is refused before the seconds that it takes.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fullconv.errors import FullconvError, UsageError

NETWORKS = (
    "fcn32s", "fcn16s", "fcn8s", "fcn4s", "unet", "fpn", "segnet", "deeplab", "dilated", "hypercolumn", "maskrcnn",
    "eomt",
)  # fmt: skip
"""Our own, as :data:`fullconv.models.variants.MODELS` has them."""
FOREIGN = ("torchvision", "smp")
"""Networks of other libraries; the name of one of theirs stands where the encoder's does."""
REGION_MODELS = ("rcnn", "sds")
"""Region models by name."""
SHORT_LIST = (
    "resnet18", "resnet34", "resnet50", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0",
    "tf_efficientnet_lite0", "tf_efficientnet_lite2", "convnext_tiny",
    "convnextv2_tiny", "mambaout_tiny", "swin_tiny_patch4_window7_224", "hiera_tiny_224", "maxvit_tiny_tf_224",
    "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3",
)  # fmt: skip
"""Encoders of timm of which messages and ``fullconv models`` name one."""
USUAL_NETWORK, USUAL_ENCODER = "fcn8s", "resnet50"
OWN_ENCODERS = {"segnet": "vgg16", "eomt": "vit_small_patch16_dinov3"}
"""Of networks that do not take the usual one."""
NETWORK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")  # no colon, no slash: hf-hub:owner/name, local-dir:/place
LEAST = 3
"""Letters by which a name may be recognised."""
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
RUNNERS = ("openvino", "onnxruntime")
"""Of exported files; the faster first, as measured (docs/export.md)."""


def refuse_unknown_network(name: str) -> None:
    """Of what ``--model`` takes, but region models.

    Raises:
        UsageError: there is none of that name.
    """
    names = (*NETWORKS, *FOREIGN)
    if name not in names:
        if encoder := _meant(name, ("vgg16", *SHORT_LIST, *encoder_names()), USUAL_ENCODER):
            what = "is an encoder" if encoder == name else f"stands in names of encoders, such as {encoder}"
            raise UsageError(f"no model is called {name!r}, which {what}: --model {USUAL_NETWORK} --encoder {encoder}")
        near = difflib.get_close_matches(name.lower(), names, 1, cutoff=0.6)
        meant = f"did you mean {near[0]}? There are" if near else "there are"
        raise UsageError(f"no model is called {name!r}; {meant} {', '.join(names)}")


def check_network(name: Any, where: str = "", error: type[FullconvError] = UsageError) -> str:
    """The name of a network of a library: letters, digits, ``_ - + .``; never an address or a folder.

    Raises:
        FullconvError: of the kind ``error``, with the file ``where`` it was found.
    """
    if not isinstance(name, str) or not NETWORK.fullmatch(name):
        found = f"{where}: " if where else ""
        raise error(f"{found}{str(name)[:60]!r} is not a network's name; expected letters, digits and _ - + . only")
    return name


def refuse_unknown_names(options: Mapping[str, Any]) -> None:
    """Of ``model`` and ``encoder`` among training options, where they are given.

    Raises:
        UsageError: there is none of that name.
    """
    network = options.get("model", "")
    if network and network not in REGION_MODELS:
        refuse_unknown_network(network)
    if "encoder" in options and network not in FOREIGN:
        refuse_unknown_encoder(options["encoder"])


def refuse_unknown_precision(name: str) -> None:
    """Of what ``--precision`` takes.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRECISIONS:
        raise UsageError(f"precision must be auto, bf16, fp16 or fp32, found {name!r}")


def refuse_unknown_runner(name: str) -> None:
    """Of what ``--runner`` takes.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in ("auto", "torch", *RUNNERS):
        raise UsageError(f"runner must be auto, torch, {' or '.join(RUNNERS)}, found {name!r}")


@functools.cache
def encoder_names() -> tuple[str, ...]:
    """The names under which timm registers networks, as its source says; importing it would load PyTorch."""
    return tuple(re.findall(r"^@register_model\s*\ndef (\w+)\(", _source(), re.MULTILINE))


@functools.cache
def _source() -> str:
    """Of timm's networks."""
    found = importlib.util.find_spec("timm")
    assert found is not None
    assert found.origin is not None
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(Path(found.origin).parent.glob("models/*.py")))


def _meant(name: str, others: Iterable[str], usual: str) -> str:
    """Which of ``others`` is called so, else begins so, else has it inside; empty where there is none.

    Of several it is the usual one, else the first. Neither case nor signs count.
    """
    plain = {other: _letters(other) for other in others}
    asked = _letters(name)
    found = [other for other, letters in plain.items() if len(asked) >= LEAST and asked in letters]
    found = [other for other in found if plain[other].startswith(asked)] or found
    same = [other for other in found if plain[other] == asked]
    return same[0] if same else usual if usual in found else next(iter(found), "")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def no_encoder(name: str) -> UsageError:
    """What to raise where timm does not know a name: it gives those that are spelled nearly so."""
    if network := _meant(name, (*NETWORKS, *FOREIGN), USUAL_NETWORK):
        what = "is a network" if network == name else f"stands in names of networks, such as {network}"
        what = f"is a library, whose networks stand as --encoder beside --model {network}" if network in FOREIGN else (
            f"{what}: --model {network} --encoder {OWN_ENCODERS.get(network, USUAL_ENCODER)}"
        )  # fmt: skip
        return UsageError(f"no encoder is called {name!r}, which {what}")
    near = difflib.get_close_matches(name, ["vgg16", *sorted(encoder_names())], 3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "fullconv models names some"
    return UsageError(f"no encoder is called {name!r}; {hint}")


def refuse_unknown_encoder(name: str) -> None:
    """Of what ``--encoder`` takes beside a network of ours: timm's networks, with or without a tag (``resnet50.a1``).

    Names that timm has given up are in its source as well, and are left to it.

    Raises:
        UsageError: there is none of that name, or it is none.
    """
    own = check_network(name).partition(".")[0]
    if own != "vgg16" and own not in encoder_names() and not re.search(rf"""["']{re.escape(own)}["']""", _source()):
        raise no_encoder(name)
