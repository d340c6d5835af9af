"""A separator as an ONNX graph, for programs without torch: whole, or one step of a stream."""

from speechbrain_tasnet.export.step import export_streaming_onnx
from speechbrain_tasnet.export.whole import export_onnx
from speechbrain_tasnet.network.model import Model as Separator  # its name here before it was the whole house's

__all__ = ["Separator", "export_onnx", "export_streaming_onnx"]
