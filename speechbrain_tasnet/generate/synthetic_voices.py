"""Synthesise a folder of speech with eSpeak NG, so that the demo needs no download.

A speaker is a voice variant, a language, a pitch, a pitch range, a speaking rate and a length of the vocal
tract; it says random syllables. No variant is used in two splits: the test voices are not heard in training.
"""

import _ctypes
import csv
import ctypes
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import scipy

from speechbrain_tasnet.audio.writing import write_wav
from speechbrain_tasnet.data.folders.speech import SPEAKERS_CSV
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import new_folder
from speechbrain_tasnet.system.parallel import in_parallel

# Left out: whispers, robots, monsters and heavy echoes, voices whose noise no seed governs (Reed, caleb), and
# all but one of those that differ little. Voices that are somewhat alike (f4, aunty) share a split.
VARIANTS = {
    "train": "Alex Alicia Andy Annie Diogo Gene Jacky Lee Mario Mike Nguyen Storm anika antonio boris david "
    "edward f1 f3 f5 grandma iven2 john kaukovalta linda m1 m3 m4 m7 m8 max michel paul sandro steph travis",
    "valid": "Hugo aunty ed f4 klatt3 m6 rob victor",
    "test": "Andrea Marco belinda f2 gustave ian m2 m5 mike2 pablo shelby",
}
LANGUAGES = "af ca cs cy da de en en-us es et fi fr hr hu id it lt lv nb nl pl pt ro sk sl sq sv sw tr"

ONSETS = "b d f g h j k l m n p r s t v z br ch dr fl kr pl st tr"
VOWELS = "a e i o u a e i o u ai au ei ia ou"
CODAS = ["", "", "", "", "l", "m", "n", "n", "r", "s", "t"]

PEAK = 0.5

# From eSpeak NG's speak_lib.h.
SYNCHRONOUS, DONT_EXIT, UTF8 = 2, 0x8000, 1
SPEED, VOLUME, PITCH, PITCH_RANGE = 1, 2, 3, 4
# At the library's own volume of 100 half the voices clip.
VOLUME_PERCENT = 30
# The library keeps the path in 160 bytes and cuts off the rest.
MAX_DATA_PATH = 159

# ctypes itself never unloads a library; this takes a handle, on POSIX and on Windows.
_unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary

Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Speaker:
    """What makes a voice: pitch in percent and speed in words a minute, as eSpeak NG takes them."""

    name: str
    split: str
    language: str
    variant: str
    pitch: int
    pitch_range: int
    speed: int
    tract: float  # length of the vocal tract, 1 as the variant has it
    seed: tuple[int, ...]


def synthesize_speech(
    out: Path | str,
    num_speakers: tuple[int, int, int] = (160, 16, 22),
    utterances: int = 12,
    seed: int = 0,
    rate: int = 8000,
    workers: int | None = None,
) -> None:
    """Write a speech folder: `OUT/SPEAKER/UTTERANCE.wav` and `OUT/speakers.csv`.

    Utterances last about 3 to 6 s. The same options give the same bytes, whatever the number of workers.

    Parameters
    ----------
    out : path-like
        Folder to make; it appears when everything in it is complete.
    num_speakers : tuple of int
        Speakers for training, validation and test.
    utterances : int
        Utterances of each speaker.
    seed : int
        Seed of every draw.
    rate : int
        Sampling rate in Hz, at most the synthesiser's 22050.
    workers : int, optional
        Number of processes; by default one per available processor.

    Raises
    ------
    InputError
        An option is out of range, `out` is taken, or the synthesiser is not installed.
    """
    if len(num_speakers) != len(VARIANTS) or min(num_speakers) < 1:
        raise InputError(f"{num_speakers} speakers: expected three numbers of 1 or more")
    if utterances < 1:
        raise InputError(f"{utterances} utterances a speaker: expected 1 or more")
    if not 1000 <= rate <= 22050:
        raise InputError(f"rate {rate} Hz: expected 1000 to 22050")
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    speakers = _draw_speakers(num_speakers, seed)
    with _espeak_paths() as paths, new_folder(out) as folder:
        record = partial(_record, folder=folder, paths=paths, utterances=utterances, rate=rate)
        seconds = in_parallel(record, speakers, workers, "synthesising")
        with (folder / SPEAKERS_CSV).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["speaker", "split", "language", "variant", "pitch", "speed", "tract", "seconds"])
            for s, duration in zip(speakers, seconds, strict=True):
                voice = (s.language, s.variant, s.pitch, s.speed, s.tract)
                table.writerow([s.name, s.split, *voice, round(duration, 1)])


