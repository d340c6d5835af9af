"""Interpolate the weights of a separator and of what it became by more training.

``python -m benchmarks.training.interpolate BEFORE AFTER --share 0.6 --out FOLDER``.

A separator that has been trained on with other mixtures forgets some of what it could do. On the line from the old
weights to the new ones there are often networks that have most of both (Wortsman et al., Robust fine-tuning of
zero-shot models, arXiv 2109.01903): to separate takes no longer than before, and to find one takes no training.
"""

import argparse
from pathlib import Path

import torch

from speechbrain_tasnet.bundle import Bundle, load_bundle, save_bundle
from speechbrain_tasnet.bundle.config import arguments_of
from speechbrain_tasnet.bundle.hub import find_separator
from speechbrain_tasnet.errors import InputError


def interpolate(before: Bundle, after: Bundle, share: float) -> Bundle:
    """Move the weights of ``after`` back towards those of ``before``.

    Parameters
    ----------
    before, after : Bundle
        Two separators with the same network. ``after`` is changed.
    share : float
        From 0, where the weights are those of ``before``, to 1, where they are those of ``after``.

    Returns
    -------
    Bundle
        ``after``, with what is known of it: its history is that of both.

    Raises
    ------
    InputError
        The networks differ, or ``share`` is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share={share}: expected a number from 0 (all of BEFORE) to 1 (all of AFTER)")
    if arguments_of(before.model) != arguments_of(after.model):
        raise InputError(
            "the two networks differ; expected one that was trained on from the other, in the same sizes"
        )
    for name, module in after.model.items():
        old = before.model[name].state_dict()
        module.load_state_dict({key: torch.lerp(old[key], new, share) for key, new in module.state_dict().items()})
    return after


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.interpolate", description=__doc__)
    parser.add_argument("before", help="a bundle, or the name of one")
    parser.add_argument("after", help="what it became")
    parser.add_argument("--share", type=float, required=True, help="how far to go, from 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    before, after = (load_bundle(find_separator(folder)) for folder in (options.before, options.after))
    between = interpolate(before, after, options.share)
    save_bundle(options.out, between.model, between.config.sample_rate, between.config.about)


if __name__ == "__main__":
    main()
