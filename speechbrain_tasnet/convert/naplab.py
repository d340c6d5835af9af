"""The paper's authors' own code (github.com/naplab/Conv-TasNet): a module or its state dict."""

from collections.abc import Mapping

from torch import nn

from speechbrain_tasnet.convert.checkpoint import state_of
from speechbrain_tasnet.convert.layout import Layout
from speechbrain_tasnet.convert.taps import expect_three_taps
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit, blocks_in_repeat

FIXED = {"activation": None, "edge_padding": True, "tail": "odd"}

HINTS = {"X": "blocks in a repeat; 8 is the default"}


def layout(state: Mapping[str, object]) -> Layout:
    """Return the names; a cumulative norm, which causal models have, calls its weight gain."""
    return Layout(
        encoder="encoder.weight",
        decoder="decoder.weight",
        net={"norm": "TCN.LN", "bottleneck": "TCN.BN", "prelu": "TCN.output.0", "mask": "TCN.output.1"},
        prefix="TCN.TCN.{i}.",
        block={
            "expand": "conv1d",
            "prelu1": "nonlinearity1",
            "norm1": "reg1",
            "depthwise": "dconv1d",
            "prelu2": "nonlinearity2",
            "norm2": "reg2",
            "residual": "res_out",
            "skip": "skip_out",
        },
        gain="gain" if "TCN.LN.gain" in state else "weight",
    )


def read(content: object) -> tuple[dict[str, object], Settings]:
    """Return the norm by its names; X is open in a state dict."""
    state = state_of(content)
    causal = "TCN.LN.gain" in state
    stated = {"causal": causal, "norm": "cumulative" if causal else "global"}
    return state, stated | (blocks_in_repeat(content) if isinstance(content, nn.Module) else {})


TOOLKIT = Toolkit("naplab", read, layout, FIXED, {"mask_activation": "sigmoid"}, HINTS, expect_three_taps)
