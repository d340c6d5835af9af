"""Score separators on one, two and three people: ``python -m benchmarks.quality.talk MODEL ... --speech FOLDER``.

The test speakers of the folder are mixed twice: one to three of them who speak all the time, and conversations of
a minute, of two or three with an overlap of 20 to 60 % of the speech. A separator with fewer outputs than there
are voices at most gets further ones that are silent.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.quality.corpus import as_turns
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.conversations import Turn, TurnTaking, overlap_ratio
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.talk import Talk
from speechbrain_tasnet.separation.live_voices import LiveVoices
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.streaming import StreamingSeparator

RATE, MOST = 8000, 3
OVERLAP = (0.2, 0.6)
UNUSED = 0.001  # hours of mixtures to train on and to validate with: there must be some
CORPORA = {
    "all the time": {"min_speakers": 1},
    "conversations": {"talk": Talk(60.0, TurnTaking(overlap_probability=(0.3, 1.0))), "min_speakers": 1},
}
HEAD = """\
| separator | mixtures | speakers | counted correctly | SI-SNR, dB | improvement, dB | other outputs, dB | seconds in the right output | DER of all |
|---|---|--:|--:|--:|--:|--:|--:|--:|
"""  # noqa: E501 - a line of Markdown


def mixtures(corpus: Path) -> Iterator[tuple[str, Tensor, Tensor, list[tuple[int, float, float]] | None]]:
    """Yield name, mixture [time], sources [time, C] and, in conversations, when each of them speaks.

    Only test mixtures whose overlap is as it should be.
    """
    folder = corpus / "wav8k" / "min" / "tt"
    for path in sorted((folder / "mix").glob("*.wav")):
        mixture = torch.from_numpy(read_audio(path, RATE))
        said, spoken = path.with_suffix(".json"), None
        if said.exists():
            segments = read_segments(said, named="source")
            spoken = as_turns(segments)
            turns = [Turn(0, 0, segment.start, segment.seconds) for segment in segments]
            alone = len({segment.speaker for segment in segments}) == 1
            if not alone and not OVERLAP[0] <= overlap_ratio(turns, len(mixture) / RATE) <= OVERLAP[1]:
                continue
        sources = [torch.from_numpy(read_audio(folder / f"s{k + 1}" / path.name, RATE)) for k in range(MOST)]
        yield path.stem, mixture, torch.stack(sources, dim=1), spoken


def separate_live(separator: TasNetSeparation, mixture: Tensor) -> Tensor:
    """Separate a mixture [time] as ``tasnet stream`` does: [time, C]."""
    modules = separator.mods
    live = StreamingSeparator(modules.encoder, modules.masknet, modules.decoder)
    voices = LiveVoices(RATE, gate=separator.counts_voices)
    known = [*map(live.step, mixture.unsqueeze(0).split(RATE, dim=1)), live.flush()]
    return torch.cat([torch.from_numpy(voices.hear(sources[0].numpy())[0]) for sources in known])


def separate_whole(separator: TasNetSeparation, mixture: Tensor) -> Tensor:
    """Separate a mixture [time] as ``tasnet separate`` does: [time, C]."""
    return separator.separate_audio(mixture, RATE).T


def score(separate: Callable[[Tensor], Tensor], corpus: Path) -> dict:
    """Return the scores of who was found, see `talk.summarize`."""
    evaluator = Evaluator(RATE, ["der"])
    for name, mixture, sources, spoken in mixtures(corpus):
        estimates = separate(mixture)
        silent = estimates.new_zeros(len(estimates), max(0, MOST - estimates.shape[1]))
        evaluator.add(name, mixture, sources, torch.cat([estimates, silent], dim=1), spoken)
    return evaluator.summary()["talk"]


def lines(model: str, kind: str, talk: dict) -> Iterator[str]:
    """Write a row for each number of speakers."""
    for number, (speakers, scores) in enumerate(talk["by speakers"].items()):
        found = talk["confusion"][speakers]
        count = sum(found.values())

        def mean(name: str, form: str = ".1f", scores: dict = scores) -> str:
            return format(scores[name]["mean"], form) if name in scores else ""

        cells = [model, f"{count}, {kind}", speakers, f"{found.get(speakers, 0) / count:.0%}", mean("si-snr")]
        cells += [
            mean("si-snr_i"),
            mean("silence"),
            mean("right output", ".1%"),
            "" if number else f"{talk['der']['rate']:.1%}",
        ]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Mix, separate and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.talk", description=__doc__)
    parser.add_argument("models", nargs="+", help="folders or names of separators")
    parser.add_argument("--speech", type=Path, required=True, help="folder with a speakers.csv")
    parser.add_argument("--kinds", nargs="+", choices=CORPORA, default=list(CORPORA), help="of mixtures (both)")
    parser.add_argument("--hours", type=float, default=0.5, help="of mixtures in a test set (%(default)s)")
    parser.add_argument("--live", action="store_true", help="stream, as tasnet stream does; for causal separators")
    parser.add_argument("--out", type=Path, default=Path("results/talk"))
    options = parser.parse_args()
    separators = {model: TasNetSeparation.from_bundle(model) for model in options.models}
    for model, separator in separators.items():
        rate, voices = separator.hparams.sample_rate, separator.hparams.num_spks
        if rate != RATE or voices > MOST:
            parser.error(f"{model}: {voices} voices at {rate} Hz; expected at most {MOST} at {RATE} Hz")
    separate = separate_live if options.live else separate_whole
    rows, results = [], {}
    for kind in options.kinds:
        corpus = options.out / kind.replace(" ", "-")
        if not corpus.exists():
            hours = {"hours": UNUSED, "valid_hours": UNUSED, "test_hours": options.hours}
            make_mixtures(options.speech, corpus, num_speakers=MOST, **hours, **CORPORA[kind])
        for model, separator in separators.items():
            talk = score(partial(separate, separator), corpus)
            results[f"{model}, {kind}"] = talk
            rows += lines(Path(model).name, kind, talk)
            print(HEAD + "\n".join(rows), flush=True)
    (options.out / "talk.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
