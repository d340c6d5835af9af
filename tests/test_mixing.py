import hashlib
import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.workflow import check
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.scenes import render

SECOND = 1 / 3600
SHORT = {"hours": 12 * SECOND, "valid_hours": 4 * SECOND, "test_hours": 4 * SECOND}


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wavs(corpus, num_speakers=2, rate=8):
    """Yield split, name and int16 signals, mixture first, of each mixture of a corpus."""
    for mix in sorted(corpus.glob(f"wav{rate}k/min/*/mix/*.wav")):
        split = mix.parents[1]
        paths = [mix, *(split / f"s{number}" / mix.name for number in range(1, num_speakers + 1))]
        yield split.name, mix.stem, [soundfile.read(path, dtype="int16")[0].astype(int) for path in paths]


def parts(name):
    """Split a name into utterances and gains."""
    fields = name.split("_")
    return fields[::2], [float(gain) for gain in fields[1::2]]


def noise_speakers(folder, count, seconds=2.0, rate=8000):
    """Write speakers of white noise, one louder than the other, two utterances each."""
    for number in range(count):
        (folder / f"spk{number}").mkdir(parents=True)
        for utterance in "ab":
            noise = np.random.default_rng([number, ord(utterance)]).normal(
                0, 0.02 * (1 + number), round(seconds * rate)
            )
            soundfile.write(folder / f"spk{number}" / f"{utterance}.wav", noise, rate)
    return folder


def refuses(words, tmp_path, *args, **options):
    """Check for an InputError of one line that holds all the words, and that nothing is left behind."""
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError) as caught:
        make_mixtures(*args, tmp_path / "there" / "out", **options)
    assert list((tmp_path / "there").iterdir()) == []
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_layout(corpus):
    assert sorted(path.name for path in corpus.iterdir()) == ["mix.json", "wav8k"]
    for split in ("tr", "cv", "tt"):
        folders = {path.name: path for path in (corpus / "wav8k" / "min" / split).iterdir()}
        assert sorted(folders) == ["mix", "s1", "s2"]
        names = [{path.name for path in folder.iterdir()} for folder in folders.values()]
        assert names[0] == names[1] == names[2]
    for path in corpus.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.format, info.subtype) == (8000, 1, "WAV", "PCM_16")
        assert len(path.name) <= 200


def test_mixture_is_the_sum_of_its_sources_and_peaks_at_nine_tenths(corpus):
    for _, _, (mix, *sources) in wavs(corpus):
        assert len({len(mix), *map(len, sources)}) == 1
        assert np.abs(mix - sum(sources)).max() <= 2
        assert max(np.abs(signal).max() for signal in (mix, *sources)) == round(0.9 * 2**15)


def test_hours_are_reached_and_told(corpus):
    told = json.loads((corpus / "mix.json").read_text())
    assert told["version"] == __version__
    assert (told["num_speakers"], told["rate"], told["seed"]) == (2, 8000, 0)
    lengths = {"tr": [], "cv": [], "tt": []}
    for split, _, (mix, *_) in wavs(corpus):
        lengths[split].append(len(mix) / 8000)
    for (split, seconds), wanted in zip(lengths.items(), (20, 8, 8), strict=True):
        assert wanted <= sum(seconds) < wanted + max(seconds)
        assert told["splits"][split]["seconds"] == pytest.approx(sum(seconds))
        assert told["splits"][split]["mixtures"] == len(seconds)


def test_speakers_differ_in_a_mixture_and_between_splits(corpus):
    heard = {"tr": set(), "cv": set(), "tt": set()}
    for split, name, _ in wavs(corpus):
        speakers = {utterance.rsplit("-", 1)[0] for utterance in parts(name)[0]}
        assert len(speakers) == 2
        heard[split] |= speakers
    told = json.loads((corpus / "mix.json").read_text())["splits"]
    for split, speakers in heard.items():
        assert speakers <= set(told[split]["speakers"])
    assert not heard["tr"] & heard["cv"]
    assert not heard["tr"] & heard["tt"]
    assert not heard["cv"] & heard["tt"]


def test_every_speaker_and_utterance_gets_its_turn(tmp_path):
    speech = noise_speakers(tmp_path / "speech", 10)
    make_mixtures(speech, tmp_path / "out", hours=600 * SECOND, valid_hours=SECOND, test_hours=SECOND, workers=1)
    drawn = [
        utterance for split, name, _ in wavs(tmp_path / "out") if split == "tr" for utterance in parts(name)[0]
    ]
    counts = {utterance: drawn.count(utterance) for utterance in set(drawn)}
    assert len(counts) == 6 * 2
    assert min(counts.values()) > 0.5 * len(drawn) / 12


