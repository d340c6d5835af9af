"""``tasnet stream``: separate raw PCM from a pipe as it arrives."""

import argparse
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.shipped import LIVE
from speechbrain_tasnet.system.process import READER_GONE, pass_bytes, standard_output


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Read raw PCM at the model's rate from standard input, interleaved, with a channel for each "
        "microphone of the model; write the sources to standard output, interleaved, or to one file or named pipe "
        "each. A sample is written with the chunk that determines it. At the end the real-time factor and the "
        "slowest chunk are reported on standard error; an incomplete last sample is dropped. If the reader closes "
        "the pipe, the exit status is 141."
    )
    parser.epilog = (
        "example: sox meeting.wav -t s16 -r 8k -c 1 - | tasnet stream | sox -t s16 -r 8k -c 2 - separated.wav"
    )
    parser.add_argument(
        "--model",
        default=LIVE,
        metavar="DIR",
        help="folder of a training run or of a causal separator, or a bundled one, or OWNER/NAME[@REVISION] on "
        "the Hugging Face hub (%(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=("s16le", "f32le"),
        default="s16le",
        help="of input and output; 16-bit output is clipped at full scale, and clipping counted (%(default)s)",
    )
    parser.add_argument(
        "--chunk", type=float, default=10.0, metavar="MS", help="milliseconds processed at once (%(default)g)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="one file or named pipe per source, of raw PCM without a header (standard output)",
    )
    parser.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help="file or named pipe for a line of JSON whenever a voice starts or stops, as soon as it is known",
    )
    parser.add_argument(
        "--no-gate",
        action="store_true",
        help="keep the output of a separator that counts voices where nobody is heard; by default it is silenced",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--measure",
        type=Path,
        metavar="RECORDING",
        help="stream this audio file in real time, and print the latency and the real-time factor; no other input "
        "or output is needed",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    if not 0 < options.chunk <= 60_000:
        raise InputError(f"--chunk {options.chunk:g}: expected milliseconds above 0, at most 60000")
    if options.measure is not None:
        _measure(options)
    else:
        _stream(options)


def _measure(options: argparse.Namespace) -> None:
    """Measure a stream between pipes of our own."""
    for name in ("out", "events"):
        if getattr(options, name) is not None:
            raise InputError(
                f"--{name} together with --measure: the output of a measured stream is dropped; leave one out"
            )

    from speechbrain_tasnet.separation.measure_stream import measure_stream

    for line in measure_stream(options.model, options.measure, options.chunk, options.format).lines():
        print(line)


def _stream(options: argparse.Namespace) -> None:
    """Stream from standard input to standard output or to files."""
    for stream, name in ((sys.stdin, "input"), (sys.stdout if options.out is None else sys, "output")):
        if stream is None:
            raise InputError(f"standard {name}: closed; expected raw PCM through a pipe")
    if os.isatty(0) or (options.out is None and os.isatty(1)):
        raise InputError("standard input and output: expected raw PCM through pipes, not a terminal")
    files = [*(options.out or ()), *([options.events] if options.events else [])]
    if len({path.resolve() for path in files}) < len(files):
        raise InputError("--out and --events: the same file twice; expected one for each")
    for path in files:
        if path.is_file() and not options.overwrite:
            raise InputError(f"{path}: already exists; choose another file or give --overwrite")
    _check_headerless(options.out or ())

    from speechbrain_tasnet.separation.live_voices import LiveVoices
    from speechbrain_tasnet.separation.pipe import Account, stream
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation
    from speechbrain_tasnet.separation.streaming import StreamingSeparator

    pass_bytes(0)
    with standard_output() as output:
        separator = TasNetSeparation.from_bundle(options.model)
        modules = separator.mods
        live = StreamingSeparator(modules.encoder, modules.masknet, modules.decoder)
        num_spks, rate = separator.hparams.num_spks, separator.hparams.sample_rate
        if options.out is not None and len(options.out) != num_spks:
            raise InputError(f"--out names {len(options.out)} files: expected one for each of {num_spks} sources")
        account = Account()
        with ExitStack() as opened:
            sinks = _open(files, opened)
            events = sinks.pop() if options.events else None
            sinks = sinks or [output]
            gate = separator.counts_voices and not options.no_gate
            voices = LiveVoices(rate, gate) if gate or options.events else None
            size = max(1, round(options.chunk * rate / 1000))
            try:
                stream(live, 0, sinks, options.format, size, account, rate, voices, events)
            except BrokenPipeError:
                raise SystemExit(READER_GONE) from None
        for line in account.lines(rate):
            print(f"tasnet stream: {line}", file=sys.stderr)


def _check_headerless(paths: Sequence[Path]) -> None:
    """Refuse files whose names promise a header: no program could play them."""
    from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES, OTHER_SUFFIXES

    for path in paths:
        if path.suffix.lower() in {*AUDIO_SUFFIXES, *OTHER_SUFFIXES} and not path.is_fifo():
            raise InputError(
                f"{path}: would hold raw PCM, without the header of a {path.suffix} file; name it "
                f"{path.with_suffix('.raw')}, or pipe standard output through sox as the example of --help does"
            )


def _open(paths: Sequence[Path], opened: ExitStack) -> list[int]:
    """Create or truncate files, and open pipes, which wait for a reader. On failure, leave no new file behind."""
    sinks, made = [], []
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)  # the latter on Windows
    for path in paths:
        new = not path.exists()
        regular = new or stat.S_ISREG(path.stat().st_mode)
        try:
            sinks.append(os.open(path, flags | (os.O_CREAT | os.O_TRUNC if regular else 0), 0o666))
            made += [path] if new else []
        except OSError as error:
            for other in made:
                other.unlink()
            raise DiskError(f"{path}: cannot be written ({error.strerror}); choose another file") from None
        opened.callback(os.close, sinks[-1])
    return sinks
