"""Train the network that tells people apart: ``python -m benchmarks.training.speaker_embedding``.

It learns to name the training people of a folder of speech, by their clean speech and by turns of conversations as
a separator gives them: what it is to compare is never clean. Of the folder's other people it hears nothing.

``tasnet mix --speech FOLDER --scene talk --num-speakers 3 --min-speakers 2 --seconds 60 --hours 6 --out
CORPUS`` makes the conversations.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy
import torch
from safetensors.torch import save_file
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from benchmarks.quality.speakers import SIMILAR, similarity
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.folders.speech import split_speakers
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.speakers.embedding import BANDS, SIZE, SpeakerEmbedding
from speechbrain_tasnet.system.files import new_file

RATE, VOICES = 8000, 3
SHORTEST_TURN = 0.8  # seconds, of turns that are learnt from
CROPS = (1.0, 4.0)  # seconds
SPEEDS = Fraction(1), Fraction(9, 10), Fraction(11, 10)
LEARNING_RATE, WARM_UP, DECAY = 2e-3, 200, 0.02


def separated_turns(corpus: Path, separator: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield who speaks and what a separator makes of it, for each turn of the training mixtures of a corpus."""
    model = TasNetSeparation.from_bundle(separator, device="cpu")
    folder = corpus / "wav8k" / "min" / "tr"
    for path in sorted((folder / "mix").glob("*.wav")):
        outputs = model.separate_batch(torch.from_numpy(read_audio(path, RATE))[None])[0]
        table = path.with_suffix(".json")
        sources = [torch.from_numpy(read_audio(folder / f"s{k + 1}" / path.name, RATE)) for k in range(VOICES)]
        for person, source in zip(read_segments(table), read_segments(table, named="source"), strict=True):
            begin, end = round(person.start * RATE), round(person.end * RATE)
            clean, turn = sources[int(source.speaker[1:]) - 1][begin:end], outputs[begin:end]
            similar = similarity(clean, turn)
            if len(turn) >= SHORTEST_TURN * RATE and similar.max() > SIMILAR:
                yield person.speaker, turn[:, similar.argmax()].numpy()


def at_speed(speech: np.ndarray, speed: Fraction) -> np.ndarray:
    """Play speech at another speed, which makes somebody else of the speaker."""
    return scipy.signal.resample_poly(speech, speed.denominator, speed.numerator).astype(np.float32)


