"""Put the turns of a conversation into groups, one for each person."""

import numpy as np
import scipy

# Nearer than any two that must be apart, and farther than all others.
APART = 1e9


def group_turns(ratios: np.ndarray, most: int, bias: float) -> np.ndarray:
    """Group turns by how likely they are one person's: those first that are so most, on average over groups.

    Parameters
    ----------
    ratios : numpy.ndarray
        [turns, turns], see `same_speaker.log_likelihood_ratios`.
    most : int
        Groups that there can be. There may be more nonetheless if more people than that speak at once.
    bias : float
        By how much more likely two people must be than one to stay apart, as a logarithm.

    Returns
    -------
    numpy.ndarray
        [turns], the number of each one's group, from 0 on.

    Examples
    --------
    >>> ratios = np.array([[0.0, 3.0, -4.0], [3.0, 0.0, -np.inf], [-4.0, -np.inf, 0.0]])
    >>> group_turns(ratios, most=3, bias=1.0)
    array([0, 0, 1])
    """
    turns = len(ratios)
    if turns < 2:
        return np.zeros(turns, int)
    distances = np.minimum(-ratios - bias, APART)[np.triu_indices(turns, 1)]
    # The library wants distances above 0, which does not change the order of means.
    offset = max(0.0, -distances.min())
    tree = scipy.cluster.hierarchy.linkage(distances + offset, method="average")
    heights = tree[:, 2]  # grow, in a tree of means
    joined = heights <= offset
    joined[: max(0, turns - most)] = True
    joined &= heights < APART / turns**2
    height = heights[joined].max(initial=-1.0)
    labels = scipy.cluster.hierarchy.fcluster(tree, height, criterion="distance")
    return np.unique(labels, return_inverse=True)[1]
