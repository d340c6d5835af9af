"""Convert samples, tensors and arrays of floats and PCM, to what a network takes and back."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from speechbrain_tasnet.errors import InputError

Samples = Tensor | np.ndarray

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# What integers are divided by, as soundfile does it.
FULL_SCALE = {torch.int16: 2.0**15, torch.int32: 2.0**31}


def as_samples(samples: Samples, name: str = "mixture") -> tuple[Tensor, Callable[[Tensor], Samples]]:
    """Convert samples to a floating-point tensor; also return what converts results back to the original kind.

    Parameters
    ----------
    samples : Tensor or numpy.ndarray
        float64, float32, float16 or bfloat16 with full scale at 1, or PCM of int16 or int32.
    name : str
        What to call them in a message.

    Returns
    -------
    Tensor
        With full scale at 1.
    callable
        Makes an array of a tensor where an array was given, in the type of the samples; in float32 for PCM.

    Raises
    ------
    InputError
        They are something else.

    Examples
    --------
    >>> samples, back = as_samples(np.array([-32768, 16384], dtype=np.int16))
    >>> samples, back(samples)
    (tensor([-1.0000,  0.5000], dtype=torch.float64), array([-1. ,  0.5], dtype=float32))
    """
    tensor = _from_numpy(samples, name) if isinstance(samples, np.ndarray) else samples
    if not isinstance(tensor, Tensor):
        raise InputError(f"{name} of type {type(tensor).__name__}: expected a tensor or a NumPy array")
    if tensor.dtype not in (*FLOATS, *FULL_SCALE):
        _refuse(name, str(tensor.dtype).removeprefix("torch."))
    dtype = tensor.dtype if tensor.dtype in FLOATS else torch.float32
    if tensor.dtype in FULL_SCALE:
        tensor = tensor.double() / FULL_SCALE[tensor.dtype]

    def back(result: Tensor) -> Samples:
        result = result.to(dtype)
        return result.detach().cpu().numpy() if isinstance(samples, np.ndarray) else result

    return tensor, back


def fit_weights(samples: Tensor, *modules: nn.Module) -> Tensor:
    """Convert samples to the type of the weights of the first module that has any.

    Raises
    ------
    InputError
        Either is on torch's device ``meta``, which holds no numbers, and the other is not.
    """
    weight = next((p for module in modules for p in getattr(module, "parameters", tuple)()), samples)
    if weight.is_meta and not samples.is_meta:
        check_weights({"the model": modules[0]})
    if samples.is_meta and not weight.is_meta:
        raise InputError("the samples are on the device meta, which holds none; expected cpu or cuda")
    return samples if weight.dtype == samples.dtype or not weight.is_floating_point() else samples.to(weight.dtype)


def check_weights(modules: Mapping[str, nn.Module]) -> None:
    """Refuse modules on torch's device ``meta``, which have shapes but no weights.

    Raises
    ------
    InputError
        One of them is there.
    """
    for name, module in modules.items():
        if any(weight.is_meta for weight in getattr(module, "parameters", tuple)()):
            raise InputError(
                f"{name} is on the device meta and has no weights; build it on cpu or cuda and load them"
            )


def _from_numpy(samples: np.ndarray, name: str) -> Tensor:
    try:
        # A copy, for torch takes no negative strides, no bytes in another order, and warns of what is read-only.
        return torch.from_numpy(np.array(samples, dtype=samples.dtype.newbyteorder("="), order="C"))
    except TypeError:
        return _refuse(name, str(samples.dtype))


def _refuse(name: str, dtype: str) -> Tensor:
    raise InputError(
        f"{name} of {dtype}: expected float64, float32, float16 or bfloat16 with full scale at 1, or PCM of int16 "
        "or int32"
    )
