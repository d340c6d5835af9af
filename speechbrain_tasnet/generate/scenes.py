"""Scenes: what surrounds the speakers of a mixture, a room or noise or both, and the resulting signals."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, pi
from pathlib import Path

import numpy as np
import scipy

from speechbrain_tasnet.audio.channels import TELEPHONE, band, coded
from speechbrain_tasnet.audio.diffuse_field import SPEED_OF_SOUND, diffuse_field, independent_of
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.audio.speech_level import NOISE_SNR_DB, PEAK, active_level
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.room_plan import Array, Room, draw_room
from speechbrain_tasnet.generate.room_simulation import LEAD, simulate
from speechbrain_tasnet.system.files import write_text

FADE_SECONDS = 0.05  # from one lap of short noise to the next
# What is drawn from a mixture's seed; each has a stream of its own, so that one more does not change the others.
CUT, NOISE, NOISE_CUT, ROOM, TAIL, ARRAY, FIELD = range(1, 8)


@dataclass(frozen=True)
class Utterance:
    """A file of speech: its place, its part of a mixture's name, its samples at the corpus rate, who speaks."""

    path: Path
    key: str
    length: int
    speaker: str


@dataclass(frozen=True)
class Spoken:
    """An utterance in a conversation: whose, by the place in the mixture, and the sample at which it begins."""

    place: int
    utterance: Utterance
    start: int


@dataclass(frozen=True)
class Noise:
    """A file of noise and how many dB the first speaker is above it."""

    path: Path
    snr: float


@dataclass(frozen=True)
class Mixture:
    """One line of the plan: what a worker needs to render one mixture.

    Its speakers, a gain each, may be fewer than its sources. Each speaks an utterance all the time; or they talk:
    then `turns` has all that they say, and `samples` the mixture's length. Of nobody there are no turns.
    """

    name: str
    sources: int
    gains: tuple[float, ...]
    seed: tuple[int, ...]
    utterances: tuple[Utterance, ...] = ()
    turns: tuple[Spoken, ...] = ()
    samples: int = 0
    noise: Noise | None = None
    room: Room | None = None
    channel: str | None = None

    @property
    def talks(self) -> bool:
        """Whether it is a conversation."""
        return self.samples > 0

    @property
    def length(self) -> int:
        """Samples of the mixture: where all speak all the time those of the shortest utterance."""
        return self.samples or min(utterance.length for utterance in self.utterances)

    def chance(self, what: int) -> np.random.Generator:
        """Return the stream of random numbers for one of the things that are drawn."""
        return np.random.default_rng([*self.seed, what])


def furnish(mixture: Mixture, noise: list[Path] | None, reverb: bool, array: Array | None = None) -> Mixture:
    """Draw the noise and the room of a mixture.

    Parameters
    ----------
    mixture : Mixture
        Speakers alone.
    noise : list of pathlib.Path, optional
        Files to draw from.
    reverb : bool
        Whether there is a room.
    array : Array, optional
        Several microphones in it, in place of one.

    Returns
    -------
    Mixture
        The same speakers with what surrounds them.
    """
    if noise:
        chance = mixture.chance(NOISE)
        drawn = Noise(noise[chance.integers(len(noise))], round(chance.uniform(*NOISE_SNR_DB), 3))
        mixture = replace(mixture, noise=drawn)
    if reverb:
        room = draw_room(mixture.chance(ROOM), mixture.sources)
        mixture = replace(mixture, room=array.put_into(room, mixture.chance(ARRAY)) if array else room)
    return mixture


def compose(sources: dict[str, np.ndarray], noise: np.ndarray | None) -> dict[str, np.ndarray]:
    """Add up the signals of a scene under the names of wsj0-mix, WHAM! or WHAMR!.

    Parameters
    ----------
    sources : dict
        Sources `[speakers, time]` as they sound in each kind of room: without one under the empty name, else
        under `_anechoic` and `_reverb`. Of several microphones, `[speakers, mics, time]`.
    noise : numpy.ndarray, optional
        Noise `[time]` or `[mics, time]`.

    Returns
    -------
    dict
        Signals `[time]` or `[mics, time]` by the name of their folder.

    Examples
    --------
    >>> list(compose({"": np.zeros((2, 8000))}, noise=None))
    ['mix', 's1', 's2']
    >>> list(compose({"": np.zeros((2, 8000))}, noise=np.zeros(8000)))
    ['mix_clean', 'mix_both', 'mix_single', 's1', 's2', 'noise']
    >>> list(compose({"_reverb": np.zeros((2, 8000))}, noise=None))
    ['mix_clean_reverb', 's1_reverb', 's2_reverb']
    """
    signals = {}
    for room, speakers in sources.items():
        clean = np.sum(speakers, axis=0)
        signals["mix" if not room and noise is None else f"mix_clean{room}"] = clean
        if noise is not None:
            signals[f"mix_both{room}"] = clean + noise
            signals[f"mix_single{room}"] = speakers[0] + noise
        signals |= {f"s{number}{room}": speaker for number, speaker in enumerate(speakers, start=1)}
    return signals if noise is None else signals | {"noise": noise}


