"""The command line: ``tasnet demo | mix | train | evaluate | separate``."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from speechbrain_tasnet import __version__
from speechbrain_tasnet.errors import one_line_errors

# Heavy modules are imported by the command that needs them: help comes at once, and `mix` without torch.


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 when the work is done, 2 when something given was wrong (one line on standard error says
    what), 1 after a defect of ours (with its traceback), 130 when interrupted.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; by default the process's own.
    """
    # OpenMP's threads wait for work by spinning, so long that one busy neighbour makes a step ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    options, rest = _parser().parse_known_args(argv)
    if rest and options.command not in ("train", "evaluate"):
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with one_line_errors("tasnet"):
            options.run(options, rest)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _parser() -> argparse.ArgumentParser:
    """Describe the commands; those of `train` and `evaluate` pass on what they do not know."""
    parser = argparse.ArgumentParser(
        prog="tasnet",
        description="Conv-TasNet speech separation: make mixtures, train, evaluate, separate.",
        epilog="Start with `tasnet demo`. `tasnet COMMAND --help` tells the options of a command. Exit status: 0 "
        "done, 2 something given was wrong, and one line says what, 1 a defect of ours.",
    )
    parser.add_argument("--version", action="version", version=f"tasnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _describe_demo(commands.add_parser("demo", help="everything once, in minutes, on synthetic voices"))
    _describe_mix(commands.add_parser("mix", help="make a corpus of mixtures from any folder of speech"))
    _describe_recipe(commands.add_parser("train", help="train with a recipe, then evaluate and write a report"))
    _describe_recipe(commands.add_parser("evaluate", help="evaluate what was trained, and write a report"))
    _describe_separate(commands.add_parser("separate", help="separate audio files with a trained model"))
    return parser


def _describe_demo(demo: argparse.ArgumentParser) -> None:
    demo.description = (
        "Make a corpus of synthetic voices, train a small model on it, evaluate it on voices it has never heard, "
        "separate one mixture, and say where the report is. Run again, it goes on where it stopped."
    )
    demo.add_argument(
        "--out", type=Path, default=Path("results/demo"), metavar="DIR", help="folder for all of it (%(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="seed of the corpus (%(default)s)")
    demo.set_defaults(run=_demo)


def _describe_mix(mix: argparse.ArgumentParser) -> None:
    mix.description = (
        "Mix speech into a corpus in the layout of wsj0-mix, OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2}/NAME.wav. No "
        "speaker of one split is in another; two speakers lie 0 to 5 dB apart."
    )
    mix.epilog = "example: tasnet mix --speech LibriSpeech/train-clean-100 --out corpus --hours 10"
    mix.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar="DIR",
        help="one subfolder a speaker, nested as deep as it comes; wav, flac, ogg or mp3 at any rate. A "
        "speakers.csv in it, with the columns speaker,split, may say who is train, valid and test",
    )
    mix.add_argument("--out", type=Path, required=True, metavar="DIR", help="corpus to make; must not exist yet")
    mix.add_argument(
        "--num-speakers", type=int, default=2, metavar="C", help="speakers in a mixture (%(default)s)"
    )
    mix.add_argument("--rate", type=int, default=8000, metavar="HZ", help="sampling rate (%(default)s)")
    mix.add_argument(
        "--hours", type=float, default=2.0, metavar="H", help="hours of training mixtures (%(default)s)"
    )
    mix.add_argument("--valid-hours", type=float, metavar="H", help="of validation (a tenth of --hours)")
    mix.add_argument("--test-hours", type=float, metavar="H", help="of test (a tenth of --hours)")
    mix.add_argument("--seed", type=int, default=0, help="same seed, same corpus (%(default)s)")
    mix.set_defaults(run=_mix)


def _describe_recipe(command: argparse.ArgumentParser) -> None:
    command.usage = f"{command.prog} RECIPE [--KEY VALUE ...]"
    command.description = (
        "Any key of the recipe can be given as --KEY VALUE, and so can SpeechBrain's run options: --device "
        "cuda:0, --precision bf16, --debug, ... Started again, training goes on from its last checkpoint."
    )
    command.epilog = f"example: {command.prog} wsj0mix --data_folder corpus --N 256 --batch_size 8"
    command.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a YAML file, a packaged recipe (demo, wsj0mix), or the folder of an earlier run",
    )
    command.set_defaults(run=_train)


def _describe_separate(separate: argparse.ArgumentParser) -> None:
    separate.description = "Write one file a source: OUT/NAME_s1.wav, OUT/NAME_s2.wav, ..."
    separate.epilog = "example: tasnet separate meeting.wav --model results/wsj0mix/1234 --out separated"
    separate.add_argument(
        "mixtures", type=Path, nargs="+", metavar="MIXTURE", help="wav, flac, ogg or mp3 at any rate"
    )
    separate.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="folder of a training run or of a separator"
    )
    separate.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where the sources go (the current folder)"
    )
    separate.add_argument("--overwrite", action="store_true", help="replace files that are there")
    separate.set_defaults(run=_separate)


def _demo(options: argparse.Namespace, rest: Sequence[str]) -> None:
    from speechbrain_tasnet.demo import run_demo

    run_demo(options.out, options.seed)


def _mix(options: argparse.Namespace, rest: Sequence[str]) -> None:
    from speechbrain_tasnet.data.mixing import make_mixtures

    make_mixtures(
        options.speech,
        options.out,
        num_speakers=options.num_speakers,
        rate=options.rate,
        hours=options.hours,
        valid_hours=options.valid_hours,
        test_hours=options.test_hours,
        seed=options.seed,
    )
    print(f"{options.out}: train on it with `tasnet train wsj0mix --data_folder {options.out}`")


def _train(options: argparse.Namespace, rest: Sequence[str]) -> None:
    from speechbrain_tasnet.experiment import run

    folder = run([options.recipe, *rest], evaluate_only=options.command == "evaluate")
    print(f"{folder / 'report.html'}: open it in a browser")


def _separate(options: argparse.Namespace, rest: Sequence[str]) -> None:
    from speechbrain_tasnet.pretrained import load_separator, write_sources

    separator = load_separator(options.model)
    for mixture in options.mixtures:
        for path in write_sources(separator, mixture, options.out, overwrite=options.overwrite):
            print(path)


if __name__ == "__main__":
    main()
