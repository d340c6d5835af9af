"""What decodes is what there is: headers without a count or with a wrong one, joined streams, files cut off."""

import os
import re
import threading

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES
from speechbrain_tasnet.audio.mpeg import frame
from speechbrain_tasnet.audio.random_access import open_random
from speechbrain_tasnet.audio.reading import audio_length, open_audio, read_audio
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings
from speechbrain_tasnet.errors import InputError

RATE = 16000


def speech(seconds: float, pause: bool = False) -> np.ndarray:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    if pause:
        samples[len(samples) // 4 :] = 0
    return samples


def write(path, samples, format=None, **options) -> bytes:
    soundfile.write(path, samples, RATE, format=format, **options)
    return path.read_bytes()


def without_count(mp3: bytes) -> bytes:
    """Take away the frame in which an mp3 states how many there are, as `ffmpeg -write_xing 0` does."""
    first = frame(mp3[:4])
    assert mp3[4 + first.side : 8 + first.side] in (b"Xing", b"Info")
    return mp3[first.size :]


def refused(path) -> str:
    with pytest.raises(InputError) as caught:
        read_audio(path, RATE)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_an_mp3_without_a_count_is_read_to_its_end(tmp_path):
    """Its bit rate varies: by the size of the first frame it would be taken for a fraction of what it is."""
    path = tmp_path / "v.mp3"
    mp3 = write(path, speech(4, pause=True), bitrate_mode="VARIABLE")
    path.write_bytes(without_count(mp3))
    with soundfile.SoundFile(path) as file:
        assert abs(file.frames - 4 * RATE) > RATE  # what libsndfile believes
    samples = read_audio(path, RATE)
    assert 0 <= len(samples) - 4 * RATE < 4 * 1152
    assert audio_length(path, RATE) == len(samples)
    with open_audio(path) as file:
        assert not file.exact
    path.write_bytes(without_count(mp3)[:-30])
    assert "cut short, its last frame is incomplete" in refused(path)


def test_joined_streams_are_read_one_after_the_other(tmp_path):
    for suffix in ("mp3", "ogg", "opus"):
        path = tmp_path / f"joined.{suffix}"
        one = write(path, speech(2), format="OGG" if suffix == "opus" else None, **OPUS[suffix])
        length = audio_length(path, RATE)
        path.write_bytes(one + one)
        assert len(read_audio(path, RATE)) == audio_length(path, RATE) == 2 * length, suffix
        with open_random(path) as file:
            assert (file.frames, file.name) == (2 * length, str(path))


OPUS = {"mp3": {}, "ogg": {}, "opus": {"subtype": "OPUS"}}


def test_a_stream_without_a_count_may_follow_one_with_it(tmp_path):
    path = tmp_path / "joined.mp3"
    mp3 = write(path, speech(2))
    path.write_bytes(mp3 + without_count(mp3))
    assert 0 <= len(read_audio(path, RATE)) - 4 * RATE < 4 * 1152
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    path.write_bytes(tag + without_count(mp3) + tag + without_count(mp3) + b"TAG" + bytes(125))
    assert 0 <= len(read_audio(path, RATE)) - 4 * RATE < 8 * 1152


def test_joined_streams_of_different_rates_are_refused(tmp_path):
    path = tmp_path / "joined.ogg"
    one = write(path, speech(1))
    soundfile.write(path, speech(1), 22050)
    path.write_bytes(one + path.read_bytes())
    assert "22050 Hz" in refused(path)
    assert "ffmpeg" in refused(path)


@pytest.mark.parametrize("count", [0, 100, 2**36 - 1])
def test_the_count_of_a_flac_is_a_hint(tmp_path, count):
    """0 is what an encoder leaves that writes into a pipe, and libsndfile makes 2^63-1 of it."""
    path = tmp_path / "piped.flac"
    flac = bytearray(write(path, speech(2)))
    flac[21] = flac[21] & 0xF0 | count >> 32
    flac[22:26] = (count & 2**32 - 1).to_bytes(4, "big")
    path.write_bytes(flac)
    if count > 2 * RATE:
        assert f"32000 samples instead of {count}" in refused(path)
        return
    assert len(read_audio(path, RATE)) == 2 * RATE
    if count == 0:
        assert audio_length(path, RATE) == 2 * RATE
        assert len(Recordings([path], RATE, lambda x, rate: 1.0).cut(0, 1000, np.random.default_rng(0))) == 1000
    with open_audio(path) as file:
        assert file.exact == (count > 0)


WAV = {"RIFF": (4, 40), "data": (40, 40)}


@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7F000008])
@pytest.mark.parametrize("fields", WAV)
def test_a_wav_of_unknown_size_is_read_to_its_end(tmp_path, stated, fields):
    path = tmp_path / "streamed.wav"
    wav = bytearray(write(path, speech(1)))
    for place in WAV[fields]:
        wav[place : place + 4] = stated.to_bytes(4, "little")
    path.write_bytes(wav)
    assert len(read_audio(path, RATE)) == audio_length(path, RATE) == RATE
    with open_random(path) as file:
        assert len(file.read()) == RATE


