"""What the README shows runs, and what it names exists."""

import re
import shlex
from pathlib import Path

import pytest

from speechbrain_tasnet.cli import _parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code):
    exec(compile(code, "README.md", "exec"), {})


def test_receptive_field_is_printed_as_shown(capsys):
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() in README


@pytest.mark.parametrize("line", re.findall(r"^tasnet .*", README.replace("\\\n", " "), re.MULTILINE))
def test_commands_are_understood(line):
    options, rest = _parser().parse_known_args(shlex.split(line, comments=True)[1:])
    assert options.command in ("train", "evaluate") or not rest


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_make_targets_are_explained(target):
    assert f"make {target}" in README + (ROOT / "CONTRIBUTING.md").read_text() or target == "clean"
