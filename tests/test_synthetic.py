import csv
import errno
import hashlib
import sys
from itertools import combinations
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.folders.speech import split_speakers
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.synthetic_voices import (
    LANGUAGES,
    VARIANTS,
    Espeak,
    Speaker,
    _record,
    synthesize_speech,
)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(folder):
    with (folder / "speakers.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_folder_is_one_that_mixing_can_split(speech_folder):
    splits = split_speakers(speech_folder, 3, seed=0)
    assert {split: len(speakers) for split, speakers in splits.items()} == {"tr": 4, "cv": 3, "tt": 3}
    assert all(len(files) == 3 for speakers in splits.values() for files in speakers.values())


def test_utterances_are_speech_of_a_few_seconds(speech_folder):
    for path in speech_folder.glob("*/*.wav"):
        samples = read_audio(path, 8000)
        assert soundfile.info(path).samplerate == 8000
        assert 1.5 < len(samples) / 8000 < 9
        assert np.abs(samples).max() == pytest.approx(0.5, abs=1e-3)
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        assert max(loud[0], len(samples) - loud[-1]) <= 0.2 * 8000


def test_utterances_differ(speech_folder):
    sounds = {name: digest for name, digest in digests(speech_folder).items() if name.endswith(".wav")}
    assert len(sounds) == 30
    assert len(set(sounds.values())) == 30


def test_speakers_say_different_things(tmp_path):
    paths = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    for number in (0, 1):
        twin = Speaker(f"twin-{number}", "train", "de", "f1", 50, 50, 180, 1.0, seed=(0, 0, number))
        _record(twin, tmp_path, paths, utterances=1, rate=8000)
    assert len(set(digests(tmp_path).values())) == 2


def test_table_tells_voices_and_seconds(speech_folder):
    rows = table(speech_folder)
    assert list(rows[0]) == ["speaker", "split", "language", "variant", "pitch", "speed", "tract", "seconds"]
    for row in rows:
        files = list((speech_folder / row["speaker"]).iterdir())
        seconds = sum(soundfile.info(path).duration for path in files)
        assert float(row["seconds"]) == pytest.approx(seconds, abs=0.06)


def test_no_variant_serves_two_splits(speech_folder):
    used = {split: {row["variant"] for row in table(speech_folder) if row["split"] == split} for split in VARIANTS}
    for split, variants in used.items():
        assert variants <= set(VARIANTS[split].split())
    for one, other in combinations(VARIANTS.values(), 2):
        assert not set(one.split()) & set(other.split())


@pytest.mark.parametrize("workers", [1, 2])
def test_same_seed_same_bytes(speech_folder, tmp_path, workers):
    synthesize_speech(tmp_path / "again", num_speakers=(4, 3, 3), utterances=3, workers=workers)
    assert digests(tmp_path / "again") == digests(speech_folder)


def test_other_seed_other_voices(speech_folder, tmp_path):
    synthesize_speech(tmp_path / "other", num_speakers=(4, 1, 1), utterances=1, seed=1, workers=1)
    voices = [
        [(row["language"], row["variant"]) for row in table(f)[:4]] for f in (speech_folder, tmp_path / "other")
    ]
    assert voices[0] != voices[1]


def test_other_rate(tmp_path):
    synthesize_speech(tmp_path / "out", num_speakers=(1, 1, 1), utterances=1, rate=16000, workers=1)
    assert soundfile.info(tmp_path / "out" / "test-000" / "000.wav").samplerate == 16000


def test_every_voice_speaks_every_language():
    data = espeakng_loader.get_data_path()
    variants = [variant for names in VARIANTS.values() for variant in names.split()]
    files = {path.name for path in Path(data, "voices", "!v").iterdir()}
    # The library takes an unknown variant for the plain voice without a word.
    assert set(variants) <= files
    sounds = set()
    with Espeak(espeakng_loader.get_library_path(), data, seed=0) as espeak:
        for variant in variants:
            for language in LANGUAGES.split():
                espeak.set_voice(Speaker("x", "train", language, variant, 50, 50, 180, 1.0, ()))
                samples = espeak.say("tamo")
                assert 0.003 < np.sqrt(np.mean(samples**2)) < 0.3, (language, variant)
                assert np.abs(samples).max() < 1
                sounds.add(samples.tobytes())
    assert len(sounds) > 0.99 * len(variants) * len(LANGUAGES.split())


def no_link(*_, **__):
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


@pytest.mark.parametrize("links", [True, False], ids=["by a link", "by a copy"])
def test_long_data_path_is_worked_around(speech_folder, tmp_path, monkeypatch, links):
    deep = tmp_path / ("x" * 200)
    deep.mkdir()
    (deep / "data").symlink_to(espeakng_loader.get_data_path())
    with pytest.raises(InputError, match="cannot read its voices"):
        Espeak(espeakng_loader.get_library_path(), str(deep / "data"), seed=0)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "data"))
    if not links:  # as for most users of Windows
        monkeypatch.setattr(Path, "symlink_to", no_link)
    synthesize_speech(tmp_path / "out", num_speakers=(4, 3, 3), utterances=3, workers=1)
    assert digests(tmp_path / "out") == digests(speech_folder)


def test_missing_package_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"pip install 'speechbrain-tasnet\[demo\]'"):
        synthesize_speech(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"num_speakers": (4, 0, 3)},
        {"num_speakers": (4, 3)},
        {"utterances": 0},
        {"rate": 48000},
        {"rate": 0},
        {"seed": -1},
    ],
)
def test_options_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(InputError, match="expected"):
        synthesize_speech(tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_unknown_voice_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("speechbrain_tasnet.generate.synthetic_voices.LANGUAGES", "zz")
    with pytest.raises(InputError, match=r"voice zz\+"):
        synthesize_speech(tmp_path / "out", num_speakers=(1, 1, 1), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_taken_folder_is_refused(speech_folder):
    before = digests(speech_folder)
    with pytest.raises(InputError, match="already holds"):
        synthesize_speech(speech_folder)
    assert digests(speech_folder) == before
