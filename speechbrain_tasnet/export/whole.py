"""The whole separator as an ONNX graph: mixtures of any length in, their sources out."""

from pathlib import Path

from speechbrain_tasnet.export.graph import Ports, about_model, write_graph
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model

EXAMPLE = (2, 4)  # items, and lengths of a frame: the graph is for any


def export_onnx(
    encoder: Encoder,
    masknet: MaskNet,
    decoder: Decoder,
    path: Path | str,
    sample_rate: int | None = None,
    int8: bool = False,
) -> None:
    """Write a separator as an ONNX graph from ``mixture`` [batch, time] to ``sources`` [batch, time, C].

    Batch and time are variable: any number of items, of one length of one sample or more. The mixture of several
    microphones is [batch, time, mics], and sources that are estimated at each also end with a microphone axis. The
    graph's metadata hold ``num_spks``, ``mics``, ``outputs`` (as `Encoder` has it), ``reference`` and, if it is
    known, ``sample_rate``.

    Parameters
    ----------
    encoder, masknet, decoder : Encoder, MaskNet, Decoder
        The model, on the CPU and in float32.
    path : path-like
        File to write.
    sample_rate : int, optional
        Of the model, in Hz.
    int8 : bool
        Whether the mask network's matrices have 8 bits per weight, and their products are taken in integers.

    Raises
    ------
    InputError
        If a package that this takes is not installed.
    """
    batch, frames = EXAMPLE
    example = encoder.silence(batch, frames * encoder.kernel_size)
    free = {0: "batch", 1: "time"}
    ports = Ports(["mixture"], ["sources"], {"mixture": free, "sources": free})
    about = about_model(encoder, masknet, sample_rate)
    write_graph(path, Model(encoder, masknet, decoder), (example,), ports, about, int8)
