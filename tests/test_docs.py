"""What README and documentation show runs, and what they name exists."""

import base64
import doctest
import importlib.util
import io
import re
import shlex
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import nbformat
import numpy as np
import pytest
import soundfile
import yaml

import speechbrain_tasnet
from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import _parser, main
from speechbrain_tasnet.configuration.includes import whole_text
from speechbrain_tasnet.configuration.loading import ALLOW_SLOW, find, read
from speechbrain_tasnet.configuration.model_files import sizes_of, with_model
from speechbrain_tasnet.configuration.names import check_names
from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.convert import TOOLKITS
from speechbrain_tasnet.generate.download_table import find_source
from speechbrain_tasnet.shipped import bundled_names
from speechbrain_tasnet.study.definition import Study, find_study, load_study

ROOT = Path(__file__).parents[1]


def _hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hooks, listening, notebook_page = _hook("hooks"), _hook("listening"), _hook("notebook_page")

GENERATED = {f"docs/{path}": text for path, text in hooks.generated().items()}
NOTEBOOK = (ROOT / "docs" / notebook_page.NOTEBOOK).read_text(encoding="utf-8")
GENERATED[f"docs/{notebook_page.PAGE}"] = notebook_page.page(notebook_page.read(NOTEBOOK))
WRITTEN = ["README.md", "CONTRIBUTING.md", "recipes/README.md"]
WRITTEN += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in WRITTEN}
PAGES["docs/recipe-reference.md"] = GENERATED["docs/recipe-reference.md"]

FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A block of code in a page, and what the comment above it says of it."""

    page: str
    line: int
    mark: str
    language: str
    code: str

    def __str__(self):
        return f"{self.page}:{self.line}"


BLOCKS = [
    Block(page, text[: found.start("code")].count("\n") + 1, found["mark"] or "", found["language"], found["code"])
    for page, text in PAGES.items()
    for found in FENCE.finditer(text)
]


def blocks(language: str, mark: str = "") -> list:
    """List blocks of a language whose mark begins with a word, or that have none."""
    found = [each for each in BLOCKS if each.language == language]
    found = [each for each in found if (each.mark.startswith(mark) if mark else not each.mark)]
    return [pytest.param(each, id=str(each)) for each in found]


def execute(block: Block, names: dict) -> None:
    exec(compile("\n" * block.line + block.code, block.page, "exec"), names)


def test_every_fence_is_found_and_every_mark_known():
    for page, text in PAGES.items():
        assert len(re.findall("^ *```", text, re.MULTILINE)) == 2 * sum(each.page == page for each in BLOCKS), page
        marks = [each.mark for each in BLOCKS if each.page == page and each.mark]
        assert re.findall("^<!-- (.+) -->", text, re.MULTILINE) == marks, page
    assert all(re.fullmatch("bundle|not run: .+", each.mark) for each in BLOCKS if each.mark)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(block, {})


@pytest.mark.parametrize("block", blocks("python", "bundle"))
def test_python_blocks_run_on_a_bundle(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    save_bundle("results/wsj0mix/1234/pretrained", modules, 8000)
    soundfile.write("meeting.wav", np.random.default_rng(0).normal(size=4410) / 10, 44100)
    names = {}
    execute(block, names)
    assert "sources" not in names or names["sources"].shape in ((2, 8000, 2), (1, 4410, 2))


@pytest.mark.long
@pytest.mark.parametrize("block", blocks("python", "not run"))
def test_python_blocks_run_that_take_long(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(block, {})


def test_receptive_field_is_printed_as_shown(capsys):
    [block] = [each for each in BLOCKS if each.language == "python" and "receptive_field" in each.code]
    execute(block, {})
    printed = capsys.readouterr().out.strip()
    assert printed
    assert f"# {printed}" in block.code


def commands(program: str) -> list:
    """List the lines of shell blocks that run a program, alone or in a pipe, by page and words."""
    found = []
    for block in BLOCKS:
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                for part in line.split(" | "):
                    if match := re.match(rf"(?:\S+ )*?{program} (.*)", part):
                        found.append(pytest.param(shlex.split(match[1], comments=True), id=f"{block}: {part}"))
    return found


@pytest.mark.parametrize("words", commands("tasnet"))
def test_commands_are_understood(words):
    options, rest = _parser().parse_known_args(words)
    if options.command in ("train", "evaluate"):
        check_overrides(options.recipe, options.model, rest)
    elif options.command == "study":
        definition = yaml.safe_load(find_study(options.study).read_text(encoding="utf-8"))
        # Keys of the study itself; all others are the recipe's.
        names = [word.partition("=")[0].removeprefix("--") for word in rest if word.startswith("--")]
        check_overrides(
            definition["recipe"], None, [f"--{name}" for name in names if name not in Study.__dataclass_fields__]
        )
    else:
        assert not rest
    if options.command == "download":
        find_source(options.name)
    if options.command == "import":
        assert options.toolkit in TOOLKITS


@pytest.mark.parametrize("words", commands(r"recipes/(?:train|evaluate)\.py"))
def test_recipe_scripts_are_given_what_exists(words):
    assert not words[0].endswith(".yaml") or (ROOT / words[0]).exists() or words[0].startswith("...")
    check_overrides(Path(words[0]).stem, None, words[1:])


def check_overrides(recipe: str, model: str | None, words: list[str]) -> None:
    """Check the names behind a packaged recipe as `loading.read` does."""
    if (PACKAGED / f"{recipe}.yaml").exists():
        text = whole_text(find(recipe))
        text = text if model is None else with_model(text, model)
        check_names(text, [word for word in words if word not in ("--check", ALLOW_SLOW)])


FILE = re.compile(r"# ([\w/]+\.yaml)")


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_blocks_load(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("corpus", "LibriSpeech/train-clean-100"):
        Path(folder).mkdir(parents=True)
    for each in BLOCKS:
        if each.page == block.page and (name := FILE.match(each.code)):
            Path(name[1]).write_text(each.code)
    keys = re.findall(r"^(\S+):", block.code, re.MULTILINE)
    if not keys:  # what a file begins with
        assert all(line.startswith("#") for line in block.code.splitlines())
        return
    name = FILE.match(block.code)[1]
    if "contestants" in keys:
        assert len(load_study([name, "--data_folder", "corpus"]).contestants) == 2
    elif "encoder" in keys:
        assert set(sizes_of(name)) == {"N", "L", "C", "layers"}
    else:
        built = read([name, "--data_folder", "corpus"]).build()
        assert built.network.encoder.config["L"] == 16


def own_anchors(text: str) -> set[str]:
    """List the anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links() -> list[tuple[str, str]]:
    """List the relative links and pictures of all pages."""
    found = []
    for page, text in PAGES.items():
        text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        found += [(page, target) for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)]
    return found


