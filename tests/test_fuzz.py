"""Anything at all on the command line and in a recipe: it works, or it is one line, and nothing is left behind.

A few words of each kind run with the suite, many with ``-m long``.
"""

import argparse
import io
import os
import shutil
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.cli import COMMANDS, _parser, main
from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.includes import whole_text
from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.errors import InputError

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

# Numbers are small or boundless: what takes hours because it was asked for is no mistake.
NUMBERS = ["0", "-1", "2", "1.5", "1e-9", "nan", "-inf", ".inf", "9" * 400, "1e999", "0x10", "1_0", "½", "٣"]
YAML = [
    "null",
    "~",
    "''",
    "True",
    "[]",
    "[1]",
    "[a, null]",
    "{a: 1}",
    "[[]]",
    "[",
    "{",
    "*x",
    "&x 1",
    "? ",
    "- a",
    "!",
]
TEXTS = [
    "",
    " ",
    "-",
    "--",
    "--help",
    "é😀",
    "\u202e",
    "a\nb",
    "\t",
    "x" * 5000,
    "\udcff",
    "a=b",
    "@file",
    "%s",
    "`",
]
PLACES = [".", "..", "/dev/null", "file", "file/below", "empty", "absent/deep", "mix.wav"]
HELD = ["speech", "corpus", "model"]
letters = st.characters(exclude_characters="\0")
odd = st.sampled_from([*NUMBERS, *YAML, *TEXTS, *PLACES, *HELD]) | st.text(letters, max_size=9)

# What would do hours of work, or ask the network, were it right.
HARMLESS = {
    "demo": ["--out", "file/below"],
    "mix": ["--hours", "1e-9", "--valid-hours", "1e-9", "--test-hours", "1e-9"],
    "download": ["--mirror", "http://127.0.0.1:1"],
    "generate rooms": ["--rooms", "1"],
    "train": ["wsj0mix", "--check"],
    "evaluate": ["wsj0mix", "--data_folder", "corpus", "--output_folder", "absent/deep"],
}
TINY = "--N 8 --L 16 --B 4 --H 8 --Sc 4 --X 2 --R 1 --batch_size 2 --segment 0.5 --num_workers 0 --device cpu"


def some(count):
    """The same examples every time, and as many as there is time for."""
    checks = [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow]
    return hypothesis.settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory, corpus, speech_folder, trained):
    """A folder to be in: below it is all that words may name, above it nothing that they may harm."""
    home = tmp_path_factory.mktemp("fuzz") / "above/here"
    home.mkdir(parents=True)
    (home / "empty").mkdir()
    (home / "file").write_text("precious")
    soundfile.write(home / "mix.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 8000)
    for name, folder in (("corpus", corpus), ("speech", speech_folder), ("model", trained / "pretrained")):
        shutil.copytree(folder, home / name)
    before = os.getcwd()
    os.chdir(home)
    yield home
    os.chdir(before)


def content(home):
    """Tell all files there are, and when they were written, and all folders."""
    found = home.parents[1].rglob("*")
    return {path: None if path.is_dir() else path.lstat().st_mtime_ns for path in found}


@contextmanager
def nothing_left(home):
    """See that what is done leaves all files as they are, and makes no new one."""
    before = content(home)
    yield
    assert content(home) == before


def tasnet(words):
    """Run the command line; returns its status and what it has said of it."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            main(words)
        except SystemExit as stop:
            return stop.code or 0, said.getvalue()
    return 0, said.getvalue()


def leaves(parser, names=()):
    """Yield the commands that do something, as words, with their options."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, child in action.choices.items():
            yield from leaves(child, (*names, name))
    if not below:
        yield " ".join(names), [a for a in parser._actions if a.dest != "help"]


LEAVES = dict(leaves(_parser()))


@st.composite
def words_of(draw, command):
    """Words for a command: most of its options, each with anything behind it, and sometimes what it has not."""
    words = []
    for action in LEAVES[command]:
        if action.required or draw(st.integers(0, 3)) == 0:
            words += action.option_strings[:1]
            if action.nargs != 0:
                words += draw(st.lists(odd, min_size=1, max_size=2 if action.nargs == "+" else 1))
    words += HARMLESS.get(command, [])
    if draw(st.integers(0, 9)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(odd))
    return [*command.split(), *words]


def survives(place, words):
    """Demand that words do their work, or end in one line and leave nothing."""
    before = content(place)
    status, said = tasnet(words)
    hypothesis.note(said)
    assert status in (0, 2)
    assert "Traceback" not in said
    if status == 2:
        assert said.rstrip("\n").split("\n")[-1].startswith("tasnet")
        assert ": error: " in said
        assert content(place) == before
    else:
        for path in sorted(content(place).keys() - before.keys(), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
def no_input():
    """Close standard input, as far as `tasnet stream` is concerned."""
    held, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    yield
    os.dup2(held, 0)
    os.close(nothing)


def test_all_commands_are_met():
    assert {command.split()[0] for command in LEAVES} == set(COMMANDS)


@pytest.mark.parametrize("command", LEAVES)
def test_words(command, place, no_input, roomy_disk):
    some(5)(hypothesis.given(words_of(command))(lambda words: survives(place, words)))()


@pytest.mark.long
@pytest.mark.parametrize("command", LEAVES)
def test_many_words(command, place, no_input):
    some(200)(hypothesis.given(words_of(command))(lambda words: survives(place, words)))()


KEYS = sorted(dict(loading.read(["wsj0mix", "--data_folder", "."]).settings))
overrides = st.lists(
    st.tuples(st.sampled_from([*KEYS, "device", "precision", "nonsense", "seed.x"]), odd), min_size=1, max_size=3
)


def overridden(pairs):
    words = [word for key, value in pairs for word in (f"--{key}", value)]
    return ["wsj0mix", "--data_folder", "corpus", *TINY.split(), *words]


def read(argv):
    """Demand that a recipe is read, or refused in one line; SpeechBrain's own parser may end the program."""
    message = ""
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()), suppress(SystemExit):
        try:
            loading.read(argv)
        except InputError as error:
            message = str(error)
    assert len(message.splitlines()) <= 1


def test_overrides(place):
    with nothing_left(place):
        some(40)(hypothesis.given(overrides)(lambda pairs: read(overridden(pairs))))()


@st.composite
def spoilt_recipes(draw):
    """A recipe with lines lost, doubled, or with something else behind the colon."""
    lines = whole_text(PACKAGED / "wsj0mix.yaml").splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[number].partition(":")
        lines[number] = draw(
            st.sampled_from(["", f"{lines[number]}\n{lines[number]}"]) | odd.map(f"{key}{colon} ".__add__)
        )
    return "\n".join(lines)


def test_files(place, tmp_path):
    recipe = tmp_path / "spoilt.yaml"

    def check(text):
        recipe.write_text(text, encoding="utf-8", errors="surrogateescape")
        read([str(recipe), "--data_folder", "corpus", *TINY.split()])

    with nothing_left(place):
        some(30)(hypothesis.given(spoilt_recipes())(check))()


@pytest.mark.long
def test_many_overrides_are_checked_as_a_whole(place):
    """All that comes before the first step, the dry run too."""

    def check(pairs):
        survives(place, ["train", "--check", *overridden(pairs)])

    some(300)(hypothesis.given(overrides)(check))()
