"""Exported networks (ONNX, OpenVINO): their graph, what they say of themselves, and who computes them."""
