"""Load a trained separator and use it on any audio: SpeechBrain's `Pretrained` interface."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor, nn

from speechbrain_tasnet.audio.samples_file import SamplesAudio
from speechbrain_tasnet.audio.sources import Bytes
from speechbrain_tasnet.bundle import load_bundle
from speechbrain_tasnet.bundle.hub import find_separator
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network import precision
from speechbrain_tasnet.network.devices import check_device
from speechbrain_tasnet.network.samples import Samples, as_samples, check_weights
from speechbrain_tasnet.network.separate import is_ours, separate
from speechbrain_tasnet.separation.options import WINDOW, SeparationOptions
from speechbrain_tasnet.separation.recording import Progress, separate_recording, separate_voices
from speechbrain_tasnet.separation.voices import Voices


class TasNetSeparation(Pretrained):
    """A trained separator, ready for use.

    `from_bundle` reads a configuration and weights, and runs no code from the folder. ``from_hparams``, which
    comes from SpeechBrain, runs the ``hyperparams.yaml`` that it is given: whatever YAML names is imported and
    called. Use it only on folders from people whose programs you would run.

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

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, *arguments, **options):
        check_weights(modules or {})
        run_options = options.get("run_opts") or (arguments[1] if len(arguments) > 1 else None) or {}
        if run_options.get("device") is not None:
            check_device(run_options["device"], half=False)
        super().__init__(modules, *arguments, **options)
        precision.check(self.precision, str(self.device), allow_slow=True)  # warns, where that is asked for

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str | None = None) -> "TasNetSeparation":
        """Load a separator without running any code from its folder.

        Parameters
        ----------
        folder : path-like
            What `bundle.save_bundle` wrote, or that of the training run that made it, or the name of a separator
            that is bundled. Where there is none of these, the text ``owner/name`` or ``owner/name@revision`` is a
            repository of the Hugging Face hub, of which a copy stays on this machine; nothing else needs the
            network. ``config.json`` and ``model.safetensors`` are read.
        device : str, optional
            ``cpu``, ``cuda:0`` and the like; by default a GPU if there is one.

        Raises
        ------
        InputError
            There is no separator, it cannot be downloaded, it is damaged, or something in it is not as it should
            be; or there is no such device.
        """
        if device is not None:
            device = check_device(device, half=False)
        model, config = load_bundle(find_separator(folder))
        hparams = {"sample_rate": config.sample_rate, "num_spks": config.num_spks}
        hparams["silence"] = config.about.get("silence")
        return cls(model, hparams, run_opts=None if device is None else {"device": device})

    @torch.no_grad()
    def separate_batch(self, mix: Samples, lengths: Samples | None = None) -> Samples:
        """Separate a batch of mixtures at the model's own sampling rate.

        Parameters
        ----------
        mix : Tensor or numpy.ndarray
            [batch, time], or [batch, time, mics] where it listens to several microphones, also an empty batch:
            float64, float32, float16 or bfloat16 with full scale at 1, or PCM of int16 or int32, which is scaled
            as soundfile does it.
        lengths : Tensor or numpy.ndarray, optional
            [batch], relative lengths in (0, 1].

        Returns
        -------
        Tensor or numpy.ndarray
            [batch, time, C], or [batch, time, C, mics] at each microphone; an array if ``mix`` was one, in the
            type of ``mix``, or in float32 for PCM.

        Raises
        ------
        InputError
            ``mix`` is of another type or shape.
        """
        samples, back = as_samples(mix)
        mods = self.mods
        with self.inference_ctx:
            return back(separate(mods.encoder, mods.masknet, mods.decoder, samples.to(self.device), lengths))

    @property
    def mics(self) -> int:
        """Microphones that it listens to, each a channel of a mixture."""
        return getattr(getattr(self.mods, "encoder", None), "mics", 1)

    @property
    def reference(self) -> int:
        """Which of them the sources are estimated at, from 0 on."""
        return getattr(getattr(self.mods, "encoder", None), "reference", 0)

    @property
    def outputs(self) -> int:
        """Microphones that the sources are estimated at: 1, or as many as it listens to."""
        return getattr(getattr(self.mods, "encoder", None), "outputs", 1)

    @property
    def hop(self) -> int:
        """Samples from one of its frames to the next; where it does not say, 2 ms."""
        return getattr(getattr(self.mods, "encoder", None), "stride", self.hparams.sample_rate // 500)

    @property
    def parallel(self) -> bool:
        """Whether several threads may separate at once, and gain by it."""
        on_processor = torch.device(self.device).type == "cpu"
        modules = (getattr(self.mods, name, None) for name in ("encoder", "masknet", "decoder"))
        return on_processor and is_ours(*modules)

    @property
    def counts_voices(self) -> bool:
        """Whether outputs are quiet for which nobody speaks, so that those who speak can be counted."""
        return getattr(self.hparams, "silence", None) == "power"

    def separate_file(
        self,
        path: Bytes,
        channels: str = "mean",
        scale: str = "none",
        window: float | None = WINDOW,
        workers: int | None = None,
        beamform: str | None = None,
        shifts: int = 1,
        progress: Progress | None = None,
    ) -> Tensor:
        """Separate an audio file of any rate and length; `separation.write_sources` writes the sources instead.

        Parameters
        ----------
        path : path-like, bytes or binary file
            wav, flac, ogg, mp3 or whatever soundfile reads; what is in such a file; or one that is open.
        channels, scale, window, workers, beamform, shifts
            As `separation.SeparationOptions` has them.
        progress : callable, optional
            Is called with the seconds of each piece that is separated.

        Returns
        -------
        Tensor
            [1, time, C], at the rate and of the length of the file; [channels, time, C] with ``channels="each"``.

        Raises
        ------
        InputError
            The file is missing, is not audio, is cut short, holds no samples, or holds NaN or infinite ones.
        """
        choices = SeparationOptions(channels, scale, window, workers, beamform=beamform, shifts=shifts)
        return separate_recording(self, path, choices, progress)

    def separate_audio(self, audio: Samples, sample_rate: int, **options: Any) -> Samples:
        """Separate a recording in memory, of any rate and length.

        Parameters
        ----------
        audio : numpy.ndarray or Tensor
            An array [time] or [time, channels], as soundfile reads it, or a tensor [time] or [channels, time], as
            torchaudio does: floating point with full scale at 1, or PCM of int16 or int32.
        sample_rate : int
            Of the recording, in Hz; the sources have the same.
        **options
            As `separate_file` has them.

        Returns
        -------
        numpy.ndarray or Tensor
            As the recording: [C, time], float32; with ``channels="each"`` of several channels, or of a separator
            with sources at each microphone, arrays [C, time, channels] or tensors [C, channels, time].

        Raises
        ------
        InputError
            It holds no samples, or NaN or infinite ones, or is of another type or shape.

        Example
        -------
        >>> separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk", device="cpu")
        >>> first, second = separator(np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
        >>> first.shape
        (16000,)
        """
        of_torch = isinstance(audio, Tensor)
        sources = self.separate_file(_as_file(audio, sample_rate), **options)  # [channels, time, C]
        if len(sources) == 1:
            sources = sources[0].T
        else:
            sources = sources.permute(2, 0, 1) if of_torch else sources.permute(2, 1, 0)
        return sources if of_torch else sources.numpy()

    def separate_voices(
        self,
        audio: Bytes | Samples,
        sample_rate: int | None = None,
        channels: str = "mean",
        scale: str = "none",
        window: float | None = WINDOW,
        workers: int | None = None,
        gate: bool = True,
        beamform: str | None = None,
        shifts: int = 1,
        voices: int | None = None,
        progress: Progress | None = None,
    ) -> Voices:
        """Separate an audio file or samples, and find out how many voices are heard in them, and when.

        Parameters
        ----------
        audio : path-like, bytes, binary file, numpy.ndarray or Tensor
            A file, as `separate_file` has it, or samples, as `separate_audio` has them.
        sample_rate : int, optional
            Of samples, in Hz; a file has its own.
        channels, scale, window, workers, gate, beamform, shifts, voices
            As `separation.SeparationOptions` has them.
        progress : callable, optional
            Is called with the seconds of each piece that is separated.

        Returns
        -------
        Voices
            The sources of those who are heard, silent where they are not, and who speaks when.

        Raises
        ------
        InputError
            As `separate_file` and `separate_audio` do, or the separator cannot have as many voices, or there are
            samples without their rate, or a rate without samples.

        Example
        -------
        >>> separator = TasNetSeparation.from_bundle("convtasnet-8k-talk", device="cpu")
        >>> separator.separate_voices(np.zeros(16000, np.float32), 16000).count
        0
        """
        if isinstance(audio, np.ndarray | Tensor):
            if sample_rate is None:
                raise InputError("samples without their rate: expected sample_rate, such as 16000 Hz")
            audio = _as_file(audio, sample_rate)
        elif sample_rate is not None:
            raise InputError(f"sample_rate={sample_rate}: a file has its own; leave it out, or pass samples")
        choices = SeparationOptions(channels, scale, window, workers, gate, beamform, shifts, voices)
        return separate_voices(self, audio, choices, progress)

    def forward(self, mix: Samples, lengths: Samples | int | None = None) -> Samples:
        """Do as `separate_batch`; if followed by a sampling rate, a whole number, as `separate_audio`."""
        return self.separate_audio(mix, lengths) if isinstance(lengths, int) else self.separate_batch(mix, lengths)


def _as_file(audio: Samples, sample_rate: int) -> SamplesAudio:
    """Read samples like a file: an array [time] or [time, channels], or a tensor [time] or [channels, time]."""
    samples = audio.detach().cpu().numpy().T if isinstance(audio, Tensor) else np.asarray(audio)
    return SamplesAudio(samples, sample_rate)
