"""The command line as a person and a script meet it: help, exit codes, one line for every mistake."""

import argparse
import inspect
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard

from speechbrain_tasnet import Decoder, Encoder, MaskNet, load_weights
from speechbrain_tasnet.app import AppOptions
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import _parser, main
from speechbrain_tasnet.configuration.packaged import MODELS, PACKAGED, STUDIES, names_in
from speechbrain_tasnet.generate.librimix import generate_librimix
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.room_simulation import make_room_bank
from speechbrain_tasnet.generate.wsj0mix import generate_wsj0mix
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

COMMANDS = ("demo", "mix", "generate", "download", "train", "evaluate", "study", "separate", "stream", "import")
COMMANDS += ("export",)


def tasnet(*words) -> int:
    """Run the command line in this process and return its exit status."""
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def refused(capsys, *words) -> str:
    """Run what must be refused; returns its one line."""
    capsys.readouterr()
    assert tasnet(*words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("tasnet: error: ")
    assert len([line for line in lines if "rror" in line]) == 1
    return lines[-1]


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help(words, capsys):
    assert tasnet(*words) == 0
    text = capsys.readouterr().out
    assert "usage: tasnet" in text
    if len(words) == 1:
        assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize(("command", "folder"), [("train", PACKAGED), ("train", MODELS), ("study", STUDIES)])
def test_help_names_all_that_is_packaged(command, folder, capsys):
    assert tasnet(command, "--help") == 0
    assert f"({', '.join(names_in(folder))})" in " ".join(capsys.readouterr().out.split())


def test_help_comes_without_torch():
    code = "import sys\nfrom speechbrain_tasnet.cli import _parser\n_parser()\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "words", [[], ["separete"], ["mix"], ["mix", "--speech", ".", "--out", "x", "--hour", "two"]]
)
def test_wrong_words_exit_with_2(words, capsys):
    assert tasnet(*words) == 2


def test_a_word_of_two_lines_is_refused_in_one(capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "a\nb"])
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: a\\nb\n")


def test_mix_then_train_is_one_way(speech_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hours = ["--hours", 6 / 3600, "--valid-hours", 3 / 3600, "--test-hours", 3 / 3600]
    assert tasnet("mix", "--speech", speech_folder, "--out", "corpus", *hours) == 0
    assert "tasnet train wsj0mix --data_folder corpus" in capsys.readouterr().out
    tiny = "--N 8 --B 4 --H 8 --Sc 4 --X 2 --R 1 --segment 0.5 --num_workers 0 --number_of_epochs 1 --device cpu"
    assert tasnet("train", "wsj0mix", "--data_folder", "corpus", *tiny.split(), "--noprogressbar") == 0
    assert "report.html" in capsys.readouterr().out
    assert tasnet("evaluate", "results/wsj0mix/1234", "--noprogressbar") == 0


def test_separate(trained, corpus, tmp_path, capsys):
    mixtures = sorted((corpus / "wav8k/min/tt/mix").glob("*.wav"))[:2]
    assert tasnet("separate", *mixtures, "--model", trained, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / "out" / f"{m.stem}_s{i}.wav") for m in mixtures for i in (1, 2)]
    for mixture, source in zip(mixtures, printed[::2], strict=True):
        assert soundfile.info(source).frames == soundfile.info(mixture).frames
    assert "already exists" in refused(
        capsys, "separate", mixtures[0], "--model", trained, "--out", tmp_path / "out"
    )


def test_separate_as_told(trained, tmp_path, capsys):
    stereo = 0.1 * np.random.default_rng(0).standard_normal((44100, 2))
    soundfile.write(tmp_path / "mix.ogg", stereo, 22050)
    words = "--channels each --scale consistent --window 1 --workers 2 --format flac --subtype PCM_24".split()  # noqa: SIM905
    words += ["--model", trained, "--out", tmp_path / "out"]
    assert tasnet("separate", tmp_path / "mix.ogg", *words) == 0
    paths = [tmp_path / f"out/mix_s{i}.flac" for i in (1, 2)]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    info = soundfile.info(paths[0])
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (44100, 22050, 2, "PCM_24")


