"""Mixtures in noise and in rooms: their signals add up, and are what `scenes.csv` says of them."""

import csv
import hashlib
import os
import shutil
import signal
import sys

import numpy as np
import pytest
import soundfile
from forked import deadly, in_fork

from speechbrain_tasnet.audio.speech_level import active_level
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.whamr import prepare_whamr
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate import mixing
from speechbrain_tasnet.generate.mixing import make_mixtures

RATE = 8000
SECOND = 1 / 3600
HOURS = {"hours": 20 * SECOND, "valid_hours": 8 * SECOND, "test_hours": 8 * SECOND}
SHORT = {"hours": 8 * SECOND, "valid_hours": 3 * SECOND, "test_hours": 3 * SECOND}
ROOMS = ("_anechoic", "_reverb")
WHAM = {"mix_clean", "mix_both", "mix_single", "s1", "s2", "noise"}
REVERBERANT = {f"{name}{room}" for name in ("mix_clean", "s1", "s2") for room in ROOMS}
WHAMR = {f"{name}{room}" for name in WHAM - {"noise"} for room in ROOMS} | {"noise"}


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def samples_of(path):
    return soundfile.read(path, dtype="int16")[0].astype(int)


def scenes(corpus):
    """Yield split, the row of `scenes.csv` and int16 signals by folder of each mixture of a corpus."""
    for split in ("tr", "cv", "tt"):
        folder = corpus / "wav8k" / "min" / split
        with (folder / "scenes.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                paths = folder.glob(f"*/{row['mixture']}.wav")
                yield split, row, {path.parent.name: samples_of(path) for path in paths}


def mixed(tmp_path_factory, speech_folder, **options):
    folder = tmp_path_factory.mktemp("scenes") / "corpus"
    make_mixtures(speech_folder, folder, workers=1, **HOURS, **options)
    return folder


@pytest.fixture(scope="session")
def noise_folder(tmp_path_factory):
    """Twelve files of noise of many formats, rates and lengths, nested."""
    folder = tmp_path_factory.mktemp("noise")
    kinds = [("wav", 8000, 1), ("flac", 16000, 1), ("ogg", 22050, 2), ("mp3", 44100, 1)]
    for number in range(12):
        suffix, rate, channels = kinds[number % 4]
        path = folder / f"place{number % 3}" / f"noise {number}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        seconds = (1.2, 2.0, 9.0)[number % 3]
        rng = np.random.default_rng(number)
        soundfile.write(path, rng.normal(0, 0.02 + 0.01 * number, (round(seconds * rate), channels)), rate)
    return folder


@pytest.fixture(scope="session")
def noisy(tmp_path_factory, speech_folder, noise_folder):
    return mixed(tmp_path_factory, speech_folder, noise=noise_folder)


@pytest.fixture(scope="session")
def reverberant(tmp_path_factory, speech_folder):
    return mixed(tmp_path_factory, speech_folder, reverb=True)


@pytest.fixture(scope="session")
def both(tmp_path_factory, speech_folder, noise_folder):
    return mixed(tmp_path_factory, speech_folder, noise=noise_folder, reverb=True)


@pytest.mark.parametrize(("kind", "names"), [("noisy", WHAM), ("reverberant", REVERBERANT), ("both", WHAMR)])
def test_layout_is_complete_and_sums_hold(kind, names, request):
    corpus = request.getfixturevalue(kind)
    rooms = ("",) if kind == "noisy" else ROOMS
    count = 0
    for _, _, signals in scenes(corpus):
        count += len(signals)
        assert set(signals) == names
        assert len({len(samples) for samples in signals.values()}) == 1
        assert max(np.abs(samples).max() for samples in signals.values()) == round(0.9 * 2**15)
        for room in rooms:
            clean = signals[f"mix_clean{room}"]
            assert np.abs(signals[f"s1{room}"] + signals[f"s2{room}"] - clean).max() <= 2
            if "noise" in names:
                assert np.abs(clean + signals["noise"] - signals[f"mix_both{room}"]).max() <= 2
                assert np.abs(signals[f"s1{room}"] + signals["noise"] - signals[f"mix_single{room}"]).max() <= 2
    assert count == len(list(corpus.rglob("*.wav"))) > 0
    for path in corpus.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "PCM_16")


