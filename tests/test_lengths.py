"""Relative lengths, as SpeechBrain makes them, give back the counts they were made of."""

import torch

from speechbrain_tasnet.padding import padding_mask, valid_samples


def test_a_count_survives_being_relative():
    for size in (1, 7, 1000, 123457):
        counts = torch.cat([torch.arange(1, min(size, 500) + 1), torch.tensor([size])])
        assert torch.equal(valid_samples(counts / size, size), counts)


def test_no_item_is_empty():
    assert valid_samples(torch.tensor([0.0, 1e-9]), 8).tolist() == [1, 1]


def test_the_padding_begins_behind_the_last_step():
    assert padding_mask(torch.tensor([1, 3]), 3).squeeze(2).tolist() == [[False, True, True], [False] * 3]
