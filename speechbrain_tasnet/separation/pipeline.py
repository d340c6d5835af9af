"""Recordings of any rate, length and number of channels into their sources, several windows at once.

The thread that asks for the sources reads, resamples and joins, and workers do nothing but separate: windows of
one recording or, if these are short, of several. So files are opened and written by a single thread, which a
signal can stop at any time.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, groupby

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.audio_file import AudioFile
from speechbrain_tasnet.audio.reading import open_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample_blocks
from speechbrain_tasnet.audio.rms_level import RmsLevel
from speechbrain_tasnet.audio.sources import Bytes, is_pipe
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.ops.ahead import ahead
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.scaling import Levels
from speechbrain_tasnet.separation.windows import Window, cut_windows, join_windows
from speechbrain_tasnet.speakers.shared_outputs import part_speakers
from speechbrain_tasnet.speakers.tracking import track_speakers

# Seconds that a separator which counts voices gets at once. A network keeps two people apart for minutes, but of
# three two come to share an output; from one window to the next, speakers are tracked by what they sound like.
LONGEST_TRACKED = 60.0


class Recording:
    """A recording on its way through a separator.

    Attributes
    ----------
    path
        What it is read from.
    levels : Levels
        Of the sources that have gone out.
    mixture_level : RmsLevel
        Of what has been read.
    frames : int
        How many samples of each channel that is.
    rate, channels, exact
        Of the open file, with as many channels as the sources have; they are known when the first sources are.
    """

    def __init__(
        self,
        path: Bytes | AudioFile,
        window: float | None,
        channels: Channels,
        model_rate: int,
        with_mixture: bool = False,
        tracks_speakers: bool = False,
    ):
        self.path, self.levels, self.mixture_level, self.frames = path, Levels(), RmsLevel(), 0
        self._window, self._channels, self._model_rate = window, channels, model_rate
        self._with_mixture, self._tracks_speakers = with_mixture, tracks_speakers
        self._left = 0  # samples that have been read and not gone out

    def windows(self, check: Callable[[AudioFile], object]) -> Iterator[Window]:
        """Read the file, once it has passed the check."""
        with open_audio(self.path) as file:
            self._channels.check(file)
            check(file)
            self.rate, self.exact = file.samplerate, file.exact
            self.channels = self._channels.of_sources(file.channels)
            mixture = resample_blocks(self._counted(file), file.samplerate, self._model_rate)
            size = None if self._window is None else round(self._window * self._model_rate)
            yield from cut_windows(map(torch.from_numpy, mixture), size)

    def _counted(self, file: AudioFile) -> Iterator[np.ndarray]:
        for block in read_blocks(file, self._channels.read_as):
            self._left += block.shape[-1]
            self.frames += block.shape[-1]
            self.mixture_level.add(block)
            yield block

    def blocks(self, separated: Iterable[tuple[Window, Tensor]]) -> Iterator[np.ndarray]:
        """Join the sources of the windows, and the mixture if it is wanted.

        Yields
        ------
        numpy.ndarray
            [channels, C or C + 1, any number of samples], at the file's rate.
        """
        separated = iter(separated)
        # The first one, or what is wrong with the file, comes before its rate is asked for.
        sources = self._joined(chain([next(separated)], separated))
        for block in resample_blocks(sources, self._model_rate, self.rate):
            block = block[..., : self._left]  # up and down again, the last sample may become two
            self.levels.measure(block)
            self._left -= block.shape[-1]
            yield block

    def _joined(self, separated: Iterable[tuple[Window, Tensor]]) -> Iterator[np.ndarray]:
        pieces = join_windows(separated, self._model_rate, self._channels.one_order)
        if self._tracks_speakers:
            pieces = track_speakers(pieces, self._model_rate)
        for piece, sources in pieces:
            mixture = self._channels.heard(piece)
            self.levels.compare(mixture, sources)
            if self._with_mixture:
                sources = torch.cat([sources, mixture.unsqueeze(2)], dim=2)
            # A second at a time, for at the file's rate a window of many channels is large.
            yield from (second.transpose(1, 2).numpy() for second in sources.split(self._model_rate, dim=1))


# What is read of a recording: its next window or, at the end, what is wrong with it.
_Read = tuple[Recording, Window | InputError]


def separate_recordings(
    separator: Separator,
    paths: Iterable[Bytes | AudioFile],
    choices: SeparationOptions,
    check: Callable[[AudioFile], object] = lambda file: None,
    with_mixture: bool = False,
) -> Iterator[tuple[Recording, Iterator[np.ndarray]]]:
    """Separate audio files in order.

    Parameters
    ----------
    separator : Separator
        The model.
    paths : iterable of path-like, bytes, binary file or AudioFile
        Audio files. They are opened ahead of those before them, pipes excepted, for these may have to wait.
    choices : SeparationOptions
        How.
    check : callable, optional
        Is called with each file that has been opened; what it raises is wrong with the recording.
    with_mixture : bool
        Whether what the sources were separated from comes as one more of them, the last.

    Yields
    ------
    tuple
        A recording and its sources, [channels, C, any number of samples] each at the file's rate, to be taken
        before the next recording is. They raise `InputError` if the file cannot be read; others come all the same.
    """
    rate, channels = separator.hparams.sample_rate, Channels(separator, choices)
    separate = partial(channels.separate, separator.separate_batch)
    seconds, counts = choices.window, getattr(separator, "counts_voices", False)
    if counts:
        separate = _with_speakers_parted(separate, rate, channels.one_order)
        seconds = None if seconds is None else min(seconds, LONGEST_TRACKED)

    def read(paths: list[Bytes | AudioFile]) -> Iterator[_Read]:
        for path in paths:
            recording = Recording(path, seconds, channels, rate, with_mixture, counts)
            try:
                for window in recording.windows(check):
                    yield recording, window
            except InputError as error:
                yield recording, error

    for run in _up_to_pipes(paths):
        with (
            closing(read(run)) as windows,
            closing(ahead(_separate(separate), windows, choices.num_workers(separator))) as results,
        ):
            for recording, of_it in groupby(results, key=lambda result: result[0][0]):
                yield recording, recording.blocks(_without_errors(of_it))


def _with_speakers_parted(
    separate: Callable[[Tensor], Tensor], rate: int, one_order: bool
) -> Callable[[Tensor], Tensor]:
    """Give everybody in a window an output of their own, see `part_speakers`."""
    return lambda mixture: part_speakers(separate(mixture), rate, one_order)


def _up_to_pipes(paths: Iterable[Bytes | AudioFile]) -> Iterator[list[Bytes | AudioFile]]:
    """Split paths where a pipe is to be opened."""
    run = []
    for path in paths:
        if run and is_pipe(path):
            yield run
            run = []
        run.append(path)
    yield run


def _separate(separate: Callable[[Tensor], Tensor]) -> Callable[[_Read], Tensor | InputError]:
    """Return errors that concern one recording in place of its sources."""

    def one(read: _Read) -> Tensor | InputError:
        _, window = read
        try:
            return window if isinstance(window, InputError) else separate(window.mixture)
        except InputError as error:
            return error

    return one


def _without_errors(
    results: Iterable[tuple[_Read, Tensor | InputError]],
) -> Iterator[tuple[Window, Tensor]]:
    """Pass on windows and their sources, up to the last one: the next result is that of another recording."""
    for (_, window), sources in results:
        if isinstance(sources, InputError):
            raise sources
        yield window, sources
        if window.last:
            return
