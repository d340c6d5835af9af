"""Write a module as an ONNX file: quietly, with the metadata its user needs, with 8-bit weights if wanted."""

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.encoder_decoder import Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.system.files import new_file

if TYPE_CHECKING:
    import onnx

OPSET = 17
QUANTIZED = "/masknet/"  # nodes with this in their names; encoder and decoder are small, and near the samples

# What the exporter says of graphs that are right, as the tests show.
KNOWN = {
    "You are using the legacy TorchScript-based": DeprecationWarning,  # the newer one needs one more package
    "The feature will be removed": DeprecationWarning,  # said by that one of its own logging
    "Converting a tensor to a Python boolean": torch.jit.TracerWarning,  # checks of shapes, at the example's
    "Constant folding - Only steps=1": UserWarning,
}


class Ports(NamedTuple):
    """Inputs and outputs of a graph: their names, and the axes of variable length for each."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    free_axes: Mapping[str, Mapping[int, str]] | None = None


def about_model(encoder: Encoder, masknet: MaskNet, sample_rate: int | None) -> dict[str, object]:
    """Return what the metadata of a graph hold of its model.

    Parameters
    ----------
    encoder, masknet : Encoder, MaskNet
        Of the model.
    sample_rate : int, optional
        In Hz, if it is known.

    Returns
    -------
    dict
        ``num_spks``; ``mics``, the microphones of the mixture; ``outputs`` and ``reference``, where the sources
        are estimated, as `Encoder` has them.

    Example
    -------
    >>> about_model(Encoder(8, 4, mics=2, reference=1), MaskNet(8, 4, 8, 4, X=2, R=1, mics=2), 8000)
    {'sample_rate': 8000, 'num_spks': 2, 'mics': 2, 'outputs': 'reference', 'reference': 1}
    """
    where = {name: encoder.config[name] for name in ("mics", "outputs", "reference")}
    return {"sample_rate": sample_rate, "num_spks": masknet.num_sources, **where}


def write_graph(
    path: Path | str,
    module: nn.Module,
    example: tuple[Tensor, ...],
    ports: Ports,
    about: Mapping[str, object],
    int8: bool = False,
) -> None:
    """Write a module as an ONNX file, whole or not at all.

    Parameters
    ----------
    path : path-like
        File to write.
    module : Module
        Its ``forward`` takes and gives tensors.
    example : tuple of Tensor
        Input.
    ports : Ports
        Names of the graph.
    about : mapping
        Metadata; None for what is not known.
    int8 : bool
        Whether the mask network's matrices are quantized.

    Raises
    ------
    InputError
        A package is not installed.
    """
    onnx = need("onnx")
    if int8:
        need("onnxruntime")
    with new_file(path) as partial:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                module,
                example,
                str(partial),
                input_names=list(ports.inputs),
                output_names=list(ports.outputs),
                dynamic_axes=ports.free_axes,
                opset_version=OPSET,
                dynamo=False,
            )
            if int8:
                _quantize(partial)
        model = onnx.load(partial)
        _inline_copies(model.graph)
        _fix_slopes(model.graph)
        known = {name: str(value) for name, value in about.items() if value is not None}
        onnx.helper.set_model_props(model, known)
        onnx.checker.check_model(model)
        onnx.save(model, partial)


def _quantize(path: Path) -> None:
    """Quantise the mask network's matrices to 8 bits, in place: a scale for each row, symmetric around zero."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_optimization=True, skip_symbolic_shape=True)
    nodes = [node.name for node in onnx.load(path).graph.node if QUANTIZED in node.name]
    quantize_dynamic(path, path, op_types_to_quantize=["MatMul"], per_channel=True, nodes_to_quantize=nodes)


def _inline_copies(graph: "onnx.GraphProto") -> None:
    """Read each tensor by its own name: the exporter keeps equal ones once and names the others as their copies.

    onnxruntime loses sight of such a copy where it fuses operations, and then refuses the graph.
    """
    tensors = {tensor.name for tensor in graph.initializer}
    copies = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in tensors
    }
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = copies.get(name, name)


def _fix_slopes(graph: "onnx.GraphProto") -> None:
    """Make each PReLU a LeakyReLU, which is the same for one slope and takes onnxruntime a tenth of the time."""
    from onnx import helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "PRelu":
            slope = numpy_helper.to_array(tensors[node.input.pop()]).item()
            node.op_type = "LeakyRelu"
            node.attribute.append(helper.make_attribute("alpha", slope))
    _drop_unused(graph)


def _drop_unused(graph: "onnx.GraphProto") -> None:
    """Drop the nodes, and then the tensors, that are not used."""
    for parts, names in (
        (graph.node, lambda node: node.output),
        (graph.initializer, lambda tensor: [tensor.name]),
    ):
        read = {name for node in graph.node for name in node.input} | {port.name for port in graph.output}
        for part in [part for part in parts if not read.intersection(names(part))]:
            parts.remove(part)


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.INFO)  # onnxruntime logs every tensor that it leaves alone to the root logger
    try:
        with warnings.catch_warnings():
            for message, category in KNOWN.items():
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        logging.disable(level)


def need(package: str):
    """Import a package of the extra ``export``, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{package}: not installed, but needed for ONNX; pip install 'speechbrain-tasnet[export]'"
        ) from None
