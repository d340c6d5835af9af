"""Training: the Brain, its budget, checkpoints, logs and safeguards."""
