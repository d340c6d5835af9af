#!/usr/bin/env python3
"""Evaluate the best checkpoint of a training run and write its report again.

> python recipes/evaluate.py results/wsj0mix/1234
> python recipes/evaluate.py hparams/wsj0mix.yaml --data_folder /corpora/wsj0-mix/2speakers
"""

import sys

from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.system.process import tune_process

if __name__ == "__main__":
    tune_process()
    with one_line_errors("evaluate.py"):
        from speechbrain_tasnet.experiment import run

        run(sys.argv[1:], evaluate_only=True)