@pytest.mark.parametrize(("page", "target"), links())
def test_links_lead_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    name = str(file.resolve().relative_to(ROOT.resolve()))
    assert name in GENERATED or file.exists()
    if anchor:
        text = GENERATED[name] if name in GENERATED else file.read_text(encoding="utf-8")
        assert anchor in own_anchors(text)


@pytest.mark.parametrize("target", re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_make_targets_are_explained(target):
    assert f"make {target}`" in PAGES["README.md"] + PAGES["CONTRIBUTING.md"]


@pytest.mark.parametrize("text", [pytest.param(PAGES[name], id=name) for name in WRITTEN])
def test_lines_are_short(text):
    prose = [line for line in text.splitlines() if not line.startswith(("|", "!["))]
    assert not [line for line in prose if len(line) > 120]


def unfilled(text: str) -> list[str]:
    """List the rows of tables that are only named, and the columns under a heading that hold nothing.

    A single empty cell is how a table says "does not apply"; a whole row or column of them has been forgotten.
    """
    found = []
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = table.splitlines()
        head, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines]
        found += [line for line, row in zip(lines[2:], rows, strict=True) if not any(row[1:])]
        found += [name for name, *column in zip(head, *rows, strict=True) if name and not any(column)]
    return found


@pytest.mark.parametrize("text", [pytest.param(PAGES[name], id=name) for name in WRITTEN])
def test_tables_are_filled(text):
    assert unfilled(text) == []


def test_an_unfilled_table_is_found():
    table = "| | time | note |\n|---|--:|---|\n| one | 1 s | |\n| two | | |\n"
    assert unfilled(table) == ["| two | | |", "note"]
    assert unfilled(f"```\n{table}```\n") == []


def test_the_readme_is_short_and_begins_with_what_to_run():
    lines = PAGES["README.md"].splitlines()
    assert len(lines) <= 130
    for command in ("make demo ", "make test "):
        assert any(line.startswith(command) for line in lines[:40])


def test_both_tables_of_the_bundled_separators_agree():
    for name in bundled_names():
        rows = [
            next(line for line in PAGES[page].splitlines() if line.startswith(f"| `{name}`"))
            for page in ("README.md", "docs/separators.md")
        ]
        assert rows[1].startswith(rows[0])


# The benchmarks replace these sections; under another title there would be two of them.
@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("docs/speed.md", "Summary"),
        ("docs/speed.md", "Machine"),
        ("docs/speed.md", "Memory"),
        ("docs/live.md", "Real-time factors of streaming"),
        ("docs/live.md", "Shift test"),
        ("docs/separate.md", "Long recordings in windows"),
        ("docs/separate.md", "Ten minutes of conversation"),
        ("docs/clusters.md", "What 10,000 hours cost"),
    ],
)
def test_a_section_that_is_written_to_is_there_once(page, title):
    assert PAGES[page].splitlines().count(f"## {title}") == 1


