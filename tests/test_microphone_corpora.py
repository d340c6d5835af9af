"""Corpora of several microphones: made, checked, read and trained on."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from mixed_speech import write
from tiny_models import SIZES

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.sms_wsj import prepare_sms_wsj
from speechbrain_tasnet.data.whamr import prepare_whamr
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.room_plan import Array
from speechbrain_tasnet.losses import Targets

HOURS = {"hours": 6 / 3600, "valid_hours": 2 / 3600, "test_hours": 2 / 3600}
TASK = "sep_reverb_noisy"


@pytest.fixture(scope="module")
def scenes(speech_folder, noise_folder, tmp_path_factory):
    """One corpus for one microphone and for two."""
    folder = tmp_path_factory.mktemp("scenes")
    for name, array in (("one", None), ("two", Array.parse(2, "linear:0.1"))):
        make_mixtures(
            speech_folder, folder / name, noise=noise_folder, reverb=True, array=array, workers=1, **HOURS
        )
    return folder


def signals(corpus, split="tr"):
    """Yield folder, name and samples [time, channels] of each file of a split."""
    for path in sorted((corpus / f"wav8k/min/{split}").glob("*/*.wav")):
        yield path.parent.name, path.stem, soundfile.read(path, always_2d=True)[0]


def test_the_first_channel_is_the_corpus_of_one_microphone(scenes):
    names = [(folder, name) for folder, name, _ in signals(scenes / "one")]
    assert names == [(folder, name) for folder, name, _ in signals(scenes / "two")]
    gains = {}
    for (folder, name, one), (_, _, two) in zip(signals(scenes / "one"), signals(scenes / "two"), strict=True):
        assert (one.shape[1], two.shape[1]) == (1, 2)
        gain = gains.setdefault(name, one[:, 0] @ two[:, 0] / (one[:, 0] @ one[:, 0]))
        np.testing.assert_allclose(two[:, 0], gain * one[:, 0], atol=2 / 2**15, err_msg=folder)
        assert gain <= 1.001  # the other channel may be louder
        assert np.abs(two[:, 1] - two[:, 0]).max() > 0.01
    with (scenes / "two/wav8k/min/tr/scenes.csv").open() as file:
        for row in csv.DictReader(file):
            places = [[float(row[f"{name}_{axis}"]) for axis in "xyz"] for name in ("microphone", "microphone2")]
            assert np.linalg.norm(np.subtract(*places)) == pytest.approx(0.1, abs=2e-3)


def test_a_codec_spoils_every_channel_of_the_mixture(speech_folder, tmp_path):
    array = Array.parse(2, "ears")
    make_mixtures(speech_folder, tmp_path / "out", reverb=True, array=array, channel="mulaw", workers=1, **HOURS)
    heard = {(folder, name): samples for folder, name, samples in signals(tmp_path / "out")}
    for (folder, name), mixture in heard.items():
        if folder == "mix_clean_reverb":
            error = mixture - heard["s1_reverb", name] - heard["s2_reverb", name]
            assert (np.abs(error).max(axis=0) > 1e-3).all()


def test_microphones_need_a_room(speech_folder, tmp_path):
    with pytest.raises(InputError, match="mics=2: several microphones need a simulated room"):
        make_mixtures(speech_folder, tmp_path / "out", array=Array.parse(2, "ears"), **HOURS)


@pytest.mark.parametrize("reference", [0, 1])
def test_items_have_all_channels_of_the_mixture_and_sources_at_the_reference(scenes, tmp_path, reference):
    corpus = scenes / "two"
    prepare_whamr(corpus, tmp_path, TASK, mics=2, reference=reference)
    item = make_dataset(tmp_path / "tt.csv", corpus, 2, 8000, segment=1.0, mics=2, reference=reference)[0]
    mixture = soundfile.read(corpus / f"wav8k/min/tt/mix_both_reverb/{item['id']}.wav")[0]
    starts = range(len(mixture) - 7999)
    start = next(i for i in starts if np.allclose(mixture[i : i + 8000], item["mixture"], atol=1e-6))
    for place, source in enumerate(item["sources"].T, start=1):
        whole = soundfile.read(corpus / f"wav8k/min/tt/s{place}_anechoic/{item['id']}.wav")[0]
        np.testing.assert_allclose(source, whole[start : start + 8000, reference], atol=1e-6)


def test_sources_may_have_one_channel(scenes, tmp_path):
    corpus = shutil.copytree(scenes / "two", tmp_path / "corpus")
    for path in corpus.glob("wav8k/min/*/s*/*.wav"):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path, samples[:, 0], rate)
    prepare_whamr(corpus, tmp_path, TASK, mics=2)
    item = make_dataset(tmp_path / "tt.csv", corpus, 2, 8000, mics=2)[0]
    assert (item["mixture"].shape[1], item["sources"].shape[1]) == (2, 2)


def test_a_corpus_of_other_channels_is_refused(scenes, tmp_path):
    with pytest.raises(InputError, match=r"1 channel, expected mics=2"):
        prepare_whamr(scenes / "one", tmp_path, TASK, mics=2)
    with pytest.raises(InputError, match=r"2 channels, expected one; .*--mics 2"):
        prepare_whamr(scenes / "two", tmp_path, TASK)
    prepare_whamr(scenes / "one", tmp_path, TASK)
    with pytest.raises(InputError, match=r"speeds=\[0.9\]: expected \[1.0\] with mics=2"):
        make_dataset(tmp_path / "tt.csv", scenes / "one", 2, 8000, speeds=(0.9,), mics=2)
    with pytest.raises(InputError, match=r"1 channels, expected mics=2 channels"):
        make_dataset(tmp_path / "tt.csv", scenes / "one", 2, 8000, mics=2)[0]


def train(corpus, out, tiny, *words):
    run(
        [
            "whamr",
            "--data_folder",
            str(corpus),
            "--output_folder",
            str(out),
            "--number_of_epochs",
            "1",
            *tiny,
            *words,
        ]
    )


def test_a_recipe_trains_on_two_microphones_and_what_it_trains_separates_stereo(scenes, tiny, tmp_path):
    train(scenes / "two", tmp_path / "run", tiny, "--mics", "2", "--reference", "1")
    separator = TasNetSeparation.from_bundle(tmp_path / "run")
    assert (separator.mics, separator.reference) == (2, 1)
    path = next((scenes / "two/wav8k/min/tt/mix_both_reverb").glob("*.wav"))
    assert separator.separate_file(path).shape[2] == 2
    # It brings its microphones along to what begins with it.
    train(scenes / "two", tmp_path / "more", tiny, "--pretrained", str(tmp_path / "run"))
    assert TasNetSeparation.from_bundle(tmp_path / "more").reference == 1


def test_networks_of_fewer_microphones_are_fed_the_same_mixtures_and_hear_the_first_ones(scenes, tiny, tmp_path):
    fed = {}
    for mics in ("1", "2"):
        train(scenes / "two", tmp_path / mics, tiny, "--mics", mics, "--mixture_channels", "2")
        fed[mics] = json.loads((tmp_path / mics / "ledger.json").read_text())["checksums"]
    assert fed["1"] == fed["2"]
    separator = TasNetSeparation.from_bundle(tmp_path / "1")
    assert separator.mics == 1
    path = next((scenes / "two/wav8k/min/tt/mix_both_reverb").glob("*.wav"))
    mixture = torch.from_numpy(soundfile.read(path, dtype="float32")[0][None])
    with open(tmp_path / "1" / "test_results.csv") as file:
        found = {row["snt_id"]: float(row["si-snr"]) for row in csv.DictReader(file)}
    sources = [soundfile.read(str(path).replace("mix_both_reverb", f"s{k}_anechoic"))[0][:, 0] for k in (1, 2)]
    sources = torch.from_numpy(np.stack(sources, axis=-1)).float()[None]
    expected = -Targets(sources).loss(separator.separate_batch(mixture[..., 0]))
    assert found[path.stem] == pytest.approx(expected.item(), abs=0.01)


def test_fewer_channels_than_microphones_are_refused(scenes, tiny, tmp_path):
    with pytest.raises(InputError, match="mixture_channels=1: expected at least mics=2"):
        train(scenes / "two", tmp_path / "run", tiny, "--mics", "2", "--mixture_channels", "1")
    with pytest.raises(InputError, match=r"outputs='each' with mixture_channels=3: .* expected mics=3"):
        train(
            scenes / "two", tmp_path / "run", tiny, "--mics", "2", "--mixture_channels", "3", "--outputs", "each"
        )
    sizes = ["--model", "parallel", *SIZES["parallel"].split()]
    for outputs in ("each", "sum"):
        with pytest.raises(InputError, match=f"outputs='{outputs}': the network was not built for them"):
            train(scenes / "two", tmp_path / "run", [], *sizes, "--outputs", outputs)


def test_a_network_without_those_microphones_is_refused(scenes, tiny, tmp_path):
    with pytest.raises(InputError, match="mics=2: the network has 1; choose another model"):
        train(scenes / "two", tmp_path / "run", [], "--mics", "2", "--model", "torchaudio")


def test_a_training_on_two_microphones_begins_with_one_on_one(scenes, tiny, tmp_path):
    train(scenes / "one", tmp_path / "one", tiny)
    words = ["--mics", "2", "--outputs", "sum", "--pretrained", str(tmp_path / "one")]
    train(scenes / "two", tmp_path / "two", tiny, *words)
    assert "1 microphone is new" in (tmp_path / "two/log.txt").read_text()
    path = next((scenes / "two/wav8k/min/tt/mix_both_reverb").glob("*.wav"))
    main(["separate", str(path), "--model", str(tmp_path / "two"), "--out", str(tmp_path)])
    assert soundfile.info(tmp_path / f"{path.stem}_s1.wav").channels == 1


def test_sources_are_read_at_each_microphone(scenes, tmp_path):
    options = {"task": "sep_reverb", "target": "reverb", "mics": 2}
    prepare_whamr(scenes / "two", tmp_path, **options)
    reading = {"segment": 1.0, "mics": 2, "reference": 1}
    item = make_dataset(tmp_path / "tt.csv", scenes / "two", 2, 8000, **reading, outputs="each")[0]
    one = make_dataset(tmp_path / "tt.csv", scenes / "two", 2, 8000, **reading)[0]
    assert item["sources"].shape == (8000, 2, 2)
    torch.testing.assert_close(item["sources"][..., 1], one["sources"])
    torch.testing.assert_close(item["sources"].sum(1), item["mixture"], rtol=0, atol=2e-4)


def test_a_recipe_trains_at_each_microphone_and_gives_stereo(scenes, tiny, tmp_path):
    words = ["--mics", "2", "--outputs", "each", "--reference", "1", "--target", "reverb"]
    train(scenes / "two", tmp_path / "run", tiny, *words)
    separator = TasNetSeparation.from_bundle(tmp_path / "run")
    assert separator.outputs == 2
    path = next((scenes / "two/wav8k/min/tt/mix_both_reverb").glob("*.wav"))
    main(["separate", str(path), "--model", str(tmp_path / "run"), "--out", str(tmp_path)])
    assert soundfile.info(tmp_path / f"{path.stem}_s1.wav").channels == 2
    # What is scored is what the reference hears.
    with open(tmp_path / "run/test_results.csv") as file:
        found = {row["snt_id"]: float(row["si-snr"]) for row in csv.DictReader(file)}
    mixture = torch.from_numpy(soundfile.read(path, dtype="float32")[0][None])
    sources = [soundfile.read(str(path).replace("mix_both", f"s{k}"))[0][:, 1] for k in (1, 2)]
    targets = Targets(torch.from_numpy(np.stack(sources, axis=-1)).float()[None])
    estimates = separator.separate_batch(mixture)[..., 1]
    assert found[path.stem] == pytest.approx(-targets.loss(estimates).item(), abs=0.01)


# ------------------------------------------------------------------------------------- layouts of others


def write_like(target, scenes, signals, channels=2):
    """Copy signals of the scenes for two microphones to the paths that `signals` makes of split and name."""
    for path in (scenes / "two/wav8k/min").glob("*/mix_clean_reverb/*.wav"):
        split, name = path.parts[-3], path.stem
        read = {
            signal: soundfile.read(path.parent.parent / signal / path.name)[0]
            for signal in ("s1_reverb", "s2_reverb", "s1_anechoic", "s2_anechoic", "noise")
        }
        for file, samples in signals(split, name, read).items():
            write(target / file, np.concatenate(channels // 2 * [samples], axis=1))


def spatialised(split, name, read):
    folder = f"wav8k/min/{split}"
    sources = {f"{folder}/s{i}/{name}.wav": read[f"s{i}_reverb"] for i in (1, 2)}
    return {f"{folder}/mix/{name}.wav": sum(sources.values())} | sources


def binaural_in_noise(split, name, read):
    signals = spatialised(split, name, read)
    mixture = signals.pop(f"wav8k/min/{split}/mix/{name}.wav")
    noise = {f"wav8k/min/{split}/noise/{name}.wav": read["noise"]}
    return signals | noise | {f"wav8k/min/{split}/mix_both/{name}.wav": mixture + read["noise"]}


def sms_wsj(split, name, read):
    folder = {"tr": "train_si284", "cv": "cv_dev93", "tt": "test_eval92"}[split]
    early = {f"early/{folder}/{name}_{i}.wav": read[f"s{i + 1}_anechoic"] for i in (0, 1)}
    tails = {
        f"tail/{folder}/{name}_{i}.wav": read[f"s{i + 1}_reverb"] - read[f"s{i + 1}_anechoic"] for i in (0, 1)
    }
    noise = {f"noise/{folder}/{name}.wav": read["noise"]}
    observed = sum([*early.values(), *tails.values(), *noise.values()])
    return early | tails | noise | {f"observation/{folder}/{name}.wav": observed}


LAYOUTS = {
    "spatialised": (spatialised, 8, ["wsj0mix", "--mics", "8", "--reference", "5"]),
    "binaural": (spatialised, 2, ["wsj0mix", "--mics", "2"]),
    "binaural in noise": (binaural_in_noise, 2, ["wham", "--task", "sep_noisy", "--mics", "2"]),
    "SMS-WSJ": (sms_wsj, 6, ["sms_wsj"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_recipe_trains_on_the_layouts_of_others(layout, scenes, tiny, tmp_path):
    signals, channels, words = LAYOUTS[layout]
    write_like(tmp_path / "corpus", scenes, signals, channels)
    words = [*words, "--data_folder", str(tmp_path / "corpus"), "--output_folder", str(tmp_path / "run"), *tiny]
    run([*words, "--number_of_epochs", "1"])
    assert TasNetSeparation.from_bundle(tmp_path / "run").mics == channels


def test_sms_wsj_is_checked(scenes, tmp_path):
    write_like(tmp_path / "corpus", scenes, sms_wsj, 6)
    options = {"data_folder": tmp_path / "corpus", "save_folder": tmp_path / "save"}
    with pytest.raises(InputError, match="target_signal='dry': expected early or speech_source"):
        prepare_sms_wsj(**options, target_signal="dry")
    with pytest.raises(InputError, match="num_spks=3: expected 2"):
        prepare_sms_wsj(**options, num_spks=3)
    with pytest.raises(InputError, match=r"speech_source/.*_0\.wav: no such file"):
        prepare_sms_wsj(**options, target_signal="speech_source")
    early = next((tmp_path / "corpus/early/test_eval92").glob("*_1.wav"))
    samples, rate = soundfile.read(early)
    soundfile.write(early, 0.5 * samples, rate)
    with pytest.raises(InputError, match=r"observation/.*: not the sum of early_0 \+ early_1 \+ tail_0"):
        prepare_sms_wsj(**options)
    shutil.rmtree(tmp_path / "corpus/observation")
    with pytest.raises(InputError, match="observation/train_si284: no such folder; is data_folder"):
        prepare_sms_wsj(**options)


def test_the_commands_make_rooms_and_mixtures(speech_folder, tmp_path, capsys):
    main(f"generate rooms --rooms 1 --mics 2 --array ears --out {tmp_path / 'rooms.npz'}".split())
    assert RoomBank.load(tmp_path / "rooms.npz").mics == 2
    words = ["mix", "--speech", str(speech_folder), "--out", str(tmp_path / "out"), "--hours", "0.0005"]
    for mics, problem in (("2", "mics=2: several microphones need a simulated room"), ("0", "mics=0: expected")):
        with pytest.raises(SystemExit):
            main([*words, "--mics", mics])
        assert problem in capsys.readouterr().err
    main([*words, "--mics", "3", "--array", "circular:0.05", "--reverb"])
    assert "--task sep_reverb --mics 3`" in capsys.readouterr().out
    assert {samples.shape[1] for _, _, samples in signals(tmp_path / "out")} == {3}
