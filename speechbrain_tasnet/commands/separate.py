"""``tasnet separate``: audio files of any length into one file per source."""

import argparse
import os
import sys
from pathlib import Path

from speechbrain_tasnet.commands import add_launcher, launcher
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.shipped import DEFAULT, bundled_names
from speechbrain_tasnet.system.process import standard_output

NAME = "{stem}_{source}"


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Write one file per source, OUT/NAME_s1.wav, OUT/NAME_s2.wav and so on, at the rate of the mixture. A "
        "long recording is separated in windows, in constant memory. A file that cannot be read is reported and "
        "skipped; the exit status is then 2."
    )
    parser.epilog = (
        "examples: tasnet separate meetings/*.mp3 --out separated; tasnet separate meetings --model "
        "convtasnet-8k-2spk-noisy --out separated; tasnet separate @list.txt --out separated; "
        "tasnet separate talk.m4a --out - | sox - -n stats"
    )
    parser.fromfile_prefix_chars = "@"
    names = ", ".join(bundled_names())
    parser.add_argument(
        "mixtures",
        type=Path,
        nargs="+",
        metavar="MIXTURE",
        help="a file, a folder (all recordings in it, and of its subfolders into the same subfolders of OUT), "
        "@FILE with one path per line, or - for standard input. Any format that soundfile reads (wav, flac, ogg, "
        "opus, mp3, aiff, au, caf, w64), at any rate and of any length; with pip install "
        "'speechbrain-tasnet[media]' also m4a, aac, mp4, webm, wma and films",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT,
        metavar="DIR",
        help=f"folder of a training run or of a separator, or a bundled one: {names}; or OWNER/NAME[@REVISION] on "
        "the Hugging Face hub (%(default)s)",
    )
    _describe_separation(parser.add_argument_group("separation"))
    _describe_files(parser.add_argument_group("output"))
    _describe_voices(parser.add_argument_group("who speaks when, and output for programs"))
    add_launcher(parser)


def _describe_separation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--channels",
        default="mean",
        metavar="WHICH",
        help="which to separate: the mean of all channels, left, right, or each by itself, into sources with as "
        "many channels (%(default)s)",
    )
    group.add_argument(
        "--beamform",
        choices=("mvdr", "mvdr-postfilter"),
        help="separate every channel of a microphone array, and filter each source out of all of them; with the "
        "postfilter, separate the result once more",
    )
    group.add_argument(
        "--shifts",
        type=int,
        default=1,
        metavar="N",
        help="separate N times, with frames that begin elsewhere, and average: better sources, N times the time; "
        "4 are enough (%(default)s)",
    )
    group.add_argument(
        "--window",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds separated at once; memory is proportional. A separator that counts voices gets a minute at "
        "most (%(default)g)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="windows or files separated at the same time, each on one thread and in memory of its own (as many "
        "as torch uses threads; 1 on a GPU and with other toolkits' networks)",
    )


def _describe_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the sources (the current one); - writes those of one mixture to standard output, as the "
        "channels of one file",
    )
    group.add_argument(
        "--name",
        default=NAME,
        metavar="NAME",
        help="name of each file: {stem} is the mixture's name, {source} is s1, s2 and so on, / makes a folder "
        "(%(default)s)",
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing files, and remove what an earlier run has left of the same recording: further "
        "sources, and tables that are not wanted now",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="keep a journal in OUT/.separated and skip what it lists as done: for runs that may be interrupted, "
        "and folders that grow",
    )
    group.add_argument(
        "--scale",
        default="none",
        metavar="HOW",
        help="level of the sources. none: the model's own; peak: the loudest sample of all sources at 0.9; "
        "mixture: one gain for all, with which their sum fits the mixture best; consistent: they sum to the "
        "mixture, except where a separator that counts voices hears nobody and so silences all, see --no-gate. If "
        "one would clip, all are attenuated together (%(default)s)",
    )
    group.add_argument("--format", default="wav", help="file format: wav, flac, mp3 or opus (%(default)s)")
    group.add_argument(
        "--subtype",
        help="sample format: PCM_16, PCM_24 or, in a wav, FLOAT, which does not clip (PCM_16)",
    )


def _describe_voices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rttm", action="store_true", help="write who speaks when as OUT/NAME.rttm, which diarisation tools read"
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="write who speaks when as OUT/NAME.json (SegLST, which meeteval reads), and print a line of JSON for "
        "each mixture: its files, rate, seconds, voices, levels and the time it took, or the error",
    )
    group.add_argument(
        "--voices",
        type=int,
        metavar="N",
        help="of a separator that counts voices, keep the N outputs in which somebody is heard longest; by "
        "default all in which somebody is heard",
    )
    group.add_argument(
        "--no-gate",
        action="store_true",
        help="keep the output of a separator that counts voices where nobody is heard; by default it is silenced",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    piped = str(options.out) == "-"
    if piped:
        _check_piped(options)

    from speechbrain_tasnet.separation.batch_report import JsonLines, Names
    from speechbrain_tasnet.separation.in_jobs import separate_in_jobs
    from speechbrain_tasnet.separation.journal import Journal
    from speechbrain_tasnet.separation.many_files import separate_files
    from speechbrain_tasnet.separation.mixtures import find_mixtures
    from speechbrain_tasnet.separation.options import SeparationOptions
    from speechbrain_tasnet.separation.output_files import AudioFormat, Destination
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation
    from speechbrain_tasnet.separation.to_standard_output import separate_to_descriptor

    names = ("channels", "scale", "window", "workers", "beamform", "shifts", "voices")
    choices = SeparationOptions(**{name: getattr(options, name) for name in names}, gate=not options.no_gate)
    tables = [name for name in ("rttm", "json") if getattr(options, name)]
    kind = AudioFormat(options.format, options.subtype)
    roots = [path for path in options.mixtures if path.is_dir()]
    destination = Destination(options.out, options.overwrite, kind, tables, options.name, roots=roots)
    jobs = None if piped else launcher(options, options.out / ".jobs")
    mixtures = find_mixtures(options.mixtures, options.out)
    if piped and len(mixtures) > 1:
        raise InputError(f"--out -: {len(mixtures)} mixtures, expected one; give a folder for the sources")
    report = JsonLines() if options.json else Names()
    if jobs:
        separate_in_jobs(options.model, mixtures, destination, choices, jobs, report)
        return
    if piped:
        with standard_output() as output:
            separator = TasNetSeparation.from_bundle(options.model)
            separate_to_descriptor(separator, mixtures[0], kind, choices, output)
        return
    separator = TasNetSeparation.from_bundle(options.model)
    journal = Journal(options.model, destination, choices) if options.resume else None
    separate_files(separator, mixtures, destination, choices, report, journal)


def _check_piped(options: argparse.Namespace) -> None:
    """Refuse options that standard output has no place for."""
    if sys.stdout is None or os.isatty(1):
        raise InputError("--out -: standard output is a terminal or closed; expected a pipe or a file")
    others = {"--rttm": options.rttm, "--json": options.json, "--name": options.name != NAME}
    others |= {"--resume": options.resume, "--launcher": options.launcher is not None}
    if given := [option for option, is_given in others.items() if is_given]:
        raise InputError(f"--out - together with {given[0]}: standard output takes only sources; give a folder")
