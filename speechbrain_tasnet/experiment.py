"""A whole experiment: prepare the corpus, train, evaluate, report. What the recipes call."""

import json
import logging
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main

from speechbrain_tasnet import configuration
from speechbrain_tasnet.brain import SeparationBrain
from speechbrain_tasnet.bundle import PRETRAINED, save_bundle
from speechbrain_tasnet.bundle.about import about_run
from speechbrain_tasnet.data.dynamic import DynamicMixing
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation import Evaluator
from speechbrain_tasnet.finetuning import start_from
from speechbrain_tasnet.losses import pit_si_snr_loss
from speechbrain_tasnet.reach import receptive_field
from speechbrain_tasnet.report import write_report

logger = logging.getLogger(__name__)


def run(argv: Sequence[str], evaluate_only: bool = False) -> Path:
    """Run an experiment, in the order of the toolkit's own scripts.

    Started again, it resumes from its last checkpoint.

    Parameters
    ----------
    argv : sequence of str
        As `configuration.load` takes it.
    evaluate_only : bool
        Evaluate the best checkpoint and leave the training out.

    Returns
    -------
    Path
        The output folder. It holds ``test_results.csv``, ``test_results.json``, ``report.html`` and, in
        ``pretrained``, the best checkpoint as a bundle that `TasNetSeparation` loads.

    Raises
    ------
    InputError
        A file, a folder or a value is not as it should be.
    """
    hparams_file, run_opts, hparams, overrides = configuration.load(argv)
    if evaluate_only and hparams["checkpointer"].find_checkpoint(min_key="si-snr") is None:
        raise InputError(f"{hparams['save_folder']}: no checkpoint to evaluate; train first, from the same folder")
    # A metric that cannot be had is said now, not after the training.
    Evaluator(hparams["sample_rate"], hparams["metrics"])
    started = _start_from_pretrained(hparams)
    ddp_init_group(run_opts)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    if started:
        logger.info(started)
    run_on_main(hparams["prepare"])
    for scheduler in ("lr_scheduler", "step_scheduler"):
        if hparams[scheduler] is not None:
            hparams["checkpointer"].add_recoverable(scheduler, hparams[scheduler])
    brain = SeparationBrain(hparams["modules"], hparams["opt_class"], hparams, run_opts, hparams["checkpointer"])
    test = _dataset(hparams, "test_data")
    if not evaluate_only:
        run_on_main(_log_input_si_snr, kwargs={"test": test})
        training, loader_options = _training_set(hparams)
        # The Brain shows a progress bar of its own, with the SI-SNR improvement on it.
        brain.fit(
            hparams["epoch_counter"],
            training,
            _dataset(hparams, "valid_data"),
            progressbar=False,
            train_loader_kwargs=hparams["dataloader_opts"] | loader_options,
            valid_loader_kwargs=hparams["valid_dataloader_opts"],
        )
    brain.evaluate(test, min_key="si-snr", progressbar=False, test_loader_kwargs=hparams["valid_dataloader_opts"])
    if if_main_process():
        command = ["tasnet", "evaluate" if evaluate_only else "train", *argv]
        _write_results(brain, hparams, test, shlex.join(command))
    return Path(hparams["output_folder"])


def _start_from_pretrained(hparams: dict) -> str | None:
    """Give the modules the weights of the recipe's separator, if this is a fresh start; returns what to log."""
    if hparams["pretrained"] is None or hparams["checkpointer"].find_checkpoint() is not None:
        return None
    return start_from(hparams["pretrained"], hparams["modules"], hparams["sample_rate"])


def _dataset(hparams: dict, manifest: str, **cut) -> DynamicItemDataset:
    """Make the dataset of one manifest."""
    return make_dataset(
        hparams[manifest], hparams["data_folder"], hparams["num_spks"], hparams["sample_rate"], **cut
    )


