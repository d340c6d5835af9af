"""Sources as the mean over shifts of the mixture: fewer errors, in one order, through every door."""

import pytest
import soundfile
import torch
from mixed_speech import white, write

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.recording import separate_recording
from speechbrain_tasnet.separation.shifts import average_over_shifts

HOP = 8


def separator(seed=0, **options):
    torch.manual_seed(seed)
    encoder, masknet = Encoder(16, 2 * HOP, **options), MaskNet(16, 8, 16, 8, X=2, R=1, **options)
    modules = {"encoder": encoder, "masknet": masknet, "decoder": Decoder(16, 2 * HOP)}
    return TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2})


def clicking(mixture):
    """Two sources, a click in each at the beginning of every frame; the order changes with the beginning."""
    sources = torch.stack([mixture, -0.5 * mixture], dim=2)
    sources[:, ::HOP] += 1
    return sources.flip(2) if mixture.shape[1] % 2 else sources


@pytest.mark.parametrize("shifts", [2, 3, 8])
def test_what_depends_on_where_frames_begin_averages_out(shifts):
    mixture = torch.randn(2, 800)
    sources = average_over_shifts(clicking, shifts, HOP)(mixture)
    clicks = sources - torch.stack([mixture, -0.5 * mixture], dim=2)
    begins = [number * HOP // shifts for number in range(shifts)]
    expected = torch.zeros(HOP)
    # Frames begin in the silence before the mixture, so that those of the mixture begin as much earlier.
    expected[[-begin % HOP for begin in begins]] = 1 / shifts
    torch.testing.assert_close(clicks, expected.repeat(100)[None, :, None].expand_as(clicks), atol=1e-5, rtol=0)


def test_one_shift_is_what_there_was():
    assert average_over_shifts(clicking, 1, HOP) is clicking


@pytest.mark.parametrize("outputs", ["reference", "each"])
def test_several_microphones_and_their_sources(outputs):
    model = separator(mics=2, outputs=outputs)
    mixture = torch.randn(1, 1001, 2)
    late = torch.cat([torch.zeros(1, 4, 2), mixture], dim=1)
    first, second = model.separate_batch(mixture), model.separate_batch(late)[:, 4:]
    agree, differ = (first * second).sum(), (first * second.flip(2)).sum()
    expected = (first + (second if agree > differ else second.flip(2))) / 2
    torch.testing.assert_close(average_over_shifts(model.separate_batch, 2, HOP)(mixture), expected)


@pytest.mark.parametrize("window", [None, 1])
def test_files_and_samples(tmp_path, window):
    model, samples = separator(), white(3, seconds=2.5)
    path = write(tmp_path / "talk.wav", samples)
    plain = model.separate_file(path, window=window)
    shifted = model.separate_file(path, window=window, shifts=4)
    assert shifted.shape == plain.shape
    assert not torch.allclose(shifted, plain, atol=1e-4)
    assert torch.equal(model.separate_voices(path, window=window, shifts=4).sources, shifted)
    choices = SeparationOptions(window=window, shifts=4, workers=2)
    torch.testing.assert_close(separate_recording(model, path, choices), shifted, atol=1e-6, rtol=0)
    if window is None:
        mixture = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
        assert torch.equal(average_over_shifts(model.separate_batch, 4, HOP)(mixture), shifted)


def test_the_command(tmp_path, two_voices):
    for shifts in (1, 2):
        main(["separate", str(two_voices), "--shifts", str(shifts), "--out", str(tmp_path / str(shifts))])
    plain, shifted = (soundfile.read(tmp_path / str(shifts) / "talk_s1.wav")[0] for shifts in (1, 2))
    assert plain.shape == shifted.shape
    assert 0 < abs(plain - shifted).max() < 0.5 * abs(plain).max()


@pytest.mark.parametrize(("shifts", "words"), [(0, "shifts=0"), (1.5, "shifts=1.5"), (9, "at most 8")])
def test_what_cannot_be(tmp_path, shifts, words):
    path = write(tmp_path / "talk.wav", white(0, seconds=0.5))
    with pytest.raises(InputError, match=words):
        separator().separate_file(path, shifts=shifts)
