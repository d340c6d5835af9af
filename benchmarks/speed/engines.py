"""A torch network in the inference engines onnxruntime and OpenVINO, both reading the same ONNX graph."""

from collections.abc import Callable
from io import BytesIO

import torch
from torch import Tensor, nn

from benchmarks.sizes import SAMPLE_RATE

HINTS = {"float32": "f32", "bfloat16": "bf16"}


def onnx_graph(module: nn.Module) -> bytes:
    """Export ``module`` with free batch and time; time must be a multiple of L/2, as the example's is."""
    file = BytesIO()
    torch.onnx.export(
        module,
        (torch.randn(2, SAMPLE_RATE),),
        file,
        dynamo=False,  # the other exporter needs one more package and gives a graph that runs no faster
        input_names=["mixture"],
        output_names=["estimates"],
        dynamic_axes={"mixture": {0: "batch", 1: "time"}, "estimates": {0: "batch", 1: "time"}},
    )
    return file.getvalue()


def onnxruntime(module: nn.Module, precision: str) -> Callable[[Tensor], Tensor]:
    """Let onnxruntime run ``module``, in its only precision."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(onnx_graph(module), options, providers=["CPUExecutionProvider"])
    return lambda mixture: torch.from_numpy(session.run(None, {"mixture": mixture.numpy()})[0])


def openvino(module: nn.Module, precision: str) -> Callable[[Tensor], Tensor]:
    """Let OpenVINO run ``module`` in ``precision``, ``float32`` or ``bfloat16``."""
    import openvino as runtime

    core = runtime.Core()
    hints = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.compile_model(core.read_model(BytesIO(onnx_graph(module))), "CPU", hints)
    request = model.create_infer_request()
    return lambda mixture: torch.from_numpy(request.infer([mixture.numpy()], share_inputs=True)[0])
