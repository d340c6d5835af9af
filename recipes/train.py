#!/usr/bin/env python3
"""Train a separator on any corpus, evaluate it and write its report.

> python recipes/train.py hparams/wsj0mix.yaml --data_folder /corpora/wsj0-mix/2speakers
> torchrun --nproc_per_node=2 recipes/train.py hparams/wsj0mix.yaml --data_folder ...

Any key of the YAML file can be given on the command line, as can SpeechBrain's run options. With --check nothing
is trained or written: recipe and corpus are checked, one batch is run.
"""

import sys

from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.system.process import tune_process

if __name__ == "__main__":
    tune_process()
    words = [word for word in sys.argv[1:] if word != "--check"]
    with one_line_errors("train.py"):
        from speechbrain_tasnet.experiment import check, run

        if "--check" in sys.argv:
            print(check(words))
        else:
            run(words)