def render(mixture: Mixture, rate: int) -> dict[str, np.ndarray]:
    """Render a mixture: all its signals, scaled together so that the largest peak of any of them is 0.9.

    Parameters
    ----------
    mixture : Mixture
        What to render.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    dict
        Signals `[time]`, or `[mics, time]` of several microphones, by the name of their folder, see `compose`.

    Raises
    ------
    InputError
        An utterance or the noise is silent or damaged.
    """
    signals = compose(_sources(mixture, rate), _noise(mixture, rate) if mixture.noise else None)
    if not any(signal.any() for signal in signals.values()):
        return signals  # of which a codec would make its smallest steps, and the scale would be infinite
    if mixture.channel:
        signals = _through(mixture.channel, signals, rate)
    scale = PEAK / max(np.abs(signal).max() for signal in signals.values())
    return {name: signal * scale for name, signal in signals.items()}


def _through(channel: str, signals: dict[str, np.ndarray], rate: int) -> dict[str, np.ndarray]:
    """Pass the signals of a scene through a telephone's band, or their mixtures through a codec."""
    if channel == "telephone":
        return {name: band(signal, rate, *TELEPHONE) for name, signal in signals.items()}
    return {
        name: np.apply_along_axis(coded, -1, signal, rate, channel) if name.startswith("mix") else signal
        for name, signal in signals.items()
    }


def write_scenes(path: Path, plan: list[Mixture], noise_folder: Path | None) -> None:
    """Write what surrounds the speakers of each mixture as CSV.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    plan : list of Mixture
        All with a room or all without, and so with noise. Noise is named by its path inside `noise_folder` and its
        SNR in dB (empty where nobody speaks); a room by its T60 in seconds, places in metres, and each speaker's
        direct path: distance in metres, delay in seconds, gain.
    noise_folder : pathlib.Path, optional
        Where the noise is.
    """
    rows = [dict(_row(mixture, noise_folder)) for mixture in plan]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _sources(mixture: Mixture, rate: int) -> dict[str, np.ndarray]:
    """Render the sources of a mixture, `[speakers, time]` or `[speakers, mics, time]`, for each kind of room.

    As in WHAMR! the direct sound keeps the level of the dry utterance, however far the speaker is.
    """
    responses: dict[str, np.ndarray | None] = {"": None}
    if mixture.room:
        distances = np.array(mixture.room.distances)[:, np.newaxis, np.newaxis]
        # [speakers, mics, taps], and of one microphone [speakers, taps].
        reverb, direct = (
            np.squeeze(distances * heard.swapaxes(0, 1), axis=() if mixture.room.further else 1)
            for heard in simulate(mixture.room, rate, mixture.chance(TAIL))
        )
        responses = {"_anechoic": direct, "_reverb": reverb}
    sources: dict[str, list[np.ndarray]] = {room: [] for room in responses}
    for number, (samples, place, amplitude) in enumerate(_dry(mixture, rate)):
        for room, response in responses.items():
            # The whole utterance, so that a cut begins with the echoes of what was said before it.
            heard = samples if response is None else _convolve(samples, response[number])
            sources[room].append(heard[..., place] * amplitude)
    return {room: np.stack(speakers) for room, speakers in sources.items()}


