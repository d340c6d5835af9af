"""``tasnet demo``: the whole workflow once, in minutes, on synthetic voices."""

import argparse
import json
import time
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Make a corpus of synthetic voices, train a small model on it, evaluate it on voices it has never heard, "
        "separate one mixture, and print where the report is. This takes about six minutes, on slow machines too. "
        "After an interruption, the same command continues."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/demo"), metavar="DIR", help="folder for all of it (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus (%(default)s)")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long to train (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    run_demo(options.out, options.seed, options.minutes)


def run_demo(out: Path, seed: int, minutes: float) -> None:
    """Make a corpus, train ``hparams/demo.yaml`` on it, evaluate, and separate one mixture.

    Training has a budget in minutes, so that it takes as long on a slow machine as on a fast one; the result
    differs. After an interruption, the next call continues.

    Parameters
    ----------
    out : path-like
        Folder for all of it: ``speech``, ``corpus``, ``run`` and ``separated``.
    seed : int
        Seed of the corpus.
    minutes : float
        Minutes of training, above 0; the rest takes a minute or two.

    Raises
    ------
    InputError
        The number of minutes is not possible.
    """
    from speechbrain_tasnet.experiment.workflow import run as run_experiment
    from speechbrain_tasnet.generate.mixing import make_mixtures
    from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation
    from speechbrain_tasnet.separation.recording import write_sources
    from speechbrain_tasnet.training.budget import parse

    start = time.monotonic()
    budget = f"{minutes:g} minutes"
    parse(budget)
    print(f"This takes about {minutes + 2:.0f} minutes, {minutes:g} of them training.", flush=True)
    speech, corpus = out / "speech", out / "corpus"
    if not speech.exists():
        synthesize_speech(speech, seed=seed)
    if not corpus.exists():
        make_mixtures(speech, corpus, hours=3.0, valid_hours=0.03, test_hours=0.15, seed=seed)
    options = {"data_folder": corpus, "output_folder": out / "run", "budget": budget}
    words = (word for key, value in options.items() for word in (f"--{key}", str(value)))
    folder = run_experiment(["demo", *words])

    mixture = min((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    separator = TasNetSeparation.from_bundle(folder)
    sources = write_sources(separator, mixture, out / "separated", overwrite=True)
    metrics = json.loads((folder / "test_results.json").read_text(encoding="utf-8"))["metrics"]
    ledger = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    low, high = metrics["si-snr_i"]["ci95"]
    print(
        f"\nSI-SNRi {metrics['si-snr_i']['mean']:.1f} dB (95 % interval {low:.1f} to {high:.1f}), "
        f"SDRi {metrics['sdr_i']['mean']:.1f} dB on voices never heard in training\n"
        f"heard         {ledger['audio'] / 3600:.1f} hours of mixtures in {ledger['steps']:,} steps\n"
        f"took          {(time.monotonic() - start) / 60:.1f} minutes\n"
        f"one mixture   {mixture}\n"
        f"separated     {' '.join(str(source) for source in sources)}\n"
        f"report        {(folder / 'report.html').resolve()}"
    )
