"""A separator of several microphones takes recordings of as many channels, and gives one for each source."""

import numpy as np
import pytest
import soundfile
import torch
from forked import tasnet

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.separate import separate


def build(**options):
    torch.manual_seed(0)
    return Model(
        Encoder(16, 8, mics=2, reference=1), MaskNet(16, 8, 16, 8, X=2, R=1, mics=2, **options), Decoder(16, 8)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    save_bundle(path := tmp_path_factory.mktemp("model") / "two", build(), 8000)
    return path


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    save_bundle(path := tmp_path_factory.mktemp("model") / "live", build(causal=True, norm="cumulative"), 8000)
    return path


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    samples = np.random.default_rng(0).normal(0, 0.1, (24000, 2)).astype(np.float32)
    soundfile.write(path := tmp_path_factory.mktemp("audio") / "talk.wav", samples, 8000, "FLOAT")
    return path


def samples_of(path):
    return torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0])


def test_a_stereo_file_is_taken_as_it_is(folder, stereo, tmp_path):
    separator = TasNetSeparation.from_bundle(folder)
    assert (separator.mics, separator.reference) == (2, 1)
    expected = separate(*build().values(), samples_of(stereo)[None])
    torch.testing.assert_close(separator.separate_file(stereo), expected.detach())
    words = ["--model", str(folder), "--subtype", "FLOAT", "--out", str(tmp_path)]
    main(["separate", str(stereo), *words])
    sources = [samples_of(tmp_path / f"talk_s{number}.wav") for number in (1, 2)]
    torch.testing.assert_close(torch.stack(sources, dim=2)[:, 0], expected[0].detach())


def test_windows_and_scales_go_by_the_reference(folder, stereo):
    separator = TasNetSeparation.from_bundle(folder)
    mixture = samples_of(stereo)
    consistent = separator.separate_file(stereo, scale="consistent", window=1.0)
    torch.testing.assert_close(consistent.sum(2)[0], mixture[:, 1], rtol=0, atol=1e-5)
    plain = separator.separate_file(stereo)
    fitted = separator.separate_file(stereo, scale="mixture")
    total = plain.sum(2)[0].double()
    gain = (total @ mixture[:, 1].double() / total.square().sum()).item()
    torch.testing.assert_close(fitted, gain * plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_files_of_other_channels_are_refused_in_one_line(folder, channels, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.ones((800, channels)) / 9, 8000)
    with pytest.raises(SystemExit):
        main(["separate", str(tmp_path / "a.wav"), "--model", str(folder), "--out", str(tmp_path)])
    found = "1 channel" if channels == 1 else "3 channels"
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f"a.wav: {found}; this separator listens to 2 microphones")
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_choice_of_channels_is_refused(folder, stereo, tmp_path):
    separator = TasNetSeparation.from_bundle(folder)
    with pytest.raises(
        InputError, match="channels='left': this separator listens to 2 microphones itself; leave channels out"
    ):
        separator.separate_file(stereo, channels="left")


@pytest.mark.parametrize("pcm", ["s16le", "f32le"])
def test_channels_come_interleaved_through_a_pipe(live, stereo, pcm):
    kind = {"s16le": "<i2", "f32le": "<f4"}[pcm]
    samples = samples_of(stereo).numpy()
    sent = np.round(samples * 2**15).astype(kind) if pcm == "s16le" else samples
    words = ["stream", "--model", live, "--format", pcm, "--chunk", "7"]
    status, out, said = tasnet(*words, data=sent.tobytes())
    assert status == 0, said
    scale = 2**15 if pcm == "s16le" else 1
    got = torch.from_numpy(np.frombuffer(out, kind).reshape(-1, 2) / np.float32(scale))
    mixture = torch.from_numpy(sent / np.float32(scale))
    expected = separate(*build(causal=True, norm="cumulative").values(), mixture[None])[0].detach()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
    assert "3.000 s of audio" in said


def test_a_wav_into_the_pipe_is_refused_with_the_right_channels(live, stereo):
    _, _, said = tasnet("stream", "--model", live, data=stereo.read_bytes())
    assert "-c 2 -" in said


def test_a_stream_of_two_channels_is_measured(live, stereo, capsys):
    main(["stream", "--model", str(live), "--measure", str(stereo), "--chunk", "20"])
    assert "latency in ms" in capsys.readouterr().out


def test_a_beamformer_over_several_microphones_is_refused(folder, stereo):
    separator = TasNetSeparation.from_bundle(folder)
    with pytest.raises(InputError, match="beamform='mvdr': this separator listens to 2 microphones itself"):
        separator.separate_file(stereo, beamform="mvdr")
