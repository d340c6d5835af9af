"""From recordings to their voices: files, long signals in windows, live streams, and the files they go into."""

from speechbrain_tasnet.separation.recording import write_sources

__all__ = ["write_sources"]
