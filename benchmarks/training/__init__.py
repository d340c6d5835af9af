"""Training: where the time of an epoch goes."""
