"""``tasnet separate``: audio files of any length into one file a source."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_launcher, launcher
from speechbrain_tasnet.shipped import DEFAULT, bundled_names


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Write one file a source, OUT/NAME_s1.wav, OUT/NAME_s2.wav and so on, at the rate of the mixture. A long "
        "recording is separated in windows, in constant memory. A file that cannot be read is told and left out; "
        "the exit status is then 2."
    )
    parser.epilog = (
        "examples: tasnet separate meetings/*.mp3 --model results/wsj0mix/1234 --out separated; "
        "tasnet separate meetings --out separated; tasnet separate @list.txt --out separated"
    )
    parser.fromfile_prefix_chars = "@"
    names = ", ".join(bundled_names())
    parser.add_argument(
        "mixtures",
        type=Path,
        nargs="+",
        metavar="MIXTURE",
        help="a file, a folder, of which all recordings are taken, @FILE with a path in each line, or - for "
        "standard input. Any format that soundfile reads (wav, flac, ogg, opus, mp3, aiff, au, caf, w64), of any "
        "rate and length; with pip install 'speechbrain-tasnet[media]' also m4a, aac, mp4, webm, wma and films",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=Path(DEFAULT),
        metavar="DIR",
        help=f"folder of a training run or of a separator, or a bundled one: {names} (%(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where the sources go (the current folder)"
    )
    parser.add_argument(
        "--name",
        default="{stem}_{source}",
        metavar="NAME",
        help="of each file: {stem} is the mixture's name, {source} s1, s2 and so on, / a folder (%(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep a journal in OUT/.separated and leave out what it says is done: for runs that may be stopped, "
        "and folders that grow",
    )
    parser.add_argument(
        "--channels",
        default="mean",
        metavar="WHICH",
        help="of several channels: their mean, left, right, or each by itself into sources with as many "
        "(%(default)s)",
    )
    parser.add_argument(
        "--beamform",
        choices=("mvdr",),
        help="separate every channel of an array of microphones, and filter each source out of all of them",
    )
    parser.add_argument(
        "--scale",
        default="none",
        metavar="HOW",
        help="none: as the model gives them; peak: the loudest sample of all sources at 0.9; mixture: one gain, "
        "with which their sum fits the mixture; consistent: they sum to the mixture. All are made softer together "
        "where one would clip (%(default)s)",
    )
    parser.add_argument(
        "--window",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds that are separated at once; memory is in proportion (%(default)g)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="windows or files that are separated at the same time, each on one thread and in memory of its own "
        "(as many as torch computes threads; 1 on a GPU and with other toolkits' networks)",
    )
    parser.add_argument("--format", default="wav", help="of the sources: wav, flac, mp3 or opus (%(default)s)")
    parser.add_argument(
        "--subtype",
        help="of their samples: PCM_16, PCM_24 or, in a wav, FLOAT, which has no full scale (PCM_16)",
    )
    voices = parser.add_argument_group("who speaks when")
    voices.add_argument(
        "--rttm", action="store_true", help="write who speaks when as OUT/NAME.rttm, which diarisation tools read"
    )
    voices.add_argument(
        "--json", action="store_true", help="write who speaks when as OUT/NAME.json: SegLST, which meeteval reads"
    )
    voices.add_argument(
        "--no-gate",
        action="store_true",
        help="leave what a separator that counts voices gives where nobody is heard; by default it is silent",
    )
    add_launcher(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.separation.in_jobs import separate_in_jobs
    from speechbrain_tasnet.separation.journal import Journal
    from speechbrain_tasnet.separation.many_files import separate_files
    from speechbrain_tasnet.separation.mixtures import find_mixtures
    from speechbrain_tasnet.separation.options import SeparationOptions
    from speechbrain_tasnet.separation.output_files import AudioFormat, Destination
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation

    gate = not options.no_gate
    choices = SeparationOptions(
        options.channels, options.scale, options.window, options.workers, gate, options.beamform
    )
    tables = [name for name in ("rttm", "json") if getattr(options, name)]
    kind = AudioFormat(options.format, options.subtype)
    destination = Destination(options.out, options.overwrite, kind, tables, options.name)
    jobs = launcher(options, options.out / ".jobs")
    mixtures = find_mixtures(options.mixtures, options.out)
    if jobs:
        separate_in_jobs(options.model, mixtures, destination, choices, jobs)
        return
    separator = TasNetSeparation.from_bundle(options.model)
    journal = Journal(options.model, destination, choices) if options.resume else None
    separate_files(separator, mixtures, destination, choices, journal)
