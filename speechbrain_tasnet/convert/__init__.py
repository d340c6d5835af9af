"""Weights of other toolkits: import, with identical output, and export of models that they can express."""

from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from speechbrain_tasnet.convert import asteroid, espnet, kaituoxu, naplab, speechbrain, torchaudio
from speechbrain_tasnet.convert.build import build, check
from speechbrain_tasnet.convert.checkpoint import open_checkpoint
from speechbrain_tasnet.convert.toolkit import Settings, Toolkit
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.system.files import new_file

TOOLKITS = {
    module.TOOLKIT.name: module.TOOLKIT for module in (torchaudio, asteroid, speechbrain, naplab, kaituoxu, espnet)
}

Checkpoint = str | PathLike | nn.Module | dict | tuple


class Imported(NamedTuple):
    """A model that was another toolkit's."""

    model: Model
    sample_rate: int | None  # where the checkpoint states it


def load_weights(
    toolkit: str,
    checkpoint: Checkpoint,
    *,
    norm: str | None = None,
    causal: bool | None = None,
    mask_activation: str | None = None,
    X: int | None = None,
) -> tuple[Encoder, MaskNet, Decoder]:
    """Build a model from another toolkit's weights, with the same output.

    Parameters
    ----------
    toolkit : str
        ``torchaudio``, ``asteroid``, ``speechbrain``, ``naplab``, ``kaituoxu`` or ``espnet``.
    checkpoint : path-like, Module or dict
        A file that ``torch.save`` or safetensors wrote, or what it holds, or the module itself. SpeechBrain's is a
        folder with ``encoder.ckpt``, ``masknet.ckpt`` and ``decoder.ckpt``, or three modules or state dicts.
    norm, causal, mask_activation, X
        As for `MaskNet`: what the checkpoint leaves open. The rest is read from it.

    Returns
    -------
    Encoder, MaskNet, Decoder

    Raises
    ------
    InputError
        The checkpoint cannot be read, holds another network than the toolkit's Conv-TasNet or one that cannot be
        carried over, something is open, or an answer contradicts it.

    Example
    -------
    >>> from torchaudio.models import ConvTasNet
    >>> theirs = ConvTasNet(2, 16, 32, 3, 8, 16, msk_num_layers=4, msk_num_stacks=2)
    >>> encoder, masknet, decoder = load_weights("torchaudio", theirs)
    >>> masknet.config["X"], masknet.config["R"]
    (4, 2)
    """
    answers = {"norm": norm, "causal": causal, "mask_activation": mask_activation, "X": X}
    return tuple(import_model(toolkit, checkpoint, **answers).model.values())


def import_model(toolkit: str, checkpoint: Checkpoint, **answers: object) -> Imported:
    """Do what `load_weights` does, and return the sample rate too."""
    kit = _find(toolkit)
    state, stated = _read(kit, open_checkpoint(checkpoint))
    renamed = kit.layout(state).to_ours(state)
    check(renamed)
    if renamed.X is not None:
        stated["X"] = renamed.X
    settings = kit.settle(stated, answers)
    if kit.adapt is not None:
        kit.adapt(renamed.tensors, settings)
    return Imported(build(renamed, settings), settings.get("sample_rate"))


def export_weights(
    toolkit: str, encoder: Encoder, masknet: MaskNet, decoder: Decoder, sample_rate: int | None = None
) -> object:
    """Convert a model to the form of another toolkit, where that can express it.

    Parameters
    ----------
    toolkit : str
        ``torchaudio`` or ``asteroid``.
    encoder, masknet, decoder : Encoder, MaskNet, Decoder
        The model.
    sample_rate : int, optional
        In Hz; Asteroid needs it.

    Returns
    -------
    Module or dict
        A ``torchaudio.models.ConvTasNet``, or what ``asteroid.models.ConvTasNet.from_pretrained`` takes. Asteroid
        drops samples at the end that fill no stride of L/2.

    Raises
    ------
    InputError
        The toolkit's Conv-TasNet is a narrower one.

    Example
    -------
    >>> encoder, decoder = Encoder(8, 4), Decoder(8, 4)
    >>> masknet = MaskNet(8, 4, 8, 4, X=2, R=1, norm="cumulative", causal=True)
    >>> export_weights("asteroid", encoder, masknet, decoder, sample_rate=8000)["model_args"]["norm_type"]
    'cgLN'
    """
    express = _find(toolkit).express
    if express is None:
        able = [name for name, kit in TOOLKITS.items() if kit.express is not None]
        raise InputError(f"{toolkit}: weights can only go to {' and '.join(able)}")
    return express(Model(encoder, masknet, decoder), sample_rate)


def write_weights(
    toolkit: str,
    path: Path | str,
    encoder: Encoder,
    masknet: MaskNet,
    decoder: Decoder,
    sample_rate: int | None = None,
) -> None:
    """Write what `export_weights` gives as a file of ``torch.save``; of a module, its state dict."""
    theirs = export_weights(toolkit, encoder, masknet, decoder, sample_rate)
    with new_file(path) as partial:
        torch.save(theirs.state_dict() if isinstance(theirs, nn.Module) else theirs, partial)


def _read(kit: Toolkit, content: object) -> tuple[dict[str, object], Settings]:
    """Read a checkpoint's content, which may be anything."""
    try:
        return kit.read(content)
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        cause = " ".join(str(error).split())[:100]
        raise InputError(f"a {type(content).__name__}, but not a Conv-TasNet of {kit.name} ({cause})") from error


def _find(toolkit: str) -> Toolkit:
    if toolkit not in TOOLKITS:
        raise InputError(f"toolkit {toolkit!r}: expected one of {list(TOOLKITS)}")
    return TOOLKITS[toolkit]
