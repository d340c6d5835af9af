"""Who is heard in a stream: whatever the chunks, near to what is found in the whole, and sent as it comes."""

import json
import os
import threading

import numpy as np
import pytest
import torch
from forked import stream_of

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.audio.activity import FrameEnergies, active_frames, to_segments
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.separation.live_voices import LiveVoices

RATE = 8000


def talk(*spoken, seconds=10, level=0.1):
    """What a separator gives of voices that speak from and to a second: each leaks into the others at -40 dB."""
    rng = np.random.default_rng(0)
    time = np.arange(seconds * RATE) / RATE
    voices = np.stack(
        [level * rng.normal(size=len(time)) * ((start <= time) & (time < end)) for start, end in spoken], 1
    )
    return 0.99 * voices + 0.01 * voices.sum(1, keepdims=True) + 1e-5 * rng.normal(size=voices.shape)


def through(sources, *sizes, gate=True):
    """Hear sources in chunks of these sizes, over and over."""
    voices, parts, events, begin = LiveVoices(RATE, gate), [], [], 0
    while begin < len(sources):
        for size in sizes:
            part, changes = voices.hear(sources[begin : begin + size])
            parts.append(part)
            events += changes
            begin += size
    return np.concatenate(parts), events + voices.end()


def test_voices_begin_at_once_and_end_after_a_pause():
    sources = talk((1, 4), (3, 6))
    silent, events = through(sources, 80)
    assert [event[:2] for event in events] == [("s1", "start"), ("s2", "start"), ("s1", "end"), ("s2", "end")]
    assert [event.time for event in events] == pytest.approx([1, 3, 4, 6], abs=0.1)
    seconds = np.abs(silent).reshape(10, RATE, 2).max(axis=1) > 0
    assert seconds[:, 0].tolist() == [False, True, True, True, True, *5 * [False]]  # half a second longer
    assert seconds[:, 1].tolist() == [*3 * [False], True, True, True, True, *3 * [False]]
    np.testing.assert_array_equal(silent[2 * RATE : 4 * RATE, 0], sources[2 * RATE : 4 * RATE, 0])


def test_a_pause_for_breath_ends_nothing():
    sources = talk((1, 4), (3, 6))
    sources[int(2.0 * RATE) : int(2.4 * RATE)] *= 1e-3
    assert len(through(sources, 80)[1]) == 4


