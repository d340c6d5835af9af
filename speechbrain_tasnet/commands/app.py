"""``tasnet app``: a page on this machine that separates what is dropped on it."""

import argparse
from pathlib import Path

from speechbrain_tasnet.shipped import DEFAULT, bundled_names


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Serve a local web page that separates recordings and films: drop or record them there, and get players, "
        "spectrograms, a file for each voice, and who speaks when. Nothing leaves this machine. Needs pip install "
        "'speechbrain-tasnet[app]'; for films and m4a, [app,media]."
    )
    parser.epilog = "example: tasnet app --models results --out separated"
    names = ", ".join(bundled_names())
    parser.add_argument(
        "--model",
        default=DEFAULT,
        metavar="DIR",
        help="separator selected at first: folder of a training run or of a separator, or a bundled one: "
        f"{names} (%(default)s)",
    )
    parser.add_argument(
        "--models",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders to search, at any depth, for more runs and separators to choose from",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="keep each result here, in a folder named after the recording; by default results are removed when "
        "the page is closed",
    )
    parser.add_argument(
        "--max-minutes", type=float, default=60.0, metavar="M", help="refuse longer recordings (%(default)g)"
    )
    parser.add_argument(
        "--max-megabytes", type=float, default=1000.0, metavar="M", help="refuse larger files (%(default)g)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="recordings separated at the same time; others wait (%(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but this machine's own, such as 0.0.0.0, lets other machines in, without "
        "a password (%(default)s)",
    )
    parser.add_argument("--port", type=int, help="port to listen on (the first free one from 7860 on)")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from dataclasses import fields

    from speechbrain_tasnet.app import AppOptions, serve

    serve(AppOptions(**{field.name: getattr(options, field.name) for field in fields(AppOptions)}))