def _training_set(hparams: dict) -> tuple[torch.utils.data.Dataset, dict]:
    """Make the training set, from disk or mixed anew, and say what its loader needs besides."""
    cut = {"segment": hparams["segment"], "speeds": hparams["speeds"]}
    if hparams["speech_folder"] is None:
        return _dataset(hparams, "train_data", **cut), {}
    dataset = DynamicMixing(
        hparams["speech_folder"],
        hparams["num_spks"],
        hparams["sample_rate"],
        length=hparams["epoch_items"],
        seed=hparams["seed"],
        exclude=_held_out(Path(hparams["data_folder"])),
        noise=hparams["noise_folder"],
        rooms=hparams["rooms"],
        target=hparams.get("target", "anechoic"),
        **cut,
    )
    # Every item is drawn anew, so their order need not be.
    return dataset, {"shuffle": False, "collate_fn": PaddedBatch}


def _held_out(corpus: Path) -> list[str]:
    """Name the speakers of validation and test, where `tasnet mix` has made the corpus and noted them."""
    note = corpus / "mix.json"
    if not note.exists():
        return []
    splits = json.loads(note.read_text(encoding="utf-8"))["splits"]
    return [speaker for split in ("cv", "tt") for speaker in splits[split]["speakers"]]


def _log_input_si_snr(test: DynamicItemDataset) -> None:
    """Say how good the mixtures of the test set are as estimates: a wrong pairing shows here at once."""
    values = []
    for item in test:
        sources = item["sources"].unsqueeze(0)
        values.append(-pit_si_snr_loss(sources, item["mixture"].view(1, -1, 1).expand_as(sources)).item())
    logger.info("Input SI-SNR of the test set: %.1f dB, the mean of %d mixtures", fmean(values), len(values))


def _write_results(brain: SeparationBrain, hparams: dict, test: DynamicItemDataset, command: str) -> None:
    """Write the scores, the separator and the report of a finished run."""
    folder = Path(hparams["output_folder"])
    brain.evaluator.write(folder)
    modules = hparams["modules"]  # the Brain may hold them in wrappers for distributed training
    summary = brain.evaluator.summary()
    about = about_run(hparams, summary)
    save_bundle(folder / PRETRAINED, modules, hparams["sample_rate"], about, replace=True)

    def separate_again(utterance_id: str):
        item = test[test.data_ids.index(utterance_id)]
        batch = sb.dataio.batch.PaddedBatch([item])
        with torch.no_grad():
            estimates = brain.compute_forward(batch, sb.Stage.TEST)
        return item["mixture"], item["sources"], estimates[0]

    seen = receptive_field(modules["encoder"], modules["masknet"], hparams["sample_rate"])
    config = modules["encoder"].config | modules["masknet"].config
    write_report(
        folder / "report.html",
        title=hparams["experiment_name"],
        voices=hparams["test_voices"],
        facts={
            "Command": command,
            "Test corpus": hparams["data_folder"],
            "Network": ", ".join(f"{name} {value}" for name, value in config.items()),
            "Parameters": f"{sum(p.numel() for module in modules.values() for p in module.parameters()):,}",
            "Receptive field": f"{seen.seconds:.2f} s",
            "Epochs": hparams["epoch_counter"].current,
        },
        summary=summary,
        rows=brain.evaluator.rows,
        curve=learning_curve(hparams["train_log"]),
        examples=brain.evaluator.examples(separate_again),
    )


def learning_curve(train_log: Path | str) -> list[dict[str, float]]:
    """Read what the toolkit's train logger wrote.

    Parameters
    ----------
    train_log : path-like
        Its file; may be missing.

    Returns
    -------
    list of dict
        One an epoch: ``epoch``, and the mean SI-SNR in dB of ``train`` and ``valid``.
    """
    path = Path(train_log)
    pattern = re.compile(r"epoch: (\d+), .*train si-snr: ([^,\s]+).*valid si-snr: ([^,\s]+)")
    found = pattern.findall(path.read_text(encoding="utf-8")) if path.exists() else []
    epochs = {int(epoch): (-float(train), -float(valid)) for epoch, train, valid in found}
    return [{"epoch": epoch, "train": train, "valid": valid} for epoch, (train, valid) in epochs.items()]
