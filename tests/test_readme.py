"""What the README shows runs, and what it names exists."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import _parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code):
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("code", blocks("python bundle"))
def test_python_blocks_run_on_a_bundle(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    save_bundle("results/wsj0mix/1234/pretrained", modules, 8000)
    soundfile.write("meeting.wav", np.random.default_rng(0).normal(size=4410) / 10, 44100)
    names = {"mixtures": torch.randn(2, 400)}
    exec(compile(code, "README.md", "exec"), names)
    assert names["sources"].shape in ((2, 400, 2), (1, 4410, 2))


def test_receptive_field_is_printed_as_shown(capsys):
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() in README


@pytest.mark.parametrize("line", re.findall(r"^tasnet .*", README.replace("\\\n", " "), re.MULTILINE))
def test_commands_are_understood(line):
    options, rest = _parser().parse_known_args(shlex.split(line, comments=True)[1:])
    assert options.command in ("train", "evaluate", "study") or not rest


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_make_targets_are_explained(target):
    assert f"make {target}" in README + (ROOT / "CONTRIBUTING.md").read_text() or target == "clean"
