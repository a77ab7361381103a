"""An ONNX graph written op by op."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants that grow; every method returns the name of a value.

    Names start with ``fullconv/``, so that they are apart from those of a network's own graph.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, called: str = "", **attributes: Any) -> str:
        """One operator with one output, ``called`` so where that is given."""
        name = called or f"fullconv/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: Any, dtype: type[np.generic]) -> str:
        name = f"fullconv/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def whole(self, value: int) -> str:
        """An int64 scalar."""
        return self.constant(value, np.int64)

    def size(self, value: str, axis: int) -> str:
        """The length of one axis, an int64 scalar."""
        one = self.op("Shape", value, start=axis, end=axis + 1)
        return self.op("Squeeze", one)

    def as_float(self, value: str) -> str:
        return self.op("Cast", value, to=TensorProto.FLOAT)

    def vector(self, *scalars: str) -> str:
        """int64 scalars as one vector."""
        axis = self.constant([0], np.int64)
        return self.op("Concat", *(self.op("Unsqueeze", scalar, axis) for scalar in scalars), axis=0)
