"""``tasnet doctor``: does everything work on this machine, and how fast."""

import argparse


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Examine Python, packages, processor, GPU, folders and optional parts, and check every fast path against "
        "the reference on a small input. Exit status 0: everything works; 2: the last lines say what does not, "
        "and the way out. A bug report begins with this page."
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    import json

    from speechbrain_tasnet.doctor.page import examine, render

    found = examine()
    print(json.dumps(found.facts, indent=1) if options.json else render(found))
    if found.problems:
        raise SystemExit(2)
