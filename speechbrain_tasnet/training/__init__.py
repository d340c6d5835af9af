"""Training: the Brain, its budget, checkpoints and logs, and what guards it."""
