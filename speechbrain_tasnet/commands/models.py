"""``tasnet models``: the available separators, with their purpose, quality and speed on this machine."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "List the bundled separators and those in folders: what each is for, what it reaches on its own test "
        "mixtures, and how many seconds of audio one thread of this processor separates in a second."
    )
    parser.epilog = "example: tasnet models results --json"
    parser.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="DIR",
        help="folder to search, at any depth, for runs and separators",
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything known as JSON, one object per separator"
    )
    parser.add_argument(
        "--no-speed", action="store_true", help="do not measure speed, which takes a second for each"
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    import json

    from speechbrain_tasnet.doctor.models import describe_separator, find_separators, table

    found = find_separators(options.folders)
    separators = [describe_separator(name, timed=not options.no_speed) for name in found]
    print(json.dumps(separators, indent=1) if options.json else table(separators))