def _draw_speakers(num_speakers: tuple[int, int, int], seed: int) -> list[Speaker]:
    """Draw speakers, cycling through variants and languages, so that each is used before any is repeated."""
    speakers = []
    for number, (split, count) in enumerate(zip(VARIANTS, num_speakers, strict=True)):
        rng = np.random.default_rng([seed, number])
        variants, languages = rng.permutation(VARIANTS[split].split()), rng.permutation(LANGUAGES.split())
        for i in range(count):
            speakers.append(
                Speaker(
                    name=f"{split}-{i:03d}",
                    split=split,
                    language=str(languages[i % len(languages)]),
                    variant=str(variants[i % len(variants)]),
                    pitch=int(rng.integers(25, 76)),
                    pitch_range=int(rng.integers(30, 81)),
                    speed=int(rng.integers(140, 211)),
                    tract=float(rng.integers(88, 113)) / 100,
                    seed=(seed, number, 1 + i),
                )
            )
    return speakers


def _record(speaker: Speaker, folder: Path, paths: tuple[str, str], utterances: int, rate: int) -> float:
    """Write a speaker's utterances and return their seconds."""
    rng = np.random.default_rng(speaker.seed)
    (folder / speaker.name).mkdir()
    total = 0
    with Espeak(*paths, seed=int(rng.integers(2**31))) as espeak:
        espeak.set_voice(speaker)
        # Played slower, formants and pitch fall together, as they do in a longer vocal tract.
        ratio = Fraction(rate / espeak.rate * speaker.tract).limit_denominator(500)
        for number in range(utterances):
            samples = scipy.signal.resample_poly(espeak.say(_text(rng)), ratio.numerator, ratio.denominator)
            samples = samples * (PEAK / np.abs(samples).max())
            write_wav(folder / speaker.name / f"{number:03d}.wav", samples, rate)
            total += len(samples)
    return total / rate


def _text(rng: np.random.Generator) -> str:
    """Write pseudo-words of one to three syllables with a comma after every few, now and then a number."""
    words, syllables = [], rng.integers(11, 18)
    while syllables > 0:
        count = min(syllables, rng.integers(1, 4))
        syllables -= count
        parts = [rng.choice(choices, count) for choices in (ONSETS.split(), VOWELS.split(), CODAS)]
        words.append("".join(np.stack(parts, axis=1).ravel()))
        if rng.random() < 0.05:
            words.append(str(rng.integers(1, 100)))
        if syllables and rng.random() < 0.25:
            words[-1] += ","
    return " ".join(words) + "."


class Espeak:
    """A freshly loaded copy of the synthesiser, for one speaker.

    Only loading resets the phase of its vibrato; without, an utterance would depend on all those before it.

    Parameters
    ----------
    library, data : str
        Paths of the shared library and of its voices.
    seed : int
        Seed of the library's own noise.

    Raises
    ------
    InputError
        The library cannot read its data.
    """

    def __init__(self, library: str, data: str, seed: int):
        self._library = ctypes.CDLL(library)
        self._chunks: list[bytes] = []
        self._callback = Callback(self._receive)
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
        if self.rate <= 0:
            _unload(self._library._handle)
            raise InputError(f"{data}: eSpeak NG cannot read its voices; reinstall espeakng-loader")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_SetSynthCallback(self._callback)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._library.espeak_Terminate()
        _unload(self._library._handle)

    def _receive(self, samples, count, events) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def set_voice(self, speaker: Speaker) -> None:
        """Take on a speaker's voice; raises `InputError` where the library lacks it."""
        voice = f"{speaker.language}+{speaker.variant}"
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"voice {voice}: eSpeak NG does not have it; reinstall espeakng-loader")
        self._library.espeak_SetParameter(SPEED, speaker.speed, 0)
        self._library.espeak_SetParameter(VOLUME, VOLUME_PERCENT, 0)
        self._library.espeak_SetParameter(PITCH, speaker.pitch, 0)
        self._library.espeak_SetParameter(PITCH_RANGE, speaker.pitch_range, 0)

    def say(self, text: str) -> np.ndarray:
        """Speak a text: `[time]` float32, full scale at 1, at the library's `rate`."""
        self._chunks.clear()
        encoded = text.encode()
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.frombuffer(b"".join(self._chunks), np.int16).astype(np.float32) / 2**15


@contextmanager
def _espeak_paths() -> Iterator[tuple[str, str]]:
    """Return the paths of the library and of its data, the latter by a link, or a copy, where it is too long."""
    try:
        import espeakng_loader
    except ImportError:
        raise InputError(
            "espeakng-loader: not installed, but needed for speech; pip install 'speechbrain-tasnet[demo]'"
        ) from None
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if len(data.encode()) <= MAX_DATA_PATH:
        yield library, data
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "data"
        try:
            link.symlink_to(data, target_is_directory=True)
        except OSError:  # on Windows few users may make links
            shutil.copytree(data, link)
        yield library, str(link)
