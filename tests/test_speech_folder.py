import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.data.folders.noise import split_noise, training_noise
from speechbrain_tasnet.data.folders.speech import find_speakers, split_speakers
from speechbrain_tasnet.errors import InputError


def add(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(80), 8000, format=path.suffix[1:].upper())
    return folder


def many(folder, count):
    return add(folder, *(f"spk{number:02d}/a.wav" for number in range(count)))


def refuses(words, function, *args):
    with pytest.raises(InputError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_speakers_are_top_folders_and_files_lie_as_deep_as_they_like(tmp_path):
    add(
        tmp_path,
        "bob/x/y/2.flac",
        "bob/1.wav",
        "bob/3.OGG",
        "ann/1.mp3",
        ".cache/1.wav",
        "bob/._1.wav",
        "loose.wav",
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").write_text("x")
    (tmp_path / "bob" / "notes.txt").write_text("x")
    assert find_speakers(tmp_path) == {
        "ann": [tmp_path / "ann/1.mp3"],
        "bob": [tmp_path / "bob/1.wav", tmp_path / "bob/3.OGG", tmp_path / "bob/x/y/2.flac"],
    }
    assert list(find_speakers(tmp_path)) == ["ann", "bob"]


def test_folder_without_audio_is_refused(tmp_path):
    refuses(["gone", "no such folder"], find_speakers, tmp_path / "gone")
    refuses(["gone", "no such folder"], split_speakers, tmp_path / "gone", 2, 0)
    refuses(["no audio found", "subfolder per speaker"], find_speakers, tmp_path)
    refuses(["no audio found"], split_speakers, add(tmp_path, "loose.wav"), 2, 0)


@pytest.mark.parametrize(("count", "sizes"), [(6, [2, 2, 2]), (20, [16, 2, 2]), (50, [40, 5, 5])])
def test_random_split_is_disjoint_complete_and_about_a_tenth(tmp_path, count, sizes):
    folder = many(tmp_path, count)
    splits = split_speakers(folder, 2, seed=0)
    assert list(splits) == ["tr", "cv", "tt"]
    assert [len(speakers) for speakers in splits.values()] == sizes
    together = {name: files for speakers in splits.values() for name, files in speakers.items()}
    assert len(together) == sum(sizes)
    assert together == find_speakers(folder)


def test_random_split_depends_on_the_seed_alone(tmp_path):
    folder = many(tmp_path, 20)
    assert split_speakers(folder, 2, seed=1) == split_speakers(folder, 2, seed=1)
    assert split_speakers(folder, 2, seed=1) != split_speakers(folder, 2, seed=2)


@pytest.mark.parametrize(("num_speakers", "count"), [(2, 1), (2, 5), (3, 8)])
def test_too_few_speakers_are_counted(tmp_path, num_speakers, count):
    needed = f"at least {3 * num_speakers} needed"
    refuses([f"{count} speaker folder", needed], split_speakers, many(tmp_path, count), num_speakers, 0)


def test_table_decides_speakers_and_splits(tmp_path):
    add(tmp_path, *(f"{part}/{name}/1.wav" for part in ("x", "y") for name in "abcd"))
    rows = ["x/a,train", "x/b,train", "x/c,valid", "y/c,valid", "x/d,test", "y/d,test"]
    (tmp_path / "speakers.csv").write_text("\n".join(["speaker,split,age", *(f"{row},30" for row in rows)]))
    splits = split_speakers(tmp_path, 2, seed=0)
    assert {split: list(speakers) for split, speakers in splits.items()} == {
        "tr": ["x/a", "x/b"],
        "cv": ["x/c", "y/c"],
        "tt": ["x/d", "y/d"],
    }
    assert splits["cv"]["y/c"] == [tmp_path / "y/c/1.wav"]


GOOD = "speaker,split\nspk00,train\nspk01,train\nspk02,valid\nspk03,valid\nspk04,test\nspk05,test\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (GOOD + "spk99,train\n", ["line 8", "no folder 'spk99'"]),
        (GOOD + "spk\u00e9,train\n", ["line 8", "no folder"]),
        (GOOD + ",train\n", ["line 8", "no folder ''"]),
        (GOOD + "empty,train\n", ["line 8", "'empty' holds no audio"]),
        (GOOD + "spk00,test\n", ["line 8", "spk00", "too"]),
        (GOOD.replace("spk05", "spk04"), ["line 7", "spk04", "too"]),
        (GOOD.replace("spk01,train", "spk01,dev"), ["line 3", "split 'dev'", "train, valid, test"]),
        (GOOD.replace("split", "part", 1), ["no column split", "speaker,split"]),
        ("", ["no column speaker and split"]),
        (GOOD.replace("spk03,valid\n", ""), ["1 speakers with split valid", "at least 2 needed"]),
    ],
)
def test_wrong_table_is_refused(tmp_path, table, words):
    many(tmp_path, 6)
    (tmp_path / "empty").mkdir()
    (tmp_path / "speakers.csv").write_bytes(table.encode("latin-1"))
    refuses(["speakers.csv", *words], split_speakers, tmp_path, 2, 0)


