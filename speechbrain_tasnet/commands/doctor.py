"""``tasnet doctor``: check that everything works on this machine, and how fast."""

import argparse


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Check Python, packages, processor, GPU, folders and optional parts, and compare every fast path with the "
        "reference on a small input. Exit status: 0 if everything works, 2 if not; the last lines then say what "
        "does not, and how to fix it. Begin a bug report with this page."
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    import json

    from speechbrain_tasnet.doctor.page import examine, render

    found = examine()
    print(json.dumps(found.facts, indent=1) if options.json else render(found))
    if found.problems:
        raise SystemExit(2)
