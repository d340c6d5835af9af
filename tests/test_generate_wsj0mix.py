"""wsj0-mix made from a stand-in for WSJ0: the samples, the names, killed runs and everything that may be wrong."""

import argparse
import hashlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forked import deadly, in_fork, limit_files
from scipy.signal import resample_poly

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.speech_level import active_level
from speechbrain_tasnet.commands import generate_wsj0mix as command
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.errors import InputError, one_line_errors
from speechbrain_tasnet.generate import wsj0mix
from speechbrain_tasnet.generate.wsj0mix import generate_wsj0mix

# As in MERL's lists: a path with .wav, a gain, ...; a space at the end of the line.
LISTS = {
    "mix_2_spk_tr": """
        wsj0/si_tr_s/01a/01aa0100.wav 1.9857 wsj0/si_tr_s/01b/01ba0101.wav -1.9857
        wsj0/si_tr_s/01c/01ca0102.wav 0.032494 wsj0/si_tr_s/01a/01aa0101.wav -0.032494
        wsj0/si_tr_s/01b/01ba0102.wav 0.4903 wsj0/si_tr_s/01c/01ca0100.wav -0.4903
        wsj0/si_tr_s/01a/01aa0100.wav 0 wsj0/si_tr_s/01c/01ca0101.wav 0 """,
    "mix_2_spk_cv": "wsj0/si_tr_s/01c/01ca0102.wav 2.5 wsj0/si_tr_s/01b/01ba0100.wav -2.5 ",
    "mix_2_spk_tt": """
        wsj0/si_dt_05/050/050a0500.wav 1.419 wsj0/si_et_05/440/440c0201.wav -1.419
        wsj0/si_et_05/440/440c0202.wav 0.60431 wsj0/si_dt_05/050/050a0502.wav -0.60431 """,
    "mix_3_spk_tr": "wsj0/si_tr_s/01a/01aa0100.wav 1.2 wsj0/si_tr_s/01b/01ba0101.wav -1.2 "
    "wsj0/si_tr_s/01c/01ca0102.wav 0 ",
    "mix_3_spk_cv": "wsj0/si_tr_s/01c/01ca0100.wav 0.5 wsj0/si_tr_s/01b/01ba0101.wav -0.5 "
    "wsj0/si_tr_s/01a/01aa0102.wav 0 ",
    "mix_3_spk_tt": "wsj0/si_dt_05/050/050a0500.wav 2 wsj0/si_et_05/440/440c0201.wav -2 "
    "wsj0/si_et_05/440/440c0200.wav 0 ",
}


