"""A whole experiment: prepare the corpus, train, evaluate, report. What the recipes call."""

from speechbrain_tasnet.experiment.workflow import check, run

__all__ = ["check", "run"]