def test_good_table_is_taken(tmp_path):
    many(tmp_path, 6)
    (tmp_path / "speakers.csv").write_text(GOOD)
    assert list(split_speakers(tmp_path, 2, 0)["tt"]) == ["spk04", "spk05"]


def test_folders_are_read_whole_and_once(tmp_path):
    """Links to folders are followed, also in a circle; what is hidden or macOS's own is no speech."""
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "speech"
    for path in ("anna/a.WAV", "anna/deep/b.flac", "anna/.hidden/c.wav", "__MACOSX/anna/a.wav", "anna/._a.wav"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    elsewhere.mkdir()
    (elsewhere / "d.ogg").touch()
    (folder / "anna/more").symlink_to(elsewhere)
    (folder / "anna/again").symlink_to(folder / "anna")
    (elsewhere / "back").symlink_to(folder / "anna")
    found = find_speakers(folder)
    assert list(found) == ["anna"]
    assert [path.name for path in found["anna"]] == ["a.WAV", "b.flac", "d.ogg"]
    assert [path.name for path in training_noise(folder)] == ["a.WAV", "b.flac", "d.ogg"]


@pytest.mark.parametrize("blank", ["\n", "\n\n\n"])
def test_blank_lines_in_a_table_do_not_shift_its_lines(tmp_path, blank):
    many(tmp_path, 6)
    (tmp_path / "speakers.csv").write_text(GOOD.replace("\n", f"\n{blank}", 1) + "spk99,train\n")
    refuses([f"line {8 + len(blank)}: no folder 'spk99'"], split_speakers, tmp_path, 2, 0)
    (tmp_path / "noise.csv").write_text(f"file,split\n{blank}gone.wav,train\n")
    refuses([f"line {2 + len(blank)}: no file 'gone.wav'"], split_noise, tmp_path, 8000, 0)


def test_what_is_taken_and_what_is_left_out_is_told(tmp_path, capsys):
    """All that soundfile reads is taken, in either case; what it cannot read is counted, what is hidden is not."""
    for name in ("anna/1.opus", "anna/2.AIFF", "anna/3.caf", "bob/1.w64", "bob/2.mp2", "bob/.trash/x.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("anna/1.m4a", "anna/2.M4A", "carl/3.m4a", "bob/talk.webm", "bob/notes.txt", "loose.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "bob/lost.flac").symlink_to("nowhere")
    found = find_speakers(tmp_path)
    assert {name: [path.name for path in files] for name, files in found.items()} == {
        "anna": ["1.opus", "2.AIFF", "3.caf"],
        "bob": ["1.w64", "2.mp2"],
    }
    assert capsys.readouterr().err == (
        f"{tmp_path}: 5 files of 2 speakers taken (left out: "
        ".flac: 1 file behind links that lead nowhere; "
        ".m4a: 3 files that soundfile cannot read; convert with ffmpeg; "
        ".webm: 1 file that soundfile cannot read; convert with ffmpeg; in no speaker's folder: 1 file)\n"
    )
    for path in tmp_path.rglob("*.*"):
        if path.suffix.lower() != ".m4a" and path.is_file():
            path.unlink()
    refuses(["no audio found", ".m4a: 3 files that soundfile cannot read; convert"], find_speakers, tmp_path)
    refuses([".m4a: 3 files that soundfile cannot read"], training_noise, tmp_path)
