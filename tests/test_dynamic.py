"""Dynamic mixing: what an item is, and that it is the same whoever makes it."""

import multiprocessing
import pickle

import numpy as np
import pytest
import soundfile
import torch
from mixed_speech import RATE, bank, decibels, mixing, power, utterances, white, write
from scipy.signal import correlate
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.checkpoints import Checkpointer
from torch.utils.data import DataLoader, DistributedSampler

from speechbrain_tasnet.audio.speech_level import active_level
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings


def same(first, second):
    return first["id"] == second["id"] and all(torch.equal(first[k], second[k]) for k in ("mixture", "sources"))


def unbatched(loader):
    """Give the items of a loader's batches."""
    for batch in loader:
        for i, name in enumerate(batch.id):
            yield {"id": name, "mixture": batch.mixture.data[i], "sources": batch.sources.data[i]}


def speakers(item):
    return [name.split("/")[0] for name in utterances(item)]


def test_an_item(speech_folder):
    dataset = mixing(speech_folder, segment=4.0)
    assert len(dataset) == len(list(dataset)) == 8
    for item in dataset:
        mixture, sources = item["mixture"], item["sources"]
        assert mixture.shape == (32000,)
        assert sources.shape == (32000, 2)
        assert mixture.dtype == sources.dtype == torch.float32
        torch.testing.assert_close(sources.sum(1), mixture)
        assert max(mixture.abs().max(), sources.abs().max()) == pytest.approx(0.9)
        assert len(set(speakers(item))) == 2
        assert all((speech_folder / f"{name}.wav").is_file() for name in utterances(item))


def test_a_source_is_a_stretch_of_its_utterance(speech_folder):
    for item in mixing(speech_folder, segment=1.0):
        for name, source in zip(utterances(item), item["sources"].T.double().numpy(), strict=True):
            original = soundfile.read(speech_folder / f"{name}.wav")[0]
            match = correlate(original, source, "valid")
            energy = correlate(original**2, np.ones(len(source)), "valid").clip(1e-9)
            assert (match**2 / energy).max() == pytest.approx(np.sum(source**2), rel=1e-4)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_make_the_same_stream(speech_folder, tmp_path, workers):
    write(tmp_path / "noise" / "a.wav", white(1))
    dataset = mixing(speech_folder, speeds=[0.9, 1.1], noise=tmp_path / "noise", rooms=bank())
    dataset.set_epoch(2)
    loader = DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=PaddedBatch)
    again = mixing(speech_folder, speeds=[0.9, 1.1], noise=tmp_path / "noise", rooms=bank())
    again.set_epoch(2)
    items = list(unbatched(loader))
    assert len(items) == 8
    assert all(same(item, other) for item, other in zip(items, again, strict=True))


@pytest.mark.parametrize("start", [None, "spawn"])
def test_workers_that_outlive_an_epoch_learn_of_the_next(hiss, start):
    """Those that begin empty, as on Windows and macOS, too."""
    dataset = mixing(hiss)
    options = {"persistent_workers": True, "multiprocessing_context": start}
    loader = DataLoader(dataset, num_workers=1, collate_fn=PaddedBatch, **options)
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        assert all(item["id"].startswith(f"epoch {epoch} ") for item in unbatched(loader))


def test_an_epoch_does_not_depend_on_those_before(hiss):
    went_through, jumped = mixing(hiss), mixing(hiss)
    epochs = []
    for epoch in (1, 2, 3):
        went_through.set_epoch(epoch)
        epochs.append(list(went_through))
    jumped.set_epoch(3)
    for index in range(7, -1, -1):
        assert same(epochs[2][index], jumped[index])
    mixtures = [item["mixture"].numpy().tobytes() for epoch in epochs for item in epoch]
    assert len(set(mixtures)) == 24


def test_another_seed_makes_another_stream(hiss):
    assert not any(
        same(item, other) for item, other in zip(mixing(hiss, seed=1), mixing(hiss, seed=2), strict=True)
    )


def test_a_pickled_dataset_makes_the_same_stream(hiss):
    dataset = mixing(hiss)
    dataset.set_epoch(5)
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(same(item, other) for item, other in zip(dataset, copy, strict=True))


