"""Who is heard in a recording: files of those alone, silence where they are not, tables of who speaks when."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.segments import read_segments, to_seglst, write_segments
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation import many_files
from speechbrain_tasnet.separation import recording as recording_module
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import WAV, AudioFormat, Destination
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.recording import separate_voices, write_sources
from speechbrain_tasnet.separation.to_standard_output import separate_to_descriptor
from speechbrain_tasnet.separation.voices import Listener

RATE = 8000


class Sorter:
    """Gives what is above 2 kHz to one output, what is below to another, and next to nothing to a third."""

    def __init__(self, counts_voices=True):
        self.hparams = SimpleNamespace(sample_rate=RATE, num_spks=3)
        self.counts_voices = counts_voices

    def separate_batch(self, mix):
        spectrum = torch.fft.rfft(mix)
        low = torch.arange(spectrum.shape[1]) < spectrum.shape[1] // 2
        parts = [torch.fft.irfft(spectrum * part, mix.shape[1]) for part in (~low, low)]
        return torch.stack([parts[0] + 0.01 * parts[1], 0.001 * mix, parts[1] + 0.01 * parts[0]], 2)


def tone(hertz, *spoken, seconds=8.0, rate=RATE):
    """A voice of one frequency, heard from and to some seconds."""
    time = np.arange(round(seconds * rate)) / rate
    heard = sum(((start <= time) & (time < end)).astype(float) for start, end in spoken)
    return 0.3 * heard * np.sin(2 * np.pi * hertz * time)


def recording(path, *voices, rate=RATE):
    soundfile.write(path, np.sum(voices, axis=0), rate)
    return path


@pytest.fixture
def two(tmp_path):
    return recording(tmp_path / "two.wav", tone(500, (1, 4)), tone(3000, (3, 6)))


def test_files_are_of_those_who_are_heard(two, tmp_path, monkeypatch):
    monkeypatch.setattr(recording_module, "FRAMES", 1001)  # written in many parts
    paths = write_sources(Sorter(), two, tmp_path / "out", tables=["rttm", "json"])
    assert [path.name for path in paths] == ["two_s1.wav", "two_s2.wav"]
    high, low = (soundfile.read(path)[0] for path in paths)
    for samples, start, end in ((high, 3, 6), (low, 1, 4)):
        assert len(samples) == 8 * RATE
        outside = np.concatenate([samples[: int((start - 0.2) * RATE)], samples[int((end + 0.2) * RATE) :]])
        assert not outside.any()
        assert samples[start * RATE : end * RATE].std() == pytest.approx(0.3 / 2**0.5, rel=0.02)
    for name in ("two.rttm", "two.json"):
        segments = read_segments(tmp_path / "out" / name)
        assert [segment.speaker for segment in segments] == ["s2", "s1"]
        times = [time for segment in segments for time in segment[1:]]
        assert times == pytest.approx([1, 4, 3, 6], abs=0.1)


def test_the_table_ends_with_the_recording(tmp_path):
    path = recording(tmp_path / "short.wav", tone(500, (1, 3), seconds=2.875))
    write_sources(Sorter(), path, tmp_path / "out", tables=["rttm", "json"])
    for name in ("short.rttm", "short.json"):
        assert [segment.end for segment in read_segments(tmp_path / "out" / name)] == pytest.approx([2.875])


def test_without_the_gate_all_of_a_voice_is_kept(two, tmp_path):
    paths = write_sources(Sorter(), two, tmp_path, choices=SeparationOptions(gate=False))
    assert len(paths) == 2
    high = soundfile.read(paths[0])[0]
    assert high[RATE : 2 * RATE].any()


def test_in_memory_it_is_the_same(two, tmp_path):
    voices = separate_voices(Sorter(), two, SeparationOptions())
    assert (voices.count, voices.sample_rate) == (2, RATE)
    assert voices.sources.shape == (1, 8 * RATE, 2)
    paths = write_sources(Sorter(), two, tmp_path, tables=["json"])
    for place, path in enumerate(paths):
        np.testing.assert_allclose(soundfile.read(path)[0], voices.sources[0, :, place], atol=2e-4)
    assert [s.speaker for s in read_segments(tmp_path / "two.json")] == [s.speaker for s in voices.segments]


@pytest.mark.parametrize("channels", ["mean", "each"])
def test_at_any_rate_and_with_any_channels(tmp_path, channels):
    rate = 44100
    voices = [tone(500, (1, 4), rate=rate), tone(3000, (3, 6), rate=rate)]
    mixture = np.stack([voices[0] + 0.5 * voices[1], 0.5 * voices[0] + voices[1]], 1)
    soundfile.write(tmp_path / "wide.wav", mixture, rate)
    options = SeparationOptions(channels=channels, window=3.0)
    paths = write_sources(Sorter(), tmp_path / "wide.wav", tmp_path / "out", choices=options, tables=["json"])
    assert len(paths) == 2
    samples = soundfile.read(paths[0], always_2d=True)[0]
    assert samples.shape == (8 * rate, 2 if channels == "each" else 1)
    segments = read_segments(tmp_path / "out/wide.json")
    assert [time for s in segments for time in s[1:]] == pytest.approx([1, 4, 3, 6], abs=0.15)


class Lossy(Sorter):
    """Loses half of the mixture, and has a loud click where nobody speaks."""

    def separate_batch(self, mix):
        sources = super().separate_batch(mix) / 2
        sources[:, -RATE, 1] = 1.5
        return sources


@pytest.mark.parametrize("options", [{}, {"window": 3.0}, {"channels": "each"}])
def test_sources_sum_to_the_mixture_where_somebody_is_heard(two, tmp_path, options, monkeypatch):
    monkeypatch.setattr(recording_module, "FRAMES", 1001)
    mixture = soundfile.read(two)[0] + np.random.default_rng(0).normal(0, 1e-3, 8 * RATE)
    soundfile.write(two, mixture, RATE, subtype="FLOAT")
    choices = SeparationOptions(scale="consistent", **options)
    paths = write_sources(Lossy(), two, tmp_path / "out", choices=choices, kind=AudioFormat("wav", "FLOAT"))
    high, low = sources = [soundfile.read(path)[0] for path in paths]
    heard, total = slice(round(1.1 * RATE), round(5.9 * RATE)), np.sum(sources, axis=0)
    np.testing.assert_allclose(total[heard], mixture[heard], atol=1e-6)
    assert not high[: round(2.8 * RATE)].any()
    assert not low[round(4.2 * RATE) :].any()
    in_memory = separate_voices(Lossy(), two, choices)
    np.testing.assert_allclose(in_memory.sources[0].T, sources, atol=1e-6)
    open_gate = separate_voices(Lossy(), two, replace(choices, gate=False))
    assert open_gate.count == 2
    np.testing.assert_allclose(open_gate.sources[0].sum(1), mixture, atol=1e-6)


def test_levels_are_those_of_the_sources_that_are_kept(two):
    peak = separate_voices(Lossy(), two, SeparationOptions(scale="peak", window=None))
    assert peak.sources.abs().max() == pytest.approx(0.9)
    fitted = separate_voices(Lossy(), two, SeparationOptions(scale="mixture", window=None))
    total = fitted.sources[0].sum(1).numpy()
    assert total @ soundfile.read(two)[0] == pytest.approx(total @ total)


def test_the_number_of_voices_can_be_known(two, tmp_path, monkeypatch, capsys):
    longer = recording(tmp_path / "longer.wav", tone(500, (1, 4)), 0.1 * tone(3000, (3, 8)))
    for voices, heard in ((1, {3000}), (2, {500, 3000}), (3, {500, 3000})):
        found = separate_voices(Sorter(), longer, SeparationOptions(voices=voices))
        spectra = np.abs(np.fft.rfft(found.sources[0], axis=0))
        assert found.count == voices
        assert heard == {spectra[:, segment_source(s)].argmax() / 8 for s in found.segments}
    monkeypatch.setattr(TasNetSeparation, "from_bundle", lambda folder: Sorter())
    main(["separate", str(two), "--out", str(tmp_path / "out"), "--voices", "3"])
    assert "two.wav: 3 voices" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 3


def segment_source(segment):
    return int(segment.speaker[1:]) - 1


@pytest.mark.parametrize(
    ("separator", "voices", "message"),
    [
        (Sorter(), 4, "voices=4: expected at most 3, the separator's outputs"),
        (Sorter(), 0, "voices=0: expected"),
        (Sorter(counts_voices=False), 2, "voices=2: this separator does not count voices"),
    ],
)
def test_a_number_of_voices_that_cannot_be(two, tmp_path, separator, voices, message):
    def fail(mix):
        pytest.fail("has begun")

    separator.separate_batch = fail
    with pytest.raises(InputError, match=message):
        write_sources(separator, two, tmp_path / "out", choices=SeparationOptions(voices=voices))
    with pytest.raises(InputError, match=message):
        separate_voices(separator, two, SeparationOptions(voices=voices))


def test_of_nobody_there_are_no_files(tmp_path, capsys):
    path = recording(tmp_path / "nobody.wav", tone(500))
    args = ([path], Destination(tmp_path / "out", tables=["rttm"]), SeparationOptions())
    many_files.separate_files(Sorter(), *args)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["nobody.rttm"]
    assert (tmp_path / "out/nobody.rttm").read_text() == ""
    assert "nobody.wav: nobody is heard" in capsys.readouterr().err


def test_a_separator_that_does_not_count_gives_all_its_outputs(two, tmp_path):
    paths = write_sources(Sorter(counts_voices=False), two, tmp_path, tables=["rttm"])
    assert len(paths) == 3
    assert soundfile.read(paths[0])[0][: RATE // 2].any() or soundfile.read(paths[0])[0][RATE:].any()
    assert {s.speaker for s in read_segments(tmp_path / "two.rttm")} == {"s1", "s3"}


def test_sources_of_an_earlier_run_do_not_stay_beside_those_of_this(two, tmp_path):
    write_sources(Sorter(counts_voices=False), two, tmp_path / "out")
    with pytest.raises(InputError, match="already exists"):
        write_sources(Sorter(), two, tmp_path / "out")
    write_sources(Sorter(), two, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["two_s1.wav", "two_s2.wav"]


def test_nothing_of_an_earlier_run_stays_beside_other_sources(two, tmp_path):
    out = tmp_path / "out"
    write_sources(Sorter(), two, out, tables=["rttm", "json"], choices=SeparationOptions(voices=3))
    for name in ("other_s3.wav", "two_s3.flac", "two_s5.wav", "two.txt"):
        (out / name).write_text("somebody else's")
    kept = {"other_s3.wav", "two_s3.flac", "two_s5.wav", "two.txt", "two_s1.wav", "two_s2.wav"}

    class Pair(Sorter):
        def separate_batch(self, mix):
            return super().separate_batch(mix)[:, :, [0, 2]]

    pair = Pair(counts_voices=False)
    pair.hparams.num_spks = 2
    write_sources(pair, two, out, overwrite=True, tables=["json"])
    assert {path.name for path in out.iterdir()} == kept | {"two.json"}
    write_sources(pair, two, out, overwrite=True)
    assert {path.name for path in out.iterdir()} == kept


def test_what_fails_removes_nothing(two, tmp_path):
    write_sources(Sorter(), two, tmp_path, tables=["rttm"], choices=SeparationOptions(voices=3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    class Broken(Sorter):
        def separate_batch(self, mix):
            raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        write_sources(Broken(), two, tmp_path, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("spoil", ["other speakers", "further keys", "no table"])
def test_tables_of_somebody_else_stay(two, tmp_path, spoil):
    write_sources(Sorter(), two, tmp_path, tables=["json"])
    table = tmp_path / "two.json"
    segments = read_segments(table)
    if spoil == "other speakers":
        write_segments(table, "two", [segment._replace(speaker="alice") for segment in segments])
    elif spoil == "further keys":
        table.write_text(to_seglst("two", segments, source=["s1", "s2"]))
    else:
        table.write_text("{}")
    text = table.read_text()
    write_sources(Sorter(), two, tmp_path, overwrite=True)
    assert table.read_text() == text


def test_a_mixture_is_never_taken_for_what_an_earlier_run_has_left(two, tmp_path):
    others = [recording(tmp_path / f"two_s{number}.wav", tone(500, (1, 4))) for number in (4, 5)]
    before = [path.read_bytes() for path in others]
    with pytest.raises(InputError, match=r"two_s4\.wav: a mixture"):
        many_files.separate_files(
            Sorter(), [two, others[0]], Destination(tmp_path, overwrite=True), SeparationOptions()
        )
    assert [path.read_bytes() for path in others] == before
    named = Destination(tmp_path, overwrite=True, name="two_{source}")
    many_files.separate_files(Sorter(), [others[0]], named, SeparationOptions())
    assert others[0].read_bytes() == before[0]


def test_tables_are_not_written_over(two, tmp_path):
    (tmp_path / "two.rttm").write_text("mine")
    with pytest.raises(InputError, match=r"two\.rttm"):
        write_sources(Sorter(), two, tmp_path, tables=["rttm"])
    assert (tmp_path / "two.rttm").read_text() == "mine"
    assert not (tmp_path / "two_s1.wav").exists()


def test_the_command_counts_voices_and_lists_them(two, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TasNetSeparation, "from_bundle", lambda folder: Sorter())
    main(["separate", str(two), "--out", str(tmp_path / "out"), "--rttm"])
    printed = capsys.readouterr()
    assert [line.rsplit("/", 1)[-1] for line in printed.out.splitlines()] == [
        *("two_s1.wav", "two_s2.wav", "two.rttm")
    ]
    assert "two.wav: 2 voices" in printed.err
    main(["separate", str(two), "--out", str(tmp_path / "json"), "--rttm", "--json"])
    line = json.loads(capsys.readouterr().out)
    assert (line["voices"], len(line["sources"]), len(line["source_dbfs"])) == (2, 2, 2)
    assert line["tables"] == [str(tmp_path / "json" / name) for name in ("two.rttm", "two.json")]
    main(["separate", str(two), "--out", str(tmp_path / "open"), "--no-gate"])
    assert soundfile.read(tmp_path / "open/two_s1.wav")[0][RATE : 2 * RATE].any()


def test_in_one_file_there_are_as_many_channels_as_voices(two, tmp_path):
    def piped(mixture):
        output = os.open(tmp_path / "out.wav", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            separate_to_descriptor(Sorter(), mixture, WAV, SeparationOptions(), output)
        finally:
            os.close(output)

    piped(two)
    voices = [soundfile.read(path)[0] for path in write_sources(Sorter(), two, tmp_path / "files")]
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav")[0], np.stack(voices, axis=1))
    with pytest.raises(InputError, match=r"nobody\.wav: nobody is heard"):
        piped(recording(tmp_path / "nobody.wav", tone(500)))
    assert (tmp_path / "out.wav").read_bytes() == b""


@pytest.mark.parametrize("counts", [True, False])
def test_only_who_counts_takes_a_little_of_everything_for_nobody(counts):
    speech = np.random.default_rng(0).normal(size=(1, 1, RATE))
    listener = Listener(RATE, counts=counts, gate=False)
    listener.hear(np.concatenate([speech, 10 ** (-12 / 20) * speech], axis=1))
    heard = listener.result()
    assert heard.outputs == ([0] if counts else [0, 1])
    assert {segment.speaker for segment in heard.segments} == ({"s1"} if counts else {"s1", "s2"})
