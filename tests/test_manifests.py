"""Manifests of one's own: what is clear is understood, the rest is one line."""

import csv
import shutil

import pytest
import soundfile
from corpora import write_wsj0mix

from speechbrain_tasnet.data.durations import durations
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.read_manifest import duration_of, read_manifest
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow

HEADER = ["ID", "duration", "mix_wav", "s1_wav", "s2_wav"]


@pytest.fixture(scope="module")
def files(corpus):
    """Paths of the mixtures of a corpus and their sources, and how long they are."""
    mixtures = sorted((corpus / "wav8k/min/tr/mix").glob("*.wav"))
    paths = [[str(path.parents[1] / name / path.name) for name in ("mix", "s1", "s2")] for path in mixtures]
    return paths, [soundfile.info(path).duration for path in mixtures]


@pytest.fixture
def lines(files):
    """The cells of a sound manifest, which a test may change."""
    return [HEADER] + [
        [f"m{i}", f"{seconds:.6f}", *paths] for i, (paths, seconds) in enumerate(zip(*files, strict=True))
    ]


def write(path, lines, encoding="utf-8", delimiter=","):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    return path


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8-sig", ","), ("utf-16", "\t"), ("utf-16-le", ";"), ("utf-16-be", ","), ("utf-8", ";")],
)
def test_whatever_wrote_it(files, lines, tmp_path, encoding, delimiter):
    dataset = make_dataset(write(tmp_path / "tr.csv", lines, encoding, delimiter), "/nowhere", 2, 8000)
    assert dataset.data_ids == [f"m{i}" for i in range(len(files[0]))]
    assert dataset[0]["mixture"].tolist() == soundfile.read(files[0][0][0], dtype="float32")[0].tolist()


def with_header(*names):
    return lambda lines: [list(names), *lines[1:]]


def with_cell(column, value, rows=slice(1, None)):
    def change(lines):
        for line in lines[rows]:
            line[column] = value
        return lines

    return change


def without(column):
    return lambda lines: [line[:column] + line[column + 1 :] for line in lines]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines,
        with_header("id", "Duration", "MIX_WAV", "s1_wav", "s2_wav"),
        with_header("ID", " duration", " mix_wav", " s1_wav", " s2_wav"),
        without(1),
        with_cell(1, "n/a"),
        with_cell(1, "", slice(2, 3)),
        with_cell(1, "1.0"),  # as SpeechBrain's own recipes have it
        with_cell(1, "-3", slice(1, 2)),
        with_cell(1, "inf", slice(1, 2)),
        lambda lines: [[*line, "", ""] for line in lines],
        lambda lines: [lines[0], [], *lines[1:], ["", ""]],
        lambda lines: [[*lines[0], "id", "place", "mixture"], *([*line, "1", "2", "3"] for line in lines[1:])],
    ],
)
def test_what_is_clear_is_understood_and_durations_are_those_of_the_files(change, files, lines, tmp_path):
    path = write(tmp_path / "tr.csv", change(lines))
    items = read_manifest(path, "/nowhere", 2, 8000)
    assert list(items) == [f"m{i}" for i in range(len(files[0]))]
    assert [[item[column] for column in HEADER[2:]] for item in items.values()] == files[0]
    assert durations(items, path) == pytest.approx(files[1], abs=0.005)
    assert make_dataset(path, "/nowhere", 2, 8000)[0]["sources"].shape[1] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:1], r"tr\.csv: no mixture in it; expected a CSV file"),
        (lambda lines: [], r"tr\.csv: columns \[\], expected"),
        (with_cell(0, "m0", slice(2, 3)), r"line 3: ID 'm0' is that of line 2 too; give each line its own"),
        (with_cell(0, "", slice(2, 3)), "line 3: no ID; complete the line or delete it"),
        (with_cell(4, "", slice(2, 3)), "line 3: no s2_wav"),
        (lambda lines: [lines[0], lines[1][:4]], "line 2: no s2_wav"),
        (lambda lines: [lines[0], [*lines[1], "and more"]], "line 2: 6 values, expected 5; put .* double quotes"),
        (with_header("name", *HEADER[1:]), "expected .*; ID is missing"),
        (without(4), r"expected .* for num_spks=2; s2_wav is missing"),
        (
            with_cell(2, "$data_folder/x.wav"),
            r"line 2: '\$data_folder/x\.wav': no such file.*expected \$data_root",
        ),
        (
            lambda lines: [[*lines[0], "sample_rate"], [*lines[1], "8000.0"], [*lines[2], "16000"]],
            "16000 Hz, expected sample_rate=8000",
        ),
        (with_cell(2, "x" * 200000), "line 2: field larger than field limit"),
    ],
)
def test_what_is_not_is_one_line(change, message, lines, tmp_path):
    path = write(tmp_path / "tr.csv", change(lines))
    with pytest.raises(InputError, match=message) as caught:
        make_dataset(path, "/nowhere", 2, 8000)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_another_encoding_is_one_line(lines, tmp_path):
    path = write(tmp_path / "tr.csv", with_cell(0, "café", slice(2, 3))(lines), "latin-1")
    with pytest.raises(InputError, match=r"tr\.csv line 3: not in UTF-8; save the file again as UTF-8"):
        make_dataset(path, "/nowhere", 2, 8000)