def test_measured_levels_are_those_of_the_name(tmp_path):
    # White noise has the same level in every cut, to a fraction of a decibel.
    speech = noise_speakers(tmp_path / "speech", 6)
    make_mixtures(speech, tmp_path / "out", hours=120 * SECOND, valid_hours=SECOND, test_hours=SECOND, workers=1)
    ratios = []
    for _, name, (_, s1, s2) in wavs(tmp_path / "out"):
        gains = parts(name)[1]
        assert gains[0] == -gains[1]
        ratio = 10 * np.log10(np.mean(s1**2) / np.mean(s2**2))
        assert ratio == pytest.approx(gains[0] - gains[1], abs=0.3)
        ratios.append(gains[0] - gains[1])
    assert 0 <= min(ratios) < 1
    assert 4 < max(ratios) <= 5


def test_levels_lie_as_far_apart_as_asked(tmp_path):
    speech = noise_speakers(tmp_path / "speech", 6)
    make_mixtures(speech, tmp_path / "out", **SHORT, level_range=(18.0, 20.0))
    assert json.loads((tmp_path / "out" / "mix.json").read_text())["level_range"] == [18.0, 20.0]
    for _, name, _ in wavs(tmp_path / "out"):
        first, last = parts(name)[1]
        assert 18 <= first - last <= 20


@pytest.mark.parametrize("channel", ["telephone", "gsm"])
def test_mixtures_come_through_a_channel(corpus, speech_folder, tmp_path, channel):
    hours = {"hours": 20 * SECOND, "valid_hours": 8 * SECOND, "test_hours": 8 * SECOND}
    make_mixtures(speech_folder, tmp_path / "out", **hours, channel=channel)
    assert json.loads((tmp_path / "out" / "mix.json").read_text())["channel"] == channel
    for (_, name, clean), (_, same, heard) in zip(wavs(corpus), wavs(tmp_path / "out"), strict=True):
        assert name == same
        error = np.abs(heard[0] - heard[1] - heard[2])
        if channel == "telephone":  # of each source the same part is left as of the mixture
            assert error.max() <= 2
            low = np.abs(np.fft.rfft(heard[0]))[: len(heard[0]) // 40].mean()  # below 200 Hz
            assert low < 0.05 * np.abs(np.fft.rfft(clean[0]))[: len(clean[0]) // 40].mean()
        else:
            assert error.max() > 100


@pytest.mark.parametrize("extra", [[], ["--reverb"]])
def test_the_command_that_trains_on_coded_mixtures_works_as_printed(speech_folder, tmp_path, tiny, capsys, extra):
    hours = ["--hours", str(20 * SECOND), "--valid-hours", str(8 * SECOND), "--test-hours", str(8 * SECOND)]
    words = ["--speech", str(speech_folder), "--out", str(tmp_path / "out"), *hours]
    main(["mix", *words, "--channel", "mulaw", *extra])
    command = shlex.split(capsys.readouterr().out.split("`")[1])
    assert command[:3] == ["tasnet", "train", "custom"]
    check([*command[2:], *tiny, "--output_folder", str(tmp_path / "run")])


def test_sources_are_whole_or_cut_out_of_their_utterances(corpus, speech_folder):
    whole = 0
    for _, name, (_, *sources) in wavs(corpus):
        for utterance, source in zip(parts(name)[0], sources, strict=True):
            speaker, number = utterance.rsplit("-", 1)
            original = read_audio(speech_folder / speaker / f"{number}.wav", 8000)
            match = correlate(original.astype(float), source, "valid")
            energy = correlate(original.astype(float) ** 2, np.ones(len(source)), "valid")
            assert (match**2 / energy).max() > 0.999 * np.sum(source.astype(float) ** 2)
            whole += len(original) == len(source)
    assert whole >= len(list(corpus.glob("wav8k/min/*/mix/*.wav")))


def test_cuts_lie_at_random_places_but_not_in_silence(tmp_path):
    speech = noise_speakers(tmp_path / "speech", 6, seconds=1.0)
    for number in range(6):
        # Ten seconds that are silent but for one: most random cuts of a second would hold nothing.
        noise = np.random.default_rng(number).normal(0, 0.1, 80000)
        noise[:40000] = noise[48000:] = 0
        soundfile.write(speech / f"spk{number}" / "b.wav", noise, 8000)
    make_mixtures(speech, tmp_path / "out", hours=60 * SECOND, valid_hours=SECOND, test_hours=SECOND, workers=1)
    onsets = set()
    for _, name, (_, *sources) in wavs(tmp_path / "out"):
        assert all(np.mean(source**2) > 100 for source in sources)
        lengths = [len(source) for source in sources]
        if lengths == [8000, 8000]:
            onsets |= {
                int(np.argmax(np.abs(source) > 0))
                for utterance, source in zip(parts(name)[0], sources, strict=True)
                if utterance.endswith("b")
            }
    assert len(onsets) > 3


@pytest.mark.parametrize("workers", [1, 2])
def test_same_seed_same_bytes(corpus, speech_folder, tmp_path, workers):
    hours = {"hours": 20 * SECOND, "valid_hours": 8 * SECOND, "test_hours": 8 * SECOND}
    make_mixtures(speech_folder, tmp_path / "again", workers=workers, **hours)
    assert digests(tmp_path / "again") == digests(corpus)


def test_more_hours_begin_with_the_same_mixtures(corpus, speech_folder, tmp_path):
    make_mixtures(speech_folder, tmp_path / "less", workers=1, **SHORT)
    less, more = digests(tmp_path / "less"), digests(corpus)
    del less["mix.json"]
    assert less.items() < more.items()


def test_other_seed_other_mixtures(corpus, speech_folder, tmp_path):
    make_mixtures(speech_folder, tmp_path / "other", seed=1, workers=1, **SHORT)
    assert not {name for _, name, _ in wavs(tmp_path / "other")} & {name for _, name, _ in wavs(corpus)}


def test_three_speakers(speech_folder, tmp_path):
    make_mixtures(speech_folder, tmp_path / "out", num_speakers=3, workers=1, **SHORT)
    mixtures = list(wavs(tmp_path / "out", num_speakers=3))
    assert len(mixtures) >= 3
    for _, name, (mix, *sources) in mixtures:
        assert np.abs(mix - sum(sources)).max() <= 3
        utterances, gains = parts(name)
        assert len({utterance.rsplit("-", 1)[0] for utterance in utterances}) == 3
        assert gains == [gains[0], 0.0, -gains[0]]


def test_nested_folders_mixed_formats_rates_and_channels(tmp_path):
    speech = tmp_path / "speech"
    kinds = [
        ("wav", 8000, 1),
        ("flac", 16000, 1),
        ("ogg", 22050, 2),
        ("mp3", 44100, 1),
        ("wav", 48000, 2),
        ("flac", 8000, 1),
    ]
    for number, (suffix, rate, channels) in enumerate(kinds):
        path = speech / f"spk {number}" / "deep" / "er" / f"one_é.{suffix}"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, (2 * rate, channels)), rate)
    make_mixtures(speech, tmp_path / "out", rate=16000, workers=1, **SHORT)
    mixtures = list(wavs(tmp_path / "out", rate=16))
    assert {split for split, *_ in mixtures} == {"tr", "cv", "tt"}
    for _, name, signals in mixtures:
        assert {len(signal) for signal in signals} == {2 * 16000}
        for utterance in parts(name)[0]:
            assert utterance.startswith("spk-")
            assert utterance.isascii()


