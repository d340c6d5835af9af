"""Damaged audio of every format: what decodes, or one line; no hang, no traceback, nothing lost without a word."""

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.audio.reading import open_audio, read_blocks
from speechbrain_tasnet.errors import InputError

FORMATS = sorted(soundfile.available_formats().keys() - {"RAW", "SD2", "XI"})
RATE = 8000
MOST = 2**24  # samples; beyond them a damaged header has promised what no small file holds


class Sequential(soundfile.SoundFile):
    """libsndfile's own decoding, from the begin to the end."""

    def seekable(self):
        return False


def sequential_length(path) -> int:
    """Count what libsndfile decodes before it ends or stumbles."""
    total = 0
    try:
        with Sequential(str(path)) as file:
            while found := len(file.read(2**14, dtype="float32", always_2d=True)):
                total += found
    except soundfile.LibsndfileError:
        return 0
    return total


def check(path) -> bool:
    """Read a damaged file; returns whether something came out."""
    reason = ""
    try:
        with open_audio(path) as file:
            length = 0
            for block in read_blocks(file):
                length += block.shape[1]
                assert length <= MOST
    except InputError as error:
        reason = str(error)
    if reason:
        assert "\n" not in reason
        assert reason.startswith(f"{path}: ")
        return False
    assert length > 0
    assert length >= sequential_length(path)
    assert not file.exact or length == file.frames or (file.format == "FLAC" and length > file.frames)
    return True


def damaged(content: bytes, step: int):
    """Cut the content off at every so many percent, and flip a bit there."""
    for percent in range(step, 100, step):
        place = len(content) * percent // 100
        yield content[:place]
        yield content[:place] + bytes([content[place] ^ 1 << percent % 8]) + content[place + 1 :]


def fuzz(tmp_path, format: str, step: int, options: dict) -> None:
    path = tmp_path / f"x.{format.lower()}"
    samples = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(path, samples, RATE, format=format, **options)
    content = path.read_bytes()
    assert check(path) or format == "HTK"
    for changed in damaged(content, step):
        path.write_bytes(changed)
        check(path)
    # The header has a small part of the bytes and most of what can go wrong.
    for place in range(0, min(len(content), 100), step):
        for bit in range(0, 8, 3):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            check(path)


OPUS = {"OPUS": ("OGG", {"subtype": "OPUS"})}


@pytest.mark.long
@pytest.mark.parametrize("format", [*FORMATS, *OPUS])
def test_damaged_files_of_every_format(tmp_path, format):
    name, options = OPUS.get(format, (format, {}))
    fuzz(tmp_path, name, 1, options)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3", "OGG", "OPUS", "AIFF", "CAF"])
def test_damaged_files(tmp_path, format):
    name, options = OPUS.get(format, (format, {}))
    fuzz(tmp_path, name, 9, options)
