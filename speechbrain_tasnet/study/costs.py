"""What a contestant costs, in a process of its own: ``python -m ...costs FOLDER RECIPE [--KEY VALUE ...]``.

The process is fresh, so that its memory is only the network's. It comes before all training: a contestant that
cannot be built is known before hours are spent on the others.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.microphones import for_network, heard_alike
from speechbrain_tasnet.errors import one_line_errors
from speechbrain_tasnet.losses import pit_si_snr_loss
from speechbrain_tasnet.network.costs import count_parameters, latency_ms, macs_per_second, real_time_factor
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.memory import peak_memory_increase
from speechbrain_tasnet.system.process import tune_process
from speechbrain_tasnet.training.dry_run import FIRST_USE

COSTS = "costs.json"

SECONDS = 4.0  # of audio in an item of a recipe without segments

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def write_costs(folder: Path, argv: Sequence[str]) -> None:
    """Measure what a contestant costs, and write it into its folder.

    Parameters
    ----------
    folder : Path
        That of its run.
    argv : sequence of str
        As `configuration.loading.read` takes it.

    Raises
    ------
    InputError
        The contestant cannot be built: a value is wrong, or a package is missing.
    """
    recipe = loading.read(argv)
    run_opts = recipe.run_opts
    device = run_opts["device"] or ("cuda:0" if torch.cuda.is_available() else "cpu")
    own = "precision" in run_opts["overridden_args"]
    costs = measure(recipe.build(), device, run_opts["precision"] if own else recipe.settings.precision)
    write_text(folder / COSTS, json.dumps(costs, indent=1) + "\n")


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


if __name__ == "__main__":
    tune_process()
    with one_line_errors("tasnet"), exclusive(Path(sys.argv[1]) / ".lock", Path(sys.argv[1])):
        write_costs(Path(sys.argv[1]), sys.argv[2:])
