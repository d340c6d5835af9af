"""Half precision: measured, because a processor's name does not say whether it is faster there."""

import time
from functools import cache

import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.ops.fallbacks import note

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

# Large enough that products count, small enough to be measured in seconds even where they are 25 times slower.
NETWORK = {"N": 256, "B": 128, "H": 256, "Sc": 128, "X": 2, "R": 1}
FRAMES = 1200

WORTH_IT = 0.9  # `auto` takes half precision where a step takes less of float32's time
TOO_SLOW = 1.5  # a step that takes more of it is refused


@cache
def relative_time(precision: str, device: str) -> float:
    """Measure how long a training step takes in a precision, as a multiple of its time in float32.

    Processors without bfloat16 instructions compute in it all the same, up to 25 times slower.

    Parameters
    ----------
    precision : str
        ``bf16`` or ``fp16``; of ``fp32`` it is 1.
    device : str
        ``cpu``, ``cuda:0``.

    Returns
    -------
    float
        The quotient of the fastest steps of each.

    Examples
    --------
    >>> relative_time("fp32", "cpu")
    1.0
    """
    if precision not in DTYPES:
        return 1.0
    with torch.random.fork_rng([device] if device.startswith("cuda") else []):
        net = MaskNet(**NETWORK).to(device)
        mixture_w = torch.randn(1, NETWORK["N"], FRAMES, device=device)
    _step(net, mixture_w, None)  # compiles
    # In turns, so that what else the machine does meets both alike.
    rounds = [(_step(net, mixture_w, DTYPES[precision]), _step(net, mixture_w, None)) for _ in range(3)]
    half, whole = (min(seconds) for seconds in zip(*rounds, strict=True))
    return half / whole


def best(device: str) -> str:
    """Return the precision that ``auto`` means: ``bf16`` where it is faster than ``fp32``.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda:0``.
    """
    return "bf16" if relative_time("bf16", device) < WORTH_IT else "fp32"


def check(precision: str, device: str, allow_slow: bool) -> None:
    """Refuse a precision in which training would be much slower than in float32; warn where that is allowed.

    Parameters
    ----------
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    device : str
        ``cpu``, ``cuda:0``.
    allow_slow : bool
        Whether the user has asked for it all the same.

    Raises
    ------
    InputError
        It would be, and it was not asked for.
    """
    ratio = relative_time(precision, device)
    if ratio <= TOO_SLOW:
        return
    cost = f"a step takes {ratio:.0f} times as long as in fp32"
    if not allow_slow:
        raise InputError(
            f"precision={precision}: {cost} on this {device.upper()}, which has no instructions for it; use fp32 "
            "or auto, or insist with --allow_slow_precision"
        )
    note(f"precision={precision}", "no instructions for it", cost)


def _step(net: MaskNet, mixture_w: torch.Tensor, dtype: torch.dtype | None) -> float:
    """Return the seconds of one way forward and back."""
    start = time.perf_counter()
    with torch.autocast(mixture_w.device.type, dtype, enabled=dtype is not None):
        masks = net(mixture_w)
    masks.float().sum().backward()
    if mixture_w.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
