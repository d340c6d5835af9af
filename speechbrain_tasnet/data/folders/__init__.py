"""Folders of speech and noise: who speaks in them, and what belongs to which split."""
