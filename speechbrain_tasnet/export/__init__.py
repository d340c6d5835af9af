"""A separator as an ONNX graph, for programs without torch: whole, or one step of a stream."""

from speechbrain_tasnet.export.step import export_streaming_onnx
from speechbrain_tasnet.export.whole import Separator, export_onnx

__all__ = ["Separator", "export_onnx", "export_streaming_onnx"]
