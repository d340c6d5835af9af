"""Long signals: windows that are joined give what the whole gives, in one order of speakers."""

import weakref

import pytest
import torch

from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.windows import Window, cut_windows, join_windows

SIZE = 600


def voices(num_samples: int, count: int = 2) -> torch.Tensor:
    """Noises [time, count] of unlike loudness."""
    return torch.randn(num_samples, count, generator=torch.Generator().manual_seed(0)) / torch.arange(1, count + 1)


def in_windows(separate, blocks, size=SIZE):
    """Separate in windows, one by one."""
    windows, channels = cut_windows(blocks, size), Channels(None, SeparationOptions("each"))
    return join_windows(((window, channels.separate(separate, window.mixture)) for window in windows), rate=8000)


def joined(separate, mixture, size=SIZE, block=97):
    """Separate in windows; checks that the pieces of the mixture are the mixture."""
    pieces = list(in_windows(separate, mixture.split(block, dim=1), size))
    assert torch.equal(torch.cat([piece for piece, _ in pieces], 1), mixture)
    return torch.cat([sources for _, sources in pieces], 1)


class Oracle:
    """Finds the voices of each window in the whole mixture, and gives them in another order at every call."""

    def __init__(self, mixture, sources, compared=None):
        self.mixture, self.sources, self.compared, self.calls = mixture, sources, compared, 0

    def __call__(self, window):
        first = window[:, : self.compared]  # samples by which a window is found
        start = int((self.mixture.unfold(0, first.shape[1], 1) == first).all(1).byte().argmax())
        self.calls += 1
        return self.sources[start : start + window.shape[1]].roll(self.calls - 1, 1).unsqueeze(0)


