"""Files of phones, browsers and films are read as any other: as long, in time, in constant memory, or refused."""

import os
import sys
import threading

import numpy as np
import pytest
import soundfile
from media import RATE, write_media

from speechbrain_tasnet.audio.reading import audio_length, count_samples, open_audio, read_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError

pytest.importorskip("av")

# By suffix: codec, and what may be different in a sample.
CODECS = {
    "m4a": ("aac", 0.02),
    "mp4": ("aac", 0.02),
    "m4b": ("alac", 1e-4),
    "mka": ("flac", 1e-4),
    "mov": ("pcm_s16le", 1e-4),
}


@pytest.fixture(scope="module")
def tone():
    """Half a second of silence and two and a half of two tones [2, time]."""
    time = np.arange(3 * RATE) / RATE
    samples = np.stack([0.5 * np.sin(880 * np.pi * time), 0.3 * np.sin(600 * np.pi * time)])
    samples[:, : RATE // 2] = 0
    return samples.astype(np.float32)


def read(path):
    with open_audio(path) as file:
        return file, np.concatenate([*read_blocks(file, "each")], axis=1)


@pytest.mark.parametrize("suffix", CODECS)
def test_what_was_written_is_read(suffix, tone, tmp_path):
    codec, tolerance = CODECS[suffix]
    write_media(tmp_path / f"a.{suffix}", tone, codec, kind="ipod" if suffix == "m4b" else None)
    file, samples = read(tmp_path / f"a.{suffix}")
    assert (file.samplerate, file.channels) == (RATE, 2)
    assert samples.shape == tone.shape
    np.testing.assert_allclose(samples[:, :-2048], tone[:, :-2048], atol=tolerance)


@pytest.mark.parametrize(("name", "codec", "kind"), [("a.wma", "wmav2", None), ("a.aac", "aac", "adts")])
def test_what_does_not_say_where_its_padding_is_is_read_with_it(name, codec, kind, tone, tmp_path):
    write_media(tmp_path / name, tone, codec, kind=kind)
    _, samples = read(tmp_path / name)
    assert samples.shape[1] == pytest.approx(tone.shape[1], abs=2048)
    assert np.argmax(np.abs(samples[0]) > 0.1) == pytest.approx(RATE // 2, abs=2048)


def test_a_browsers_recording_is_in_time(tone, tmp_path):
    """Opus in WebM, 48 kHz whatever went in."""
    write_media(tmp_path / "a.webm", tone, "libopus")
    file, samples = read(tmp_path / "a.webm")
    assert (file.samplerate, file.subtype, samples.shape) == (48000, "opus", (2, 3 * 48000))
    assert np.argmax(np.abs(samples[0]) > 0.1) == pytest.approx(24000, abs=60)
    assert audio_length(tmp_path / "a.webm", 8000) == 24000
    assert len(read_audio(tmp_path / "a.webm", 8000)) == 24000


def test_the_sound_of_a_film_lasts_as_long_as_its_pictures(tone, tmp_path):
    write_media(tmp_path / "film.mp4", tone, pictures=50)
    _, samples = read(tmp_path / "film.mp4")
    assert samples.shape == (2, 5 * RATE)
    assert not samples[:, 4 * RATE :].any()


def test_sound_that_begins_late_begins_late(tone, tmp_path):
    write_media(tmp_path / "film.mkv", tone, pictures=40, late=0.7)
    _, samples = read(tmp_path / "film.mkv")
    assert np.argmax(np.abs(samples[0]) > 0.1) == pytest.approx(1.2 * RATE, abs=0.003 * RATE)


@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_any_number_of_samples_can_be_read_at_once(size, tone, tmp_path):
    write_media(tmp_path / "a.m4a", tone[:, :3000])
    with open_audio(tmp_path / "a.m4a") as file:
        parts = []
        while len(part := file.read(size)):
            assert len(part) <= size
            parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), read(tmp_path / "a.m4a")[1].T)


def test_counting_reads_to_the_end(tone, tmp_path):
    write_media(tmp_path / "a.m4a", tone)
    with open_audio(tmp_path / "a.m4a") as file:
        assert (file.exact, file.frames) == (False, tone.shape[1])
        assert count_samples(file) == tone.shape[1]


def test_it_comes_through_a_pipe(tone, tmp_path):
    write_media(tmp_path / "a.m4a", tone)
    os.mkfifo(tmp_path / "pipe")
    data = (tmp_path / "a.m4a").read_bytes()
    feeder = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[data])
    feeder.start()
    samples = read(tmp_path / "pipe")[1]
    feeder.join()
    assert samples.shape == tone.shape


