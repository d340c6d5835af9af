"""``tasnet evaluate``: the best checkpoint of an earlier run, evaluated again."""

import argparse

from speechbrain_tasnet.commands import train

describe = train.describe_recipe


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    train.run(options, evaluate_only=True)