@pytest.mark.parametrize("sizes", [(1, 0, 3000), (80000,), (7, 160, 4001)])
def test_chunks_make_no_difference(sizes):
    sources = talk((1, 4), (3, 6))
    expected, events = through(sources, 80)
    found, same = through(sources, *sizes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert same == events


def test_it_is_what_is_found_in_the_whole():
    sources = talk((0.5, 2), (1.5, 6), (6.5, 9))
    energies = FrameEnergies(RATE)
    energies.add(sources.T)
    expected = to_segments(active_frames(energies.array()), energies.seconds)
    events = through(sources, 160)[1]
    for event, place in (("start", 1), ("end", 2)):
        found = sorted((change.speaker, change.time) for change in events if change.event == event)
        whole = sorted((f"s{segment[0] + 1}", segment[place]) for segment in expected)
        assert [name for name, _ in found] == [name for name, _ in whole]
        assert [time for _, time in found] == pytest.approx([time for _, time in whole], abs=0.15)


def test_noise_before_anybody_speaks_is_no_voice():
    sources = talk((3, 5), (9, 9.5)) + 3e-4 * np.random.default_rng(1).normal(size=(10 * RATE, 2))
    assert through(sources, 80)[1][0].time == pytest.approx(3, abs=0.05)


def test_nothing_was_heard():
    assert LiveVoices(RATE).end() == []
    silent, events = LiveVoices(RATE).hear(np.zeros((0, 2), np.float32))
    assert (silent.shape, events) == ((0, 2), [])
    assert through(np.zeros((8000, 2)), 100)[1] == []


def test_without_a_gate_sources_stay_as_they_are():
    sources = talk((1, 4), (3, 6))
    found, events = through(sources, 80, gate=False)
    assert found is sources or np.array_equal(found, sources)
    assert len(events) == 4


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A causal separator trained with silent voices: one source is the mixture, the other next to nothing."""
    net = MaskNet(2, 8, 24, 8, X=3, R=1, C=2, norm="channelwise", causal=True)
    encoder, decoder = Encoder(2, 2), Decoder(2, 2)
    with torch.no_grad():
        encoder.weight.copy_(torch.eye(2)[:, None])
        decoder.weight.copy_(0.5 * torch.eye(2)[:, None])  # each sample is in two frames
        net.mask.bias.copy_(torch.tensor([100.0, 100.0, -7.0, -7.0]).view_as(net.mask.bias))
        net.mask.weight.zero_()
    path = tmp_path_factory.mktemp("separator") / "counting"
    modules = {"encoder": encoder, "masknet": net, "decoder": decoder}
    save_bundle(path, modules, RATE, {"silence": "power"})
    return path


def test_a_stream_is_silent_where_nobody_speaks_and_tells_who_does(counting, tmp_path):
    """Events come through a named pipe while the stream goes on."""
    os.mkfifo(tmp_path / "events")
    process = stream_of(counting, "--format", "f32le", "--events", tmp_path / "events")
    mixture = talk((1, 3), (1, 3), seconds=4).sum(1).astype("<f4")
    lines = []
    begun = threading.Event()

    def listen():
        with open(tmp_path / "events") as pipe:
            for line in pipe:
                lines.append(json.loads(line))
                begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    feeder = threading.Thread(target=os.write, args=[process.feed, mixture[: 2 * RATE].tobytes()])
    feeder.start()
    first = process.read(2 * RATE * 8 - 8)
    assert begun.wait(30)  # although the stream has not ended
    feeder.join()
    rest, result = mixture[2 * RATE :].tobytes(), []
    ender = threading.Thread(target=lambda: result.append(process.end(rest)))
    ender.start()
    ender.join()
    listener.join()
    status, out, said = result[0]
    assert status == 0, said
    sources = np.frombuffer(first + out, "<f4").reshape(-1, 2)
    assert not sources[:, 1].any()
    assert not sources[: int(0.9 * RATE)].any()
    np.testing.assert_allclose(
        sources[int(1.1 * RATE) : 3 * RATE, 0], mixture[int(1.1 * RATE) : 3 * RATE], rtol=1e-3
    )
    assert [(line["speaker"], line["event"]) for line in lines] == [("s1", "start"), ("s1", "end")]
    assert [line["time"] for line in lines] == pytest.approx([1, 3], abs=0.1)


def test_no_gate_leaves_what_comes_out(counting):
    mixture = talk((0, 1), (0, 1), seconds=1).sum(1).astype("<f4")
    status, out, said = stream_of(counting, "--format", "f32le", "--no-gate").end(mixture.tobytes())
    assert status == 0, said
    sources = np.frombuffer(out, "<f4").reshape(-1, 2)
    np.testing.assert_allclose(sources[1:-1, 1], mixture[1:-1] / (1 + np.exp(7.0)), rtol=1e-3)


def test_events_are_not_overwritten(counting, tmp_path, capsys):
    (tmp_path / "events").write_text("kept")
    status, _, said = stream_of(counting, "--events", tmp_path / "events").end()
    assert status == 2
    assert "events: already exists; choose another file or give --overwrite" in said
    assert (tmp_path / "events").read_text() == "kept"
    new = tmp_path / "new"
    status, _, said = stream_of(counting, "--events", new, "--out", tmp_path / "s1", new).end()
    assert (status, new.exists()) == (2, False)
    assert "the same file twice" in said
    with pytest.raises(SystemExit):
        main(["stream", "--measure", "a.wav", "--events", str(tmp_path / "new")])
    assert "--events together with --measure" in capsys.readouterr().err
