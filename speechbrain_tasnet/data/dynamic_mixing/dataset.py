"""Dynamic mixing: every item of every epoch is a new mixture."""

from collections.abc import Iterable, Sequence
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.speech_level import MAX_GAIN_DB, NOISE_SNR_DB, PEAK, active_level
from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.data.dynamic_mixing.acoustics import Acoustics
from speechbrain_tasnet.data.dynamic_mixing.channels import Channels
from speechbrain_tasnet.data.dynamic_mixing.noise import Noise
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.data.dynamic_mixing.similar_voices import SimilarVoices
from speechbrain_tasnet.data.dynamic_mixing.talk import Talk, Voice
from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.data.folders.speech import (
    MIN_SECONDS,
    SPEAKERS_CSV,
    SPLITS,
    Speakers,
    find_speakers,
    split_speakers,
)
from speechbrain_tasnet.data.held_out import is_among
from speechbrain_tasnet.data.tasks import OUTPUTS, SOURCE_ORDERS, TARGETS
from speechbrain_tasnet.errors import InputError, whole_number

WIDE_GAIN_DB = 10.0  # the first speaker up to 20 dB above the last


class Shares(NamedTuple):
    """Shares of the items that have each property."""

    noise_share: float
    room_share: float
    channel_share: float
    wide_level_share: float
    similar_voice_share: float
    talk_share: float
    silent_share: float

    def draw(self, rng: np.random.Generator) -> "Shares":
        """Draw what an item has; what all or none of them have is not drawn."""
        return Shares(*(bool(share) if share in (0, 1) else rng.random() < share for share in self))


