"""``tasnet live``: from the sound card to the sound card, while it is being said."""

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
        "Separate what a microphone hears and play it at once, until Ctrl-C. Levels, latency and drop-outs stand "
        "on standard error, on a terminal in a line that is redrawn. Wear headphones: what a loudspeaker plays "
        "is heard by the microphone again. Needs pip install 'speechbrain-tasnet[live]'."
    )
    parser.epilog = "examples: tasnet live --devices; tasnet live --input headset --source 1 --out recorded"
    parser.add_argument("--devices", action="store_true", help="list the devices, and do no more")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path(LIVE),
        metavar="DIR",
        help="folder of a training run or of a causal separator, or a bundled one (%(default)s)",
    )
    for way, what in (("input", "listened to"), ("output", "played on")):
        parser.add_argument(
            f"--{way}", metavar="DEVICE", help=f"which is {what}: its number or a part of its name (the system's)"
        )
    parser.add_argument(
        "--source",
        default="both",
        metavar="WHICH",
        help="what is played: 1, 2 and so on, or both, the first left and the second right (%(default)s)",
    )
    parser.add_argument(
        "--chunk", type=float, default=10.0, metavar="MS", help="milliseconds taken at once (%(default)g)"
    )
    parser.add_argument(
        "--buffer",
        type=float,
        default=40.0,
        metavar="MS",
        help="milliseconds that each device may hold, and that wait to be played; a shorter one makes the latency "
        "less, a longer one drop-outs fewer (%(default)g)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="record what is heard and its sources, DIR/mixture.wav, DIR/s1.wav and so on, as they come",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--no-gate",
        action="store_true",
        help="leave what a separator that counts voices gives where nobody is heard; by default it is silent",
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
    """Separate until somebody ends it."""
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