def test_two_processes_share_an_epoch_without_repeats(hiss):
    names = []
    for rank in range(2):
        dataset = mixing(hiss)
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank)
        sampler.set_epoch(4)
        dataset.set_epoch(4)
        names += [item["id"] for item in unbatched(DataLoader(dataset, sampler=sampler, collate_fn=PaddedBatch))]
    assert sorted(names) == sorted(item["id"] for item in dataset)
    assert len(set(names)) == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_epoch_goes_on_with_its_rest(hiss, tmp_path, workers):
    def start():
        dataset = mixing(hiss)
        dataset.set_epoch(2)
        loader = make_dataloader(dataset, batch_size=2, shuffle=True, num_workers=workers, collate_fn=PaddedBatch)
        loader.sampler.set_epoch(2)
        return loader, Checkpointer(tmp_path, {"loader": loader})

    loader, checkpointer = start()
    rest = []
    for number, batch in enumerate(loader):
        if number == 1:
            checkpointer.save_checkpoint(end_of_epoch=False)
        if number > 1:
            rest += batch.id
    loader, checkpointer = start()
    checkpointer.recover_if_possible()
    assert [item["id"] for item in unbatched(loader)] == rest
    assert len(rest) == 4


def test_nobody_meets_himself_and_everybody_has_his_turn(hiss):
    dataset = mixing(hiss, segment=0.01, length=600)
    pairs = [utterances(item) for item in dataset]
    assert all(first.split("/")[0] != second.split("/")[0] for first, second in pairs)
    counts = np.unique([name for pair in pairs for name in pair], return_counts=True)[1]
    assert len(counts) == 10
    assert counts.min() > 0.6 * counts.max()


def test_excluded_speakers_never_appear(hiss):
    dataset = mixing(hiss, segment=0.01, length=100, exclude=["spk0", "spk3", "somebody else"])
    assert {name for item in dataset for name in speakers(item)} == {"spk1", "spk2", "spk4"}


def test_the_table_says_who_is_to_train(hiss, tmp_path):
    speech = tmp_path / "speech"
    for path in hiss.rglob("*.wav"):
        write(speech / path.relative_to(hiss), soundfile.read(path)[0])
    splits = ["train", "test", "train", "valid", "train"]
    rows = [f"spk{number},{split}" for number, split in enumerate(splits)]
    (speech / "speakers.csv").write_text("\n".join(["speaker,split", *rows]))
    dataset = mixing(speech, segment=0.01, length=100, exclude=["spk4"])
    assert {name for item in dataset for name in speakers(item)} == {"spk0", "spk2"}


@pytest.mark.parametrize("num_spks", [2, 3])
def test_levels_are_as_drawn(hiss, num_spks):
    steps = []
    for item in mixing(hiss, num_spks=num_spks, segment=1.5, length=60):
        levels = [decibels(power(source)) for source in item["sources"].T]
        # A stretch of white noise is as loud as the whole, within a quarter of a decibel.
        assert np.diff(levels, 2) == pytest.approx(np.zeros(num_spks - 2), abs=0.7)
        steps.append(levels[0] - levels[-1])
    assert -0.3 < min(steps) < 0.7
    assert 4.3 < max(steps) < 5.3
    assert np.mean(steps) == pytest.approx(2.5, abs=0.6)


def test_levels_are_those_of_whole_utterances(tmp_path):
    # The second half of what the first speaker says is 10 dB below the first half.
    loud, soft = white(1, seconds=4), white(2, seconds=4) / 10**0.5
    write(tmp_path / "a" / "a.wav", np.concatenate([loud, soft]))
    write(tmp_path / "b" / "b.wav", white(3, seconds=4))
    ratios = []
    for item in mixing(tmp_path, length=60):
        a, b = (power(item["sources"][:, speakers(item).index(name)]) for name in "ab")
        ratios.append(decibels(a / b))
    assert max(ratios) - min(ratios) > 12


def test_cuts_lie_at_random_places_but_not_in_silence(tmp_path):
    for number in range(3):
        # Ten seconds that are silent but for one: most random cuts would hold nothing, and all of a few draws.
        samples = white(number, seconds=20)
        samples[:80000] = samples[84000:] = 0
        write(tmp_path / f"spk{number}" / "a.wav", samples)
    onsets = set()
    for item in mixing(tmp_path, length=30):
        for source in item["sources"].T:
            assert power(source) > 1e-3
            onsets.add(int(source.abs().gt(0).int().argmax()))
    assert len(onsets) > 15


