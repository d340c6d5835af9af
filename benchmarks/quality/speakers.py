"""Measure who is told apart by their voices: ``python -m benchmarks.quality.speakers SEPARATOR --corpus FOLDER``.

The conversations are a corpus of `tasnet mix --scene talk`. One table has how often two turns are wrongly taken
for one person's or for two people's, by what `speakers.embedding` makes of them and by mean spectra; the other
what comes of it where two people share an output of the separator.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from benchmarks.page import DOCS, paragraph, write_section
from benchmarks.quality.corpus import read_mixtures
from speechbrain_tasnet.evaluation.talk import score_talk
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.voice_memory import voiceprints
from speechbrain_tasnet.separation.voices import Listener
from speechbrain_tasnet.speakers.embedding import embed
from speechbrain_tasnet.speakers.shared_outputs import part_speakers
from speechbrain_tasnet.speakers.turns import Turn, find_turns

PAGE = DOCS / "separate.md"
LENGTHS = 0.5, 1.3, 2.4, 5.0, 60.0  # seconds
SIMILAR = 0.7  # of a turn and a source: from there on it is known whose it is


class Conversation(NamedTuple):
    """What a separator makes of a conversation."""

    mixture: Tensor  # [time]
    sources: Tensor  # [time, C]
    outputs: Tensor  # [time, C]

    @property
    def people(self) -> int:
        """How many speak."""
        return int(self.sources.any(dim=0).sum())


def conversations(separator: TasNetSeparation, corpus: Path, split: str) -> Iterator[Conversation]:
    """Separate the conversations of a corpus, each at once."""
    rate, voices = separator.hparams.sample_rate, separator.hparams.num_spks
    for mixture, sources in read_mixtures(corpus, split, voices, rate):
        yield Conversation(mixture, sources, separator.separate_batch(mixture.unsqueeze(0))[0].cpu())


def similarity(signal: Tensor, others: Tensor) -> Tensor:
    """Correlate a signal [time] with each of others [time, C], however loud they are: [C]."""
    return (signal @ others) / (signal.norm() * others.norm(dim=0)).clamp(min=1e-6)


def known_turns(conversation: Conversation, rate: int) -> tuple[list[Turn], list[Tensor], np.ndarray]:
    """Find the turns that are clearly one person's: when they are, their samples, and the number of the person."""
    turns, hop = find_turns(conversation.outputs, rate)
    known = []
    for turn in turns:
        part = slice(turn.start * hop, turn.end * hop)
        said, sources = conversation.outputs[part, turn.output], conversation.sources[part]
        similar = similarity(said, sources)
        if similar.max() > SIMILAR:
            known.append((turn, said, int(similar.argmax())))
    kept, samples, people = zip(*known, strict=True) if known else ((), (), ())
    return list(kept), list(samples), np.array(people, int)


def equal_error(likeness: np.ndarray, same: np.ndarray) -> float:
    """Return the rate of errors at the threshold where both kinds are as frequent.

    >>> equal_error(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False]))
    0.0
    """
    order = np.argsort(likeness)
    missed = np.concatenate([[0], np.cumsum(same[order])]) / same.sum()
    taken = 1 - np.concatenate([[0], np.cumsum(~same[order])]) / (~same).sum()
    at = np.abs(missed - taken).argmin()
    return float((missed[at] + taken[at]) / 2)


def comparisons(conversation: Conversation, rate: int) -> np.ndarray:
    """Compare the turns of a conversation: seconds of the shorter, whether one person's, likeness in both ways."""
    turns, samples, people = known_turns(conversation, rate)
    first, second = np.triu_indices(len(turns), 1)
    seconds = np.array([turn.seconds for turn in turns])
    voices = embed(samples, rate).numpy()
    spectra = np.array([voiceprints(said.unsqueeze(1), rate).levels[0].numpy() for said in samples])
    return np.stack(
        [
            np.minimum(seconds[first], seconds[second]) if len(turns) else first,
            people[first] == people[second],
            (voices[first] * voices[second]).sum(1),
            -np.square(spectra[first] - spectra[second]).mean(1) if len(first) else first,
        ],
        axis=1,
    )


