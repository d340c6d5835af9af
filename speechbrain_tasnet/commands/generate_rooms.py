"""``tasnet generate rooms``: a bank of simulated rooms for dynamic mixing."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_array, add_workers, array, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Simulate rooms with a microphone and a few speaker positions, and save the impulse response from each "
        "position, with a T60 of 0.1 to 1 s, and its direct path alone. Dynamic mixing places speakers there. "
        "Needs pip install 'speechbrain-tasnet[rooms]'."
    )
    parser.epilog = "example: tasnet generate rooms --out rooms.npz"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to make; must not exist yet")
    parser.add_argument("--rooms", type=int, default=500, metavar="N", help="number of rooms (%(default)s)")
    parser.add_argument(
        "--positions",
        type=int,
        default=4,
        metavar="N",
        help="speaker positions in each room, 2 to 8 (%(default)s)",
    )
    add_array(parser)
    parser.add_argument("--rate", type=int, default=8000, metavar="HZ", help="sampling rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same rooms (%(default)s)")
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.room_simulation import make_room_bank

    make_room_bank(
        options.out,
        rooms=options.rooms,
        positions=options.positions,
        rate=options.rate,
        seed=options.seed,
        array=array(options),
        workers=workers(options),
    )
    print(f"{options.out}: train in these rooms with `--speech_folder DIR --rooms {options.out}`")
