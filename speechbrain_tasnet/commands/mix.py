"""``tasnet mix``: a corpus of mixtures from any folder of speech."""

import argparse
import shlex
from pathlib import Path

from speechbrain_tasnet.commands import add_array, add_workers, array, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Mix speech into a corpus in the layout of wsj0-mix, OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2}/NAME.wav. No "
        "speaker is in two splits. With --noise the layout is that of WHAM!, with --reverb that of WHAMR!, and "
        "scenes.csv in each split lists the noise, the signal-to-noise ratio, the room and all positions."
    )
    parser.epilog = (
        "examples: tasnet mix --speech LibriSpeech/train-clean-100 --out corpus --hours 10; "
        "tasnet mix --speech LibriSpeech/train-clean-100 --scene talk --num-speakers 3 --out talk --hours 10; "
        "tasnet mix --speech LibriSpeech/train-clean-100 --noise wham_noise --reverb --out scenes --hours 10"
    )
    parser.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar="DIR",
        help="one subfolder per speaker, nested to any depth; wav, flac, ogg, opus, mp3, aiff or anything else "
        "that soundfile reads, at any rate. A speakers.csv in it, with the columns speaker,split, may assign "
        "speakers to train, valid and test",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="corpus to make; must not exist yet"
    )
    parser.add_argument(
        "--num-speakers",
        type=int,
        default=2,
        metavar="C",
        help="speakers in a mixture, 2 to 8, with --scene talk from 1 (%(default)s)",
    )
    parser.add_argument(
        "--min-speakers",
        type=int,
        metavar="C",
        help="fewest speakers in a mixture; the remaining sources are silent (1 with --scene talk, otherwise C). "
        "With --scene talk it may be 0: nobody speaks, and there is only the noise, or silence",
    )
    _describe_size(parser.add_argument_group("size"))
    _describe_conditions(parser.add_argument_group("acoustic conditions"))
    _describe_talk(parser.add_argument_group("conversations"))
    add_workers(parser)


def _describe_size(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rate", type=int, default=8000, metavar="HZ", help="sampling rate (%(default)s)")
    group.add_argument(
        "--hours", type=float, default=2.0, metavar="H", help="hours of training mixtures (%(default)s)"
    )
    group.add_argument("--valid-hours", type=float, metavar="H", help="hours of validation (a tenth of --hours)")
    group.add_argument("--test-hours", type=float, metavar="H", help="hours of test (a tenth of --hours)")
    group.add_argument("--seed", type=int, default=0, help="same seed, same corpus (%(default)s)")


def _describe_conditions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--noise",
        type=Path,
        metavar="DIR",
        help="add noise from this folder: any format that soundfile reads, at any rate and depth. The first "
        "speaker is -3 to 6 dB above it. A noise.csv in it, with the columns file,split, or subfolders tr, cv and "
        "tt assign its files to training, validation and test; otherwise they are assigned at random",
    )
    group.add_argument(
        "--reverb",
        action="store_true",
        help="place the speakers of each mixture in a simulated room of its own, with a T60 of 0.1 to 1 s; needs "
        "pip install 'speechbrain-tasnet[rooms]'",
    )
    add_array(group)
    group.add_argument(
        "--level-range",
        type=float,
        nargs=2,
        default=[0.0, 5.0],
        metavar=("LOW", "HIGH"),
        help="level of the first speaker above the last, in dB (0 to 5)",
    )
    group.add_argument(
        "--channel",
        choices=("telephone", "mulaw", "alaw", "gsm", "opus"),
        help="pass the mixtures through the band of a telephone, 300 to 3400 Hz, or through a codec",
    )


def _describe_talk(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--scene",
        choices=("overlap", "talk"),
        default="overlap",
        help="whether everyone speaks all the time (%(default)s) or they take turns; a NAME.json beside each "
        "mixture then says who speaks when, as SegLST",
    )
    group.add_argument("--seconds", type=float, default=60.0, help="length of a conversation (%(default)s)")
    group.add_argument("--pause", type=float, default=1.0, help="mean seconds between two turns (%(default)s)")
    group.add_argument(
        "--overlap", type=float, default=2.0, help="mean seconds that turns overlap, if they do (%(default)s)"
    )
    group.add_argument(
        "--overlap-probability",
        type=float,
        nargs=2,
        default=[0.0, 1.0],
        metavar=("LOW", "HIGH"),
        help="probability that a turn begins before the last one ends; drawn for each conversation (0 to 1)",
    )
    group.add_argument(
        "--overlap-ratio",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="share of the speech in which more than one speaks, in place of --overlap; drawn for each "
        "conversation. 0 1 gives everything from turns without overlap to people who talk all at once",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.data.conversations import TurnTaking
    from speechbrain_tasnet.generate.mixing import make_mixtures
    from speechbrain_tasnet.generate.talk import Talk

    talks = options.scene == "talk"
    ratio = tuple(options.overlap_ratio) if options.overlap_ratio else None
    turns = TurnTaking(options.pause, options.overlap, tuple(options.overlap_probability), ratio)
    make_mixtures(
        options.speech,
        options.out,
        num_speakers=options.num_speakers,
        rate=options.rate,
        hours=options.hours,
        valid_hours=options.valid_hours,
        test_hours=options.test_hours,
        seed=options.seed,
        noise=options.noise,
        reverb=options.reverb,
        array=array(options),
        level_range=tuple(options.level_range),
        channel=options.channel,
        min_speakers=1 if talks and options.min_speakers is None else options.min_speakers,
        talk=Talk(options.seconds, turns) if talks else None,
        workers=workers(options),
    )
    print(f"{options.out}: train on it with `{_training(options)}`")


def _training(options: argparse.Namespace) -> str:
    """Return the command that trains on the corpus."""
    recipe, task = {
        (False, False): ("wsj0mix", None),
        (True, False): ("wham", "sep_noisy"),
        (False, True): ("whamr", "sep_reverb"),
        (True, True): ("whamr", "sep_reverb_noisy"),
    }[bool(options.noise), options.reverb]
    words = ["tasnet", "train", recipe, "--data_folder", str(options.out)]
    if options.channel not in (None, "telephone"):
        words = ["tasnet", "train", "custom", *_parts_of_coded(options)]
    elif task:
        words += ["--task", task]
    if options.num_speakers != 2:
        words += ["--num_spks", str(options.num_speakers)]
    if options.rate != 8000:
        words += ["--sample_rate", str(options.rate)]
    if options.mics > 1:
        words += ["--mics", str(options.mics)]
    if options.scene == "talk" or options.min_speakers not in (None, options.num_speakers):
        words += ["--loss_silence", "power", "--loss_cap", "30", "--loss_level", "1"]
    return shlex.join(words)


def _parts_of_coded(options: argparse.Namespace) -> list[str]:
    """Return options naming the signals of a corpus whose mixtures are not, as recipes expect, sums of sources."""
    mixture = "mix_both" if options.noise else "mix_clean" if options.reverb else "mix"
    mixture += "_reverb" if options.reverb else ""
    room = "_anechoic" if options.reverb else ""
    sources = ",".join(f"s{number}{room}" for number in range(1, options.num_speakers + 1))
    folder = options.out / f"wav{options.rate // 1000}k" / "min"
    words = ["--data_folder", str(folder), "--splits", "[tr,cv,tt]", "--mixture", mixture]
    return [*words, "--sources", f"[{sources}]", "--additive", "False"]
