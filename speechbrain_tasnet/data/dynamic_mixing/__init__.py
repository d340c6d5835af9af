"""Mixtures made anew for every training item."""
