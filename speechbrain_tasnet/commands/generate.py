"""``tasnet generate``: the public corpora from their lists, and rooms."""

import argparse

from speechbrain_tasnet.commands import (
    add_commands,
    generate_libricss,
    generate_librimix,
    generate_rooms,
    generate_sparselibrimix,
    generate_wsj0mix,
)

KINDS = {
    "wsj0-mix": (generate_wsj0mix, "wsj0-2mix, wsj0-3mix, ... from WSJ0 and MERL's lists"),
    "librimix": (generate_librimix, "Libri2Mix, Libri3Mix from LibriSpeech, WHAM! noise and the public metadata"),
    "sparselibrimix": (generate_sparselibrimix, "SparseLibriMix, a test set of people who take turns"),
    "libricss": (generate_libricss, "excerpts of LibriCSS, meetings in a room, with few speakers each"),
    "rooms": (generate_rooms, "a bank of simulated rooms for dynamic mixing"),
}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = "Make a public corpus from its parts. After an interruption, the same command continues."
    add_commands(parser, "kind", KINDS)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    KINDS[options.kind][0].run(options)