def test_the_hook_does_what_it_says():
    assert doctest.testmod(hooks).attempted
    assert not doctest.testmod(hooks).failed
    assert not re.search(r"\]\(docs/", GENERATED["docs/architecture.md"])


@pytest.mark.parametrize("name", bundled_names())
def test_the_card_of_a_bundled_separator_calls_it_by_its_name(name):
    card = GENERATED[f"docs/cards/{name}.md"]
    assert f'TasNetSeparation.from_bundle("{name}")\n' in card
    assert "On [its test set](../separators.md#the-data) (people" in card
    assert "from_hparams(source=folder)`; `tasnet models --json` prints the folder." in card
    assert not re.search("this folder|owner/name", card)


def test_examples_can_be_heard_where_the_page_wants_them():
    page = listening.on_page_markdown(PAGES["docs/listen.md"], None, None, None)
    signals = re.findall(r'<audio [^>]*src="data:audio/flac;base64,([^"]*)"', page)
    assert len(signals) == 5 * len(listening.EXAMPLES)
    for signal in signals:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(signal)))
        assert rate == listening.RATE
        assert len(samples) in (listening.SECONDS * rate, listening.TURNS[-1][2] * rate)
        assert samples.std() > 0.001
    downloads = re.findall(r'<a href="data:audio/flac;base64,([^"]*)" download="mixture.flac">', page)
    assert downloads == signals[::5]  # an example begins with its mixture
    assert listening.on_page_markdown("no example", None, None, None) == "no example"


def test_the_table_of_extras_is_complete():
    table = (ROOT / "docs/getting-started.md").read_text(encoding="utf-8")
    offered = set(distribution("speechbrain-tasnet").metadata.get_all("Provides-Extra"))
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == offered - {"bench", "test"}  # make has these


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == speechbrain_tasnet.__version__
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    [paper] = citation["references"]
    doi = re.search(r"doi = {(.+)}", PAGES["README.md"])[1]
    assert paper["doi"] == doi


@pytest.fixture
def my_speech(tmp_path):
    """Six speakers of modulated noise, two files of 4 s each, in a folder that a newcomer might have."""
    chance = np.random.default_rng(0)
    time = np.arange(4 * 8000) / 8000
    for speaker in range(6):
        for number in range(2):
            syllables = np.sin(np.pi * (3 + 0.3 * speaker) * time + number) ** 2
            noise = np.convolve(chance.normal(size=len(time)), np.ones(speaker + 1), mode="same")
            file = tmp_path / f"my_speech/speaker{speaker}/{number}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, 0.05 * syllables * noise, 8000)
    soundfile.write(tmp_path / "meeting.wav", 0.05 * chance.normal(size=16000), 16000)
    return tmp_path


SMALLER = {
    "mix": "--hours 0.005 --valid-hours 0.002 --test-hours 0.002",
    "train": "--number_of_epochs 1 --N 8 --B 4 --H 8 --Sc 4 --X 2 --R 1 --batch_size 2 --segment 0.5 "
    "--num_workers 0 --noprogressbar --device cpu",
    "separate": "",
}


@pytest.mark.long
def test_the_three_commands_of_the_readme_train_on_a_folder_of_speech(my_speech, monkeypatch):
    monkeypatch.chdir(my_speech)
    section = PAGES["README.md"].partition("## Train on your own speech")[2]
    lines = FENCE.search(section)["code"].splitlines()
    assert [line.split()[1] for line in lines] == list(SMALLER)
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        main([*words, *shlex.split(SMALLER[words[0]])])
    assert {path.name for path in Path("separated").iterdir()} == {"meeting_s1.wav", "meeting_s2.wav"}
    assert Path("results/wsj0mix/1234/report.html").exists()


def test_the_notebooks_page_has_what_its_cells_show():
    code = nbformat.v4.new_code_cell
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="12.3 dB\n"),
        nbformat.v4.new_output("stream", name="stderr", text="a warning\n"),
        nbformat.v4.new_output("display_data", {"text/html": "<p>\n\n    <audio>", "text/plain": "<HTML object>"}),
        nbformat.v4.new_output("execute_result", {"text/plain": "(2, 8000)"}, execution_count=1),
    ]
    cells = [nbformat.v4.new_markdown_cell("# A tour"), code("separate()", outputs=outputs)]
    _, _, *parts = notebook_page.page(nbformat.v4.new_notebook(cells=cells)).split("\n\n")
    assert parts == [
        "```python\nseparate()\n```",
        "```text\n12.3 dB\n```",
        "<div>\n<p>\n<audio>\n</div>",
        "```text\n(2, 8000)\n```\n",
    ]


@pytest.mark.long
def test_the_notebooks_page_plays_and_draws():
    text = notebook_page.page(notebook_page.executed(NOTEBOOK))
    assert text.count('src="data:audio/wav;base64,') == text.count('src="data:image/png;base64,') == 3
    assert re.search(r"```text\n.*\d dB", text)