def test_table_decides_the_splits(tmp_path):
    speech = noise_speakers(tmp_path / "speech" / "part", 6).parent
    lines = [f"part/spk{number},{split}" for number, split in enumerate(2 * ["test", "valid", "train"])]
    (speech / "speakers.csv").write_text("\n".join(["speaker,split", *lines]))
    make_mixtures(speech, tmp_path / "out", workers=1, **SHORT)
    told = json.loads((tmp_path / "out" / "mix.json").read_text())["splits"]
    assert told["tt"]["speakers"] == ["part/spk0", "part/spk3"]
    assert {n for split, name, _ in wavs(tmp_path / "out") if split == "tt" for n in parts(name)[0]} <= {
        f"part-spk{number}-{utterance}" for number in (0, 3) for utterance in "ab"
    }


@pytest.mark.parametrize("padding", [0, 90])
def test_names_stay_short_and_unique(tmp_path, padding):
    speech = tmp_path / "speech"
    for speaker in range(6):
        for name in ("x" * 120 + "1", "x" * 120 + "2", "a-b", "a_b"):
            path = speech / f"{speaker}{padding * 'y'}" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 8000), 8000)
    make_mixtures(speech, tmp_path / "out", hours=60 * SECOND, valid_hours=SECOND, test_hours=SECOND, workers=1)
    names = [name for split, name, _ in wavs(tmp_path / "out") if split == "tr"]
    assert len(names) == 60
    assert max(len(name) + 4 for name in names) <= 200
    assert len({utterance for name in names for utterance in parts(name)[0]}) == 2 * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_speakers": 1}, ["1 speakers", "at least 2"]),
        ({"num_speakers": 9}, ["9 speakers", "at most 8"]),
        ({"rate": 11025}, ["rate 11025", "multiple of 1000"]),
        ({"rate": 0}, ["rate 0"]),
        ({"hours": 0.0}, ["hours 0.0", "more than 0"]),
        ({"hours": float("nan")}, ["hours nan"]),
        ({"valid_hours": -1.0}, ["valid_hours -1.0"]),
        ({"test_hours": float("inf")}, ["test_hours inf"]),
        ({"seed": -1}, ["seed -1"]),
        ({"workers": 0}, ["workers=0"]),
        ({"level_range": (5.0, 0.0)}, ["level range 5.0 to 0.0 dB", "the lower first"]),
        ({"level_range": (0.0, 90.0)}, ["level range 0.0 to 90.0 dB", "0 to 60"]),
        ({"channel": "cellphone"}, ["channel cellphone", "telephone, mulaw"]),
        ({"channel": "opus", "rate": 11000}, ["opus at 11000 Hz", "one of 8000"]),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, speech_folder, options, words):
    refuses(words, tmp_path, speech_folder, **options)