def test_surroundings_do_not_change_who_speaks(corpus, noisy, reverberant, both):
    kinds = {corpus: "s1", noisy: "s1", reverberant: "s1_reverb", both: "s1_reverb"}
    named = [
        sorted((path.parts[-3], path.name) for path in folder.rglob(f"{kind}/*.wav"))
        for folder, kind in kinds.items()
    ]
    assert named[0] == named[1] == named[2] == named[3]
    rows = [{row["mixture"]: row for _, row, _ in scenes(folder)} for folder in (noisy, reverberant, both)]
    for name, row in rows[2].items():
        assert row == rows[0][name] | rows[1][name]


def delayed(samples, delay):
    """Delay by a fraction of a sample, as a phase, and leave out what lies above 3.5 kHz, near the rate's half."""
    padded = np.concatenate([samples, np.zeros(1000)])
    frequencies = np.fft.rfftfreq(len(padded))
    shift = np.exp(-2j * np.pi * frequencies * delay) * (frequencies < 3500 / RATE)
    return np.fft.irfft(np.fft.rfft(padded) * shift, len(padded))[: len(samples)]


def test_anechoic_source_is_the_dry_one_delayed_by_the_distance(corpus, both):
    for split, row, signals in scenes(both):
        factors = []
        for number in (1, 2):
            dry, _ = soundfile.read(corpus / "wav8k/min" / split / f"s{number}" / f"{row['mixture']}.wav")
            place = [float(row[f"s{number}_{axis}"]) for axis in "xyz"]
            microphone = [float(row[f"microphone_{axis}"]) for axis in "xyz"]
            distance = np.linalg.norm(np.subtract(place, microphone))
            assert float(row[f"s{number}_distance"]) == pytest.approx(distance, abs=1e-3)
            assert float(row[f"s{number}_delay"]) == pytest.approx(distance / 343, rel=1e-3)
            assert float(row[f"s{number}_gain"]) == pytest.approx(1 / distance, rel=1e-3)
            # The margin hides what the cut has left out before and after.
            inside = slice(200, -200)
            expected = delayed(dry, float(row[f"s{number}_delay"]) * RATE)[inside]
            heard = delayed(signals[f"s{number}_anechoic"] / 2**15, 0)[inside]
            factors.append(np.sum(heard * expected) / np.sum(expected**2))
            assert np.sum((heard - factors[-1] * expected) ** 2) < 1e-5 * np.sum(heard**2)
        # However far they are, the speakers' levels are those of the name.
        assert factors[0] == pytest.approx(factors[1], rel=0.01)


def test_reverberation_is_in_step_and_grows_with_the_t60(reverberant):
    amounts = []
    for _, row, signals in scenes(reverberant):
        for number in (1, 2):
            direct, heard = (signals[f"s{number}{room}"].astype(float) for room in ROOMS)
            spectrum = np.fft.rfft(heard, 2 * len(heard)) * np.conj(np.fft.rfft(direct, 2 * len(heard)))
            whitened = np.fft.irfft(spectrum / (np.abs(spectrum) + 1e-3 * np.abs(spectrum).max()))
            assert np.argmax(whitened) == 0
            amounts.append((float(row["t60"]), np.sum((heard - direct) ** 2) / np.sum(direct**2)))
    t60, energy = np.transpose(amounts)
    assert np.corrcoef(t60, np.log(energy))[0, 1] > 0.5
    assert energy.min() > 0.01


def white_speakers(folder, seconds=3.0):
    """Write six speakers whose utterances are equally long, so that none is cut."""
    for number in range(6):
        (folder / f"spk{number}").mkdir(parents=True)
        samples = np.random.default_rng(number).normal(0, 0.02 * (1 + number), round(seconds * RATE))
        soundfile.write(folder / f"spk{number}" / "a.wav", samples, RATE)
    return folder


