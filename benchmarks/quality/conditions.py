"""Score a separator where people use it: ``python -m benchmarks.quality.conditions MODEL --speech FOLDER ...``.

Of each speech folder, and of each of its subfolders that holds a corpus of its own, the test speakers are mixed.
Of the first folder they are mixed once more with one voice 20 dB above the other, through a telephone and through
codecs. `tasnet evaluate` scores them all; `tasnet export bundle --scores` takes the folders.
"""

import argparse
import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from speechbrain_tasnet.data.folders.speech import SPEAKERS_CSV
from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.generate.mixing import make_mixtures

CONDITIONS = {
    "one voice 20 dB louder": {"level_range": (20.0, 20.0)},
    "telephone, 300 to 3400 Hz": {"channel": "telephone"},
    "codec mu-law": {"channel": "mulaw"},
    "codec GSM": {"channel": "gsm"},
    "codec Opus, 12 kbit/s": {"channel": "opus"},
}
VOICES = ("low", "high", "low and high")
UNUSED = 0.001  # hours of mixtures to train on and to validate with: there must be some
HEAD = """\
| test set | SI-SNRi | 95 % interval | mixtures | not improved | low voices | high | low and high | worse voice |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def corpora(folder: Path, out: Path) -> Iterator[tuple[str, Path]]:
    """Yield a speech folder and the corpora in it that have test speakers enough for a mixture, by name.

    A corpus becomes a folder of links, in which training and validation have two speakers each.
    """
    yield folder.name, folder
    speakers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with (folder / SPEAKERS_CSV).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            corpus, _, inner = row["speaker"].partition("/")
            if inner:
                speakers[corpus]["test" if row["split"] == "test" else "other"].append(inner)
    for corpus, kinds in speakers.items():
        if len(speakers) == 1 or len(kinds["test"]) < 2 or len(kinds["other"]) < 4:
            continue
        links = out / corpus
        links.mkdir(parents=True, exist_ok=True)
        some = zip(kinds["other"], ("train", "train", "valid", "valid"), strict=False)
        splits = [*some, *((name, "test") for name in kinds["test"])]
        for name, _ in splits:
            if not (links / name).exists():
                os.symlink((folder / corpus / name).resolve(), links / name)
        with (links / SPEAKERS_CSV).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("speaker", "split"), *splits])
        yield f"{folder.name}, {corpus}", links


def score(model: str, corpus: Path, out: Path, condition: dict) -> dict:
    """Evaluate a separator on a corpus; return what `Evaluator.summary` has found."""
    words = ["wsj0mix", "--data_folder", str(corpus)]
    if "noise" in condition:
        words = ["whamr", "--data_folder", str(corpus), "--task", "sep_reverb_noisy"]
    elif "channel" in condition:  # a mixture behind a codec is no longer the sum of its sources
        words = ["custom", "--data_folder", str(corpus / "wav8k" / "min"), "--splits", "[tr,cv,tt]"]
        words += ["--mixture", "mix", "--sources", "[s1,s2]", "--additive", "False"]
    words += ["--pretrained", model, "--output_folder", str(out), "--noprogressbar", "--num_workers", "0"]
    run(words, evaluate_only=True)
    return json.loads((out / "test_results.json").read_text(encoding="utf-8"))


def line(name: str, summary: dict, table: Path) -> str:
    """Write the row of a test set; the worse voice is that which gains less, on average."""
    gain = summary["metrics"]["si-snr_i"]
    voices = summary["conditions"].get("voices", {})
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("si-snr_i_s2")]
    worse = min(fmean(float(row[f"si-snr_i_s{source}"]) for row in rows) for source in (1, 2))
    by_voices = [f"{voices[kind]['mean']:.1f} dB" if kind in voices else "" for kind in VOICES]
    bad = len(summary["not_improved"]) / gain["count"]
    interval = "{:.1f} to {:.1f}".format(*gain["ci95"]) if gain["ci95"] else ""
    cells = [name, f"{gain['mean']:.2f} dB", interval, str(gain["count"]), f"{bad:.1%}", *by_voices]
    cells.append(f"{worse:.1f} dB")
    return f"| {' | '.join(cells)} |"


def test_sets(options: argparse.Namespace) -> Iterator[tuple[str, Path, dict]]:
    """Yield name, speech and conditions of each test set."""
    for folder in options.speech:
        for name, speech in corpora(folder, options.out / "speech"):
            yield name, speech, {}
    for name, condition in CONDITIONS.items():
        yield f"{options.speech[0].name}, {name}", options.speech[0], condition
    if options.noise:
        scenes = {"noise": options.noise, "reverb": True}
        yield f"{options.speech[0].name}, noise and rooms", options.speech[0], scenes


def main() -> None:
    """Mix, evaluate and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.conditions", description=__doc__)
    parser.add_argument("model", help="folder or name of a separator")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="folders with a speakers.csv")
    parser.add_argument("--noise", type=Path, help="folder of noise, for scenes with noise and rooms")
    parser.add_argument("--hours", type=float, default=0.25, help="of mixtures in a test set")
    parser.add_argument("--out", type=Path, default=Path("results/conditions"))
    options = parser.parse_args()
    rows = []
    for name, speech, condition in test_sets(options):
        place = "".join(letter if letter.isalnum() else "-" for letter in name)
        corpus = options.out / "corpora" / place
        if not corpus.exists():
            make_mixtures(speech, corpus, hours=UNUSED, valid_hours=UNUSED, test_hours=options.hours, **condition)
        out = options.out / "scores" / place
        summary = score(options.model, corpus, out, condition)
        rows.append(line(name, summary, out / "test_results.csv"))
        print(HEAD + "\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
