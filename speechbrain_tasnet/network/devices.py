"""The device that a run uses, and whether it is there."""

import torch

from speechbrain_tasnet.errors import InputError


def check_device(device: str | None, half: bool) -> str:
    """Return the device that a run uses; refuse one that is not there, and a precision that it does not have.

    Parameters
    ----------
    device : str, optional
        ``cpu``, ``cuda:0``; None: a GPU if there is one.
    half : bool
        Whether float16 is wanted.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    InputError
        It cannot be.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not _is_there(device):
        raise InputError(f"device={device!r}: there is no such device here; leave it out or use cpu")
    if half and torch.device(device).type == "cpu":
        raise InputError("precision=fp16: SpeechBrain has float16 on GPUs only; use bf16")
    return device


def _is_there(device: str) -> bool:
    try:
        found = torch.device(device)
        if found.type == "cuda":  # without taking memory of it, where each process has another
            return (found.index or 0) < torch.cuda.device_count()
        torch.zeros((), device=found).item()
    except (RuntimeError, AssertionError, TypeError, ImportError):
        return False
    return True
