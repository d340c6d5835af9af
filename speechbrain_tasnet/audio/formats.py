"""Formats of audio, by the suffixes of their files: those that soundfile reads here, and what others are."""

from importlib.util import find_spec

import soundfile

# Formats that no file in a folder of recordings has: without a header, of one instrument, or tables of numbers,
# which seldom are sound.
NO_RECORDINGS = {"RAW", "SD2", "XI", "MAT4", "MAT5", "HTK"}
# By which names the formats go, where theirs is not their own name in small letters.
SUFFIXES = {
    "AIFF": ("aiff", "aif", "aifc"), "AU": ("au", "snd"), "MP3": ("mp3", "mp2"), "NIST": ("nist", "sph"),
    "OGG": ("ogg", "oga", "opus"), "RF64": ("rf64", "bwf"), "SVX": ("8svx", "iff"), "IRCAM": ("sf", "ircam"),
}  # fmt: skip
AUDIO_SUFFIXES = tuple(
    sorted(
        f".{suffix}"
        for name in soundfile.available_formats().keys() - NO_RECORDINGS
        for suffix in SUFFIXES.get(name, (name.lower(),))
    )
)
# In messages and help; the rest is seldom seen.
COMMON = "wav, flac, ogg, opus, mp3, aiff, au, caf or w64"
# The same where FFmpeg's libraries read more.
COMMON_MEDIA = f"{COMMON.replace(' or ', ', ')}, m4a, aac, mp4, webm or wma"
# What players play and soundfile does not: the sound in it can be taken out.
OTHER_SUFFIXES = (
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dsf", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".mpg",
    ".ra", ".shn", ".spx", ".tta", ".webm", ".wma", ".wmv", ".wv",
)  # fmt: skip


def readable() -> str:
    """Name the formats that can be read here, for messages."""
    return COMMON if find_spec("av") is None else COMMON_MEDIA
