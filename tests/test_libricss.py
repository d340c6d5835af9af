"""Excerpts of LibriCSS, from a release with its layout: cut where nobody speaks, each voice in its place."""

import json

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.libricss import prepare_libricss
from speechbrain_tasnet.data.read_manifest import read_manifest
from speechbrain_tasnet.data.segments import Segment, read_segments
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.libricss import Said, channels_of, cut, generate_libricss

RATE = 16000
# Speaker, start, end; in the middle three speak without a break, then all four.
SPOKEN = [
    ("61", 1.0, 2.0), ("237", 1.5, 3.0), ("61", 3.5, 4.5),
    ("908", 5.5, 6.5), ("61", 6.0, 7.5), ("237", 7.0, 8.0),
    ("61", 9.0, 10.5), ("237", 9.5, 10.5), ("908", 10.0, 11.0), ("2300", 10.5, 11.5),
    ("2300", 12.5, 13.0),
]  # fmt: skip
ORDER = ["908", "2300", "61", "237"]  # of the channels, which is nowhere written


@pytest.fixture
def release(tmp_path):
    """Two sessions: `0L` session 0 and `OV20` session 3."""
    rng = np.random.default_rng(0)
    for condition, name in (
        ("0L", "overlap_ratio_0.0_sil2.9_3.0_session0_actual0.0"),
        ("OV20", "overlap_ratio_20.0_sil0.1_1.0_session3_actual19.2"),
    ):
        session = tmp_path / "for_release" / condition / name
        for part in ("record", "clean", "transcription"):
            (session / part).mkdir(parents=True)
        played = np.zeros((14 * RATE, 4))
        for who, start, end in SPOKEN:
            first, last = round(start * RATE), round(end * RATE)
            played[first:last, ORDER.index(who)] = rng.normal(0, 0.05, last - first)
        room = np.convolve(played.sum(1), 0.5 * np.exp(-np.arange(400) / 80), "full")[: len(played)]
        soundfile.write(session / "clean/each_spk.wav", played, RATE)
        soundfile.write(session / "clean/mix.wav", played.sum(1), RATE)
        recorded = np.stack([0.2 * room, *6 * [0.1 * room]], 1)
        soundfile.write(session / "record/raw_recording.wav", recorded, RATE)
        lines = ["start_time\tend_time\tspeaker\tutterance_id\ttranscription"]
        lines += [f"{start}\t{end}\t{who}\t{who}-1-{k}\tWORDS {k}" for k, (who, start, end) in enumerate(SPOKEN)]
        (session / "transcription/meeting_info.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "for_release"


def said(*spoken):
    return [Said(Segment(*one), "") for one in sorted(spoken, key=lambda one: one[1])]


def test_excerpts_have_few_speakers_and_end_where_nobody_speaks():
    found = cut(said(*SPOKEN), num_speakers=3, seconds=60.0)
    assert [(excerpt.start, excerpt.end) for excerpt in found] == [(0.75, 8.25), (12.25, 13.25)]
    assert [excerpt.speakers for excerpt in found] == [["61", "237", "908"], ["2300"]]
    assert sum(len(excerpt.said) for excerpt in found) == 7


def test_excerpts_are_no_longer_than_asked_unless_nobody_pauses():
    found = cut(said(*SPOKEN), num_speakers=4, seconds=3.6)
    assert [(excerpt.start, excerpt.end) for excerpt in found] == [
        (0.75, 4.75), (5.25, 8.25), (8.75, 11.75), (12.25, 13.25),
    ]  # fmt: skip
    assert cut(said(("a", 0.0, 9.0), ("b", 8.0, 20.0)), num_speakers=2, seconds=5.0)[0].end == 20.25


def test_neighbours_share_a_short_pause():
    found = cut(said(("a", 0.1, 2.0), ("b", 2.2, 4.0)), num_speakers=1, seconds=60.0)
    assert [one.start for one in found] == pytest.approx([0.05, 2.1])
    assert [one.end for one in found] == pytest.approx([2.1, 4.25])


def test_margins_hold_nothing_of_what_was_left_out():
    crowd = ("a", 8.1, 10.0), ("b", 8.5, 10.0), ("c", 9.0, 10.0)
    found = cut(said(("a", 1.0, 8.0), *crowd, ("d", 10.2, 11.0)), num_speakers=2, seconds=60.0)
    assert [one.start for one in found] == pytest.approx([0.75, 10.1])
    assert [one.end for one in found] == pytest.approx([8.05, 11.25])


def test_a_run_that_was_killed_goes_on(release, tmp_path, monkeypatch):
    from speechbrain_tasnet.generate import libricss

    real, read = libricss._read, []

    def dies(path, channels, rate):
        if "OV20" in str(path):
            raise KeyboardInterrupt
        return real(path, channels, rate)

    monkeypatch.setattr(libricss, "_read", dies)
    with pytest.raises(KeyboardInterrupt):
        generate_libricss(release, tmp_path / "out", workers=1)
    monkeypatch.setattr(libricss, "_read", lambda path, *rest: read.append(str(path)) or real(path, *rest))
    assert len(list(generate_libricss(release, tmp_path / "out", workers=1).rglob("s1/*.wav"))) == 4
    assert read
    assert all("OV20" in path for path in read)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_each_voice_is_where_the_table_says(release, tmp_path, rate):
    corpus = generate_libricss(release, tmp_path / "out", rate=rate, workers=1)
    place = corpus / f"wav{rate // 1000}k"
    for folder, session in (("dev/record", "0L_session0"), ("test/s3", "OV20_session3")):
        assert sorted(path.stem for path in (place / folder).glob("*.wav")) == [f"{session}_000", f"{session}_001"]
    name = "OV20_session3_000"
    segments = read_segments(place / f"test/record/{name}.json")
    rows = json.loads((place / f"test/clean/{name}.json").read_text())
    assert [(s.speaker, s.start, s.end) for s in segments[:2]] == [("61", 0.25, 1.25), ("237", 0.75, 2.25)]
    assert [row["words"] for row in rows[:2]] == ["WORDS 0", "WORDS 1"]
    sources = [soundfile.read(place / f"test/s{k}/{name}.wav")[0] for k in (1, 2, 3)]
    for number, source in enumerate(sources, start=1):
        own = [s for s, row in zip(segments, rows, strict=True) if row["source"] == f"s{number}"]
        inside = np.zeros(len(source), bool)
        for segment in own:
            inside[round(segment.start * rate) : round(segment.end * rate)] = True
            assert source[round(segment.start * rate) : round(segment.end * rate)].std() > 0.02
        assert np.square(source[~inside]).mean() < 1e-5
    clean = soundfile.read(place / f"test/clean/{name}.wav")[0]
    np.testing.assert_allclose(clean, sum(sources), atol=3 / 2**15)
    recorded = soundfile.read(place / f"test/record/{name}.wav")[0]
    assert len(recorded) == len(clean) == round(7.5 * rate)
    assert not soundfile.read(place / "test/s2/OV20_session3_001.wav")[0].any()


def test_the_recipe_reads_what_was_made(release, tmp_path, capsys):
    main(["generate", "libricss", "--data", str(release), "--out", str(tmp_path / "out"), "--rate", "8000"])
    assert "--num_spks 3 --sample_rate 8000 --metrics '[der]'" in capsys.readouterr().out
    prepare_libricss(tmp_path / "out", tmp_path / "save", "sep_clean", num_spks=3, sample_rate=8000)
    rows = read_manifest(tmp_path / "save/tt.csv", tmp_path / "out", 3)
    assert list(rows) == ["OV20_session3_000", "OV20_session3_001"]
    with pytest.raises(InputError, match="holds mixtures of more speakers; set num_spks to 3"):
        prepare_libricss(tmp_path / "out", tmp_path / "save", num_spks=2, sample_rate=8000)
    with pytest.raises(InputError, match="task='mix': expected one of sep_reverb_noisy, sep_clean"):
        prepare_libricss(tmp_path / "out", tmp_path / "save", "mix")


def test_a_recording_is_scored_by_who_was_found_and_when_alone(release, tmp_path):
    generate_libricss(release, tmp_path / "out", rate=8000, workers=1)
    words = ["evaluate", "libricss", "--data_folder", str(tmp_path / "out"), "--num_workers", "0"]
    words += ["--output_folder", str(tmp_path / "run"), "--pretrained", "convtasnet-8k-talk"]
    main(words)
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    assert results["talk"].keys() >= {"confusion", "right", "der"}
    assert results["talk"]["reference"] == "segments"
    written = [json.dumps(results), (tmp_path / "run/test_results.csv").read_text().partition("\n")[0]]
    written.append((tmp_path / "run/train_log.txt").read_text())
    for name in ("si-snr", "sa-sdr", "sdr", "right output", "not_improved", "input", "si_snr"):
        assert not any(name in text for text in written)
    assert "the model finds the right number of voices in" in (tmp_path / "run/report.html").read_text()
    with pytest.raises(SystemExit):
        main([*words, "--metrics", "[sdr]"])
    main([*words, "--task", "sep_clean", "--aligned_sources", "True"])
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    assert results["metrics"]["si-snr"]["count"] == 1


def test_too_few_channels():
    with pytest.raises(InputError, match="1 channels for 2 speakers"):
        channels_of(np.ones((1, RATE)), said(("a", 0.0, 0.5), ("b", 0.5, 1.0)), RATE)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda session: (session / "record/raw_recording.wav").unlink(), "raw_recording.wav: no such file"),
        (
            lambda session: (session / "transcription/meeting_info.txt").write_text("a b\n1 2\n"),
            "expected a table",
        ),
        (lambda session: (session / "transcription/meeting_info.txt").write_text(""), "nobody speaks"),
        (lambda session: session.rename(session.with_name("other")), "does not say which session"),
        (
            lambda session: soundfile.write(session / "record/raw_recording.wav", np.ones((RATE, 7)) / 2, RATE),
            "raw_recording.wav: 1.0 s, though somebody speaks until 13.0 s",
        ),
    ],
)
def test_a_release_that_is_not_whole(release, tmp_path, spoil, message):
    spoil(next((release / "0L").iterdir()))
    with pytest.raises(InputError, match=message):
        generate_libricss(release, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 44100}, "rate 44100: expected 8000 or 16000"),
        ({"num_speakers": 0}, "0 speakers in 60.0 s: expected 1 or more"),
        ({"seconds": 0.0}, "3 speakers in 0.0 s"),
    ],
)
def test_options_out_of_range(release, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        generate_libricss(release, tmp_path / "out", **options)
    with pytest.raises(InputError, match="no session such as"):
        generate_libricss(tmp_path, tmp_path / "out")
