"""From recordings to their voices: files, long signals in windows, live streams, and output files."""

from speechbrain_tasnet.separation.recording import write_sources

__all__ = ["write_sources"]
