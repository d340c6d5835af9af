"""Wav files that grow while they are recorded, and are valid at any moment."""

import wave
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.files import check_not_there

LARGEST = 2**32 - 4096  # bytes of samples that a wav has room for


class LiveFiles:
    """The recording of a live separation: ``OUT/mixture.wav``, ``OUT/s1.wav``, ``OUT/s2.wav`` and so on.

    They have 16 bits and are written as the samples come, under their own names: whatever ends the program, what
    was heard until then can be played.

    Parameters
    ----------
    out : path-like
        Folder; made if it is not there.
    rate, mics, num_spks : int
        Of the model: Hz, channels of the mixture, sources.
    overwrite : bool
        Replace files that are there.

    Raises
    ------
    InputError
        A file already exists, or cannot be written (`DiskError`).
    """

    def __init__(self, out: Path | str, rate: int, mics: int, num_spks: int, overwrite: bool = False):
        self.paths = [Path(out) / f"{name}.wav" for name in ("mixture", *(f"s{i + 1}" for i in range(num_spks)))]
        if not overwrite:
            check_not_there(self.paths)
        self._open, self._files = ExitStack(), []
        try:
            Path(out).mkdir(parents=True, exist_ok=True)
            for path, channels in zip(self.paths, [mics, *[1] * num_spks], strict=True):
                stream = self._open.enter_context(path.open("wb" if overwrite else "xb"))
                file = self._open.enter_context(wave.open(stream, "wb"))  # noqa: SIM115
                file.setnchannels(channels)
                file.setsampwidth(2)
                file.setframerate(rate)
                file.writeframes(b"")  # the header
                stream.flush()
                self._files.append(file)
        except OSError as error:
            self._open.close()
            raise _refused(error, out) from None
        self._out = out

    def __enter__(self) -> "LiveFiles":
        return self

    def __exit__(self, *_) -> None:
        try:
            self._open.close()
        except OSError as error:
            raise _refused(error, self._out) from None

    def hear(self, mixture: np.ndarray, sources: np.ndarray) -> None:
        """Write samples [n, mics] and those of the sources that are now known, [m, C].

        Raises
        ------
        InputError
            A file is full, or cannot be written (`DiskError`).
        """
        try:
            for path, file, samples in zip(self.paths, self._files, [mixture, *sources.T], strict=True):
                data = quantize(samples).astype("<i2").tobytes()
                if 2 * file.getnchannels() * file.getnframes() + len(data) > LARGEST:
                    raise InputError(f"{path}: the wav has reached its limit of 4 GiB; begin another recording")
                # Samples, then the header: Python's file hands over the ones before it goes back to the other.
                file.writeframes(data)
        except OSError as error:
            raise _refused(error, self._out) from None


def _refused(error: OSError, out: Path | str) -> DiskError:
    return DiskError(
        f"{error.filename or out}: cannot be written ({error.strerror}); check the folder and disk space"
    )