def test_separate_leaves_out_what_it_cannot_read(trained, tmp_path, capsys):
    for name in ("x", "y"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(800), 8000)
    BAD_AUDIO["NaN"](tmp_path / "nan.wav")
    mixtures = [tmp_path / f"{name}.wav" for name in ("x", "nan", "y")]
    line = refused(capsys, "separate", *mixtures, "--model", trained, "--out", tmp_path / "out")
    assert "1 of 3 files" in line
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_export_bundle(trained, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", "bundle", trained, "--out", out, "--dtype", "float16", "--name", "two voices"]
    words += ["--scores", f"the same=again={trained}"]
    assert "again" in refused(capsys, *words)
    words[-1] = f"the same={trained}"
    assert tasnet(*words, "--licence", "cc-by-4.0", "--language", "en", "--datasets", "a/b", "c/d") == 0
    assert "| the same | " in (out / "README.md").read_text()
    assert str(out) in capsys.readouterr().out
    card = ModelCard.load(out / "README.md").data
    assert (card.license, card.language, card.datasets) == ("cc-by-4.0", "en", ["a/b", "c/d"])
    assert card.model_name == "two voices"
    assert "si-snr_i" in {result.metric_type for result in card.eval_results}
    mixture = min((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    assert tasnet("separate", mixture, "--model", out, "--out", tmp_path / "separated") == 0
    assert "already holds something" in refused(capsys, *words)
    assert "holds no separator" in refused(capsys, "export", "bundle", tmp_path, "--out", tmp_path / "other")
    assert tasnet("export", "wav", trained) == 2


def test_export_files(trained, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    out = tmp_path / "folder/separator"
    assert tasnet("export", "onnx", trained, "--out", out, "--int8") == 0
    assert str(out) in capsys.readouterr().out
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["sample_rate"] == "8000"
    assert session.run(None, {"mixture": np.zeros((1, 801), np.float32)})[0].shape == (1, 801, 2)
    assert "already exists" in refused(capsys, "export", "asteroid", trained, "--out", out)
    assert tasnet("export", "asteroid", trained, "--out", out, "--overwrite") == 0
    encoder, _, _ = load_weights("asteroid", out)
    assert torch.equal(encoder.weight, TasNetSeparation.from_bundle(trained).mods.encoder.weight)
    before = out.read_bytes()
    for words, expected in [
        (["onnx", trained, "--step", "10"], "causal=False"),
        (["onnx", trained, "--step", "10.5"], "84 samples at 8000 Hz; expected a multiple of 1 ms"),
        (["onnx", trained, "--step", "nan"], "nan"),
        (["onnx", tmp_path], "holds no separator"),
        (["torchaudio", trained], "edge_padding=False"),
    ]:
        assert expected in refused(capsys, "export", *words, "--out", out, "--overwrite")
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["separator"]


def test_export_of_a_step(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    masknet = MaskNet(8, 4, 8, 4, X=2, R=1, norm="cumulative", causal=True)
    save_bundle(tmp_path / "live", {"encoder": Encoder(8, 4), "masknet": masknet, "decoder": Decoder(8, 4)}, 16000)
    assert tasnet("export", "onnx", tmp_path / "live", "--step", "2.5", "--out", tmp_path / "step.onnx") == 0
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 40]


def write_nan(path):
    soundfile.write(path, np.full(8000, np.nan, np.float32), 8000, "FLOAT")


def write_truncated(path):
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    path.write_bytes(path.read_bytes()[:5000])


BAD_AUDIO = {
    "corrupt": lambda path: path.write_bytes(b"RIFF\x10\x00\x00\x00WAVEfmt garbage"),
    "empty": lambda path: path.write_bytes(b""),
    "no samples": lambda path: soundfile.write(path, np.zeros(0), 8000),
    "text": lambda path: path.write_text("this is no audio\n"),
    "NaN": write_nan,
    "truncated": write_truncated,
}


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_bad_audio_in_the_speech_folder(kind, speech_folder, tmp_path, capsys):
    speech = shutil.copytree(speech_folder, tmp_path / "speech")
    for folder in (path for path in speech.iterdir() if path.is_dir()):
        BAD_AUDIO[kind](min(folder.glob("*.wav")))
    line = refused(capsys, "mix", "--speech", speech, "--out", tmp_path / "out", "--hours", 0.01)
    assert str(speech) in line
    assert {path.name for path in tmp_path.iterdir()} == {"speech"}


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_bad_audio_to_separate(kind, trained, tmp_path, capsys):
    BAD_AUDIO[kind](tmp_path / "mix.wav")
    line = refused(capsys, "separate", tmp_path / "mix.wav", "--model", trained, "--out", tmp_path / "out")
    assert "mix.wav" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--speech", "nowhere"], "nowhere"),
        (["--speech", "one_speaker"], "1 speaker"),
        (["--num-speakers", "1"], "at least"),
        (["--hours", "0"], "hours"),
        (["--hours", "-1"], "hours"),
        (["--rate", "100"], "rate"),
        (["--out", "full"], "already holds"),
    ],
)
def test_bad_input_to_mix(words, expected, speech_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/precious").write_text("mine")
    (tmp_path / "one_speaker/anna").mkdir(parents=True)
    soundfile.write(tmp_path / "one_speaker/anna/hello.wav", np.random.default_rng(0).uniform(-1, 1, 16000), 8000)
    line = refused(capsys, "mix", "--speech", speech_folder, "--out", "out", "--hours", "0.01", *words)
    assert expected in line
    assert {path.name for path in tmp_path.iterdir()} == {"full", "one_speaker"}
    assert (tmp_path / "full/precious").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "wsj0mix", "--data_folder", "nowhere"], "data_folder='nowhere'"),
        (["train", "wsj0mix", "--data_folder", "empty"], "no such folder"),
        (["train", "wsj0mix"], "PLACEHOLDER"),
        (["train", "nothing.yaml"], "no such YAML file"),
        (["train", "typo.yaml"], "typo.yaml"),
        (["separate", "mix.wav", "--model", "empty"], "holds no separator"),
        (["separate", "mix.wav", "--model", "empty", "--channels", "both"], "channels='both'"),
        (["separate", "mix.wav", "--model", "empty", "--scale", "loud"], "scale='loud'"),
        (["separate", "mix.wav", "--model", "empty", "--window", "0"], "window=0.0"),
        (["separate", "mix.wav", "--model", "empty", "--workers", "0"], "workers=0: expected a whole number"),
        (["separate", "mix.wav", "--model", "empty", "--format", "aac"], "wav, flac, mp3, opus"),
    ],
)
def test_bad_input_to_the_other_commands(words, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "typo.yaml").write_text("seed: 1\n  batch_size: 2\n")
    assert expected in refused(capsys, *words)