def test_a_file_that_is_cut_off_is_refused(tone, tmp_path):
    write_media(tmp_path / "a.m4a", tone, options={"movflags": "faststart"})
    whole = (tmp_path / "a.m4a").read_bytes()
    (tmp_path / "cut.m4a").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=r"cut\.m4a: (cut short, .* s instead of 3\.00|cannot be decoded)"):
        read(tmp_path / "cut.m4a")
    write_media(tmp_path / "late.m4a", tone)  # its index is at its end
    data = (tmp_path / "late.m4a").read_bytes()
    (tmp_path / "late.m4a").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"late\.m4a: cannot be read as audio"):
        read(tmp_path / "late.m4a")


def test_films_without_sound_and_what_is_no_film_are_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"mute\.mp4: has no audio track"):
        open_audio(tmp_path / "mute.mp4")
    for name, data in (("a.m4a", b"a text, no film" * 100), ("a.txt", b"a text" * 100)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as audio"):
            open_audio(tmp_path / name)


def test_a_playlist_opens_no_other_file(tone, tmp_path):
    write_media(tmp_path / "secret.ts", tone, kind="mpegts")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{tmp_path / 'secret.ts'}\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="cannot be read as audio"):
            open_audio(tmp_path / name)


def test_without_pyav_the_way_to_get_it_is_told(tone, tmp_path, monkeypatch):
    write_media(tmp_path / "a.m4a", tone)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"a\.m4a: .*pip install 'speechbrain-tasnet\[media\]'"):
        open_audio(tmp_path / "a.m4a")


def test_the_same_talk_gives_the_same_voices(tone, tmp_path):
    """As m4a, film and wav."""
    generator = np.random.default_rng(0)
    talk = (0.1 * generator.normal(size=(1, 2 * RATE))).astype(np.float32)
    soundfile.write(tmp_path / "talk.wav", talk[0], RATE, "FLOAT")
    write_media(tmp_path / "talk.m4b", talk, "alac", kind="ipod")
    write_media(tmp_path / "talk.mkv", talk, "flac", pictures=20)
    voices = {}
    for suffix in ("wav", "m4b", "mkv"):
        out = tmp_path / suffix
        main(["separate", str(tmp_path / f"talk.{suffix}"), "--out", str(out), "--subtype", "FLOAT"])
        voices[suffix] = soundfile.read(out / "talk_s1.wav")[0]
    np.testing.assert_allclose(voices["m4b"], voices["wav"], atol=1e-3)
    np.testing.assert_allclose(voices["mkv"], voices["wav"], atol=1e-3)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sources_last_as_long_as_a_film_whose_sound_does_not(kind, tone, tmp_path):
    """It begins late, and ends early."""
    write_media(tmp_path / f"film.{kind}", tone, pictures=60, late=0.7)
    main(["separate", str(tmp_path / f"film.{kind}"), "--out", str(tmp_path / "out")])
    for name in ("film_s1.wav", "film_s2.wav"):
        source, rate = soundfile.read(tmp_path / "out" / name)
        assert (rate, len(source)) == (RATE, 6 * RATE)
        loud = np.flatnonzero(np.abs(source) > 0.02) / RATE
        # Half a second of the sound is silent, too.
        assert loud[0] == pytest.approx(1.2, abs=0.01)
        assert loud[-1] == pytest.approx(3.7, abs=0.01)


def test_the_same_talk_from_a_phone_gives_the_same_voices(speech_folder, tmp_path):
    """With a codec that loses something, in a container with and without pictures: as long, in time and alike."""
    voices = [soundfile.read(path)[0] for path in sorted(speech_folder.rglob("*.wav"))[::9][:2]]
    # Containers keep lengths in milliseconds, pictures in tenths of a second.
    length = min(map(len, voices)) // 800 * 800
    talk = resample(sum(0.3 * voice[:length] / np.abs(voice).max() for voice in voices), 8000, RATE)
    soundfile.write(tmp_path / "talk.wav", talk, RATE, "FLOAT")
    for name, pictures in (("talk.m4a", 0), ("talk.mp4", len(talk) * 10 // RATE)):
        write_media(tmp_path / name, talk[np.newaxis], "aac", pictures=pictures)
    found = {}
    for suffix in ("wav", "m4a", "mp4"):
        out = tmp_path / suffix
        main(["separate", str(tmp_path / f"talk.{suffix}"), "--out", str(out), "--subtype", "FLOAT"])
        found[suffix] = np.stack([soundfile.read(out / f"talk_s{i}.wav")[0] for i in (1, 2)])
    for suffix in ("m4a", "mp4"):
        assert found[suffix].shape == found["wav"].shape == (2, len(talk))
        for given, source in zip(found[suffix], found["wav"], strict=True):
            assert np.square(source).sum() > 300 * np.square(given - source).sum()
