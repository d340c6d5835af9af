"""Cut LibriCSS's sessions into excerpts with few speakers each, in the layout of wsj0-mix.

A session is ten minutes of eight people, played by loudspeakers in a room and recorded by seven microphones.
Utterances between two moments in which nobody speaks stay together; a separator with three outputs can separate
what three people say.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.activity import HOP_SECONDS, FrameEnergies
from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.audio.reading import audio_length, open_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.audio.writing import write_pcm
from speechbrain_tasnet.data.segments import Segment, to_seglst
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import check_free, resumable_folder, write_text
from speechbrain_tasnet.system.parallel import Workers, in_parallel

RECORDING, PLAYED = Path("record/raw_recording.wav"), Path("clean/each_spk.wav")
TRANSCRIPT = Path("transcription/meeting_info.txt")
SESSION = re.compile(r"session\d+")
DEV = "session0"  # of each condition; the others are for tests
MARGIN = 0.25  # seconds before the first and after the last utterance of an excerpt, at most


@dataclass(frozen=True)
class Said:
    """An utterance of a session: who says it from when to when in seconds, and the words."""

    segment: Segment
    words: str


@dataclass(frozen=True)
class Excerpt:
    """A part of a session that begins and ends where nobody speaks."""

    start: float
    end: float
    said: tuple[Said, ...]

    @property
    def speakers(self) -> list[str]:
        """Who speaks, in the order in which they begin."""
        return list(dict.fromkeys(said.segment.speaker for said in self.said))


def generate_libricss(
    release: Path | str,
    out: Path | str,
    rate: int = 8000,
    num_speakers: int = 3,
    seconds: float = 60.0,
    workers: Workers = None,
) -> Path:
    """Make `OUT/wav8k/{dev,test}/{record,clean,s1,s2,s3}/NAME.wav`, with ``NAME.json`` for who speaks when.

    ``record`` is the first microphone's channel, ``s1`` and so on are the signals that the loudspeakers have
    played, silent where there are fewer speakers, and ``clean`` is their sum.

    Parameters
    ----------
    release : path-like
        ``for_release``, the folder that holds ``0L``, ``0S``, ``OV10`` to ``OV40``.
    out : path-like
        The corpus to make. One whose run was killed is continued.
    rate : int
        8000 or 16000 Hz.
    num_speakers : int
        Most speakers of an excerpt; where more speak without a break, that part is left out.
    seconds : float
        Length of an excerpt, unless people speak for longer without a break.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Returns
    -------
    Path
        The corpus.

    Raises
    ------
    InputError
        An option is out of range, the corpus is there, or something is missing or wrong in the release.
    """
    if rate not in (8000, 16000):
        raise InputError(f"rate {rate}: expected 8000 or 16000 Hz")
    if num_speakers < 1 or not 1 <= seconds < float("inf"):
        raise InputError(f"{num_speakers} speakers in {seconds} s: expected 1 or more of each")
    sessions = find_sessions(Path(release))
    plan = {}
    for session in sessions:
        said = read_transcript(session / TRANSCRIPT)
        _check_length(session, max(one.segment.end for one in said))
        plan[session] = cut(said, num_speakers, seconds)
    check_free(Path(out))
    provenance = {"version": __version__, "release": str(release), "rate": rate}
    provenance |= {"num_speakers": num_speakers, "seconds": seconds}
    with resumable_folder(out, provenance) as folder:
        place = folder / f"wav{rate // 1000}k"
        make = partial(_make, place=place, rate=rate, num_speakers=num_speakers)
        counts = in_parallel(make, list(plan.items()), workers, "cutting")
        write_text(folder / "libricss.json", json.dumps(provenance | {"excerpts": sum(counts)}, indent=1) + "\n")
    return Path(out)


def find_sessions(release: Path) -> list[Path]:
    """List the folders of sessions, those of a condition together.

    Raises
    ------
    InputError
        There is none, or one is not complete.
    """
    found = sorted(path.parents[1] for path in release.glob(f"*/*/{TRANSCRIPT}"))
    if not found:
        raise InputError(
            f"{release}: no session such as OV10/overlap_ratio_..._session0_.../{TRANSCRIPT}; expected LibriCSS's "
            "for_release"
        )
    for session in found:
        if not SESSION.search(session.name):
            raise InputError(
                f"{session}: its name does not say which session it is; expected session0 to session9"
            )
        for file in (RECORDING, PLAYED):
            if not (session / file).is_file():
                raise InputError(f"{session / file}: no such file; is the release complete?")
    return found


def _check_length(session: Path, seconds: float) -> None:
    """Refuse recordings that end before the last word does."""
    for file in (RECORDING, PLAYED):
        length = audio_length(session / file, rate=1000) / 1000
        if length < seconds - 1:
            raise InputError(f"{session / file}: {length:.1f} s, though somebody speaks until {seconds:.1f} s")


def read_transcript(path: Path) -> list[Said]:
    """Read who says what and when, by start.

    Raises
    ------
    InputError
        It is not such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        said = [
            Said(Segment(row["speaker"], float(row["start_time"]), float(row["end_time"])), row["transcription"])
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a table with tabs between start_time, end_time, speaker, ... ({error})"
        ) from None
    if not said:
        raise InputError(f"{path}: nobody speaks")
    return sorted(said, key=lambda one: one.segment.start)


