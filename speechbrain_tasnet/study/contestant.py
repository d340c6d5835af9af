"""One contestant of a study, in a process of its own: ``python -m ...contestant FOLDER RECIPE [--KEY VALUE ...]``.

Its cost is measured first, while the process is fresh and its memory is only the network's. Then comes an
ordinary experiment, and finally what the network makes of a few mixtures.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.microphones import at_reference, for_network, heard_alike, sources_at_reference
from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.evaluation.evaluator import in_target_order
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.experiment.datasets import evaluation_set
from speechbrain_tasnet.losses import pit_si_snr_loss
from speechbrain_tasnet.network.costs import count_parameters, latency_ms, macs_per_second, real_time_factor
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.system.files import new_file, write_text
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.memory import peak_memory_increase
from speechbrain_tasnet.system.process import tune_process
from speechbrain_tasnet.training.dry_run import FIRST_USE

COSTS = "costs.json"

# Written last: where it is, the contestant is done.
EXAMPLES = "examples/examples.json"
HOW_MANY = 3

SECONDS = 4.0  # of audio in an item of a recipe without segments

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def run_contestant(folder: Path, argv: Sequence[str]) -> None:
    """Measure, train and evaluate a contestant; run again, it resumes where it stopped.

    Parameters
    ----------
    folder : Path
        That of its run.
    argv : sequence of str
        As `configuration.loading.read` takes it.
    """
    recipe = loading.read(argv)
    if not (folder / COSTS).exists():
        run_opts = recipe.run_opts
        device = run_opts["device"] or ("cuda:0" if torch.cuda.is_available() else "cpu")
        own = "precision" in run_opts["overridden_args"]
        costs = measure(recipe.build(), device, run_opts["precision"] if own else recipe.settings.precision)
        write_text(folder / COSTS, json.dumps(costs, indent=1) + "\n")
    workflow.run(argv)
    hparams = recipe.build()
    hparams.checkpointer.recover_if_possible(min_key=hparams.separation_loss.name)
    write_examples(hparams, folder / EXAMPLES)


def measure(hparams: Hparams, device: str, precision: str = "fp32") -> dict[str, float]:
    """Measure what a network costs, trained or not.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe. The weights of its modules change.
    device : str
        Where it is trained: ``cpu``, ``cuda:0``.
    precision : str
        That of the training: ``fp32``, ``bf16``, ``fp16``.

    Returns
    -------
    dict
        ``parameters``, ``macs_per_second`` of audio, ``latency_ms`` (None: it takes in the whole mixture),
        ``training_memory`` in bytes and ``real_time_factor``, on one thread of a processor in fp32.
    """
    model, rate = hparams.network, hparams.sample_rate
    latency = latency_ms(model, rate)
    costs = {
        "parameters": count_parameters(model),
        "macs_per_second": macs_per_second(model, rate),
        "latency_ms": latency if math.isfinite(latency) else None,
        "training_memory": training_memory(model.to(device), hparams, device, precision),
    }
    return costs | {"real_time_factor": real_time_factor(model.cpu().eval(), rate, hparams.mics)}


def training_memory(model: Model, hparams: Hparams, device: str, precision: str) -> int:
    """Measure by how many bytes a first training step raises the peak of memory, the optimizer's included.

    Parameters
    ----------
    model : Model
        On the device; its weights change.
    hparams : Hparams
        Of the recipe: ``batch_size``, ``segment``, ``sample_rate``, ``num_spks``, ``opt_class``.
    device, precision : str
        As for `measure`.
    """
    kind = device.split(":")[0]
    cast = torch.autocast(kind, PRECISIONS.get(precision), enabled=precision in PRECISIONS)
    optimizer = hparams.opt_class(model.parameters())

    def step(items: int, seconds: float) -> None:
        sources = 0.1 * torch.randn(items, round(seconds * hparams.sample_rate), hparams.num_spks)
        sources = sources.to(device)
        with cast:
            estimates = model(for_network(heard_alike(sources.sum(2), hparams), hparams))
            loss = pit_si_snr_loss(sources, estimates).mean()
        loss.backward()
        optimizer.step()

    step(1, FIRST_USE)  # libraries are loaded and loops compiled
    optimizer.zero_grad(set_to_none=True)
    optimizer.state.clear()
    return peak_memory_increase(lambda: step(hparams.batch_size, hparams.segment or SECONDS), kind)


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
