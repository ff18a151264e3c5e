"""Export a fitted estimator as an ONNX model."""

from skmtl._onnx._to_onnx import to_onnx

__all__ = ["to_onnx"]