def test_noise_is_as_loud_as_it_is_said_to_be(tmp_path, noise_folder):
    speech = white_speakers(tmp_path / "speech")
    hours = {"hours": 90 * SECOND, "valid_hours": 30 * SECOND, "test_hours": 30 * SECOND}
    make_mixtures(speech, tmp_path / "out", noise=noise_folder, workers=1, **hours)
    ratios = []
    for _, row, signals in scenes(tmp_path / "out"):
        ratios.append(float(row["snr"]))
        ratio = active_level(signals["s1"], RATE) / np.mean(signals["noise"] ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(ratios[-1], abs=0.05)
    assert -3 <= min(ratios) < -1.5
    assert 4.5 < max(ratios) <= 6


def heard_noise(corpus):
    """Collect the noise files of each split."""
    files = {"tr": set(), "cv": set(), "tt": set()}
    for split, row, _ in scenes(corpus):
        files[split].add(row["noise"])
    return files


def test_no_noise_is_in_two_splits(tmp_path, noise_folder, both):
    files = heard_noise(both)
    assert all((noise_folder / name).is_file() for split in files.values() for name in split)
    assert len(set.union(*files.values())) == sum(map(len, files.values()))
    assert len(files["tr"]) > 1


def test_table_of_noise_decides(tmp_path, speech_folder, noise_folder):
    noise = shutil.copytree(noise_folder, tmp_path / "noise")
    names = sorted(path.relative_to(noise).as_posix() for path in noise.rglob("*.*"))
    lines = [f"{name},{split}" for name, split in zip(names, 4 * ["test", "valid", "train"], strict=True)]
    (noise / "noise.csv").write_text("\n".join(["file,split", *lines]))
    make_mixtures(speech_folder, tmp_path / "out", noise=noise, workers=1, **SHORT)
    files = heard_noise(tmp_path / "out")
    assert files["tt"] <= set(names[::3])
    assert files["cv"] <= set(names[1::3])
    assert files["tr"] <= set(names[2::3])


def test_subfolders_of_noise_decide(tmp_path, speech_folder, noise_folder):
    for split, place in (("tr", "place2"), ("cv", "place0"), ("tt", "place1")):
        shutil.copytree(noise_folder / place, tmp_path / "noise" / split)
    make_mixtures(speech_folder, tmp_path / "out", noise=tmp_path / "noise", workers=1, **SHORT)
    for split, names in heard_noise(tmp_path / "out").items():
        assert all(name.startswith(f"{split}/") for name in names)


def test_short_noise_goes_on_without_a_click(tmp_path):
    # A second of a tone that ends in the middle of a period: a plain repetition would jump.
    speech = white_speakers(tmp_path / "speech")
    (tmp_path / "noise").mkdir()
    tone = 0.5 * np.sin(2 * np.pi * 100.25 * np.arange(RATE) / RATE + 0.5)
    for name in "abc":
        soundfile.write(tmp_path / "noise" / f"{name}.wav", tone, RATE)
    make_mixtures(speech, tmp_path / "out", noise=tmp_path / "noise", workers=1, **SHORT)
    phases = set()
    for _, _, signals in scenes(tmp_path / "out"):
        noise = signals["noise"] / np.abs(signals["noise"]).max()
        assert len(noise) == 3 * RATE
        assert np.abs(np.diff(noise)).max() < 1.5 * 2 * np.pi * 100.25 / RATE
        # Nor does it fall silent.
        assert np.mean(noise[: len(noise) // 400 * 400].reshape(-1, 400) ** 2, axis=1).min() > 0.1
        phases.add(round(noise[0], 3))
    assert len(phases) > 1


def test_three_speakers(tmp_path, speech_folder, noise_folder):
    make_mixtures(
        speech_folder, tmp_path / "out", num_speakers=3, noise=noise_folder, reverb=True, workers=1, **SHORT
    )
    for _, row, signals in scenes(tmp_path / "out"):
        assert len(signals) == 13
        total = sum(signals[f"s{number}_reverb"] for number in (1, 2, 3)) + signals["noise"]
        assert np.abs(total - signals["mix_both_reverb"]).max() <= 3
        assert float(row["s3_distance"]) > 0.66


def test_workers_do_not_change_the_bytes(tmp_path, speech_folder, noise_folder, both):
    make_mixtures(speech_folder, tmp_path / "out", noise=noise_folder, reverb=True, workers=2, **HOURS)
    assert digests(tmp_path / "out") == digests(both)


def test_killed_run_is_continued(tmp_path, speech_folder, noise_folder, both):
    words, options = (str(speech_folder), tmp_path / "out"), {"noise": str(noise_folder), "reverb": True} | HOURS

    def mix_to_the_middle_of_the_third_mixture():
        mixing.write_wav = deadly(mixing.write_wav, calls=25, before=True)
        make_mixtures(*words, workers=1, **options)

    assert in_fork(mix_to_the_middle_of_the_third_mixture)[0] == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.rglob("*.wav"))) == 24
    make_mixtures(*words, workers=1, **options)
    assert digests(tmp_path / "out") == digests(both)
    assert os.listdir(tmp_path) == ["out"]


def refuses(words, tmp_path, speech_folder, noise, **options):
    """Check for an InputError of one line that holds all the words, and that nothing is left behind."""
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError) as caught:
        make_mixtures(speech_folder, tmp_path / "there" / "out", noise=noise, **SHORT, **options)
    assert list((tmp_path / "there").iterdir()) == []
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def files_of(write, count=4):
    """Make a function that fills a folder with files that `write` writes."""

    def fill(folder):
        for number in range(count):
            write(folder / f"{number}.flac")

    return fill