@pytest.mark.parametrize("num_samples", [1, 599, 600, 601, 1100, 1101, 2000, 7777])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_model_that_swaps_its_outputs_at_every_call_comes_out_in_one_order(num_samples, count):
    sources = voices(num_samples, count)
    mixture = sources.sum(1)
    oracle = Oracle(mixture, sources)
    torch.testing.assert_close(joined(oracle, mixture.unsqueeze(0))[0], sources)
    assert oracle.calls == 1 + max(0, -(-(num_samples - SIZE) // (SIZE - SIZE // 6)))


def test_a_pause_where_windows_would_meet_does_not_lose_the_order():
    sources = voices(1500)
    sources[350:650] = 0  # the first window ends at 600: its last 100 samples tell nothing
    mixture = sources.sum(1)
    torch.testing.assert_close(joined(Oracle(mixture, sources), mixture.unsqueeze(0))[0], sources)


def test_one_voice_in_the_overlap_is_enough():
    sources = voices(1500)
    sources[450:650, 1] = 0
    mixture = sources.sum(1)
    torch.testing.assert_close(joined(Oracle(mixture, sources), mixture.unsqueeze(0))[0], sources)


def test_in_silence_the_order_stays():
    sources = voices(2500)
    sources[250:1800] = 0
    mixture = sources.sum(1)
    oracle = Oracle(mixture, sources)

    def steady(window):
        oracle.calls = 0
        return oracle(window)

    torch.testing.assert_close(joined(steady, mixture.unsqueeze(0))[0], sources)


def unlike_voices(seconds: int) -> torch.Tensor:
    """Two noises [time, 2] at 8 kHz, one of which is mostly below 1 kHz and the other mostly above."""
    noise = torch.randn(seconds * 8000 + 8, 2, generator=torch.Generator().manual_seed(0))
    low = noise.unfold(0, 9, 1).mean(2)
    return torch.stack([3 * low[:, 0], noise[8:, 1] - low[:, 1]], 1)


def test_who_comes_back_after_a_long_pause_gets_his_output_again():
    sources = unlike_voices(24)
    sources[5 * 8000 : 15 * 8000] = 0  # with windows of 4 s, one of them hears nothing at all
    mixture = sources.sum(1) + 1e-6 * torch.randn(len(sources))
    result = joined(Oracle(mixture, sources, 50), mixture.unsqueeze(0), size=32000, block=8000)[0]
    torch.testing.assert_close(result, sources)


def test_outputs_that_change_at_the_end_of_a_window_do_not_change_all_that_follow():
    """Although what overlaps is the other way round."""
    sources = unlike_voices(9)
    oracle = Oracle(sources.sum(1), sources, 50)

    def separate(window):
        estimates = oracle(window)[0]
        if oracle.calls == 2:
            estimates[-4000:] = estimates[-4000:].flip(1)
        oracle.calls = 0 if oracle.calls > 2 else oracle.calls
        return estimates.unsqueeze(0)

    result = joined(separate, sources.sum(1).unsqueeze(0), size=16000, block=8000)[0]
    right = (result - sources).abs().amax(1) < 1e-4
    assert right[: 3 * 8000].all()
    assert right[5 * 8000 :].all()
    assert not right.all()


def test_a_voice_stays_where_it_is_though_an_output_was_never_used():
    """Also when it changes a little, as voices do, and nothing is heard in the overlap."""
    sources = torch.zeros(7 * 8000, 2)
    sources[:, 1] = unlike_voices(7)[:, 0]
    sources[2 * 8000 : 3 * 8000] = 0
    sources[3 * 8000 :, 1] += 0.3 * sources[3 * 8000 :, 1].roll(1)
    mixture = sources.sum(1) + 1e-6 * torch.randn(len(sources))
    steady = Oracle(mixture, sources, 50)

    def separate(window):
        steady.calls = 0
        return steady(window)

    torch.testing.assert_close(joined(separate, mixture.unsqueeze(0), size=20000, block=8000)[0], sources)


def test_voices_are_found_again_in_each_channel():
    """Where the channels are so far apart that they have nothing in common but the voices."""
    sources = unlike_voices(24)
    sources[5 * 8000 : 15 * 8000] = 0
    other = sources.roll(37, 0)
    mixtures = [signal.sum(1) + 1e-6 * torch.randn(len(signal)) for signal in (sources, other)]
    oracles = [Oracle(mixture, signal, 50) for mixture, signal in zip(mixtures, (sources, other), strict=True)]
    turn = iter(range(1000))
    result = joined(lambda window: oracles[next(turn) % 2](window), torch.stack(mixtures), size=32000, block=8000)
    torch.testing.assert_close(result, torch.stack([sources, other]))


def test_a_voice_that_is_not_heard_is_not_remembered_wrong():
    """A single voice for a while: what leaks into the other output says nothing of who will speak there."""
    sources = unlike_voices(12)
    sources[: 5 * 8000, 1] = 0
    leaky = sources + 0.05 * sources.flip(1)
    mixture = sources.sum(1)
    result = joined(Oracle(mixture, leaky, 50), mixture.unsqueeze(0), size=16000, block=8000)[0]
    torch.testing.assert_close(result, leaky)


def test_up_to_one_window_is_separated_whole():
    windows = []

    def separate(window):
        windows.append(window)
        return torch.stack([window, -window], 2)

    mixture = voices(SIZE, 1).T
    joined(separate, mixture)
    joined(separate, voices(5000, 1).T, size=None)
    assert [window.shape[1] for window in windows] == [SIZE, 5000]
    assert torch.equal(windows[0], mixture)


def test_every_window_has_the_full_size():
    sizes = []

    def separate(window):
        sizes.append(window.shape[1])
        return window.unsqueeze(2)

    joined(separate, voices(5001, 1).T)
    assert set(sizes) == {SIZE}


def test_no_seam_where_windows_differ():
    """Windows of different loudness: the step from one to the next is spread over the fade."""
    calls = iter(range(1, 100))
    sources = joined(lambda window: next(calls) * torch.ones(1, window.shape[1], 1), voices(3000, 1).T)[0, :, 0]
    assert (sources[0], sources[-1]) == (1, 6)
    assert sources.diff().max() <= 1 / (SIZE // 12) + 1e-6
    assert sources.diff().min() >= 0


def test_channels_come_out_in_the_same_order():
    sources = voices(2000)
    other = sources * torch.tensor([0.2, 1.5]) + 0.05 * torch.randn(2000, 1)
    calls = iter(range(1000))

    def separate(window):
        start, channel = min(
            ((i, c) for c, signal in enumerate((sources, other)) for i in [find(signal.sum(1), window)] if i >= 0),
        )
        return (sources, other)[channel][start : start + window.shape[1]].roll(next(calls), 1).unsqueeze(0)

    def find(signal, window):
        matches = (signal.unfold(0, window.shape[1], 1) == window).all(1)
        return int(matches.byte().argmax()) if matches.any() else -1

    result = joined(separate, torch.stack([sources.sum(1), other.sum(1)]))
    torch.testing.assert_close(result, torch.stack([sources, other]))


def test_memory_does_not_grow_with_the_signal():
    held = []

    def blocks():
        for _ in range(400):
            block = torch.randn(1, 100)
            held.append(weakref.ref(block))
            yield block

    most = 0
    for _ in in_windows(lambda window: window.unsqueeze(2), blocks()):
        most = max(most, sum(block() is not None for block in held))
    assert most <= 2


def apart(sources: torch.Tensor, *delays: tuple[int, ...]) -> torch.Tensor:
    """What microphones [mics, time, C] hear of sources [time, C], each late by so many samples."""
    return torch.stack(
        [torch.stack([s.roll(d) for s, d in zip(sources.T, late, strict=True)], 1) for late in delays]
    )


def beats(seconds: float) -> torch.Tensor:
    """Two noises [time, 2] at 8 kHz, of the same band around 800 Hz, that come and go at times of their own."""
    noise = torch.randn(round(seconds * 8000), 2)
    spectra = torch.fft.rfft(noise, dim=0)
    spectra[: round(400 * seconds)] = spectra[round(1200 * seconds) :] = 0
    return torch.fft.irfft(spectra, n=len(noise), dim=0) * torch.rand(round(seconds * 10), 2).repeat_interleave(
        800, 0
    )


# At 800 Hz, 6 samples are more than half a period: what is the same has the other sign.
EARS = (0, 0), (6, -6)


def test_sources_at_each_microphone_stay_together():
    """A separator that gives them together gives them in one order, even if it is wrong at one microphone."""
    first, wrong = beats(3.0), torch.tensor([1.0, 2.0])
    windows = cut_windows(first.sum(1).expand(2, -1).split(800, dim=1), 8000)
    begin, calls = 0, iter(range(100))

    def separated():
        nonlocal begin
        for window in windows:
            begin += window.hop
            size = window.mixture.shape[1]
            both = torch.stack([first[begin : begin + size], wrong * torch.randn(size, 2)])
            yield window, both.roll(next(calls), 2)

    result = torch.cat([sources for _, sources in join_windows(separated(), 8000, one_order=True)], 1)
    torch.testing.assert_close(result[0], first)
    # Less where windows meet, as two noises are faded into each other.
    levels = result[1].unfold(0, 800, 800).square().mean(2).sqrt() / wrong
    assert ((levels > 0.6) & (levels < 1.1)).all()


def test_channels_that_are_separated_one_by_one_come_in_one_order_though_delayed():
    heard = apart(beats(3.0), *EARS)
    alone = torch.stack([heard[0], heard[1].flip(1)])
    ((_, result),) = join_windows([(Window(heard.sum(2), 0, True), alone)], 8000)
    torch.testing.assert_close(result, heard)