def _convolve(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve samples `[time]` with responses `[taps]` or `[mics, taps]`."""
    samples = samples.reshape((1,) * (response.ndim - 1) + (-1,))
    return scipy.signal.oaconvolve(samples, response, axes=-1)[..., LEAD:]


def _dry(mixture: Mixture, rate: int) -> Iterator[tuple[np.ndarray, slice, float]]:
    """Yield what each source says, where in it the mixture lies, and its amplitude."""
    chance = mixture.chance(CUT)
    for utterance, gain in zip(mixture.utterances, mixture.gains, strict=False):
        samples, level = _read(utterance, rate)
        yield samples.astype(np.float64), _place(samples, mixture.length, chance), _amplitude(gain, level)
    for place, gain in enumerate(mixture.gains if mixture.talks else ()):
        said = np.zeros(mixture.length)
        for turn in mixture.turns:
            if turn.place == place:
                samples, level = _read(turn.utterance, rate)
                samples = samples[: mixture.length - turn.start]
                said[turn.start : turn.start + len(samples)] = samples * _amplitude(gain, level)
        yield said, slice(mixture.length), 1.0
    for _ in range(mixture.sources - len(mixture.gains)):
        yield np.zeros(mixture.length), slice(mixture.length), 1.0


def _read(utterance: Utterance, rate: int) -> tuple[np.ndarray, float]:
    samples = read_audio(utterance.path, rate)
    level = active_level(samples, rate)
    if not level > 0:
        raise InputError(f"{utterance.path}: silent; delete the file")
    return samples, level


def _amplitude(gain: float, level: float) -> float:
    return 10 ** (gain / 20) / np.sqrt(level)


def _noise(mixture: Mixture, rate: int) -> np.ndarray:
    """Cut the noise of a mixture, `[time]` or `[mics, time]`.

    Its mean power is `snr` below the first speaker's active level; where nobody speaks, below 0 dB. Several
    microphones hear a diffuse field.
    """
    noise = _looped(read_audio(mixture.noise.path, rate), mixture.length, rate).astype(np.float64)
    noise = noise[_place(noise, mixture.length, mixture.chance(NOISE_CUT))]
    power = np.mean(noise**2)
    if not power > 0:
        raise InputError(f"{mixture.noise.path}: silent; delete the file")
    speech = mixture.gains[0] if mixture.gains else 0.0
    noise *= 10 ** ((speech - mixture.noise.snr) / 20) / np.sqrt(power)
    if not (mixture.room and mixture.room.further):
        return noise
    others = independent_of(noise, len(mixture.room.further), rate, mixture.chance(FIELD))
    return diffuse_field(np.stack([noise, *others]), np.array(mixture.room.microphones), rate)


def _looped(noise: np.ndarray, length: int, rate: int) -> np.ndarray:
    """Repeat noise until it is long enough, the end of one lap fading over into the next.

    Parameters
    ----------
    noise : numpy.ndarray
        Samples `[time]`, at least a second.
    length : int
        Samples needed.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    numpy.ndarray
        The noise itself where it is long enough; otherwise so much more than `length` that a cut may begin
        anywhere in a lap.

    Examples
    --------
    >>> _looped(np.ones(8000), length=20000, rate=8000).shape
    (30400,)
    """
    if len(noise) >= length:
        return noise
    fade = round(FADE_SECONDS * rate)
    # Sine and cosine keep the power of what is not correlated.
    rise = np.sin(np.linspace(0, pi / 2, fade))
    joint = noise[:fade] * rise + noise[-fade:] * rise[::-1]
    lap = np.concatenate([joint, noise[fade:-fade]])
    return np.tile(lap, ceil(length / len(lap)) + 1)


def _place(samples: np.ndarray, length: int, chance: np.random.Generator) -> slice:
    """Choose a random place to cut, though not in a long pause: a silent source could not be scored."""
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    energy = energy[length:] - energy[:-length]
    start = chance.choice(np.flatnonzero(energy >= 0.1 * energy.max()))
    return slice(start, start + length)


def _row(mixture: Mixture, noise_folder: Path | None) -> Iterator[tuple[str, object]]:
    """List the columns of one mixture and what stands in them."""
    yield "mixture", mixture.name
    if mixture.noise:
        yield "noise", mixture.noise.path.relative_to(noise_folder).as_posix()
        yield "snr", mixture.noise.snr if mixture.gains else None
    if mixture.room:
        room = mixture.room
        yield "t60", room.t60
        places = {"room": room.size, "microphone": room.microphone}
        places |= {f"microphone{number}": place for number, place in enumerate(room.further, start=2)}
        places |= {f"s{number}": place for number, place in enumerate(room.speakers, start=1)}
        for name, place in places.items():
            yield from zip((f"{name}_{axis}" for axis in "xyz"), place, strict=True)
        for number, distance in enumerate(room.distances, start=1):
            yield f"s{number}_distance", round(distance, 6)
            yield f"s{number}_delay", round(distance / SPEED_OF_SOUND, 9)
            yield f"s{number}_gain", round(1 / distance, 6)
