"""asteroid.models.ConvTasNet: its checkpoint dictionary, its module, or a bare state dict."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from speechbrain_tasnet import __version__
from speechbrain_tasnet.convert.checkpoint import state_of
from speechbrain_tasnet.convert.express import refuse_unless, settings_of
from speechbrain_tasnet.convert.layout import Layout
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit, carry_over
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.model import Model

NAME = "asteroid"
NORMS = {"gLN": "global", "cgLN": "cumulative", "cLN": "channelwise"}
MASKS = {"sigmoid": "sigmoid", "relu": "relu", "softmax": "softmax"}
ENCODERS = {None: None, "linear": None, "relu": "relu"}

# What its constructor takes for what a file does not say.
DEFAULTS = {
    "n_blocks": 8,
    "kernel_size": 16,
    "stride": 8,
    "norm_type": "gLN",
    "mask_act": "sigmoid",
    "causal": False,
    "fb_name": "free",
    "encoder_activation": None,
}

# What it may say besides: the shapes of the tensors show it too.
SHOWN = ("n_src", "in_chan", "out_chan", "bn_chan", "hid_chan", "skip_chan", "conv_kernel_size", "n_repeats")

FIXED = {"edge_padding": False, "tail": "drop"}

HINTS = {
    "norm": "gLN is 'global', cgLN 'cumulative', cLN 'channelwise', and so is gLN in a causal model",
    "mask_activation": "'sigmoid' is the default, the recipes have 'relu'",
    "X": "n_blocks; 8 is the default",
}


def layout(state: Mapping[str, object]) -> Layout:
    """Return the names; a causal convolution lies one level deeper, beside what cuts its end off."""
    return Layout(
        encoder="encoder.filterbank._filters",
        decoder="decoder.filterbank._filters",
        net={
            "norm": "masker.bottleneck.0",
            "bottleneck": "masker.bottleneck.1",
            "prelu": "masker.mask_net.0",
            "mask": "masker.mask_net.1",
        },
        prefix="masker.TCN.{i}.",
        block={
            "expand": "shared_block.0",
            "prelu1": "shared_block.1",
            "norm1": "shared_block.2",
            "depthwise": "shared_block.3.0" if _causal(state) else "shared_block.3",
            "prelu2": "shared_block.4",
            "norm2": "shared_block.5",
            "residual": "res_conv",
            "skip": "skip_conv",
        },
        gain="gamma",
        shift="beta",
    )


def _causal(state: Mapping[str, object]) -> bool:
    return "masker.TCN.0.shared_block.3.0.weight" in state


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Take what ``model.serialize()`` writes; a bare state dict leaves norm, masks and X open."""
    state = state_of(content)
    if isinstance(content, nn.Module):
        return state, _stated(content.get_model_args())
    if "model_args" not in content:
        return state, {"causal": _causal(state)}
    if content.get("model_name") != "ConvTasNet" or not isinstance(content["model_args"], Mapping):
        raise InputError(f"model_name={content.get('model_name')!r}: expected 'ConvTasNet', and its model_args")
    return state, _stated(content["model_args"])


def _stated(model_args: Mapping[str, object]) -> Settings:
    """Translate the arguments of its constructor."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in model_args.items()}
    args = DEFAULTS | plain
    if args["stride"] is not None and 2 * args["stride"] != args["kernel_size"]:
        raise InputError(f"stride={args['stride']}, kernel_size={args['kernel_size']}: expected half of it")
    if args.get("out_chan") not in (None, args.get("n_filters")):
        raise InputError(f"out_chan={args['out_chan']}: expected one mask value for each of the filters")
    carry_over(NAME, "fb_name", args["fb_name"], {"free": None, "FreeFB": None})
    norm = carry_over(NAME, "norm_type", args["norm_type"], NORMS)
    known = {*DEFAULTS, *SHOWN, "n_filters", "sample_rate"}
    if other := [name for name in args if name not in known and args[name]]:
        raise InputError(f"{other[0]}={args[other[0]]!r} of this {NAME} model: it has no equivalent here")
    stated = {
        "X": args["n_blocks"],
        "norm": "channelwise" if args["causal"] and norm == "global" else norm,
        "causal": bool(args["causal"]),
        "mask_activation": carry_over(NAME, "mask_act", args["mask_act"], MASKS),
        "activation": carry_over(NAME, "encoder_activation", args["encoder_activation"], ENCODERS),
    }
    if isinstance(args.get("sample_rate"), int | float):  # old files lack it
        stated["sample_rate"] = round(args["sample_rate"])
    return stated


def express(model: Model, sample_rate: int | None) -> dict[str, object]:
    """Make what ``asteroid.models.ConvTasNet.from_pretrained`` and ``torch.save`` take.

    The residual convolution of its last block feeds nothing and is zero.
    """
    has = settings_of(model)
    if sample_rate is None:
        raise InputError("sample_rate: expected one, because Asteroid's files state it")
    able = {"conv_padding": ("zeros",), "edge_padding": (False,), "tail": ("fill", "drop")}
    able |= {"input_norm": (has["norm"],), "mask_activation": tuple(MASKS)}
    refuse_unless(NAME, has, able)
    if not has["causal"] and has["P"] % 2 == 0:
        raise InputError(f"P={has['P']}: the non-causal Conv-TasNet of {NAME} runs only with odd P")
    blocks = has["X"] * has["R"]
    marker = {"masker.TCN.0.shared_block.3.0.weight": None} if has["causal"] else {}
    state = layout(marker).to_theirs(model.state_dict(), blocks)
    last = f"masker.TCN.{blocks - 1}.res_conv."
    state.setdefault(f"{last}weight", torch.zeros(has["B"], has["H"], 1))
    state.setdefault(f"{last}bias", torch.zeros(has["B"]))
    model_args = {
        "fb_name": "FreeFB",
        "n_filters": has["N"],
        "kernel_size": has["L"],
        "stride": has["L"] // 2,
        "sample_rate": sample_rate,
        "in_chan": has["N"],
        "out_chan": has["N"],
        "bn_chan": has["B"],
        "hid_chan": has["H"],
        "skip_chan": has["Sc"],
        "conv_kernel_size": has["P"],
        "n_blocks": has["X"],
        "n_repeats": has["R"],
        "n_src": has["C"],
        "norm_type": next(theirs for theirs, ours in NORMS.items() if ours == has["norm"]),
        "mask_act": has["mask_activation"],
        "causal": has["causal"],
        "encoder_activation": has["activation"],
    }
    infos = {"software_versions": {"speechbrain_tasnet": __version__}}
    return {"model_name": "ConvTasNet", "state_dict": state, "model_args": model_args, "infos": infos}


TOOLKIT = Toolkit(NAME, read, layout, FIXED, {"activation": None}, HINTS, express=express)
