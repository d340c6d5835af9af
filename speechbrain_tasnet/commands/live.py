"""``tasnet live``: from the sound card to the sound card, as people speak."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.shipped import LIVE
from speechbrain_tasnet.system.process import python_alone_complains


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Separate what a microphone hears and play it at once, until Ctrl-C. Levels, latency and drop-outs are "
        "shown on standard error, on a terminal in one line that is redrawn. Wear headphones: the microphone "
        "would pick up a loudspeaker. Needs pip install 'speechbrain-tasnet[live]'."
    )
    parser.epilog = "examples: tasnet live --devices; tasnet live --input headset --source 1 --out recorded"
    parser.add_argument("--devices", action="store_true", help="list the devices and exit")
    parser.add_argument(
        "--model",
        default=LIVE,
        metavar="DIR",
        help="folder of a training run or of a causal separator, or a bundled one, or OWNER/NAME[@REVISION] on "
        "the Hugging Face hub (%(default)s)",
    )
    for way, what in (("input", "listen to"), ("output", "play on")):
        parser.add_argument(
            f"--{way}", metavar="DEVICE", help=f"device to {what}: its number or part of its name (the system's)"
        )
    parser.add_argument(
        "--source",
        default="all",
        metavar="WHICH",
        help="source to play: 1, 2 and so on, or all, from the first left to the last right (%(default)s)",
    )
    parser.add_argument(
        "--chunk", type=float, default=10.0, metavar="MS", help="milliseconds processed at once (%(default)g)"
    )
    parser.add_argument(
        "--buffer",
        type=float,
        default=40.0,
        metavar="MS",
        help="milliseconds that each device may buffer, and that wait to be played: fewer lower the latency, more "
        "avoid drop-outs (%(default)g)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="record the input and its sources as they come: DIR/mixture.wav, DIR/s1.wav and so on",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--no-gate",
        action="store_true",
        help="keep the output of a separator that counts voices where nobody is heard; by default it is silenced",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    for name in ("chunk", "buffer"):
        if not 0 < getattr(options, name) <= 1000:
            raise InputError(f"--{name} {getattr(options, name):g}: expected milliseconds above 0, at most 1000")
    with python_alone_complains():
        if options.devices:
            from speechbrain_tasnet.audio.sound_card import list_devices

            print("\n".join(list_devices()))
        else:
            _live(options)


def _live(options: argparse.Namespace) -> None:
    """Separate until interrupted."""
    from speechbrain_tasnet.audio.sound_card import Loudspeaker, Microphone, Pace
    from speechbrain_tasnet.separation.live_files import LiveFiles
    from speechbrain_tasnet.separation.live_separation import LiveSeparation
    from speechbrain_tasnet.separation.live_session import LiveSession
    from speechbrain_tasnet.separation.pretrained import TasNetSeparation

    print(f"loading {options.model}", file=sys.stderr)
    separator = TasNetSeparation.from_bundle(options.model)
    separation = LiveSeparation(separator, options.source, not options.no_gate)
    pace = Pace(options.chunk / 1000, options.buffer / 1000)
    microphone = Microphone(options.input, pace, separation.mics)
    loudspeaker = Loudspeaker(options.output, pace, separation.ears)
    sizes = separation.rate, separation.mics, separation.num_spks
    files = LiveFiles(options.out, *sizes, options.overwrite) if options.out else nullcontext()
    with files as recorded:
        session = LiveSession(separation, microphone, loudspeaker, pace, recorded)
        try:
            session.run(sys.stderr)
        finally:
            for line in session.lines():
                print(f"tasnet live: {line}", file=sys.stderr)