def test_what_the_system_refuses_is_one_line(tmp_path, capsys):
    name = tmp_path / ("x" * 300)
    assert "File name too long" in refused(capsys, "export", "bundle", name, "--out", tmp_path / "out")
    assert "File name too long" in refused(capsys, "mix", "--speech", tmp_path, "--out", name)
    assert "invalid int value: 'two'" in refused(capsys, "train", "wsj0mix", "--nonfinite_patience", "two")


def test_a_missing_mixture(trained, tmp_path, capsys):
    assert "no such file" in refused(capsys, "separate", tmp_path / "x.wav", "--model", trained)


@pytest.mark.parametrize("command", ["mix", "generate wsj0-mix", "generate librimix", "generate rooms"])
def test_every_maker_of_corpora_takes_workers(command, monkeypatch):
    needed = {"mix": "--speech a", "generate wsj0-mix": "--wsj0 a --lists b", "generate rooms": ""}
    words = f"{command} --out c --workers 3 {needed.get(command, '--librispeech a --metadata b')}"
    given = []

    def record(*_, **options):
        given.append(options)
        raise SystemExit(0)

    for module, name in MAKERS:
        monkeypatch.setattr(f"speechbrain_tasnet.generate.{module}.{name}", record)
    assert tasnet(*words.split()) == 0
    assert given[0]["workers"] == 3


