"""Load a trained separator and use it on any audio: the toolkit's `Pretrained` interface."""

from pathlib import Path

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from speechbrain_tasnet.audio import audio_length, audio_rate, read_audio, resample, write_wav
from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.convtasnet import separate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.files import new_file


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

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str | None = None) -> "TasNetSeparation":
        """Load a separator without running any code from its folder, and without the network.

        Parameters
        ----------
        folder : path-like
            What `bundle.save_bundle` wrote: ``config.json`` and ``model.safetensors`` are read.
        device : str, optional
            ``cpu``, ``cuda:0`` and the like; by default a GPU if there is one.

        Raises
        ------
        InputError
            There is no bundle, it is damaged, or something in it is not as it should be.
        """
        modules, config = load_bundle(folder)
        hparams = {"sample_rate": config.sample_rate, "num_spks": config.num_spks}
        return cls(modules, hparams, run_opts=None if device is None else {"device": device})

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

    def separate_file(self, path: Path | str) -> Tensor:
        """Separate an audio file of any rate; channels are averaged.

        Parameters
        ----------
        path : path-like
            wav, flac, ogg or mp3.

        Returns
        -------
        Tensor
            [1, time, C], at the rate and of the length of the file.

        Raises
        ------
        InputError
            The file is missing, is no audio, is cut short, holds no samples, or holds NaN or infinite ones.
        """
        rate, file_rate = self.hparams.sample_rate, audio_rate(path)
        mix = torch.from_numpy(read_audio(path, rate)).unsqueeze(0)  # [1, time]
        sources = self.separate_batch(mix).squeeze(0).float().cpu().T.numpy()  # [C, time]
        back = resample(sources, rate, file_rate)[:, : audio_length(path, file_rate)]
        return torch.from_numpy(back).T.unsqueeze(0)

    def forward(self, mix: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Separate a batch, as `separate_batch`."""
        return self.separate_batch(mix, lengths)


def load_separator(folder: Path | str) -> TasNetSeparation:
    """Load a separator from its folder, or from that of the training run that made it.

    Parameters
    ----------
    folder : path-like
        A bundle, or a folder with a bundle ``pretrained`` in it.

    Raises
    ------
    InputError
        There is no separator, or it is not as it should be.
    """
    return TasNetSeparation.from_bundle(find_bundle(folder))


def write_sources(
    separator: TasNetSeparation, mixture: Path | str, out: Path | str, overwrite: bool = False
) -> list[Path]:
    """Separate a file into one file a source, ``OUT/NAME_s1.wav`` and so on, 16-bit PCM.

    Where a source would clip, all are scaled down together, so that their levels still compare.

    Parameters
    ----------
    separator : TasNetSeparation
        The model.
    mixture : path-like
        Audio file.
    out : path-like
        Folder; made if it is not there.
    overwrite : bool
        Replace files that are there.

    Returns
    -------
    list of Path
        The files, one a source.

    Raises
    ------
    InputError
        The mixture cannot be read, or a file is there already.
    """
    name = Path(mixture).stem
    paths = [Path(out) / f"{name}_s{i}.wav" for i in range(1, separator.hparams.num_spks + 1)]
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(f"{path}: is there already; choose another --out or give --overwrite")
    rate = audio_rate(mixture)
    sources = separator.separate_file(mixture).squeeze(0).T.numpy()  # [C, time]
    sources = sources / max(1.0, np.abs(sources).max())
    for path, source in zip(paths, sources, strict=True):
        with new_file(path) as partial:
            write_wav(partial, source, rate)
    return paths
