"""SpeechBrain's own Conv-TasNet: three modules, their state dicts, or a folder with a checkpoint of each.

Encoder and Decoder of ``speechbrain.lobes.models.dual_path``, MaskNet of ``speechbrain.lobes.models.conv_tasnet``.
"""

from collections.abc import Mapping, Sequence

from torch import nn

from speechbrain_tasnet.convert.checkpoint import PARTS, state_of
from speechbrain_tasnet.convert.kaituoxu import FIXED
from speechbrain_tasnet.convert.layout import Layout, State
from speechbrain_tasnet.convert.taps import place_causal_taps
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit, carry_over
from speechbrain_tasnet.errors import InputError

NAME = "speechbrain"
NORMS = {"GlobalLayerNorm": "global", "ChannelwiseLayerNorm": "channelwise"}
MASKS = {"relu": "relu", "softmax": "softmax_filters"}

LAYOUT = Layout(
    encoder="encoder.conv1d.weight",
    decoder="decoder.weight",
    net={
        "norm": "masknet.layer_norm",
        "bottleneck": "masknet.bottleneck_conv1x1.conv",
        "mask": "masknet.mask_conv1x1.conv",
    },
    prefix="masknet.temporal_conv_net.temporalblock_{r}_{x}.layers.",
    block={
        "expand": "conv.conv",
        "prelu1": "act",
        "norm1": "norm",
        "depthwise": "DSconv.conv_0.conv",
        "prelu2": "DSconv.act",
        "norm2": "DSconv.act_0",  # two layers of one name: the second is the norm
        "residual": "DSconv.conv_1.conv",
    },
    gain="gamma",
    shift="beta",
    biases=False,
)

HINTS = {
    "norm": "gLN, the default, is 'global', cLN 'channelwise'",
    "causal": "False is the default; WSJ0Mix/convtasnet.yaml has True",
    "mask_activation": "'relu' is the default; its softmax is 'softmax_filters' here",
}


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Take three modules, which say what they are, or three state dicts, which do not."""
    if isinstance(content, Sequence) and len(content) == len(PARTS):
        content = dict(zip(PARTS, content, strict=True))
    if not isinstance(content, Mapping | nn.ModuleDict) or not all(name in content for name in PARTS):
        raise InputError(f"a checkpoint of {NAME}: expected {', '.join(PARTS)}, or a folder with a .ckpt of each")
    state = {f"{part}.{name}": value for part in PARTS for name, value in state_of(content[part]).items()}
    masknet = content["masknet"]
    return state, _stated(masknet) if isinstance(masknet, nn.Module) else {}


def _stated(masknet: nn.Module) -> Settings:
    """Return the options of a mask network by its layers."""
    layers = dict(masknet.named_modules())
    block = LAYOUT.prefix.format(r=0, x=0).removeprefix("masknet.")
    return {
        "norm": carry_over(NAME, "norm_type", type(layers[f"{block}norm"]).__name__, NORMS),
        "causal": f"{block}DSconv.chomp" in layers,
        "mask_activation": carry_over(NAME, "mask_nonlinear", masknet.mask_nonlinear, MASKS),
    }


def adapt(tensors: State, settings: Settings) -> None:
    """Reflect at the edges, or place the taps of a causal model, which pads twice: they lie half a kernel late."""
    if settings["causal"]:
        taps = tensors["masknet.tcn.blocks.0.depthwise.weight"].shape[-1]
        place_causal_taps(tensors, settings, delay=(taps - 1) // 2)
    else:
        settings["conv_padding"] = "reflect"


TOOLKIT = Toolkit(NAME, read, lambda state: LAYOUT, FIXED, hints=HINTS, adapt=adapt)
