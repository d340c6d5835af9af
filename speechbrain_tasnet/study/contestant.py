"""One contestant of a study, in a process of its own: ``python -m ...contestant FOLDER RECIPE [--KEY VALUE ...]``.

It is an ordinary experiment, and then what the network makes of a few mixtures.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.microphones import at_reference, for_network, sources_at_reference
from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.evaluation.evaluator import in_target_order
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.experiment.datasets import evaluation_set
from speechbrain_tasnet.system.files import new_file, write_text
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.process import tune_process

# Written last: where it is, the contestant is done.
EXAMPLES = "examples/examples.json"
HOW_MANY = 3


def run_contestant(folder: Path, argv: Sequence[str]) -> None:
    """Train and evaluate a contestant; run again, it resumes where it stopped.

    Parameters
    ----------
    folder : Path
        That of its run.
    argv : sequence of str
        As `configuration.loading.read` takes it.
    """
    workflow.run(argv)
    hparams = loading.read(argv).build()
    hparams.checkpointer.recover_if_possible(min_key=hparams.separation_loss.name)
    write_examples(hparams, folder / EXAMPLES)


@torch.no_grad()
def write_examples(hparams: Hparams, listing: Path) -> None:
    """Separate a few test mixtures, the same for all contestants: they lie evenly in the order of the ids.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe, with trained modules.
    listing : Path
        JSON file: by id a WAV file beside it, whose channels are the mixture, the references and the estimates in
        their order.
    """
    test = evaluation_set(hparams, "test_data")
    model = hparams.network.eval()
    ids = sorted(test.dataset.data_ids)
    written = {}
    for number in range(min(HOW_MANY, len(ids))):
        utterance_id = ids[(2 * number + 1) * len(ids) // (2 * HOW_MANY)]
        item, _ = test[test.dataset.data_ids.index(utterance_id)]
        if item is None:  # the log of the test says why
            continue
        estimates = model(for_network(item["mixture"][None], hparams))[0]
        targets, estimates = (sources_at_reference(s, hparams) for s in (item["sources"], estimates))
        mixture, estimates = at_reference(item["mixture"], hparams), in_target_order(targets, estimates)
        signals = torch.cat([mixture[:, None], targets, estimates], dim=1)
        written[utterance_id] = f"{number}.wav"
        with new_file(listing.parent / written[utterance_id]) as partial:
            soundfile.write(partial, signals.numpy(), hparams.sample_rate, "FLOAT", format="WAV")
    write_text(listing, json.dumps(written) + "\n")


if __name__ == "__main__":
    tune_process()
    with one_line_errors("tasnet"), exclusive(Path(sys.argv[1]) / ".lock", Path(sys.argv[1])):
        run_contestant(Path(sys.argv[1]), sys.argv[2:])
