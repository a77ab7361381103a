"""Which program a file of weights is from, and what to do with those that are not read here."""

from __future__ import annotations

from pathlib import Path

ZIP, PICKLE = b"PK", b"\x80"
"""How PyTorch's files begin; Lightning's are called ``.ckpt``, as MindSpore's and TensorFlow's."""
PAGE = "docs/import.md has a script that runs where that program is"
_ADVICE = {
    ".h5": f"a file of Keras: its ResNet-50 goes with fullconv heatmap --encoder keras_resnet50; of others {PAGE}",
    ".keras": f"a file of Keras: {PAGE}",
    ".pb": "a graph of TensorFlow: give the folder of its saved_model, with variables/ in it; of a frozen graph "
    f"{PAGE}",
    ".onnx": f"a graph of ONNX, which keeps no names of layers: {PAGE}",
    ".caffemodel": f"weights of Caffe: {PAGE}",
    ".pdparams": f"a pickle of PaddlePaddle: {PAGE}",
    ".mindir": "a graph of MindSpore: give the checkpoint (.ckpt) that it was exported from",
    ".meta": "the graph of a TensorFlow checkpoint: give the .index file beside it",
    ".npz": f"arrays of NumPy: {PAGE}",
}


def what_to_do(path: Path) -> str:
    """One line for a kind of file that is not read here; empty for other kinds."""
    if ".data-" in path.name:
        return "the values of a TensorFlow checkpoint: give the .index file beside it"
    return _ADVICE.get(path.suffix.lower(), "")


def is_pickle(path: Path) -> bool:
    """Whether a file begins as PyTorch's do."""
    with path.open("rb") as file:
        head = file.read(2)
    return head == ZIP or head[:1] == PICKLE


def is_mindspore(path: Path) -> bool:
    """Whether a file is called as MindSpore's checkpoints are, and is no PyTorch file."""
    return path.is_file() and path.suffix.lower() == ".ckpt" and not is_pickle(path)