def test_a_wav_without_samples_is_still_one_when_chunks_follow(tmp_path):
    path = tmp_path / "empty.wav"
    wav = write(path, np.zeros(0))
    path.write_bytes(wav + b"LIST\x04\x00\x00\x00INFO")
    assert "holds no samples" in refused(path)


@pytest.mark.parametrize("format", ["AU", "CAF", "W64", "AIFF", "RF64"])
def test_other_containers_of_unknown_size(tmp_path, format):
    path = tmp_path / "streamed"
    content = bytearray(write(path, speech(1), format))
    place, unknown = {
        "AU": (8, b"\xff" * 4),
        "CAF": (content.find(b"data") + 4, b"\xff" * 8),
        "W64": (content.find(b"data\xf3") + 16, b"\xff" * 8),
        "AIFF": (content.find(b"SSND") + 4, b"\x7f\x00\x00\x08"),
        "RF64": (28, b"\xff" * 8),
    }[format]
    content[place : place + len(unknown)] = unknown
    path.write_bytes(content)
    assert len(read_audio(path, RATE)) == RATE


# HTK is refused by libsndfile; of PAF, PVF and IRCAM nobody can tell, for they state no size and have no end.
TELLING = (
    "AIFF AU AVR CAF FLAC HTK SVX MAT4 MAT5 MPC2K MP3 OGG RF64 SDS VOC W64 WAV NIST WAVEX WVE".split()  # noqa: SIM905
)


@pytest.mark.parametrize("format", TELLING)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_file_cut_off_is_refused_in_every_format_that_can_tell(tmp_path, format, part):
    path = tmp_path / "cut"
    content = write(path, speech(1), format)
    path.write_bytes(content[: int(len(content) * part)])
    refused(path)


def test_an_ogg_cut_between_pages_is_refused(tmp_path):
    path = tmp_path / "cut.ogg"
    content = write(path, speech(8))
    pages = [found.start() for found in re.finditer(b"OggS", content)]
    assert len(pages) > 4
    path.write_bytes(content[: pages[-1]])
    assert "the last page of its stream is not there" in refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read(tmp_path):
    wav = write(tmp_path / "x.wav", speech(1))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(wav,))
    writer.start()
    assert len(read_audio(tmp_path / "pipe", RATE)) == RATE
    writer.join()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://example.org/x.wav", ["download it first"]),
        ("circle.wav", ["a link that leads nowhere"]),
        ("gone.wav", ["no such file"]),
        ("film.m4a", ["cannot be read as audio", "check whether it is the right file"]),
        ("x\0.wav", ["a file name cannot contain NUL"]),
    ],
)
def test_what_is_no_file_is_named(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    os.symlink("circle.wav", "circle.wav")
    (tmp_path / "film.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
    with pytest.raises(InputError) as caught:
        read_audio(name, RATE)
    assert all(word in str(caught.value) for word in words)


def test_the_suffixes_are_those_of_the_formats_that_soundfile_reads():
    assert {".wav", ".flac", ".ogg", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".au", ".caf", ".w64"} <= set(
        AUDIO_SUFFIXES
    )
    assert ".raw" not in AUDIO_SUFFIXES