def cut(said: Sequence[Said], num_speakers: int, seconds: float) -> list[Excerpt]:
    """Cut a session where nobody speaks, into excerpts that are as long as they may be.

    Parameters
    ----------
    said : sequence of Said
        By start.
    num_speakers, seconds
        As for `generate_libricss`.

    Examples
    --------
    >>> spoken = ("a", 1.0, 4.0), ("b", 3.0, 6.0), ("c", 8.0, 9.0), ("a", 9.5, 11.0)
    >>> excerpts = cut([Said(Segment(*one), "") for one in spoken], num_speakers=2, seconds=60.0)
    >>> [(excerpt.start, excerpt.end, excerpt.speakers) for excerpt in excerpts]
    [(0.75, 6.25, ['a', 'b']), (7.75, 11.25, ['c', 'a'])]
    """
    groups: list[list[Said]] = []
    for group in _unbroken(said):
        if len({one.segment.speaker for one in group}) > num_speakers:
            groups.append([])  # the next ones do not continue those before
            continue
        joined = [*groups[-1], *group] if groups else group
        length = max(one.segment.end for one in joined) - joined[0].segment.start
        if groups and length <= seconds and len({one.segment.speaker for one in joined}) <= num_speakers:
            groups[-1] = joined
        else:
            groups.append(group)
    return [_excerpt(group, said) for group in groups if group]


def _excerpt(group: Sequence[Said], said: Sequence[Said]) -> Excerpt:
    """Add margins, which end halfway to what is said before and after, also where that is left out."""
    start, end = group[0].segment.start, max(one.segment.end for one in group)
    before = max((one.segment.end for one in said if one.segment.start < start), default=0.0)
    after = min((one.segment.start for one in said if one.segment.start > end), default=float("inf"))
    margins = min(MARGIN, (start - before) / 2), min(MARGIN, (after - end) / 2)
    return Excerpt(start - margins[0], end + margins[1], tuple(group))


def _unbroken(said: Sequence[Said]) -> Iterator[list[Said]]:
    """Split utterances where nobody speaks."""
    group: list[Said] = []
    end = 0.0
    for one in said:
        if group and one.segment.start > end:
            yield group
            group = []
        group.append(one)
        end = max(end, one.segment.end)
    yield group


def channels_of(played: np.ndarray, said: Sequence[Said], rate: int) -> dict[str, int]:
    """Find out which loudspeaker plays whom, which is nowhere written, by who speaks when.

    Parameters
    ----------
    played : numpy.ndarray
        [channels, time].
    said : sequence of Said
        In the session.
    rate : int
        In Hz.

    Returns
    -------
    dict
        The channel of each speaker.

    Raises
    ------
    InputError
        There are fewer channels than speakers.
    """
    energies = FrameEnergies(rate)
    energies.add(played)
    levels = np.sqrt(energies.array())
    speakers = sorted({one.segment.speaker for one in said})
    if len(speakers) > len(levels):
        raise InputError(f"{len(levels)} channels for {len(speakers)} speakers: expected one for each")
    speaks = np.zeros((len(speakers), levels.shape[1]))
    for one in said:
        first, last = (round(time / HOP_SECONDS) for time in one.segment[1:])
        speaks[speakers.index(one.segment.speaker), first:last] = 1
    inside = speaks @ levels.T / levels.sum(axis=1).clip(1e-9)  # the share of a channel in a speaker's time
    rows, channels = scipy.optimize.linear_sum_assignment(inside, maximize=True)
    return {speakers[row]: int(channel) for row, channel in zip(rows, channels, strict=True)}


def _make(task: tuple[Path, list[Excerpt]], place: Path, rate: int, num_speakers: int) -> int:
    """Write the excerpts of a session, and return how many."""
    session, excerpts = task
    condition, number = session.parent.name, SESSION.search(session.name)[0]
    folder = place / ("dev" if number == DEV else "test")
    names = [f"{condition}_{number}_{index:03d}" for index in range(len(excerpts))]
    # Its last file says that an earlier run has finished the session.
    if not names or (folder / "record" / f"{names[-1]}.json").exists():
        return len(names)
    recorded = _read(session / RECORDING, "left", rate)[0]
    played = _read(session / PLAYED, "each", rate)
    said = [one for excerpt in excerpts for one in excerpt.said]
    channels = channels_of(played, said, rate)
    for name, excerpt in zip(names, excerpts, strict=True):
        first, last = round(excerpt.start * rate), min(round(excerpt.end * rate), played.shape[1], len(recorded))
        sources = [played[channels[speaker], first:last] for speaker in excerpt.speakers]
        sources += [np.zeros(last - first, np.float32)] * (num_speakers - len(sources))
        signals = {f"s{k}": samples for k, samples in enumerate(sources, start=1)}
        signals |= {"clean": np.sum(sources, axis=0), "record": recorded[first:last]}
        for signal, samples in signals.items():
            write_pcm(folder / signal / f"{name}.wav", quantize(samples), rate)  # loud sums are clipped
        for signal in ("clean", "record"):
            write_text(folder / signal / f"{name}.json", _seglst(name, excerpt))
    return len(names)


def _seglst(name: str, excerpt: Excerpt) -> str:
    places = {speaker: f"s{number}" for number, speaker in enumerate(excerpt.speakers, start=1)}
    segments = [one.segment for one in excerpt.said]
    return to_seglst(
        name,
        [Segment(who, start - excerpt.start, end - excerpt.start) for who, start, end in segments],
        source=[places[segment.speaker] for segment in segments],
        words=[one.words for one in excerpt.said],
    )


def _read(path: Path, channels: str, rate: int) -> np.ndarray:
    with open_audio(path) as file:
        samples = np.concatenate(list(read_blocks(file, channels)), axis=1)
        return np.stack([resample(channel, file.samplerate, rate) for channel in samples])
