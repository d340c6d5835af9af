"""The Hugging Face hub: what is pushed there, and what comes back, from a stand-in of its HTTP interface."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from hub_stand_in import TOKEN, Repository, connect, everywhere, serve, set_offline
from huggingface_hub import ModelCard

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.bundle.hub import find_separator
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError

ABOUT = {
    "name": "two voices",
    "licence": "cc-by-4.0",
    "language": "en",
    "datasets": ["owner/voices"],
    "corpus": "mix",
    "scores": {"si-snr_i": {"mean": 5.25, "ci95": [4.0, 6.5], "count": 7}},
}
FILES = {"README.md", "config.json", "hyperparams.yaml", "model.safetensors"}
SAMPLES = {"samples/mixture.flac", "samples/source1.flac", "samples/source2.flac"}


def build():
    net = MaskNet(16, 8, 16, 8, X=2, R=1, C=2)
    return {"encoder": Encoder(16, 8), "masknet": net, "decoder": Decoder(16, 8)}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_bundle(tmp_path / "bundle", build(), 8000, ABOUT)
    return tmp_path / "bundle"


@pytest.fixture
def mixture(tmp_path):
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (16000, 2)), 16000)
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, on which somebody is logged in, an empty cache, and a folder of one's own to be in."""
    with serve() as hub:
        connect(monkeypatch, hub.url)
        for name, value in {
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "no token"),
            "HF_HUB_DISABLE_XET": True,
        }.items():
            everywhere(monkeypatch, name, value)
        set_offline(monkeypatch, False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        yield hub


@pytest.fixture
def pushed(hub, folder):
    """The commit of a bundle that somebody has pushed."""
    main(["push", str(folder), "anna/two-voices", "--no-sample"])
    return hub.repositories["anna/two-voices"].names["main"]


def refused(capsys, *words):
    """Run a command that must be refused; return its one line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("tasnet: error: ")
    return line


# ------------------------------------------------------------------------------------------------ push


def test_what_is_pushed_is_what_comes_back(hub, folder, mixture, capsys):
    main(["push", str(folder), "anna/two-voices", "--sample", str(mixture)])
    repository = hub.repositories["anna/two-voices"]
    assert f"{hub.url}/anna/two-voices/commit/{repository.names['main']}" in capsys.readouterr().out
    assert not repository.private
    assert len(hub.asked("/commit/")) == 1  # and the first, which makes the repository
    assert set(repository.files("main")) == {".gitattributes", *FILES, *SAMPLES}
    assert repository.files("main")["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    noise = torch.randn(2, 1003)
    found = TasNetSeparation.from_bundle("anna/two-voices").separate_batch(noise)
    assert torch.equal(found, TasNetSeparation.from_bundle(folder).separate_batch(noise))


def test_the_card_is_complete(hub, folder, mixture):
    main(["push", str(folder), "anna/two-voices", "--sample", str(mixture)])
    files = hub.repositories["anna/two-voices"].files("main")
    card = ModelCard(files["README.md"].decode())
    data = card.data
    assert (data.license, data.language, data.datasets, data.metrics) == (
        "cc-by-4.0", "en", ["owner/voices"], ["SI-SNRi"]
    )  # fmt: skip
    assert {"audio-source-separation", "audio-to-audio", "speech-separation"} <= set(data.tags)
    assert len(hub.asked("/api/validate-yaml")) == 1
    [result] = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("si-snr_i", 5.25, "test")
    assert 'from_bundle("anna/two-voices")' in card.text
    assert 'from_hparams(source="anna/two-voices")' in card.text
    players = re.findall(r'<audio controls preload="none" src="([^"]+)">', card.text)
    address = f"{hub.url}/anna/two-voices/resolve/main/"
    assert {player.removeprefix(address) for player in players} == SAMPLES
    assert card.text.index("## Listen") < card.text.index("## Scores")


def test_a_sample_is_the_mixture_and_its_sources(hub, folder, mixture, tmp_path):
    main(["push", str(folder), "anna/two-voices", "--sample", str(mixture)])
    files = hub.repositories["anna/two-voices"].files("main")
    signals = []
    for name in sorted(SAMPLES):
        (tmp_path / "sample.flac").write_bytes(files[name])
        samples, rate = soundfile.read(tmp_path / "sample.flac")
        assert (len(samples), rate) == (16000, 16000)
        signals.append(samples)
    heard = soundfile.read(mixture)[0].mean(1)
    gain = signals[0] @ heard / (heard @ heard)
    np.testing.assert_allclose(signals[0], gain * heard, atol=1e-4)
    sources = TasNetSeparation.from_bundle(folder).separate_file(mixture, scale="mixture")[0].T.numpy()
    np.testing.assert_allclose(signals[1:], gain * sources, atol=1e-4)


def test_synthetic_voices_are_the_sample_of_who_gives_none(hub, folder):
    pytest.importorskip("espeakng_loader")
    main(["push", str(folder), "anna/two-voices"])
    files = hub.repositories["anna/two-voices"].files("main")
    assert set(files) >= SAMPLES
    assert "2 synthetic voices (eSpeak NG), before and after" in files["README.md"].decode()


def test_what_somebody_wrote_into_a_card_stays(hub, folder):
    card = folder / "README.md"
    text = card.read_text().replace("## Scores", "Ask me before you use it.\n\n## Scores")
    card.write_text(
        text.replace("tags:\n", "base_model: anna/before\ntags:\n- mine\n").replace("- SpeechBrain\n", "")
    )
    main(["push", str(folder), "anna/two-voices", "--no-sample"])
    pushed = ModelCard(hub.repositories["anna/two-voices"].files("main")["README.md"].decode())
    assert "Ask me before you use it." in pushed.text
    assert pushed.data.base_model == "anna/before"
    assert {"mine", "SpeechBrain", "audio-source-separation"} <= set(pushed.data.tags)


def test_nothing_is_uploaded_in_a_dry_run(hub, folder, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    main(["push", str(folder), "anna/two-voices", "--no-sample", "--dry-run"])
    out = capsys.readouterr().out
    for name in FILES:
        assert f"anna/two-voices/{name}" in out
    assert 'from_bundle("anna/two-voices")' in out
    assert hub.requests == []


def test_a_branch_is_made_and_main_stays_as_it_was(hub, folder, pushed, mixture):
    main(["push", str(folder), "anna/two-voices", "--revision", "louder", "--sample", str(mixture)])
    repository = hub.repositories["anna/two-voices"]
    assert repository.names["main"] == pushed
    assert set(repository.files("louder")) > SAMPLES
    assert "/resolve/louder/samples/mixture.flac" in repository.files("louder")["README.md"].decode()


def test_private_stays_private(hub, folder, pushed, capsys):
    assert "public" in refused(capsys, "push", folder, "anna/two-voices", "--private", "--no-sample")
    assert hub.repositories["anna/two-voices"].names["main"] == pushed
    main(["push", str(folder), "anna/secret", "--private", "--no-sample"])
    assert hub.repositories["anna/secret"].private


def test_pushes_are_refused_in_one_line(hub, folder, mixture, tmp_path, monkeypatch, capsys):
    push = ("push", folder, "anna/two-voices", "--no-sample")
    assert "expected OWNER/NAME" in refused(capsys, "push", folder, "two-voices")
    assert "expected OWNER/NAME" in refused(capsys, "push", folder, "anna/two-voices@main")
    assert "holds no separator" in refused(capsys, "push", tmp_path, "anna/two-voices")
    soundfile.write(tmp_path / "long.wav", np.zeros(31 * 8000), 8000)
    line = refused(capsys, "push", folder, "anna/two-voices", "--sample", tmp_path / "long.wav")
    assert "lasts 31.0 s; expected a sample of at most 30 s" in line
    assert hub.requests == []
    assert "rights to create a model" in refused(capsys, "push", folder, "somebody/else", "--no-sample")
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    assert "refuses it" in refused(capsys, *push)
    monkeypatch.delenv("HF_TOKEN")
    assert "nobody is logged in" in refused(capsys, *push)
    assert hub.repositories == {}


def test_a_card_that_the_hub_refuses_uploads_nothing(hub, folder, tmp_path, capsys):
    save_bundle(tmp_path / "odd", build(), 8000, {"licence": "my own"})
    line = refused(capsys, "push", tmp_path / "odd", "anna/odd", "--no-sample")
    assert '"license" must be one of the known ones' in line
    assert not hub.asked("/commit/")
    (folder / "README.md").write_text("---\n: [\n---\ntext")
    assert "front matter cannot be read" in refused(capsys, "push", folder, "anna/two", "--no-sample")


# --------------------------------------------------------------------------------------------- loading


def test_three_files_come_and_the_commit_is_told(hub, pushed, caplog):
    found = find_separator("anna/two-voices")
    assert {path.name for path in found.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert found.name == pushed
    assert f"anna/two-voices@{pushed} is always this one" in caplog.text
    caplog.clear()
    del hub.requests[:]
    assert find_separator(f"anna/two-voices@{pushed}") == found
    assert hub.requests == []  # a commit that is here
    assert caplog.text == ""


def test_a_fixed_revision_stays_and_the_newest_is_asked_for(hub, pushed, folder, tmp_path):
    torch.manual_seed(1)
    save_bundle(tmp_path / "better", build(), 8000)
    main(["push", str(tmp_path / "better"), "anna/two-voices", "--no-sample"])
    hub.repositories["anna/two-voices"].names["v1"] = pushed
    mixture = torch.randn(1, 400)
    for name, same in (("@v1", folder), (f"@{pushed}", folder), ("", tmp_path / "better")):
        found = TasNetSeparation.from_bundle(f"anna/two-voices{name}").separate_batch(mixture)
        assert torch.equal(found, TasNetSeparation.from_bundle(same).separate_batch(mixture))


@pytest.mark.parametrize("way", ["HF_HUB_OFFLINE", "no hub"])
def test_without_the_hub_what_is_here_is_used(way, hub, pushed, monkeypatch, caplog):
    find_separator("anna/two-voices")
    if way == "no hub":
        connect(monkeypatch, "http://127.0.0.1:1")
    else:
        set_offline(monkeypatch, True)
    for name in ("anna/two-voices", f"anna/two-voices@{pushed}"):
        assert TasNetSeparation.from_bundle(name).separate_batch(torch.randn(1, 400)).shape == (1, 400, 2)
    for name in ("anna/other", "anna/two-voices@v2"):
        with pytest.raises(InputError, match=f"^{name}: the Hugging Face hub cannot be reached, and no copy"):
            find_separator(name)
    assert "Retrying" not in caplog.text


def test_what_cannot_be_loaded_is_refused_in_one_line(hub, pushed, tmp_path, monkeypatch):
    texts = Repository()
    texts.commit("main", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x" * 1000})
    hub.repositories["anna/texts"] = texts
    hub.repositories["anna/empty"] = Repository()
    hub.repositories |= {"anna/gated": Repository(gated=True), "anna/closed": Repository(closed=True)}
    huge = Repository()
    huge.commit("main", {"config.json": b" " * (2**20 + 1)})
    hub.repositories["anna/huge"] = huge
    half = Repository()
    half.commit("main", {"config.json": hub.repositories["anna/two-voices"].files("main")["config.json"]})
    hub.repositories["anna/half"] = half
    for name, words in {
        "anna/nothing": "no such repository on the Hugging Face hub",
        "anna/two-voices@v9": "has no revision 'v9'",
        "anna/empty": "holds no separator; expected config.json and model.safetensors",
        "anna/half": "holds no separator; expected config.json and model.safetensors",
        "anna/texts": "does not begin with the format 'speechbrain_tasnet separator'",
        "anna/huge": "config.json has 1048577 bytes; expected a separator",
        "anna/closed": "refuses it (403 Forbidden: This repository has been closed",
        "anna/gated": "is only given to those who request it at",
    }.items():
        with pytest.raises(InputError) as caught:
            find_separator(name)
        message = str(caught.value)
        assert message.startswith(f"{name}: ")
        assert words in message
        assert "\n" not in message
    # The weights of what is no separator are not asked for.
    assert not [request for request in hub.asked("model.safetensors") if "anna/texts" in request]


def test_damaged_weights_are_refused_as_in_any_folder(hub, pushed):
    repository = hub.repositories["anna/two-voices"]
    weights = bytearray(repository.files("main")["model.safetensors"])
    weights[-1] ^= 1
    repository.commit("main", {"model.safetensors": bytes(weights)})
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        TasNetSeparation.from_bundle("anna/two-voices")


def test_code_in_a_repository_is_not_even_downloaded(hub, pushed):
    harm = b"harm: !apply:os.abort []\n"
    hub.repositories["anna/two-voices"].commit(
        "main", {"hyperparams.yaml": harm, "custom.py": b"raise SystemExit\n"}
    )
    assert TasNetSeparation.from_bundle("anna/two-voices").separate_batch(torch.randn(1, 400)).shape == (1, 400, 2)
    assert not hub.asked("hyperparams.yaml")


# ------------------------------------------------------------------------------- folders come first


def test_a_folder_of_the_name_comes_first(hub, pushed, tmp_path, folder):
    torch.manual_seed(1)
    save_bundle("anna/two-voices", build(), 8000)
    del hub.requests[:]
    mixture = torch.randn(1, 400)
    found = TasNetSeparation.from_bundle("anna/two-voices").separate_batch(mixture)
    assert not torch.equal(found, TasNetSeparation.from_bundle(folder).separate_batch(mixture))
    assert hub.requests == []
    # A revision can only be meant for the hub.
    assert find_separator(f"anna/two-voices@{pushed}").name == pushed


@pytest.mark.parametrize(
    "name",
    ["two", "results/wsj0mix/1234", "./anna/two", "anna/two/", "/anna/two", "anna\\two", "anna/two@", "a b/c"],
)
def test_what_can_be_no_name_of_the_hub_is_not_looked_for_there(name, hub):
    with pytest.raises(InputError, match=r"holds no separator; expected a folder with config\.json"):
        find_separator(name)
    assert hub.requests == []


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(hub, pushed, tmp_path):
    del hub.requests[:]
    with pytest.raises(InputError, match="holds no separator"):
        find_separator(tmp_path / "gone")
    (tmp_path / "here/results").mkdir()
    with pytest.raises(InputError, match=r"results is a folder here, .* write results/1243@main"):
        find_separator("results/1243")
    (tmp_path / "here/anna/two-voices").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no separator"):
        find_separator("anna/two-voices")
    assert hub.requests == []


@pytest.mark.long
def test_the_command_separates_with_one_of_the_hub(hub, pushed, mixture, tmp_path):
    """In a process that knows the hub by its environment alone."""
    home = tmp_path / "home"
    known = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "separate", str(mixture)]
    command += ["--model", "anna/two-voices", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=os.environ | known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"anna/two-voices is commit {pushed}" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"talk_s1.wav", "talk_s2.wav"}
