"""Audio on disk and in memory: read, written, resampled, its level."""
