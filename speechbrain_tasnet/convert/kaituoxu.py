"""github.com/kaituoxu/Conv-TasNet: its package of a model, its module, or a bare state dict.

No skip path, no biases, no PReLU before the masks; a ReLU encoder; a channelwise norm for the encoded mixture.
"""

from collections.abc import Mapping

from torch import nn

from speechbrain_tasnet.convert.checkpoint import state_of
from speechbrain_tasnet.convert.layout import Layout, State
from speechbrain_tasnet.convert.taps import place_causal_taps
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit, carry_over

NAME = "kaituoxu"
NORMS = {"gLN": "global", "cLN": "channelwise"}
MASKS = {"relu": "relu", "softmax": "softmax"}

FIXED = {"activation": "relu", "edge_padding": False, "tail": "drop", "input_norm": "channelwise"}

HINTS = {
    "norm": "gLN, the default, is 'global', cLN 'channelwise'",
    "mask_activation": "'relu' is the default, or 'softmax'",
}


def separator(state: Mapping[str, object], prefix: str, encoder: str, decoder: str, **net: str) -> Layout:
    """Return the names of a network whose separator is called ``prefix``; a causal block has one layer more."""
    chomp = int(is_causal(state, prefix))
    return Layout(
        encoder=encoder,
        decoder=decoder,
        net={"norm": f"{prefix}.0", "bottleneck": f"{prefix}.1", "mask": f"{prefix}.3", **net},
        prefix=prefix + ".2.{r}.{x}.net.",
        block={
            "expand": "0",
            "prelu1": "1",
            "norm1": "2",
            "depthwise": "3.net.0",
            "prelu2": f"3.net.{1 + chomp}",
            "norm2": f"3.net.{2 + chomp}",
            "residual": f"3.net.{3 + chomp}",
        },
        gain="gamma",
        shift="beta",
        biases=False,
    )


def is_causal(state: Mapping[str, object], prefix: str) -> bool:
    """Return whether a layer that cuts the end off lies between a block's convolution and its PReLU."""
    return f"{prefix}.2.0.0.net.3.net.4.weight" in state


def layout(state: Mapping[str, object]) -> Layout:
    """Return the names."""
    return separator(state, "separator.network", "encoder.conv1d_U.weight", "decoder.basis_signals.weight")


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Take what ``ConvTasNet.serialize`` writes; a bare state dict leaves norm and masks open."""
    state = state_of(content)
    says = vars(content) if isinstance(content, nn.Module) else content
    stated: Settings = {"causal": is_causal(state, "separator.network")}
    if "norm_type" in says:
        stated["norm"] = carry_over(NAME, "norm_type", says["norm_type"], NORMS)
    if "mask_nonlinear" in says:
        stated["mask_activation"] = carry_over(NAME, "mask_nonlinear", says["mask_nonlinear"], MASKS)
    return state, stated


def adapt(tensors: State, settings: Settings) -> None:
    """Turn the decoder, a linear layer, into basis signals, and place the taps of a causal model."""
    if tensors["decoder.weight"].ndim == 2:
        tensors["decoder.weight"] = tensors["decoder.weight"].T.unsqueeze(1)  # [L, N] -> [N, 1, L]
    if settings["causal"]:
        place_causal_taps(tensors, settings)


TOOLKIT = Toolkit(NAME, read, layout, FIXED, hints=HINTS, adapt=adapt)