def test_short_utterances_follow_one_another(tmp_path):
    length, size = 10000, 16000
    spoken = {f"spk{number}": white(number, seconds=length / RATE) for number in range(3)}
    for name, samples in spoken.items():
        write(tmp_path / name / "a.wav", samples)
    begins = []
    for item in mixing(tmp_path, segment=size / RATE, length=30):
        names = dict.fromkeys(speakers(item))
        for name, source in zip(names, item["sources"].T.double().numpy(), strict=True):
            # It begins anywhere in the utterance, which follows as a whole if there is room for it.
            twice = np.concatenate(2 * [spoken[name]])
            begin = int(correlate(twice, source[:200], "valid").argmax()) % length
            begins.append(begin)
            said = twice[begin:] if 2 * length - begin <= size else twice[begin:length]
            gain = source[: len(said)] @ said / (said @ said)
            np.testing.assert_allclose(source[: len(said)], gain * said, atol=1e-3)
            assert np.count_nonzero(source) > 0.999 * size
    assert min(begins) < 1000
    assert max(begins) > 8000


@pytest.mark.parametrize(
    ("rate", "speed"), [(8000, 0.9), (8000, 1.05), (16000, 1.0), (16000, 0.95), (44100, 1.05)]
)
def test_speeds_move_the_pitch(tmp_path, rate, speed):
    for pitch in (900, 1700):
        tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(3 * rate) / rate)
        write(tmp_path / str(pitch) / "a.flac", tone, rate)
    for item in mixing(tmp_path, segment=2.0, length=4, speeds=[speed]):
        for name, source in zip(speakers(item), item["sources"].T, strict=True):
            spectrum = torch.fft.rfft(source * torch.hann_window(len(source))).abs()
            assert int(spectrum.argmax()) / 2 == pytest.approx(speed * int(name), abs=0.5)
            assert source.abs().min() < source.abs().max()
            assert torch.count_nonzero(source[-50:]) > 40


def test_all_speeds_are_drawn(tmp_path):
    for pitch in (900, 1700):
        write(tmp_path / str(pitch) / "a.wav", 0.3 * np.sin(2 * np.pi * pitch * np.arange(24000) / RATE))
    drawn = set()
    for item in mixing(tmp_path, segment=1.0, length=20, speeds=[0.9, 1.0, 1.1]):
        for name, source in zip(speakers(item), item["sources"].T, strict=True):
            drawn.add(round(int(torch.fft.rfft(source).abs().argmax()) / int(name), 2))
    assert drawn == {0.9, 1.0, 1.1}


def test_formats_rates_and_channels(tmp_path):
    kinds = [("wav", 8000, 1), ("flac", 16000, 1), ("ogg", 22050, 2), ("mp3", 44100, 1), ("wav", 48000, 2)]
    for number, (suffix, rate, channels) in enumerate(kinds):
        samples = np.stack([white(number, rate=rate)] * channels, axis=1)
        write(tmp_path / f"spk {number}" / f"one é.{suffix}", samples, rate)
    write(tmp_path / "spk 5" / "float.wav", white(5))
    soundfile.write(tmp_path / "spk 5" / "float.wav", white(5), RATE, subtype="FLOAT")
    heard = set()
    for item in mixing(tmp_path, num_spks=3, length=20):
        heard |= set(speakers(item))
        assert all(power(source[-400:]) > 1e-3 for source in item["sources"].T)
    assert len(heard) == 6


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_wav_with_other_chunks_is_read_as_the_library_reads_it(tmp_path, subtype):
    path = write(tmp_path / "a.wav", white(1))
    soundfile.write(path, white(1), RATE, subtype=subtype)
    wav = path.read_bytes()
    # A chunk of odd length before the samples and one after them.
    path.write_bytes(wav[:12] + b"note\x03\0\0\0abc\0" + wav[12:] + b"LIST\x04\0\0\0abcd")
    read = Recordings([path], RATE, active_level).cut(0, 16000, np.random.default_rng(0))
    np.testing.assert_array_equal(read, soundfile.read(path, dtype="float32")[0])
    part = Recordings([path], RATE, active_level).cut(0, 4000, np.random.default_rng(0))
    starts = [start for start in range(12001) if read[start] == part[0]]
    assert any(np.array_equal(read[start : start + 4000], part) for start in starts)


def test_a_level_measured_in_one_process_is_known_to_all(tmp_path):
    path = write(tmp_path / "a.wav", white(1))
    recordings = Recordings([path], RATE, active_level)
    child = multiprocessing.get_context("fork").Process(target=recordings.level, args=(0,))
    child.start()
    child.join()
    path.unlink()
    assert recordings.level(0) == pytest.approx(0.01, rel=0.2)
