"""The sampling rate changed block by block: the same samples as all at once."""

import numpy as np
import pytest

from speechbrain_tasnet.audio.resampling import resample, resample_blocks

RATES = [(44100, 8000), (8000, 44100), (192000, 8000), (8000, 192000), (11025, 8000), (8000, 8000), (8000, 7999)]


@pytest.mark.parametrize("num_samples", [1, 5, 40001])
@pytest.mark.parametrize(("old_rate", "new_rate"), RATES)
def test_blocks_give_what_the_whole_gives(old_rate, new_rate, num_samples):
    samples = np.random.default_rng(0).standard_normal((2, num_samples)).astype(np.float32)
    blocks = np.split(samples, range(777, num_samples, 777), axis=1)
    together = np.concatenate(list(resample_blocks(blocks, old_rate, new_rate)), axis=1)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, resample(samples, old_rate, new_rate))


@pytest.mark.parametrize(("old_rate", "new_rate"), RATES)
def test_what_is_known_comes_at_once(old_rate, new_rate):
    """Else the memory would grow with the signal."""
    blocks = resample_blocks(np.zeros((100, 1, 2000), np.float32), old_rate, new_rate)
    sizes = [block.shape[1] for block in blocks]
    assert max(sizes) < 0.1 * sum(sizes)
    assert sum(sizes) == -(-200_000 * new_rate // old_rate)
