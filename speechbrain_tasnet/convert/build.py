"""From tensors under our names to our modules: each must be used, and their shapes give the sizes."""

import torch
from torch import Tensor

from speechbrain_tasnet.convert.layout import Renamed, State, listed
from speechbrain_tasnet.convert.toolkit import Settings
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model

# The paper's letter, the tensor that shows it, and on which of its three axes.
SIZES = {
    "N": ("encoder.weight", 0),
    "L": ("encoder.weight", 2),
    "B": ("masknet.bottleneck.weight", 0),
    "H": ("masknet.tcn.blocks.0.expand.weight", 0),
    "P": ("masknet.tcn.blocks.0.depthwise.weight", 2),
}

MASK = "masknet.mask.weight"  # C * N rows

# What of the settings belongs to which module.
ENCODER = ("activation", "edge_padding", "tail")
MASKNET = ("norm", "causal", "mask_activation", "input_norm", "conv_padding")


def check(renamed: Renamed) -> None:
    """Refuse tensors that are incomplete, damaged or more than a network.

    Raises
    ------
    InputError
        Tensors are missing, unknown or not finite, or convolutions are not three-dimensional.
    """
    here = renamed.tensors.keys()
    skips = any(".skip." in name for name in here)
    last = f"masknet.tcn.blocks.{renamed.blocks - 1}.residual."
    missing = [
        theirs
        for name, theirs in renamed.names.items()
        if name not in here and (skips or ".skip." not in name) and not (skips and name.startswith(last))
    ]
    faults = {"missing": missing, "unknown": renamed.unknown}
    if any(faults.values()):
        found = "; ".join(f"{len(names)} {kind} ({listed(names)})" for kind, names in faults.items() if names)
        raise InputError(f"tensors: {found}; expected a whole Conv-TasNet of this toolkit and nothing else")
    if bad := [name for name, tensor in renamed.tensors.items() if not torch.isfinite(tensor).all()]:
        raise InputError(f"tensors: {len(bad)} with NaN or infinite numbers ({_theirs(renamed, bad)})")
    convolutions = {
        MASK,
        *(name for name, _ in SIZES.values()),
        *(n for n in here if n.endswith("depthwise.weight")),
    }
    if bad := [name for name in here if name in convolutions and renamed.tensors[name].ndim != 3]:
        shape = list(renamed.tensors[bad[0]].shape)
        raise InputError(f"tensors: {renamed.names[bad[0]]} of shape {shape}; expected three axes")


def build(renamed: Renamed, settings: Settings) -> Model:
    """Make a model with these weights.

    Parameters
    ----------
    renamed : Renamed
        The tensors, checked; 1x1 convolutions and norms may have axes of one besides.
    settings : dict
        What shapes do not show.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        Tensors have the wrong shape, or there is no such network.
    """
    sizes = _sizes(renamed, settings["X"])
    if not settings["causal"] and sizes["P"] % 2 == 0:
        raise InputError(f"P={sizes['P']}: a non-causal network of even P does not run in its own toolkit")
    N, L = sizes["N"], sizes.pop("L")
    encoder = Encoder(N, L, **{name: settings[name] for name in ENCODER if name in settings})
    masknet = MaskNet(**sizes, **{name: settings[name] for name in MASKNET if name in settings})
    model = Model(encoder, masknet, Decoder(N, L, settings["edge_padding"]))
    model.load_state_dict(_fitted(renamed, model.state_dict()))
    return model


def _sizes(renamed: Renamed, X: object) -> dict[str, int]:
    """Read the paper's letters off the shapes."""
    tensors = renamed.tensors
    skip = "masknet.tcn.blocks.0.skip.weight"
    sizes = {letter: whole_number(letter, tensors[name].shape[axis]) for letter, (name, axis) in SIZES.items()}
    sizes["Sc"] = len(tensors[skip]) if skip in tensors else 0
    sizes["C"], rest = divmod(len(tensors[MASK]), sizes["N"])
    if rest:
        raise InputError(
            f"{renamed.names[MASK]} of {len(tensors[MASK])} rows: expected a multiple of N={sizes['N']}"
        )
    sizes["X"] = whole_number("X", X)
    sizes["R"], rest = divmod(renamed.blocks, sizes["X"])
    if rest:
        raise InputError(f"X={X}: expected a divisor of the {renamed.blocks} blocks that there are")
    return sizes


def _fitted(renamed: Renamed, like: State) -> State:
    """Reshape the tensors to our shapes, with biases of 0 and slopes of 1 where a toolkit has none.

    What we have no place for is the last block's residual convolution beside a skip path, which feeds nothing.
    """
    tensors = renamed.tensors
    wrong = [name for name in like if name in tensors and _squeezed(tensors[name]) != _squeezed(like[name])]
    if wrong:
        shapes = f"{list(tensors[wrong[0]].shape)}, expected {list(like[wrong[0]].shape)}"
        raise InputError(f"tensors: {len(wrong)} of a wrong shape ({_theirs(renamed, wrong)}); the first {shapes}")
    return {
        name: tensors[name].reshape(mine.shape) if name in tensors else _neutral(name, mine)
        for name, mine in like.items()
    }


def _neutral(name: str, like: Tensor) -> Tensor:
    return torch.ones_like(like) if "prelu" in name else torch.zeros_like(like)


def _squeezed(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size != 1]


def _theirs(renamed: Renamed, names: list[str]) -> str:
    return listed(renamed.names[name] for name in names)
