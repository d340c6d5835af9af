"""Which microphones sources are made from, and where they are estimated.

With ``reference`` the weights of the reference microphone are masked, and sources are those that it hears. With
``sum`` they are, too, but the weights of every microphone, by its own basis signals, have masks, and their sum is
decoded: like a beamformer it can cancel a voice. With ``each`` sources are estimated at every microphone, which
keeps the level between two ears: all are encoded with the reference's basis signals, too, and have masks of their
own.

Inside the network the microphones are in the order of the encoder, the reference first; outside in that of the
mixture.
"""

from torch import Tensor

from speechbrain_tasnet.errors import InputError

OUTPUTS = ("reference", "sum", "each")


def count_outputs(outputs: str, mics: int) -> tuple[int, int]:
    """Return from how many microphones a source is summed, and at how many it is estimated.

    Raises
    ------
    InputError
        ``outputs`` is none of these, or there is one microphone.
    """
    if outputs not in OUTPUTS:
        raise InputError(f"outputs={outputs!r}: expected one of {list(OUTPUTS)}")
    if outputs != "reference" and mics == 1:
        raise InputError(f"outputs={outputs!r} with mics=1: there is one microphone; leave outputs out")
    return mics if outputs == "sum" else 1, mics if outputs == "each" else 1


def encoder_order(mics: int, reference: int) -> list[int]:
    """List the microphones as the encoder has them.

    Example
    -------
    >>> encoder_order(4, reference=2)
    [2, 0, 1, 3]
    """
    return [reference, *(mic for mic in range(mics) if mic != reference)]


def as_sources(weights: Tensor, outputs: int) -> Tensor:
    """Take the weights of a source at each microphone for those of a source of its own, as a decoder does.

    Parameters
    ----------
    weights : Tensor
        [C, batch, outputs * N, frames].
    outputs : int
        Microphones that sources are estimated at.

    Returns
    -------
    Tensor
        [C * outputs, batch, N, frames].
    """
    if outputs == 1:
        return weights
    return weights.unflatten(2, (outputs, -1)).transpose(1, 2).flatten(0, 1)


def as_signals(decoded: Tensor, outputs: int, reference: int) -> Tensor:
    """Reshape decoded sources to their public shape.

    Parameters
    ----------
    decoded : Tensor
        [batch, time, C * outputs], as `as_sources` has them.
    outputs : int
        Microphones that sources are estimated at.
    reference : int
        Which of them the encoder has first.

    Returns
    -------
    Tensor
        [batch, time, C], or [batch, time, C, M] at each of M microphones.

    Example
    -------
    >>> import torch
    >>> as_signals(torch.randn(1, 800, 6), outputs=3, reference=0).shape
    torch.Size([1, 800, 2, 3])
    """
    if outputs == 1:
        return decoded
    signals = decoded.unflatten(2, (-1, outputs))
    if reference == 0:
        return signals
    order = encoder_order(outputs, reference)
    return signals[..., [order.index(mic) for mic in range(outputs)]]