class People:
    """Crops of what people say, as they come out of conversations in rooms and over lines.

    At each of the `SPEEDS` they count as other people, for of those there are never enough.

    Parameters
    ----------
    speech : path-like
        A folder of speech.
    turns : iterable of tuple
        See `separated_turns`.
    seed : int
        Of everything that is drawn.
    """

    def __init__(self, speech: Path, turns: Iterator[tuple[str, np.ndarray]], seed: int):
        self._draw = np.random.default_rng(seed)
        clean = {
            person: np.concatenate([read_audio(file, RATE) for file in files])
            for person, files in split_speakers(speech, VOICES, seed)["tr"].items()
        }
        of_person = defaultdict(list)
        for person, turn in turns:
            of_person[person].append(turn)
        self._clean = [at_speed(said, speed) for speed in SPEEDS for said in clean.values()]
        self._turns = [[at_speed(turn, speed) for turn in of_person[name]] for speed in SPEEDS for name in clean]

    def __len__(self) -> int:
        return len(self._clean)

    def crops(self, people: np.ndarray) -> Tensor:
        """Draw something that each of these people says, [people, time]."""
        size = round(RATE * math.exp(self._draw.uniform(*np.log(CROPS))))
        return torch.from_numpy(np.stack([self._crop(person, size) for person in people]).astype(np.float32))

    def _crop(self, person: int, size: int) -> np.ndarray:
        draw, turns = self._draw, self._turns[person]
        separated = turns and draw.random() < 0.6
        crop = self._cut(turns[draw.integers(len(turns))] if separated else self._clean[person], size)
        if draw.random() < 0.3:
            crop = crop + self._reverberation(crop)
        if draw.random() < 0.5:  # another voice leaks in
            crop = crop + 10 ** (-draw.uniform(8, 30) / 20) * self._cut(
                self._clean[draw.integers(len(self))], size
            )
        if draw.random() < 0.5:
            crop = crop + 10 ** (-draw.uniform(10, 40) / 20) * draw.normal(size=size)
        return crop

    def _cut(self, speech: np.ndarray, size: int) -> np.ndarray:
        """Draw a stretch of speech, at rms 1; what is shorter is repeated."""
        if len(speech) <= size:
            stretch = np.tile(speech, size // len(speech) + 1)[:size]
        else:
            begin = self._draw.integers(len(speech) - size + 1)
            stretch = speech[begin : begin + size]
        return stretch / (np.sqrt(np.mean(stretch**2)) + 1e-6)

    def _reverberation(self, speech: np.ndarray) -> np.ndarray:
        """Return what a room adds to speech: decaying noise (Polack's model) in place of its reflections."""
        decay, level = self._draw.uniform(0.1, 0.6), 10 ** (-self._draw.uniform(-3, 15) / 20)
        times = np.arange(1, round(decay * RATE)) / RATE
        tail = self._draw.normal(size=len(times)) * 10 ** (-3 * times / decay)
        return level * scipy.signal.fftconvolve(speech, tail / np.linalg.norm(tail))[: len(speech)]


def coloured(levels: Tensor) -> Tensor:
    """Change levels [batch, frames, BANDS] as lines do: by a tilt, a bow, a ripple and bands that are missing."""
    places = torch.linspace(-1, 1, BANDS)
    tilt, bow, ripple = (size * torch.randn(len(levels), 1, 1) for size in (0.3, 0.2, 0.15))
    phases = 2 * math.pi * torch.rand(len(levels), 1, 1)
    levels = levels + tilt * places + bow * places**2 + ripple * torch.cos(1.5 * math.pi * places + phases)
    if torch.rand(()) < 0.5:
        begin = int(torch.randint(BANDS - 6, ()))
        levels[:, :, begin : begin + int(torch.randint(1, 6, ()))] = 0
    return levels


def train(people: People, minutes: float, batch: int, seed: int) -> SpeakerEmbedding:
    """Train a network to tell people apart by an additive angular margin, and print how it goes."""
    torch.manual_seed(seed)
    draw, network = np.random.default_rng(seed), SpeakerEmbedding(RATE)
    names = nn.Parameter(0.1 * torch.randn(len(people), SIZE))
    loss = LogSoftmaxWrapper(AdditiveAngularMargin(margin=0.2, scale=30))
    optimizer = torch.optim.AdamW([*network.parameters(), names], weight_decay=DECAY)
    start, steps, mean = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, steps / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))
        chosen = draw.choice(len(people), batch, replace=False)
        embeddings = network.of_levels(coloured(network.levels(people.crops(chosen))))
        likeness = linear(embeddings, normalize(names, dim=1)).unsqueeze(1)
        error = loss(likeness, torch.from_numpy(chosen).unsqueeze(1))
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        steps += 1
        mean += (error.item() - mean) / min(steps, 50)
        if steps % 200 == 0:
            print(f"{steps} steps, {done * minutes:.1f} minutes: loss {mean:.3f}", flush=True)
    return network.eval()


def main() -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.speaker_embedding", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="as tasnet mix has it, with a speakers.csv")
    parser.add_argument("--conversations", type=Path, nargs="+", required=True, help="corpora made from it")
    parser.add_argument("--separator", default="convtasnet-8k-talk", help="that gives their turns")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--batch", type=int, default=64, help="people")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a file of safetensors")
    options = parser.parse_args()
    turns = (turn for corpus in options.conversations for turn in separated_turns(corpus, options.separator))
    people = People(options.speech, turns, options.seed)
    network = train(people, options.minutes, options.batch, options.seed)
    # Half the size, and 16 bits are enough: how well they tell people apart does not change.
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    with new_file(options.out) as path:
        save_file(weights, path)


if __name__ == "__main__":
    main()
