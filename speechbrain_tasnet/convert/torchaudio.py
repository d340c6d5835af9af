"""torchaudio.models.ConvTasNet: non-causal, gLN, a skip path as wide as the bottleneck, P = 3."""

from torch import nn

from speechbrain_tasnet.convert.checkpoint import state_of
from speechbrain_tasnet.convert.express import refuse_unless, settings_of
from speechbrain_tasnet.convert.layout import Layout
from speechbrain_tasnet.convert.taps import expect_three_taps
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit, blocks_in_repeat, carry_over
from speechbrain_tasnet.network.model import Model

NAME = "torchaudio"
MASKS = {"Sigmoid": "sigmoid", "ReLU": "relu"}

LAYOUT = Layout(
    encoder="encoder.weight",
    decoder="decoder.weight",
    net={
        "norm": "mask_generator.input_norm",
        "bottleneck": "mask_generator.input_conv",
        "prelu": "mask_generator.output_prelu",
        "mask": "mask_generator.output_conv",
    },
    prefix="mask_generator.conv_layers.{i}.",
    block={
        "expand": "conv_layers.0",
        "prelu1": "conv_layers.1",
        "norm1": "conv_layers.2",
        "depthwise": "conv_layers.3",
        "prelu2": "conv_layers.4",
        "norm2": "conv_layers.5",
        "residual": "res_out",
        "skip": "skip_out",
    },
)

FIXED = {"norm": "global", "causal": False, "activation": None, "edge_padding": True, "tail": "fill"}

HINTS = {
    "mask_activation": "'sigmoid' is ConvTasNet's default, 'relu' is conv_tasnet_base's",
    "X": "blocks in a repeat; 8 is the default",
}


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Take a module, which says what it is, or a state dict, which does not."""
    stated = {}
    if isinstance(content, nn.Module):
        activation = type(content.mask_generator.mask_activate).__name__
        stated = {"mask_activation": carry_over(NAME, "msk_activate", activation, MASKS)}
        stated |= blocks_in_repeat(content)
    return state_of(content), stated


def express(model: Model, sample_rate: int | None) -> nn.Module:
    """Make a ``torchaudio.models.ConvTasNet``; it knows no sample rate."""
    from torchaudio.models import ConvTasNet

    has = settings_of(model)
    able = {name: (value,) for name, value in FIXED.items()}
    able |= {"input_norm": ("global",), "conv_padding": ("zeros",), "P": (3,), "Sc": (has["B"],)}
    refuse_unless(NAME, has, able | {"mask_activation": tuple(MASKS.values())})
    letters = (has[letter] for letter in "CLNPBHXR")
    theirs = ConvTasNet(*letters, msk_activate=has["mask_activation"])
    theirs.load_state_dict(LAYOUT.to_theirs(model.state_dict(), has["X"] * has["R"]))
    return theirs


TOOLKIT = Toolkit(NAME, read, lambda state: LAYOUT, FIXED, hints=HINTS, adapt=expect_three_taps, express=express)
