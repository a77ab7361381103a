"""Weights as other frameworks store them, read without those frameworks: nothing in these files is ever run."""

from fullconv.models.elsewhere.kinds import is_mindspore, what_to_do
from fullconv.models.elsewhere.mindspore import read_mindspore
from fullconv.models.elsewhere.tensorflow import find_bundle, read_bundle
from fullconv.models.elsewhere.vgg import fcn8s_from_mindspore, vgg16_from_mindspore, vgg16_from_tensorflow

__all__ = [
    "fcn8s_from_mindspore",
    "find_bundle",
    "is_mindspore",
    "read_bundle",
    "read_mindspore",
    "vgg16_from_mindspore",
    "vgg16_from_tensorflow",
    "what_to_do",
]