class DynamicMixing(EpochDataset):
    """Mixtures of a folder of speech, drawn again for every item.

    An item is `num_spks` different speakers, drawn uniformly, an utterance of each, and a stretch of it that is
    not silent. Where an utterance does not fill the segment, others of the same speaker follow it. Or an item is
    a stretch of a conversation, see `Talk`. There may be fewer speakers, or nobody; the sources of the others are
    silent then. Each utterance is scaled by its active level, measured on the whole of it, then by a gain: g dB
    for the first speaker, -g dB for the last, evenly spaced between, g uniform in [0, 2.5]. In a room, positions
    of which are drawn too, the direct sound has the energy that the dry utterance had, as in WHAMR!. Noise is
    added as `Noise.draw` says. At last mixture and sources are scaled together so that the largest peak of any of
    them is 0.9.

    An item depends on the seed, the epoch and its index alone, see `EpochDataset`.

    Parameters
    ----------
    speech : path-like
        Speech folder, see `folders.speech.find_speakers`. Where it has a `speakers.csv`, its training speakers
        alone are used. Utterances under one second are left out.
    num_spks : int
        Speakers in a mixture, C.
    sample_rate : int
        In Hz; files of another rate are resampled as they are read.
    segment : float
        Seconds of an item.
    length : int
        Items of an epoch.
    seed : int
        Seed of every draw.
    exclude : iterable of str
        Speakers to leave out, such as those of validation and test; they need not be in the folder. A name stands
        for all folders whose path ends with it.
    speeds : iterable of float
        Each source is played at a speed drawn from these, which moves its pitch.
    noise : path-like, optional
        Folder of noise.
    exclude_noise : iterable of str
        Recordings of noise to leave out, named without their suffixes as `exclude` names speakers.
    rooms : RoomBank or path-like, optional
        Impulse responses at `sample_rate`; the mixture is then what is heard in the room. With several
        microphones items that are not in a room have the direct paths alone, and noise is a diffuse field.
    target : str
        What the sources are in a room: ``anechoic`` (the direct sound, in step with the mixture) or ``reverb``.
    noise_share, room_share : float
        Share of the items that get noise, and that of those in a room, where there are any. Items in which nobody
        speaks always get noise, where there is any.
    noise_snr : sequence of float
        Range of the first speaker's level above the noise, in dB.
    channel_share : float
        Share of the items that come through microphones, a telephone's band or a codec, see `Channels`.
    wide_level_share : float
        Share of the items whose first speaker may be up to 20 dB above the last one, instead of 5 dB.
    similar_voice_share : float
        Share of the items whose speakers have about the same pitch, see `SimilarVoices`.
    min_spks : int, optional
        Fewest speakers of an item, from 0; their number is drawn uniformly. By default all items have `num_spks`.
    talk_share : float
        Share of the items that are excerpts of conversations.
    talk_turns : TurnTaking, optional
        How people talk in them. Somebody is heard in each excerpt, unless there is noise, or nobody takes part.
    silent_share : float
        Share of the items in which nobody speaks: noise alone; without `noise`, silence.
    mics : int
        Microphones that a mixture has; with more than one there must be rooms with as many.
    reference : int
        Which of them the sources are heard at.
    outputs : str
        ``each`` for sources at all of them; otherwise they are those at the reference.
    source_order : str
        With several microphones, ``location`` sorts the sources from the reference's side to that of the first of
        the other microphones, for location-based training; ``best`` leaves them in no order.

    Raises
    ------
    InputError
        A folder, a file or a value is not as it should be.
    """

    def __init__(
        self,
        speech: Path | str,
        num_spks: int,
        sample_rate: int,
        segment: float,
        length: int,
        seed: int = 0,
        exclude: Iterable[str] = (),
        speeds: Iterable[float] = (1.0,),
        noise: Path | str | None = None,
        exclude_noise: Iterable[str] = (),
        rooms: RoomBank | Path | str | None = None,
        target: str = "anechoic",
        noise_share: float = 1.0,
        noise_snr: Sequence[float] = NOISE_SNR_DB,
        room_share: float = 1.0,
        channel_share: float = 0.0,
        wide_level_share: float = 0.0,
        similar_voice_share: float = 0.0,
        min_spks: int | None = None,
        talk_share: float = 0.0,
        talk_turns: TurnTaking | None = None,
        silent_share: float = 0.0,
        mics: int = 1,
        reference: int = 0,
        outputs: str = "reference",
        source_order: str = "best",
    ):
        super().__init__()
        self.num_spks = whole_number("num_spks", num_spks)
        self.min_spks = whole_number("min_spks", num_spks if min_spks is None else min_spks, minimum=0)
        if self.min_spks > self.num_spks:
            raise InputError(f"min_spks={min_spks}: expected at most num_spks={num_spks}")
        self.length = whole_number("length", length)
        self.seed = whole_number("seed", seed, minimum=0)
        rate = whole_number("sample_rate", sample_rate, minimum=1000)
        if segment is None or not 0 < segment < float("inf"):
            raise InputError(f"segment={segment}: expected seconds above 0")
        self.size = max(1, round(segment * rate))
        self.speeds = tuple(speeds)
        if not self.speeds or not all(0 < speed < float("inf") for speed in self.speeds):
            raise InputError(f"speeds={list(self.speeds)}: expected factors above 0, such as [0.95, 1.0, 1.05]")
        for option, names in (("exclude", exclude), ("exclude_noise", exclude_noise)):
            if isinstance(names, str):
                raise InputError(f"{option}={names!r}: expected a list of names, such as [{names}]")
        for option, word, words in (
            ("target", target, TARGETS),
            ("outputs", outputs, OUTPUTS),
            ("source_order", source_order, SOURCE_ORDERS),
        ):
            if word not in words:
                raise InputError(f"{option}={word!r}: expected {' or '.join(map(repr, words))}")
        self.mics = whole_number("mics", mics)
        if mics > 1 and rooms is None:
            raise InputError(
                f"mics={mics}: mixing needs rooms with as many microphones; make them by `tasnet generate rooms "
                f"--mics {mics}`, and set rooms"
            )
        by_location = source_order == "location"
        if by_location and mics == 1:
            raise InputError("source_order='location' with mics=1: one microphone hears no directions; use 'best'")
        self._outputs = mics if outputs == "each" else 1
        self._rooms = None
        if rooms is not None:
            self._rooms = Acoustics(rooms, num_spks, rate, mics, reference, target, outputs == "each", by_location)
        self._noise = None if noise is None else Noise(noise, rate, noise_snr, frozenset(exclude_noise))
        self._channels = Channels(rate)
        self._shares = Shares(
            noise_share,
            room_share,
            channel_share,
            wide_level_share,
            similar_voice_share,
            talk_share,
            silent_share,
        )
        for name, share in self._shares._asdict().items():
            if not 0 <= share <= 1:
                raise InputError(f"{name}={share}: expected a share from 0 to 1")
        self._find_speech(Path(speech), frozenset(exclude), rate)
        if similar_voice_share:
            firsts = [self._speech.paths[numbers[0]] for numbers in self._speakers]
            self._similar = SimilarVoices.measure(firsts, rate)
        self._talk = Talk(self._speech, self.size, talk_turns or TurnTaking())

    def _find_speech(self, speech: Path, exclude: frozenset[str], rate: int) -> None:
        """List the utterances of each speaker: `_speakers` holds their numbers, `_names` what to call them."""
        found = _training_speakers(speech)
        taken = [name for name in found if not is_among(name, exclude)]
        files = [(name, path) for name in taken for path in found[name]]
        self._speech = Recordings([path for _, path in files], rate, active_level)
        self._names = [path.relative_to(speech).with_suffix("").as_posix() for _, path in files]
        speakers: dict[str, list[int]] = {}
        for number, (name, _) in enumerate(files):
            if self._speech.seconds(number) >= MIN_SECONDS:
                speakers.setdefault(name, []).append(number)
        self._speakers = list(speakers.values())
        if len(speakers) < self.num_spks:
            raise InputError(
                f"{speech}: {len(found)} speakers to train on, {len(found) - len(taken)} of them excluded, "
                f"{len(speakers)} of the rest with an utterance of {MIN_SECONDS:g} s or more, at least "
                f"num_spks={self.num_spks} needed; add speakers"
            )

    def __len__(self) -> int:
        return self.length

    def at(self, epoch: int, index: int) -> dict[str, str | Tensor]:
        """Make an item: ``id``, ``mixture`` [time] and ``sources`` [time, C]; of several microphones [time, mics].

        Sources at each of them are [time, C, mics].
        """
        if not 0 <= index < self.length:
            raise IndexError(f"item {index} of {self.length}")
        rng = np.random.default_rng([self.seed, epoch, index])
        with_noise, in_room, through_channel, wide, similar, in_talk, nobody = self._shares.draw(rng)
        count = 0 if nobody else self.num_spks
        if self.min_spks < count:
            count = int(rng.integers(self.min_spks, count + 1))
        # Digital silence teaches nothing, so noise_share is of those items in which somebody speaks.
        with_noise = (with_noise or count == 0) and self._noise is not None
        if similar and count:
            chosen = self._similar.choose(count, rng)
        else:
            chosen = rng.choice(len(self._speakers), count, replace=False)
        if not in_talk:
            firsts = [self._draw_utterance(i, rng) for i in chosen]
        top = rng.uniform(0, WIDE_GAIN_DB if wide else MAX_GAIN_DB)
        signals = np.zeros((self.mics + self.num_spks * self._outputs, self.size), np.float32)
        mixture, sources = self._parts(signals)
        dry = sources[:, 0]
        amplitudes = [10 ** (gain / 20) for gain in np.linspace(top, -top, count).tolist()]
        if in_talk:
            voices = [
                Voice(self._speakers[i], amplitude, self._draw_speed(rng))
                for i, amplitude in zip(chosen, amplitudes, strict=True)
            ]
            utterances = self._talk.fill(dry[:count], voices, with_noise or not voices, rng)
        else:
            utterances = []
            for source, speaker, first, amplitude in zip(dry, chosen, firsts, amplitudes, strict=False):
                utterances += self._fill(source, speaker, first, amplitude, rng)
        # Of nothing at all, a codec would make its smallest steps, and the last gain a roar.
        through_channel = through_channel and (count > 0 or with_noise)
        if through_channel:
            dry[:] = self._channels.voices(dry, rng)
        # Delays between microphones are there without walls, too.
        if self._rooms is not None and (in_room or self.mics > 1):
            room = self._rooms.draw(rng)
            mixture[:], sources[:] = self._rooms.hear(dry, room, in_room, rng)
        else:
            np.sum(dry, axis=0, out=mixture[0])
        if with_noise:
            noise = self._noise.draw(self.size, 10 ** (top / 10), rng)
            mixture += noise if self.mics == 1 else self._rooms.surround(noise, room, rng)
        if through_channel:
            signals = self._channels.together(signals, rng, self.mics)
            mixture, sources = self._parts(signals)
        signals *= PEAK / (max(float(signals.max()), -float(signals.min())) or 1.0)
        names = " + ".join(self._names[number] for number in utterances) or "nobody"
        heard = torch.from_numpy(mixture[0] if self.mics == 1 else mixture.T)
        sources = torch.from_numpy(sources).permute(2, 0, 1)
        name = f"epoch {epoch} item {index}: {names}"
        return {"id": name, "mixture": heard, "sources": sources if self._outputs > 1 else sources[..., 0]}

    def _parts(self, signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split signals into the mixture `[mics, time]` and the sources `[C, outputs, time]`."""
        return signals[: self.mics], signals[self.mics :].reshape(self.num_spks, self._outputs, self.size)

    def _fill(
        self, source: np.ndarray, speaker: int, number: int, amplitude: float, rng: np.random.Generator
    ) -> list[int]:
        """Fill a source with a stretch of an utterance, and with others where that is shorter; list them all."""
        speed = self._draw_speed(rng)
        samples = self._speech.cut(number, self.size, rng, speed)
        # The segment begins anywhere in an utterance that does not fill it.
        begin = 0 if len(samples) == self.size else -int(rng.integers(len(samples)))
        heard = []
        while True:
            end = begin + len(samples)
            gain = amplitude / sqrt(self._speech.level(number))
            np.multiply(samples[max(-begin, 0) :], gain, out=source[max(begin, 0) : end])
            heard.append(number)
            if end == self.size:
                return heard
            begin, number = end, self._draw_utterance(speaker, rng)
            samples = self._speech.cut(number, self.size - begin, rng, speed)

    def _draw_utterance(self, speaker: int, rng: np.random.Generator) -> int:
        numbers = self._speakers[speaker]
        return numbers[rng.integers(len(numbers))]

    def _draw_speed(self, rng: np.random.Generator) -> float:
        return self.speeds[rng.integers(len(self.speeds))]


def _training_speakers(speech: Path) -> Speakers:
    """Find the speakers to train on: all there are, or those that `speakers.csv` has for it."""
    if (speech / SPEAKERS_CSV).is_file():
        return split_speakers(speech, num_speakers=0, seed=0)[SPLITS["train"]]
    return find_speakers(speech)
