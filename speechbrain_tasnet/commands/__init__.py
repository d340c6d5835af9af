"""The commands of ``tasnet``, one file each: ``describe`` tells its options, ``run`` does the work.

Heavy modules are imported by the command that needs them: help comes at once, and `mix` without torch.
"""

import argparse
from collections.abc import Mapping
from types import ModuleType


def add_commands(
    parser: argparse.ArgumentParser, dest: str, commands: Mapping[str, tuple[ModuleType, str]]
) -> None:
    """Let a parser choose among commands: by name a module, which describes its options, and what it is for."""
    parsers = parser.add_subparsers(dest=dest, required=True, metavar=dest.upper())
    for name, (module, purpose) in commands.items():
        # Abbreviations would take keys of a recipe for options: --mode for --model.
        module.describe(parsers.add_parser(name, help=purpose, allow_abbrev=False))


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how many processes share the work."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the work (one for each processor that this one may use)",
    )


def add_array(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how many microphones a room has, and where they are."""
    parser.add_argument("--mics", type=int, default=1, metavar="M", help="microphones in each room (%(default)s)")
    parser.add_argument(
        "--array",
        dest="places",
        default="linear:0.05-0.15",
        metavar="WHERE",
        help="linear:METRES from one to the next, circular:RADIUS, ears (17.5 cm apart, without a head) or random "
        "(within half a metre); linear:0.05-0.15 is drawn for each room (%(default)s)",
    )
