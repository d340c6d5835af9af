"""How well sources are separated: scores per utterance, means with intervals, scores by condition."""
