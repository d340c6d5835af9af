"""`tasnet models` says what is at hand."""

import json
import re

import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.doctor import models
from speechbrain_tasnet.shipped import bundled_names


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two separators, one of them in a run, and one that is damaged."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    live = MaskNet(16, 8, 16, 8, X=2, R=1, C=3, norm="cumulative", causal=True, mics=2)
    modules = {"encoder": Encoder(16, 16, mics=2), "masknet": live, "decoder": Decoder(16, 16)}
    about = {"name": "ears", "silence": "power", "task": "sep_reverb_noisy"}
    save_bundle(folder / "run" / "pretrained", modules, 8000, about)
    one = {"encoder": Encoder(16, 16), "masknet": MaskNet(16, 8, 16, 8, X=2, R=1, C=1), "decoder": Decoder(16, 16)}
    save_bundle(folder / "deep" / "er" / "one", one, 16000)
    save_bundle(folder / "damaged", one, 16000)
    (folder / "damaged" / "model.safetensors").write_bytes(b"none")
    return folder


def test_bundled_ones_are_listed_with_scores_and_speed(capsys):
    main(["models"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "NAME"
    assert [line.split()[0] for line in lines] == bundled_names()
    assert all(" dB " in line and " M " in line and int(line.split()[-1]) > 0 for line in lines)
    by_name = {line.split()[0]: line for line in lines}
    assert "2 voices in noise and rooms" in by_name["convtasnet-8k-2spk-noisy"]
    assert "2 voices, live (8 ms)" in by_name["convtasnet-8k-2spk-live"]
    # Beside each score what it was measured on, as in the table of the README.
    tests = {name: re.search(r" dB +(\S.*?)  ", line)[1] for name, line in by_name.items()}
    assert tests == {
        "convtasnet-8k-2mic-noisy": "noisy, reverberant",
        "convtasnet-8k-2spk": "clean",
        "convtasnet-8k-2spk-live": "clean",
        "convtasnet-8k-2spk-noisy": "noisy, reverberant",
        "convtasnet-8k-talk": "clean, 1 to 3 voices",
        "convtasnet-8k-talk-live": "clean, 1 to 2 voices",
    }


@pytest.mark.parametrize(
    ("about", "mics", "words"),
    [
        ({"recipe": "custom", "corpus": "talks"}, 1, "talks"),
        ({"recipe": "custom"}, 1, None),
        ({"recipe": "wham", "task": "enh_both"}, 1, "noisy"),
        ({"recipe": "whamr", "task": "sep_clean"}, 1, "clean"),
        ({"recipe": "whamr", "task": "dereverb_single", "corpus": "x"}, 1, "reverberant"),
        ({"recipe": "wsj0mix", "corpus": "spatial"}, 1, "clean"),
        ({"recipe": "wsj0mix", "corpus": "spatial"}, 2, "spatial"),
    ],
)
def test_what_nobody_says_of_the_test_is_not_made_up(about, mics, words):
    assert models.kind_of_test(about, mics) == words


def test_those_of_a_folder_are_listed_and_what_is_wrong_with_one(folder, capsys):
    main(["models", str(folder), "--json", "--no-speed"])
    found = {facts["name"]: facts for facts in json.loads(capsys.readouterr().out)}
    assert set(bundled_names()) < set(found)
    ears = found["ears"]
    assert ears["for"] == "1 to 3 voices in noise and rooms, 2 microphones, live (2 ms)"
    assert (ears["voices"], ears["microphones"], ears["latency_ms"], ears["counts_voices"]) == (3, 2, 2.0, True)
    assert "times_real_time" not in ears
    assert (found["one"]["for"], found["one"]["latency_ms"]) == ("1 voice", None)
    assert "damaged" in found["damaged"]["error"]
    main(["models", str(folder), "--no-speed"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("left out: ")


def test_folders_without_any_are_refused(tmp_path, capsys):
    for place, message in ((tmp_path, "no separator in it"), (tmp_path / "gone", "no such folder")):
        with pytest.raises(SystemExit):
            main(["models", str(place)])
        assert message in capsys.readouterr().err