def test_folders_that_cannot_be_mixed_are_refused(tmp_path):
    refuses(["no such folder"], tmp_path, tmp_path / "gone")


def test_too_few_speakers_are_refused(tmp_path):
    one = noise_speakers(tmp_path / "one", 1)
    refuses(["1 speaker folder found", "at least 6 needed"], tmp_path, one)


def test_too_short_utterances_are_left_out_and_then_missed(tmp_path):
    speech = noise_speakers(tmp_path / "speech", 6, seconds=0.9)
    for number in range(6):
        shutil.copy(
            noise_speakers(tmp_path / f"n{number}", 1) / "spk0" / "a.wav",
            speech / f"spk{number}" / "long.wav",
        )
    make_mixtures(speech, tmp_path / "out", workers=1, **SHORT)
    assert all(u.endswith("-long") for _, name, _ in wavs(tmp_path / "out") for u in parts(name)[0])
    for path in speech.rglob("long.wav"):
        path.unlink()
    refuses(["0 of the 2 speakers", "1 s or more", "at least 2 needed"], tmp_path, speech)


@pytest.mark.parametrize("workers", [1, 2])
def test_silent_utterance_is_named(tmp_path, workers):
    speech = noise_speakers(tmp_path / "speech", 6)
    for path in speech.rglob("b.wav"):
        soundfile.write(path, np.zeros(16000), 8000)
    refuses(["b.wav: silent"], tmp_path, speech, workers=workers, **SHORT)


@pytest.mark.parametrize("workers", [1, 2])
def test_corrupt_utterance_found_midway_is_named(tmp_path, workers):
    speech = tmp_path / "speech"
    for number in range(6):
        path = speech / f"spk{number}" / "a.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 16000), 8000)
        # The header still promises two seconds.
        path.write_bytes(path.read_bytes()[:10000])
    refuses(["a.flac", "cannot be decoded"], tmp_path, speech, workers=workers, **SHORT)


def test_corrupt_header_is_named(tmp_path):
    speech = noise_speakers(tmp_path / "speech", 6)
    (speech / "spk3" / "c.wav").write_text("hello")
    refuses(["c.wav", "cannot be read as audio"], tmp_path, speech, workers=1)


def test_interrupted_run_is_continued(corpus, speech_folder, tmp_path, monkeypatch):
    hours = {"hours": 20 * SECOND, "valid_hours": 8 * SECOND, "test_hours": 8 * SECOND}
    rendered = []

    def interrupt(mixture, rate):
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(mixture.name)
        return render(mixture, rate)

    monkeypatch.setattr("speechbrain_tasnet.generate.mixing.render", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_mixtures(speech_folder, tmp_path / "out", workers=1, **hours)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    make_mixtures(speech_folder, tmp_path / "out", workers=1, **hours)
    assert digests(tmp_path / "out") == digests(corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_taken_folder_is_refused_and_kept(corpus, speech_folder):
    before = digests(corpus)
    with pytest.raises(InputError, match="already holds"):
        make_mixtures(speech_folder, corpus, workers=1, **SHORT)
    assert digests(corpus) == before


def test_workers_die_with_a_killed_run_and_the_next_one_goes_on(tmp_path, speech_folder):
    options = {"hours": 300 * SECOND, "valid_hours": 4 * SECOND, "test_hours": 4 * SECOND}
    code = f"from speechbrain_tasnet.generate.mixing import make_mixtures as f; f({str(speech_folder)!r}, 'out', "
    code += f"workers=2, **{options})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    done = tmp_path / ".out.partial/wav8k/min/tr/s2"
    while not (done.is_dir() and len(list(done.iterdir())) >= 3):
        assert process.poll() is None
    process.kill()
    # The workers hold the other end of the pipe: this returns when the last of them has gone.
    assert process.stdout.read() == b""
    kept = {path: path.stat().st_mtime_ns for path in done.glob("*.wav") if not path.name.startswith(".")}
    make_mixtures(speech_folder, tmp_path / "out", workers=1, **options)
    assert len(kept) >= 2
    for path, time in kept.items():
        assert (tmp_path / "out" / path.relative_to(tmp_path / ".out.partial")).stat().st_mtime_ns == time
    make_mixtures(speech_folder, tmp_path / "whole", workers=1, **options)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
