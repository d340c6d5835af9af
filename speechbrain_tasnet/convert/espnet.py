"""ESPnet's enhancement model of ConvEncoder, TCNSeparator and ConvDecoder: a module or its state dict.

The separator is kaituoxu's. The encoder's stride is in no tensor: it must be half of the kernel. A model that
was trained with ``predict_noise`` gives the noise as its last source.
"""

import math
from collections.abc import Mapping

import torch

from speechbrain_tasnet.convert.checkpoint import state_of
from speechbrain_tasnet.convert.kaituoxu import FIXED, is_causal, separator
from speechbrain_tasnet.convert.layout import Layout, State
from speechbrain_tasnet.convert.taps import place_causal_taps
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit
from speechbrain_tasnet.ops.reference import EPS

PREFIX = "separator.tcn.network"

HINTS = {
    "norm": "gLN, the default, is 'global', cLN 'channelwise'",
    "mask_activation": "'relu' is the default, or 'sigmoid', 'softmax'",
}


def layout(state: Mapping[str, object]) -> Layout:
    """Return the names; newer versions may have a PReLU before the convolution for the masks."""
    net = {"prelu": f"{PREFIX}.3", "mask": f"{PREFIX}.4"} if f"{PREFIX}.4.weight" in state else {}
    return separator(state, PREFIX, "encoder.conv1d.weight", "decoder.convtrans1d.weight", **net)


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Return by the names whether the model is causal; the rest is only in its config.yaml."""
    state = state_of(content)
    return state, {"causal": is_causal(state, PREFIX)}


def adapt(tensors: State, settings: Settings) -> None:
    """Place the taps of a causal model, and let its norms keep their larger constant under the square root.

    A norm with the constant e of ``x`` is one with the constant ``s² e`` of ``s x``. All that comes between a
    convolution and its norm is a ReLU or PReLU, so scaling the convolution scales what the norm meets; the
    decoder takes back what the encoder was scaled by.
    """
    scale = math.sqrt(EPS / torch.finfo(torch.float32).eps)
    for name, tensor in tensors.items():
        if name.endswith(("encoder.weight", "expand.weight", "depthwise.weight")):
            tensors[name] = tensor * scale
    tensors["decoder.weight"] = tensors["decoder.weight"] / scale
    if settings["causal"]:
        place_causal_taps(tensors, settings)


TOOLKIT = Toolkit("espnet", read, layout, FIXED, hints=HINTS, adapt=adapt)
