"""Corpora: from a folder of speech to batches for training."""
