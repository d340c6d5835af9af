"""Corpora of conversations: sources are what the segments say, silence is silence, the recipe takes them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.data.wham import prepare_wham
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.talk import Talk

HOURS = {"hours": 60 / 3600, "valid_hours": 20 / 3600, "test_hours": 20 / 3600}
RATE = 8000


@pytest.fixture(scope="module")
def talk(tmp_path_factory, speech_folder):
    out = tmp_path_factory.mktemp("talk") / "corpus"
    talks = Talk(10.0, TurnTaking(pause=0.5, overlap=1.0))
    make_mixtures(speech_folder, out, num_speakers=3, min_speakers=1, talk=talks, workers=1, **HOURS)
    return out


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def conversations(corpus, mixture="mix"):
    """Yield mixture, sources and segments of each."""
    for path in sorted((corpus / "wav8k/min").glob(f"*/{mixture}/*.json")):
        mixed = soundfile.read(path.with_suffix(".wav"))[0]
        sources = [soundfile.read(path.parents[1] / f"s{k}" / f"{path.stem}.wav")[0] for k in (1, 2, 3)]
        yield mixed, np.stack(sources), json.loads(path.read_text())


def test_a_source_is_heard_where_its_segments_say_and_nowhere_else(talk):
    counts = set()
    for mixed, sources, segments in conversations(talk):
        assert len(mixed) == 10 * RATE
        assert np.abs(mixed - sources.sum(0)).max() < 2e-4
        speakers = {}
        for number, source in enumerate(sources, start=1):
            own = [segment for segment in segments if segment["source"] == f"s{number}"]
            inside = np.zeros(len(source), bool)
            for segment in own:
                begin, end = (round(segment[edge] * RATE) for edge in ("start_time", "end_time"))
                inside[max(0, begin - 8) : end + 8] = True  # milliseconds
                assert np.abs(source[begin:end]).max() > 0.01
                assert segment["words"] == ""
            assert not source[~inside].any()
            speakers[number] = {segment["speaker"] for segment in own}
            assert len(speakers[number]) <= 1
        counts.add(sum(map(bool, speakers.values())))
        assert len(set.union(*speakers.values())) == sum(map(bool, speakers.values()))
    assert counts == {1, 2, 3}


def test_the_segments_are_what_meeteval_reads(talk):
    names = {path.stem for path in talk.rglob("mix/*.wav")}
    for path in talk.rglob("*.json"):
        if path.name != "mix.json":
            segments = json.loads(path.read_text())
            assert {segment["session_id"] for segment in segments} == {path.stem} <= names
            assert [s["start_time"] for s in segments] == sorted(s["start_time"] for s in segments)


def test_rooms_and_noise_surround_conversations(tmp_path, speech_folder, noise):
    options = {"num_speakers": 3, "min_speakers": 1, "talk": Talk(seconds=5.0), "workers": 1}
    make_mixtures(speech_folder, tmp_path / "out", noise=noise, reverb=True, **options, **HOURS)
    found = 0
    for path in (tmp_path / "out").rglob("mix_both_reverb/*.wav"):
        assert path.with_suffix(".json").exists()
        silent = [not soundfile.read(path.parents[1] / f"s{k}_anechoic" / path.name)[0].any() for k in (1, 2, 3)]
        speaking = {segment["source"] for segment in json.loads(path.with_suffix(".json").read_text())}
        assert [f"s{k}" in speaking for k in (1, 2, 3)] == [not quiet for quiet in silent]
        assert soundfile.read(path)[0].any()
        found += any(silent)
    assert found


@pytest.fixture
def noise(tmp_path):
    for number in range(3):
        samples = np.random.default_rng(number).normal(0, 0.1, 5 * RATE)
        (tmp_path / "noise").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "noise" / f"{number}.wav", samples, RATE)
    return tmp_path / "noise"


def test_the_segments_of_one_speaker_are_what_is_heard_in_that_mixture(tmp_path, speech_folder, noise):
    talks = Talk(6.0, TurnTaking(pause=0.5))
    make_mixtures(speech_folder, tmp_path / "out", noise=noise, talk=talks, workers=1, **HOURS)
    prepare_wham(tmp_path / "out", tmp_path / "manifests", num_spks=1, task="enh_single")
    for row in read_csv(tmp_path / "manifests/tr.csv"):
        mixed, background, segments = (
            Path(row[name].replace("$data_root", str(tmp_path / "out")))
            for name in ("mix_wav", "noise_wav", "segments")
        )
        voice = np.abs(soundfile.read(mixed)[0] - soundfile.read(background)[0]) > 3e-4
        inside = np.zeros(len(voice), bool)
        for segment in json.loads(segments.read_text()):
            assert segment["source"] == "s1"
            begin, end = (round(segment[edge] * RATE) for edge in ("start_time", "end_time"))
            inside[max(0, begin - 8) : end + 8] = True
            assert voice[begin:end].any()
        assert not voice[~inside].any()
        assert (
            len({s["source"] for s in json.loads((mixed.parents[1] / "mix_both" / segments.name).read_text())})
            == 2
        )


def nobody(corpus, mixture):
    """Return the files of the mixtures in which nobody speaks, and how many mixtures there are."""
    paths = sorted((corpus / "wav8k/min").glob(f"*/{mixture}/*.json"))
    return [path.with_suffix(".wav") for path in paths if json.loads(path.read_text()) == []], len(paths)


@pytest.mark.parametrize("channel", [None, "mulaw", "telephone"])
def test_there_may_be_nobody_but_silence(tmp_path, speech_folder, channel):
    options = {"talk": Talk(seconds=3.0), "min_speakers": 0, "channel": channel, "workers": 1}
    make_mixtures(speech_folder, tmp_path / "out", **options, **HOURS)
    silences, mixtures = nobody(tmp_path / "out", "mix")
    assert 0 < len(silences) < mixtures
    for path in silences:
        assert path.stem.endswith("_0")
        assert not any(soundfile.read(path.parents[1] / name / path.name)[0].any() for name in ("mix", "s1", "s2"))
    assert json.loads((tmp_path / "out/mix.json").read_text())["min_speakers"] == 0
    if channel != "mulaw":
        prepare_wsj0mix(tmp_path / "out", tmp_path / "manifests")
        assert all(row["segments"] for row in read_csv(tmp_path / "manifests/tr.csv"))


@pytest.mark.parametrize("reverb", [False, True])
def test_there_may_be_nobody_but_noise(tmp_path, speech_folder, noise, reverb):
    options = {"talk": Talk(seconds=3.0), "min_speakers": 0, "workers": 1, "reverb": reverb}
    make_mixtures(speech_folder, tmp_path / "out", noise=noise, **options, **HOURS)
    room = "_reverb" if reverb else ""
    alone, mixtures = nobody(tmp_path / "out", f"mix_both{room}")
    assert 0 < len(alone) < mixtures
    for path in alone:
        signal = {name: soundfile.read(path.parents[1] / name / path.name)[0] for name in ("noise", f"s1{room}")}
        assert np.abs(signal["noise"]).max() == pytest.approx(0.9, abs=1e-3)
        assert not signal[f"s1{room}"].any()
        for name in ("mix_both", "mix_single"):
            np.testing.assert_array_equal(
                soundfile.read(path.parents[1] / (name + room) / path.name)[0], signal["noise"]
            )
        scenes = {row["mixture"]: row for row in read_csv(path.parents[1] / "scenes.csv")}
        assert scenes[path.stem]["noise"]
        assert not scenes[path.stem]["snr"]


def test_one_may_talk_alone(tmp_path, speech_folder):
    make_mixtures(speech_folder, tmp_path / "out", num_speakers=1, talk=Talk(seconds=5.0), workers=1, **HOURS)
    paths = sorted((tmp_path / "out").rglob("mix/*.wav"))
    assert len(paths) > 10
    for path in paths:
        voice = soundfile.read(path)[0]
        assert voice.any()
        np.testing.assert_array_equal(voice, soundfile.read(path.parents[1] / "s1" / path.name)[0])


def test_all_may_speak_all_the_time_and_be_fewer(tmp_path, speech_folder):
    make_mixtures(speech_folder, tmp_path / "out", num_speakers=3, min_speakers=1, workers=1, **HOURS)
    counts = set()
    for path in (tmp_path / "out").rglob("mix/*.wav"):
        sources = [soundfile.read(path.parents[1] / f"s{k}" / path.name)[0] for k in (1, 2, 3)]
        heard = [bool(source.any()) for source in sources]
        assert heard == sorted(heard, reverse=True)
        assert sum(heard) == path.stem.count("_") // 2 + 1
        counts.add(sum(heard))
    assert counts == {1, 2, 3}


def test_the_recipe_takes_them_and_the_command_says_how(tmp_path, speech_folder, capsys):
    words = ["mix", "--speech", str(speech_folder), "--out", str(tmp_path / "out"), "--scene", "talk"]
    words += ["--num-speakers", "3", "--hours", "0.01", "--seconds", "6", "--workers", "1"]
    words += ["--min-speakers", "0", "--overlap-ratio", "0.5", "1"]
    main(words)
    printed = capsys.readouterr().out
    assert "--num_spks 3 --loss_silence power --loss_cap 30 --loss_level 1" in printed
    prepare_wsj0mix(tmp_path / "out", tmp_path / "manifests", num_spks=3)
    rows = read_csv(tmp_path / "manifests/tr.csv")
    assert len(rows) == 6
    for row in rows:
        assert row["segments"] == row["mix_wav"].replace(".wav", ".json")
        assert (tmp_path / "out" / row["segments"].removeprefix("$data_root/")).exists()
    told = json.loads((tmp_path / "out/mix.json").read_text())
    turns = {"pause": 1.0, "overlap": 2.0, "overlap_probability": [0.0, 1.0], "overlap_ratio": [0.5, 1.0]}
    assert told["talk"] == {"seconds": 6.0, **turns}
    assert told["min_speakers"] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Talk(seconds=0.5), "seconds 0.5: expected 1 or more"),
        (lambda: make_mixtures("speech", "out", min_speakers=3), "at least 3 speakers: expected 1 to 2"),
        (
            lambda: make_mixtures("speech", "out", min_speakers=0),
            "at least 0 speakers: expected 1 to 2.*--scene talk",
        ),
        (
            lambda: make_mixtures("speech", "out", min_speakers=-1, talk=Talk()),
            "at least -1 speakers: expected 0 to 2",
        ),
        (
            lambda: make_mixtures("speech", "out", num_speakers=1),
            "1 speakers: a mixture needs at least 2 unless they",
        ),
        (lambda: make_mixtures("speech", "out", num_speakers=0, talk=Talk()), "0 speakers: expected 1 to 8"),
    ],
)
def test_what_is_no_conversation(make, message):
    with pytest.raises(InputError, match=message):
        make()
