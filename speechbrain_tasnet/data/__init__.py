"""Read corpora: which signals there are, what is input and what is target, batches for training."""