def parted(conversation: Conversation, rate: int) -> list[float]:
    """Score the outputs as they are and with `part_speakers`: people, then voices, SI-SNR and share of seconds."""
    row = [conversation.people]
    for outputs in (conversation.outputs, part_speakers(conversation.outputs[None], rate)[0]):
        listener = Listener(rate, counts=True, gate=False)
        listener.hear(outputs.T[None].numpy())
        scores = score_talk(conversation.mixture.double(), conversation.sources.double(), outputs.double(), rate)
        row += [len(listener.result().outputs), scores["si-snr"], scores.get("right output", 1)]
    return row


def section(pairs: np.ndarray, scores: np.ndarray, command: str) -> str:
    """Write the section of the page, from `comparisons` of all conversations and `parted` of each."""
    lines = [
        "## People who share an output",
        "",
        paragraph(
            "Of three people who take turns, two may come to share an output of a separator. What their voices "
            "sound like shows it: a small network (`speechbrain_tasnet/speakers`) compares their turns, and those "
            "of whoever has no output are moved to one that nobody uses. Two turns are wrongly taken for one "
            "person's as often as for two people's, by the length of the shorter one:"
        ),
        "",
        "| seconds | pairs of turns | by mean spectra | by the network |",
        "|--:|--:|--:|--:|",
    ]
    for low, high in pairwise(LENGTHS):
        seconds, same, voices, spectra = pairs[(pairs[:, 0] >= low) & (pairs[:, 0] < high)].T
        errors = (equal_error(likeness, same > 0) for likeness in (spectra, voices))
        lines.append(
            f"| {low:g} to {high:g} | {len(seconds)} | {' | '.join(f'{100 * error:.1f} %' for error in errors)} |"
        )
    lines += [
        "",
        paragraph(f"What comes of it, in {len(scores)} conversations, as separated and with turns moved:"),
        "",
        "| people | conversations | counted correctly | SI-SNR, dB | seconds in the right output | moved in "
        "| worst |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for people in np.unique(scores[:, 0]):
        own = scores[scores[:, 0] == people]
        counted = [100 * np.mean(own[:, column] == people) for column in (1, 4)]
        before, right_before, after, right_after = own[:, [2, 3, 5, 6]].mean(axis=0)
        change = own[:, 5] - own[:, 2]
        lines.append(
            f"| {people:.0f} | {len(own)} | {counted[0]:.0f} %, {counted[1]:.0f} % | {before:.2f}, {after:.2f} "
            f"| {100 * right_before:.1f} %, {100 * right_after:.1f} % | {np.count_nonzero(change)} "
            f"| {change.min():+.2f} dB |"
        )
    return "\n".join([*lines, "", paragraph(f"Measured by `{command}`.")]) + "\n"


def main() -> None:
    """Measure, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.speakers", description=__doc__)
    parser.add_argument("separator", help="that counts voices: a bundle, or the name of one")
    parser.add_argument("--corpus", type=Path, required=True, help="of conversations, from tasnet mix")
    parser.add_argument("--split", default="tt", help="tr, cv or tt (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.separator)
    rate = separator.hparams.sample_rate
    pairs, scores = [], []
    for conversation in conversations(separator, options.corpus, options.split):
        pairs.append(comparisons(conversation, rate))
        scores.append(parted(conversation, rate))
        print(*(f"{score:.2f}" for score in scores[-1]), flush=True)
    corpus = f"--corpus {options.corpus.name} --split {options.split}"
    command = f"python -m benchmarks.quality.speakers {options.separator} {corpus}"
    text = section(np.concatenate(pairs), np.array(scores), command)
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
