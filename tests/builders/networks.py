"""One small variant of every network."""

from __future__ import annotations

from typing import Any

VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("fcn32s", "resnet10t", {}),
    ("fcn8s", "mobilenetv2_050", {"head_channels": 8}),
    ("fcn4s", "convnext_atto", {}),
    ("fcn32s", "resnet10t", {"last": "transposed"}),
    ("fcn8s", "mobilenetv2_050", {"last": "transposed"}),
    ("fcn8s", "resnet10t", {"decoder": "wide"}),
    ("unet", "mobilenetv2_050", {}),
    ("unet", "resnet10t", {"upsampling": "interpolate", "last": "bilinear", "decoder_channels": [32, 16, 16, 8]}),
    ("unet", "mobilenetv2_050", {"upsampling": "tensorflow"}),
    ("fpn", "mobilenetv2_050", {"pyramid_channels": 16, "head_channels": 8}),
    ("segnet", "vgg16", {}),
    ("deeplab", "resnet10t", {"head_channels": 16}),
    ("deeplab", "mobilenetv2_050", {"head": "large-fov", "head_channels": 16}),
    ("deeplab", "resnet10t", {"head": "aspp", "head_channels": 16, "output_stride": 16}),
    ("deeplab", "vgg16", {"head": "large-fov", "head_channels": 16}),
    ("dilated", "resnet10t", {}),
    ("hypercolumn", "resnet10t", {"column_channels": 8, "hidden": 16}),
    ("maskrcnn", "resnet10t", {"pyramid_channels": 16, "head_channels": 16}),
    ("eomt", "test_vit", {"queries": 6}),
]
