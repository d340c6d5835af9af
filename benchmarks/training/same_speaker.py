"""Fit how much speaks for two turns being one person's: ``python -m benchmarks.training.same_speaker SEPARATOR``.

Logistic regression on turns of validation conversations, of people whom neither the separator nor the embedding
has heard; prints the `WEIGHTS` of `speakers/same_speaker.py`.
"""

import argparse
from pathlib import Path

import numpy as np
import scipy

from benchmarks.quality.speakers import Conversation, conversations, known_turns
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.speakers.embedding import embed
from speechbrain_tasnet.speakers.same_speaker import at_once, evidence

RIDGE = 1e-3


def labelled(conversation: Conversation, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence about pairs of turns that do not overlap, and whether each pair is one person's."""
    turns, samples, people = known_turns(conversation, rate)
    if not turns:
        return np.empty((0, 5)), np.empty(0)
    pairs = np.triu(~at_once(turns), 1)
    return evidence(turns, embed(samples, rate))[pairs], np.equal.outer(people, people)[pairs]


def fit(terms: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Fit weights by logistic regression.

    >>> terms = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    >>> fit(terms, np.array([False, True, True, True])) @ terms[[0, 2]].T > [-0.01, 2]
    array([ True,  True])
    """
    signs = np.where(same, 1, -1)

    def loss(weights: np.ndarray) -> float:
        return np.logaddexp(0, -signs * (terms @ weights)).sum() + RIDGE * weights @ weights

    return scipy.optimize.minimize(loss, np.zeros(terms.shape[1])).x


def main() -> None:
    """Fit, and print the weights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.same_speaker", description=__doc__)
    parser.add_argument("separator", help="that counts voices: a bundle, or the name of one")
    parser.add_argument("--corpus", type=Path, required=True, help="of conversations, from tasnet mix")
    parser.add_argument("--split", default="cv", help="tr, cv or tt (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.separator, device="cpu")
    found = conversations(separator, options.corpus, options.split)
    rows = [labelled(conversation, separator.hparams.sample_rate) for conversation in found]
    terms, same = (np.concatenate(column) for column in zip(*rows, strict=True))
    weights = fit(terms, same)
    wrong = np.mean((terms @ weights > 0) != same)
    print(f"{len(same)} pairs, {100 * wrong:.1f} % wrong: {np.array2string(weights, precision=2, separator=', ')}")


if __name__ == "__main__":
    main()