def white(path, seconds=2.0):
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)), RATE)


def cut_off(path):
    white(path)
    # The header still promises two seconds.
    path.write_bytes(path.read_bytes()[:10000])


def split_without_noise(folder):
    for split in ("tr", "cv"):
        (folder / split).mkdir()
        white(folder / split / "a.flac")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda folder: folder.rmdir(), ["noise: no such folder"]),
        (lambda folder: None, ["0 noise files", "at least 3 needed"]),
        (files_of(white, count=2), ["2 noise files", "at least 3 needed"]),
        (files_of(lambda path: white(path, 0.5)), ["no noise of 1 s or more for tr", "2 shorter"]),
        (files_of(lambda path: soundfile.write(path, np.zeros(16000), RATE)), [".flac: silent; delete the file"]),
        (files_of(lambda path: path.write_text("hello")), [".flac: cannot be read as audio"]),
        (files_of(cut_off), [".flac: cannot be decoded"]),
        (split_without_noise, ["for tt, 0 shorter"]),
    ],
    ids=["missing", "empty", "two files", "short", "silent", "corrupt", "cut off", "no tt"],
)
def test_bad_noise_is_refused(tmp_path, speech_folder, fill, words, workers):
    (tmp_path / "noise").mkdir()
    fill(tmp_path / "noise")
    refuses(words, tmp_path, speech_folder, tmp_path / "noise", workers=workers)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,split\n", ["noise.csv: no column file; expected file,split"]),
        ("file,split\n0.flac,tr\n", ["line 2: split 'tr'; expected train, valid, test"]),
        ("file,split\n9.flac,train\n", ["line 2: no file '9.flac'"]),
        ("file,split\n,train\n", ["line 2: no file ''"]),
        ("file,split\n/etc/hostname,train\n", ["line 2: no file '/etc/hostname'"]),
        ("file,split\n0.flac,train\n0.flac,test\n", ["line 3: '0.flac' appears twice"]),
        ("file,split\n0.flac,train\n1.flac,test\n", ["no noise with split valid"]),
        ("file,split\n0.flac,train\n1.flac,test\nnoise.csv,valid\n", ["noise.csv: cannot be read as audio"]),
    ],
)
def test_wrong_table_of_noise_is_refused(tmp_path, speech_folder, table, words):
    (tmp_path / "noise").mkdir()
    files_of(white)(tmp_path / "noise")
    (tmp_path / "noise" / "noise.csv").write_text(table)
    refuses(words, tmp_path, speech_folder, tmp_path / "noise")


def test_missing_library_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    refuses(
        ["pip install 'speechbrain-tasnet[rooms]'"], tmp_path, tmp_path / "not even looked at", None, reverb=True
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "`tasnet train wsj0mix --data_folder corpus`"),
        (["--noise", "noise"], "`tasnet train wham --data_folder corpus --task sep_noisy`"),
        (["--reverb"], "`tasnet train whamr --data_folder corpus --task sep_reverb`"),
        (["--noise", "noise", "--reverb"], "`tasnet train whamr --data_folder corpus --task sep_reverb_noisy`"),
        (["--num-speakers", "3", "--rate", "16000"], "--data_folder corpus --num_spks 3 --sample_rate 16000`"),
    ],
)
def test_hint_says_what_to_train(words, hint, tmp_path, speech_folder, noise_folder, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").symlink_to(noise_folder)
    hours = f"--hours {SECOND} --valid-hours {SECOND} --test-hours {SECOND}".split()
    main(["mix", "--speech", str(speech_folder), "--out", "corpus", *hours, *words])
    assert hint in capsys.readouterr().out


def test_corpus_is_taken_for_whamr(both, tmp_path):
    prepare_whamr(both, tmp_path, task="sep_reverb_noisy")
    for split in ("tr", "cv", "tt"):
        rows = (tmp_path / f"{split}.csv").read_text().splitlines()[1:]
        assert len(rows) == len(list((both / "wav8k/min" / split / "noise").iterdir()))
