"""Load a trained separator and use it on any audio: the toolkit's `Pretrained` interface."""

import json
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor, nn

from speechbrain_tasnet.convtasnet import separate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.files import new_folder
from speechbrain_tasnet.separation import WINDOW, Choices, separate_recording

# Where a training run keeps its separator.
PRETRAINED = "pretrained"

HPARAMS = """\
# A separator that speechbrain_tasnet trained. Load it with
#   speechbrain_tasnet.TasNetSeparation.from_hparams(source="this folder")
sample_rate: {sample_rate}
num_spks: {num_spks}
encoder: !new:speechbrain_tasnet.convtasnet.Encoder {encoder}
masknet: !new:speechbrain_tasnet.convtasnet.MaskNet {masknet}
decoder: !new:speechbrain_tasnet.convtasnet.Decoder {decoder}
modules:
    encoder: !ref <encoder>
    masknet: !ref <masknet>
    decoder: !ref <decoder>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables: !ref <modules>
"""


class TasNetSeparation(Pretrained):
    """A trained separator, ready for use.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    >>> separator = TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2})
    >>> separator.separate_batch(torch.randn(1, 400)).shape
    torch.Size([1, 400, 2])
    """

    HPARAMS_NEEDED = ("sample_rate", "num_spks")
    MODULES_NEEDED = ("encoder", "masknet", "decoder")

    @torch.no_grad()
    def separate_batch(self, mix: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Separate a batch of mixtures at the model's own sampling rate.

        Parameters
        ----------
        mix : Tensor
            [batch, time].
        lengths : Tensor, optional
            [batch], relative lengths in (0, 1].

        Returns
        -------
        Tensor
            [batch, time, C].
        """
        lengths = None if lengths is None else lengths.to(self.device)
        with self.inference_ctx:
            return separate(self.mods.encoder, self.mods.masknet, self.mods.decoder, mix.to(self.device), lengths)

    def separate_file(
        self, path: Path | str, channels: str = "mean", scale: str = "none", window: float | None = WINDOW
    ) -> Tensor:
        """Separate an audio file of any rate and length; `separation.write_sources` writes the sources instead.

        Parameters
        ----------
        path : path-like
            wav, flac, ogg, mp3 or whatever soundfile reads.
        channels, scale, window
            As `separation.Choices` has them.

        Returns
        -------
        Tensor
            [1, time, C], at the rate and of the length of the file; [channels, time, C] with ``channels="each"``.

        Raises
        ------
        InputError
            The file is missing, is no audio, is cut short, holds no samples, or holds NaN or infinite ones.
        """
        return separate_recording(self, path, Choices(channels, scale, window))

    def forward(self, mix: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Separate a batch, as `separate_batch`."""
        return self.separate_batch(mix, lengths)


def save_pretrained(folder: Path | str, modules: dict[str, nn.Module], sample_rate: int) -> None:
    """Write a separator as a folder that `TasNetSeparation.from_hparams` loads.

    Parameters
    ----------
    folder : path-like
        Made if need be; replaced as a whole.
    modules : dict of Module
        ``encoder``, ``masknet`` and ``decoder``.
    sample_rate : int
        In Hz.
    """
    # JSON is YAML too.
    configs = {name: json.dumps(module.config) for name, module in modules.items()}
    num_spks = modules["masknet"].config["C"]
    with new_folder(folder, replace=True) as partial:
        text = HPARAMS.format(sample_rate=sample_rate, num_spks=num_spks, **configs)
        (partial / "hyperparams.yaml").write_text(text, encoding="utf-8")
        for name, module in modules.items():
            torch.save(module.state_dict(), partial / f"{name}.ckpt")


def load_separator(folder: Path | str) -> TasNetSeparation:
    """Load a separator from its folder, or from that of the training run that made it.

    Parameters
    ----------
    folder : path-like
        Holds ``hyperparams.yaml`` and ``encoder.ckpt``, or ``pretrained`` with these in it.

    Raises
    ------
    InputError
        There is no separator.
    """
    for candidate in (Path(folder) / PRETRAINED, Path(folder)):
        if (candidate / "encoder.ckpt").is_file() and (candidate / "hyperparams.yaml").is_file():
            return TasNetSeparation.from_hparams(source=str(candidate))
    raise InputError(f"{folder}: holds no separator; expected the folder of a finished training run")