MAKERS = [("mixing", "make_mixtures"), ("wsj0mix", "generate_wsj0mix"), ("librimix", "generate_librimix")]
MAKERS += [("room_simulation", "make_room_bank")]

FUNCTIONS = {
    "mix": make_mixtures,
    "generate wsj0-mix": generate_wsj0mix,
    "generate librimix": generate_librimix,
    "generate rooms": make_room_bank,
    "separate": SeparationOptions,
    "app": AppOptions,
    "export bundle": save_bundle,
}


@pytest.mark.parametrize("words", FUNCTIONS)
def test_options_have_the_defaults_of_the_functions(words):
    """They stand in both places, for a help page must not import what the functions need."""
    parser = _parser()
    for word in words.split():
        (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        parser = commands.choices[word]
    options = {
        action.dest: tuple(action.default) if isinstance(action.default, list) else action.default
        for action in parser._actions
        if action.default is not None
    }
    # generate_librimix takes several rates and modes.
    options |= {f"{name}s": value for name, value in options.items() if isinstance(value, tuple)}
    parameters = inspect.signature(FUNCTIONS[words]).parameters
    own = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    shared = own.keys() & options.keys()
    assert shared
    assert {name: own[name] for name in shared} == {name: options[name] for name in shared}


def test_speechbrain_does_not_speak_of_figures_and_still_speaks():
    program = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from speechbrain_tasnet import tune_process\n"
        "tune_process()\n"
        "from speechbrain.utils import train_logger\n"
        "train_logger.logger.warning('something else')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "something else" in done.stderr
    assert "torchvision" not in done.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("seperate a.wav", "; did you mean separate?"),
        ("generate librmix", "; did you mean librimix?"),
        ("stream --format s16", "; did you mean s16le?"),
        ("separate a.wav --model convtasnet-8k-2sp", "; did you mean convtasnet-8k-2spk?"),
        ("export asteroid convtasnet-8k-talkk --out a.pth", "; did you mean convtasnet-8k-talk?"),
        ("train wsj0mx", "; did you mean wsj0mix?"),
        ("train wsj0mix --data_folder corpus --model sepfomer", "; did you mean sepformer?"),
        ("download dev-claen --out data", "; did you mean dev-clean?"),
        ("study toolkit", "; did you mean toolkits?"),
    ],
)
def test_what_was_probably_meant_is_said_at_the_end(words, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.zeros(100), 8000)
    assert tasnet(*words.split()) == 2
    assert capsys.readouterr().err.rstrip().endswith(hint)


def test_nothing_is_suggested_that_is_not_alike(capsys):
    assert "did you mean" not in refused(capsys, "train", "zebra")


@pytest.mark.parametrize("words", ["separate a.wav", "stream", "live", "app"])
def test_a_name_of_the_hub_stays_text_which_a_path_would_not_be(words, capsys):
    """Only text is looked for on the hub: a path is a folder of this machine."""
    name = "anna/two-voices@v1.0"
    options = _parser().parse_args([*words.split(), "--model", name])
    assert (options.model, type(options.model)) == (name, str)
    command = words.split()[0]
    if command != "app":  # which offers what is on this machine
        with pytest.raises(SystemExit):
            _parser().parse_args([command, "--help"])
        assert "OWNER/NAME[@REVISION]" in capsys.readouterr().out