def test_durations_that_are_true_are_believed(lines, tmp_path, monkeypatch):
    """Only some headers are read, not those of 50,000 files."""
    items = read_manifest(write(tmp_path / "tr.csv", lines), "/nowhere", 2)
    many = {f"{name}-{copy}": item for name, item in items.items() for copy in range(100)}
    read = []
    monkeypatch.setattr(soundfile, "info", lambda path, real=soundfile.info: read.append(path) or real(path))
    assert durations(many, "tr.csv") == [duration_of(item) for item in many.values()]
    assert len(read) == 50


def test_a_file_that_is_gone_counts_what_is_stated(lines, tmp_path):
    lines[1][2], lines[2][1] = "gone.wav", "n/a"
    items = read_manifest(write(tmp_path / "tr.csv", lines), "/nowhere", 2)
    assert durations(items, "tr.csv")[0] == float(lines[1][1])


def test_a_dollar_in_names_is_a_letter(corpus, tiny, tmp_path):
    """In those of files, of ids and of the data folder."""
    root = write_wsj0mix(tmp_path / "my $corpus", corpus)
    for path in root.rglob("*.wav"):
        path.rename(path.with_name(f"$data_root {path.stem} $5.wav"))
    prepare_wsj0mix(root, tmp_path / "save")
    items = read_manifest(tmp_path / "save/tr.csv", root, 2, 8000)
    assert all(name.startswith("$data_root ") for name in items)
    make_dataset(tmp_path / "save/tr.csv", root, 2, 8000)[0]
    workflow.check(["wsj0mix", "--data_folder", str(root), "--output_folder", str(tmp_path / "run"), *tiny])


def test_the_dry_run_and_the_hours_are_of_the_files(corpus, files, lines, tiny, tmp_path):
    """With SpeechBrain's manifests it was a dry run of one second, and as many hours as mixtures."""
    paths = [write(tmp_path / f"{name}.csv", with_cell(1, "1.0")(lines)) for name in ("tr", "cv", "tt")]
    words = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    words[words.index("--segment") + 1] = "null"
    words += ["--skip_prep", "True", "--number_of_epochs", "1"]
    for option, path in zip(("--train_data", "--valid_data", "--test_data"), paths, strict=True):
        words += [option, str(path)]
    assert workflow.check(words).seconds == pytest.approx(max(files[1]), abs=0.001)
    folder = workflow.run(words)
    card = (folder / "pretrained/config.json").read_text()
    assert f'"hours": {round(sum(files[1]) / 3600, 4)}' in card
    shutil.rmtree(folder)