@pytest.fixture(scope="module")
def wsj0(speech_folder, tmp_path_factory) -> Path:
    """A stand-in for WSJ0: training speakers as wav, the others as the discs have them, in SPHERE."""
    root = tmp_path_factory.mktemp("wsj0")
    places = [
        ("wsj0/si_tr_s/01a/01aa010{}.wav", "WAV"),
        ("wsj0/si_tr_s/01b/01ba010{}.wav", "WAV"),
        ("wsj0/si_tr_s/01c/01ca010{}.wav", "NIST"),
        ("11-6.1/WSJ0/SI_DT_05/050/050A050{}.WV1", "NIST"),
        ("11-14.1/wsj0/si_et_05/440/440c020{}.wv1", "NIST"),
    ]
    speakers = sorted(path for path in speech_folder.iterdir() if path.is_dir())
    for speaker, (place, kind) in zip(speakers, places, strict=False):
        for number, path in enumerate(sorted(speaker.glob("*.wav"))):
            target = root / place.format(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Hiss, so that there is something above 4 kHz.
            hiss = np.random.default_rng(number).normal(0, 0.001, 2 * soundfile.info(path).frames)
            samples = resample_poly(soundfile.read(path)[0], 2, 1) + hiss
            soundfile.write(target, samples, 16000, subtype="PCM_16", format=kind)
    return root


@pytest.fixture(scope="module")
def lists(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    for name, text in LISTS.items():
        (folder / f"{name}.txt").write_text(text.lstrip() + "\n")
    return folder


@pytest.fixture(scope="module")
def corpus(wsj0, lists, tmp_path_factory) -> Path:
    """The two-speaker corpus at 8000 Hz, `min`."""
    out = tmp_path_factory.mktemp("corpus") / "2speakers"
    generate_wsj0mix(wsj0, lists, out, workers=1)
    return out


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def plain_file(wsj0, name):
    """Find an utterance as a person would, who knows how the stand-in was made."""
    place = wsj0 / name
    if "si_dt_05" in name:
        speaker, file = name.upper().split("/")[-2:]
        place = wsj0 / "11-6.1/WSJ0/SI_DT_05" / speaker / file.replace(".WAV", ".WV1")
    elif "si_et_05" in name:
        place = wsj0 / "11-14.1" / name.replace(".wav", ".wv1")
    return soundfile.read(place)[0]


def plain_half_rate(samples):
    """Do as MATLAB's `resample(samples, 8000, 16000)`: 41 taps of a sinc with a Kaiser window, every other."""
    taps = np.sinc(np.arange(-20, 21) / 2) * np.kaiser(41, 5)
    return np.convolve(samples, taps / taps.sum())[20 : 20 + len(samples)][::2]


def plain_mixture(wsj0, words, rate, mode):
    """MERL's steps, one after the other: names and int16 signals, and the factors of `scaling.mat`."""
    signals, weights = [], []
    for name, gain in zip(words[::2], words[1::2], strict=True):
        at_16k = plain_file(wsj0, name)
        at_8k = plain_half_rate(at_16k)
        weights.append(10 ** (float(gain) / 20) / np.sqrt(active_level(at_8k, 8000)))
        signals.append(weights[-1] * (at_8k if rate == 8000 else at_16k))
    shortest, longest = min(map(len, signals)), max(map(len, signals))
    if mode == "min":
        signals = [signal[:shortest] for signal in signals]
    else:
        signals = [np.append(signal, np.zeros(longest - len(signal))) for signal in signals]
    mix = sum(signals)
    scale = 1 / max(np.abs(signal).max() for signal in (mix, *signals)) * 0.9
    rounded = [np.round(2**15 * scale * signal).astype(int) for signal in (mix, *signals)]
    return rounded, [scale * weight for weight in weights], scale


@pytest.mark.parametrize("num_speakers", [2, 3])
@pytest.mark.parametrize(("rate", "mode"), [(8000, "min"), (8000, "max"), (16000, "min"), (16000, "max")])
def test_samples_are_those_of_merls_steps(wsj0, lists, tmp_path, num_speakers, rate, mode):
    out = tmp_path / "out"
    generate_wsj0mix(wsj0, lists, out, rate, mode, num_speakers, workers=1)
    place = out / f"wav{rate // 1000}k" / mode
    folders = ["mix", *(f"s{number}" for number in range(1, num_speakers + 1))]
    lengths = set()
    for split in ("tr", "cv", "tt"):
        lines = LISTS[f"mix_{num_speakers}_spk_{split}"].strip().splitlines()
        scaling = np.load(place / split / "scaling.npz")
        names = []
        for number, line in enumerate(lines):
            words = line.split()
            names.append("_".join(word.rpartition("/")[2].removesuffix(".wav") for word in words))
            expected, factors, scale = plain_mixture(wsj0, words, rate, mode)
            for folder, sound in zip(folders, expected, strict=True):
                file = place / split / folder / f"{names[-1]}.wav"
                info = soundfile.info(file)
                assert (info.samplerate, info.channels, info.format, info.subtype) == (rate, 1, "WAV", "PCM_16")
                written = soundfile.read(file, dtype="int16")[0].astype(int)
                assert written.shape == sound.shape
                assert np.abs(written - sound).max() <= 1
                lengths.add(len(sound))
            assert scaling[f"scaling_{rate // 1000}k"][number] == pytest.approx(factors)
            assert scaling[f"scaling16bit_{rate // 1000}k"][number] == pytest.approx(scale)
        assert list(scaling["names"]) == names
        assert sorted(path.name for path in (place / split).iterdir()) == [*folders, "scaling.npz"]
        for folder in folders:
            assert {path.stem for path in (place / split / folder).iterdir()} == set(names)
    assert len(lengths) > 1


def test_what_was_done_is_told(corpus, lists):
    assert sorted(path.name for path in corpus.iterdir()) == ["generate.json", "wav8k"]
    told = json.loads((corpus / "generate.json").read_text())
    assert told["version"] == __version__
    assert (told["rate"], told["mode"], told["num_speakers"]) == (8000, "min", 2)
    assert told["mixtures"] == {"tr": 4, "cv": 1, "tt": 2}
    table = lists / "mix_2_spk_cv.txt"
    assert told["lists"][str(table)] == hashlib.sha256(table.read_bytes()).hexdigest()


def test_the_recipe_takes_it(corpus, tmp_path):
    prepare_wsj0mix(corpus, tmp_path)
    assert len((tmp_path / "tr.csv").read_text().splitlines()) == 1 + 4


def test_any_number_of_workers_gives_the_same_bytes(wsj0, lists, corpus, tmp_path):
    generate_wsj0mix(wsj0, lists, tmp_path / "out", workers=2)
    assert digests(tmp_path / "out") == digests(corpus)


def test_more_speakers_and_longer_gains(wsj0, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    sources = ["01a/01aa0100.wav", "01b/01ba0101.wav", "01c/01ca0102.wav", "01a/01aa0101.wav"]
    gains = ["2.247015018217656", "1.9091687846056953", "-1.9091687846056953", "-2.247015018217656"]
    line = " ".join(f"wsj0/si_tr_s/{source} {gain}" for source, gain in zip(sources, gains, strict=True))
    for split in ("tr", "cv", "tt"):
        (lists / f"mix_4_spk_{split}.txt").write_text(line)
    generate_wsj0mix(wsj0, lists, tmp_path / "out", num_speakers=4, workers=1)
    name = "01aa0100_2.247_01ba0101_1.9092_01ca0102_-1.9092_01aa0101_-2.247.wav"
    assert {path.name for path in (tmp_path / "out/wav8k/min/cv/s4").iterdir()} == {name}


@pytest.mark.parametrize("place", ["wsj0", "deep/er/wsj0", "."])
def test_the_folder_may_lie_deeper_or_be_a_link(wsj0, lists, corpus, tmp_path, place):
    root = tmp_path / "root"
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    if place == ".":
        root.mkdir()
        for part in ("wsj0/si_tr_s", "11-6.1/WSJ0/SI_DT_05", "11-14.1/wsj0/si_et_05"):
            (root / Path(part).name).symlink_to(wsj0 / part)
    else:
        (root / place).symlink_to(wsj0)
    generate_wsj0mix(root, lists, tmp_path / "out", workers=1)
    expected, found = digests(corpus), digests(tmp_path / "out")
    assert {**found, "generate.json": ""} == {**expected, "generate.json": ""}


def test_a_wav_comes_before_the_discs_file(wsj0, lists, corpus, tmp_path):
    root = shutil.copytree(wsj0, tmp_path / "root")
    for path in root.rglob("*.wv1"):
        samples, rate = soundfile.read(path)
        soundfile.write(path.with_suffix(".wav"), samples, rate, subtype="PCM_16")
        compress(path)
    generate_wsj0mix(root, lists, tmp_path / "out", workers=1)
    assert digests(tmp_path / "out/wav8k") == digests(corpus / "wav8k")


def test_a_killed_run_is_continued_to_the_same_bytes(wsj0, lists, corpus, tmp_path):
    partial, out = tmp_path / ".out.partial", tmp_path / "out"

    def generate_eight_files():
        wsj0mix.write_wav = deadly(wsj0mix.write_wav, calls=8)
        generate_wsj0mix(wsj0, lists, out, workers=1)

    assert in_fork(generate_eight_files)[0] == -signal.SIGKILL
    done = {path.relative_to(partial): path.stat().st_mtime_ns for path in partial.rglob("*.wav")}
    assert len(done) == 8
    assert not out.exists()
    with pytest.raises(InputError, match="other options"):
        generate_wsj0mix(wsj0, lists, out, mode="max", workers=1)
    generate_wsj0mix(wsj0, lists, out, workers=1)
    assert digests(out) == digests(corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    # Two mixtures were whole; of the third there were two files.
    assert sum((out / path).stat().st_mtime_ns == time for path, time in done.items()) == 6


def test_a_full_disk_is_one_line_and_the_run_is_continued(wsj0, lists, corpus, tmp_path):
    sizes = sorted(path.stat().st_size for path in (corpus / "wav8k/min/tr").rglob("*.wav"))
    assert sizes[0] < sizes[-1]

    def generate_on_a_full_disk():
        limit_files(sizes[-1] - 1)
        with one_line_errors("tasnet"):
            generate_wsj0mix(wsj0, lists, tmp_path / "out", workers=1)

    status, errors = in_fork(generate_on_a_full_disk)
    assert status == 2
    (line,) = errors.strip().splitlines()
    assert line.startswith("tasnet: error: ")
    assert "cannot be written (File too large); check the folder and disk space" in line
    assert not list((tmp_path / ".out.partial").rglob(".*.wav*"))
    generate_wsj0mix(wsj0, lists, tmp_path / "out", workers=1)
    assert digests(tmp_path / "out") == digests(corpus)


def refused(wsj0, lists, folder, **options):
    """Check for an InputError of one line, and that nothing is left behind; returns the line."""
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        generate_wsj0mix(wsj0, lists, folder / "out", workers=1, **options)
    assert list(folder.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def compress(path):
    """Make a SPHERE header say what it says on the discs; the samples do not matter."""
    header, samples = path.read_bytes()[:1024], path.read_bytes()[1024:]
    header = header.replace(b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten-v1.09")
    path.write_bytes(header[:1024] + samples)


def write_at(rate):
    return lambda path: soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, rate), rate, format="WAV")


def cut(path):
    path.write_bytes(path.read_bytes()[:15000])


WRONG_FILES = {
    "gone": ("01aa0100.wav", Path.unlink, ["mix_2_spk_tr.txt line 1", "si_tr_s/01a/01aa0100.wav", "--wsj0"]),
    "gone from a disc": ("440c0202.wv1", Path.unlink, ["mix_2_spk_tt.txt line 2", "si_et_05/440/440c0202.wav"]),
    "truncated wav": ("01ba0102.wav", cut, ["01ba0102.wav: cut short"]),
    "truncated SPHERE": ("01ca0101.wav", cut, ["01ca0101.wav: cut short", "15000 bytes instead of"]),
    "compressed SPHERE": ("440c0201.wv1", compress, ["440c0201.wv1: compressed SPHERE", "sph2pipe"]),
    "no audio": (
        "050A0500.WV1",
        lambda path: path.write_text("hello"),
        ["050A0500.WV1", "cannot be read as audio"],
    ),
    "empty": ("01aa0101.wav", lambda path: path.write_bytes(b""), ["01aa0101.wav: empty (0 bytes)"]),
    "low rate": ("01aa0101.wav", write_at(6000), ["01aa0101.wav: 6000 Hz", "8000 or more"]),
    "silent": (
        "01aa0101.wav",
        lambda path: soundfile.write(path, np.zeros(16000), 16000),
        ["01aa0101.wav: silent"],
    ),
}


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_a_wrong_utterance_is_named(wsj0, lists, tmp_path, kind):
    name, spoil, expected = WRONG_FILES[kind]
    root = shutil.copytree(wsj0, tmp_path / "root")
    (path,) = root.rglob(name)
    spoil(path)
    line = refused(root, lists, tmp_path / "there")
    assert all(word in line for word in expected)


def test_the_rate_wanted_is_the_least(wsj0, lists, tmp_path):
    root = shutil.copytree(wsj0, tmp_path / "root")
    write_at(8000)(root / "wsj0/si_tr_s/01a/01aa0101.wav")
    assert "01aa0101.wav: 8000 Hz, expected 16000 or more" in refused(root, lists, tmp_path / "a", rate=16000)
    write_at(44100)(root / "wsj0/si_tr_s/01a/01aa0101.wav")
    generate_wsj0mix(root, lists, tmp_path / "out", rate=16000, workers=1)
    (written,) = (tmp_path / "out/wav16k/min/tr/s2").glob("*_01aa0101_*.wav")
    assert soundfile.info(written).frames == 16000


A = "wsj0/si_tr_s/01a/01aa0100.wav"
B = "wsj0/si_tr_s/01b/01ba0101.wav"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{A} 1 {B} -1 \n{A} 1 {B}\n", ["line 2", "3 words", "expected 4"]),
        (f"{A} 1 {B} -1 {A} 0", ["line 1", "6 words", "expected 4", "another number of speakers"]),
        (f"\n\n{A} 1 {B} one", ["line 3", "gain 'one'", "decibels"]),
        (f"{A} nan {B} 1", ["line 1", "gain 'nan'"]),
        (f"{A} 1e9 {B} 1", ["line 1", "gain '1e9'"]),
        (f"1 {A} -1 {B}", ["line 1", f"gain '{A}'"]),
        (f"{A} 1 {B} -1\n{A} 1.0 {B} -1", ["line 2", "01aa0100_1_01ba0101_-1 appears twice"]),
        (f"{A} 1 . -1", ["line 1", "no . in"]),
        ("\n", ["no mixtures in it"]),
        (b"\xff\xfe\x00 1 \x80 -1", ["line 1", "no "]),
    ],
)
def test_a_wrong_line_is_named(wsj0, lists, tmp_path, text, expected):
    own = shutil.copytree(lists, tmp_path / "lists")
    (own / "mix_2_spk_cv.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused(wsj0, own, tmp_path / "there")
    assert all(word in line for word in ["mix_2_spk_cv.txt", *expected])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rate": 11025}, "rate 11025 Hz: expected 8000 or 16000"),
        ({"mode": "mean"}, "mode 'mean': expected min or max"),
        ({"num_speakers": 1}, "1 speakers: a mixture needs at least 2"),
        ({"num_speakers": 5}, "mix_5_spk_tr.txt: cannot be read"),
    ],
)
def test_options_out_of_range_are_refused(wsj0, lists, tmp_path, options, expected):
    assert expected in refused(wsj0, lists, tmp_path / "there", **options)


def test_workers_out_of_range_are_refused(wsj0, lists, tmp_path):
    with pytest.raises(InputError, match="workers=0"):
        generate_wsj0mix(wsj0, lists, tmp_path / "out", workers=0)


def test_missing_folders_are_refused(wsj0, lists, tmp_path):
    assert "nowhere: no such folder" in refused(tmp_path / "nowhere", lists, tmp_path / "a")
    assert "nowhere/mix_2_spk_tr.txt: cannot be read" in refused(wsj0, tmp_path / "nowhere", tmp_path / "b")
    shutil.copytree(lists, tmp_path / "lists", ignore=lambda *_: ["mix_2_spk_tt.txt"])
    assert "mix_2_spk_tt.txt: cannot be read" in refused(wsj0, tmp_path / "lists", tmp_path / "c")


def test_a_taken_or_impossible_place_is_refused(wsj0, lists, corpus, tmp_path):
    before = digests(corpus)
    with pytest.raises(InputError, match="already holds"):
        generate_wsj0mix(wsj0, lists, corpus, workers=1)
    assert digests(corpus) == before
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="file/out: cannot be made"):
        generate_wsj0mix(wsj0, lists, tmp_path / "file/out", workers=1)
    assert (tmp_path / "file").read_text() == "no folder"


def test_the_command(wsj0, lists, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    command.describe(parser)
    words = ["--wsj0", wsj0, "--lists", lists, "--out", tmp_path / "out", "--rate", 16000, "--num-speakers", 3]
    command.run(parser.parse_args([str(word) for word in [*words, "--mode", "max"]]))
    assert (
        f"--data_folder {tmp_path / 'out'} --num_spks 3 --sample_rate 16000 --mode max" in capsys.readouterr().out
    )
    assert (tmp_path / "out/wav16k/max/tt/s3").is_dir()
