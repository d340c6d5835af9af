"""A whole experiment: prepare the corpus, train, evaluate, report. What the recipes call."""

import logging
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet import ops
from speechbrain_tasnet.bundle import PRETRAINED, can_hold, save_bundle
from speechbrain_tasnet.bundle.about import about_run
from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.data.manifest import PROBLEMS
from speechbrain_tasnet.data.skipping import SkipBadItems, collate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.experiment.datasets import durations, evaluation_set, log_input_si_snr, training_set
from speechbrain_tasnet.experiment.schedules import Plan, make_plan
from speechbrain_tasnet.network.receptive_field import receptive_field
from speechbrain_tasnet.report.evaluation_page import write_report
from speechbrain_tasnet.report.learning_curve import learning_curve
from speechbrain_tasnet.separation.output_level import at_level_of
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.system.provenance import record_start
from speechbrain_tasnet.training.bad_items import BadItems
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.checkpoints import check_network
from speechbrain_tasnet.training.dry_run import Forecast, rehearse
from speechbrain_tasnet.training.finetuning import start_from
from speechbrain_tasnet.training.ledger import Ledger
from speechbrain_tasnet.training.loggers import LedgerFile, TensorBoard, TrainLogs

logger = logging.getLogger(__name__)

LEVEL_MIXTURES = 20  # are enough to tell how loud sources should be


def run(argv: Sequence[str], evaluate_only: bool = False) -> Path:
    """Run an experiment, in the order of SpeechBrain's own scripts.

    Started again, it resumes from its last checkpoint.

    Parameters
    ----------
    argv : sequence of str
        As `configuration.load` takes it.
    evaluate_only : bool
        Evaluate the best checkpoint, or the separator that ``--pretrained`` names, and leave the training out.

    Returns
    -------
    Path
        The output folder. It holds ``test_results.csv``, ``test_results.json``, ``report.html`` and, in
        ``pretrained``, the best checkpoint as a bundle that `TasNetSeparation` loads; ``runs.json`` tells how it
        came about, ``bad_items.csv`` what could not be used.

    Raises
    ------
    InputError
        A file, a folder or a value is not as it should be.
    """
    with _no_new_folder(argv, even_if_all_is_well=False):
        recipe, run_opts, hparams = loading.load(argv)
        if evaluate_only:
            _check_evaluation(hparams, argv)
        _check_packages(hparams)
        check_network(hparams["checkpointer"], hparams["modules"])
        started = _start_from_pretrained(hparams, adapt=not evaluate_only)
    ddp_init_group(run_opts)
    folder = Path(hparams["output_folder"])
    sb.create_experiment_directory(folder)
    run_on_main(write_text, args=[folder / "hyperparams.yaml", recipe.text])
    if started:
        logger.info(started)
    command = ["tasnet", "evaluate" if evaluate_only else "train", *argv]
    run_on_main(record_start, args=[folder / "runs.json", command, ops.slow_paths()])
    run_on_main(hparams["prepare"])
    brain, plan = _make_brain(hparams, run_opts)
    brain.hparams.bad_items.forget("test", *(() if evaluate_only else ("train", "valid")))
    test = evaluation_set(hparams, "test_data")
    valid_loader_options = hparams["valid_dataloader_opts"] | {"collate_fn": collate}
    if not evaluate_only:
        run_on_main(log_input_si_snr, kwargs={"test": test})
        training, loader_options = training_set(hparams)
        logger.info("%s", _rehearse(brain, plan, training))
        loader_options = hparams["dataloader_opts"] | loader_options | {"collate_fn": collate}
        # The Brain shows a progress bar of its own, with the SI-SNR improvement on it.
        brain.fit(
            hparams["epoch_counter"],
            plan.feed(training, loader_options),
            evaluation_set(hparams, "valid_data"),
            progressbar=False,
            train_loader_kwargs=loader_options,
            valid_loader_kwargs=valid_loader_options,
        )
    brain.evaluate(test, min_key="si-snr", progressbar=False, test_loader_kwargs=valid_loader_options)
    brain.hparams.bad_items.log_all()
    if if_main_process():
        _write_results(brain, hparams, test.dataset, shlex.join(command))
    return folder


def _check_evaluation(hparams: dict, argv: Sequence[str]) -> None:
    """Check that there is one separator to evaluate, the run's own or another, and no doubt which."""
    trained = hparams["checkpointer"].find_checkpoint(min_key="si-snr") is not None
    named = any(word.partition("=")[0] == "--pretrained" for word in argv)
    if trained and named:
        raise InputError(
            f"{hparams['save_folder']}: has a checkpoint of its own; give another --output_folder to evaluate "
            f"{hparams['pretrained']}, or leave --pretrained out"
        )
    if not trained and not named:
        raise InputError(
            f"{hparams['save_folder']}: no checkpoint to evaluate; train first, from the same folder, or name a "
            "separator with --pretrained"
        )


def _start_from_pretrained(hparams: dict, adapt: bool = True) -> str | None:
    """Load the weights of the recipe's separator, if this is a fresh start; return what to log."""
    if hparams.get("pretrained") is None or hparams["checkpointer"].find_checkpoint() is not None:
        return None
    return start_from(hparams["pretrained"], hparams["modules"], hparams["sample_rate"], adapt)


def check(argv: Sequence[str]) -> Forecast:
    """Do all that comes before the first step of `run`: the checks and a dry run. Nothing is written.

    Parameters
    ----------
    argv : sequence of str
        As for `run`.

    Returns
    -------
    Forecast
        Memory and time that training will take.

    Raises
    ------
    InputError
        A file, a folder or a value is not as it should be.
    """
    with _no_new_folder(argv):
        _, run_opts, hparams = loading.load(argv)
        _check_packages(hparams)
        _start_from_pretrained(hparams)
        with _scratch_manifests(hparams):
            for manifest in ("valid_data", "test_data"):
                evaluation_set(hparams, manifest)
            training, _ = training_set(hparams)
            return _rehearse(*_make_brain(hparams, run_opts), training)


@contextmanager
def _no_new_folder(argv: Sequence[str], even_if_all_is_well: bool = True) -> Iterator[None]:
    """Take back the empty folders that a checkpointer makes when it is built."""
    folder = Path(loading.read(argv)["save_folder"])
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    unwanted = True
    try:
        yield
        unwanted = even_if_all_is_well
    finally:
        for path in missing if unwanted else ():
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _scratch_manifests(hparams: dict) -> Iterator[None]:
    """Prepare the corpus in a folder that goes away again, from the manifests that are there, if any."""
    save = Path(hparams["save_folder"])
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for file in (*save.glob("*.csv"), *save.glob("*.json")):
            shutil.copy(file, scratch)
        try:
            hparams["prepare"](save_folder=scratch)
        except InputError as error:
            # The list would be gone with the folder.
            raise InputError(str(error).replace(f", listed in {scratch / PROBLEMS}", "")) from None
        for manifest in ("train_data", "valid_data", "test_data"):
            path = Path(hparams[manifest])
            if path.parent == save:
                hparams[manifest] = scratch / path.name
        yield


def _check_packages(hparams: dict) -> None:
    """Refuse now, not after the training, what cannot be had."""
    Evaluator(hparams["sample_rate"], hparams["metrics"])
    if hparams.get("tensorboard"):
        TensorBoard(hparams["output_folder"])


def _make_brain(hparams: dict, run_opts: RunOptions) -> tuple[SeparationBrain, Plan]:
    """Make the Brain and its plan, with all accounts it keeps and all that is written after each epoch."""
    folder = Path(hparams["output_folder"])
    loggers = [hparams["train_logger"]]
    if hparams.get("tensorboard"):
        loggers.append(TensorBoard(folder / "tensorboard"))
    ledger = Ledger()
    loggers.append(LedgerFile(folder / "ledger.json", ledger))
    # Checkpoints of earlier versions have none.
    hparams["checkpointer"].add_recoverable("ledger", ledger, optional_load=True)
    plan = make_plan(hparams, ledger)
    picture, title = folder / "learning_curve.svg", hparams["experiment_name"]
    extended = hparams | {
        "train_logger": TrainLogs(*loggers, train_log=hparams["train_log"], picture=picture, title=title),
        "bad_items": BadItems(folder / "bad_items.csv", hparams.get("max_bad_items", 100)),
        "ledger": ledger,
    }
    extended |= plan.changes
    return SeparationBrain(hparams["modules"], plan.opt_class, extended, run_opts, hparams["checkpointer"]), plan


def _rehearse(brain: SeparationBrain, plan: Plan, training: SkipBadItems) -> Forecast:
    """Make the dry run."""
    hparams = vars(brain.hparams)
    longest = hparams["segment"]
    if longest is None or hparams["speech_folder"] is None:
        seconds = durations(hparams["train_data"])
        longest = max(seconds) if longest is None else min(longest, max(seconds))
    valid = sum(durations(hparams["valid_data"]))
    return rehearse(brain, training, valid, longest, plan)


def _write_results(brain: SeparationBrain, hparams: dict, test: DynamicItemDataset, command: str) -> None:
    """Write the scores, the separator and the report of a finished run."""
    folder = Path(hparams["output_folder"])
    brain.evaluator.write(folder)
    modules = hparams["modules"]  # the Brain may hold them in wrappers for distributed training
    summary = brain.evaluator.summary()
    if not hparams["epoch_counter"].current:
        logger.info("Evaluated %s", hparams["pretrained"])
    elif can_hold(modules):
        about = about_run(hparams, summary, brain.hparams.ledger.audio)
        levelled = at_level_of(_some_mixtures(hparams), modules)
        save_bundle(folder / PRETRAINED, levelled, hparams["sample_rate"], about, replace=True)
    else:
        logger.info("No bundle in %s: it can hold a network of this package alone", folder / PRETRAINED)

    def separate_again(utterance_id: str):
        item = test[test.data_ids.index(utterance_id)]
        batch = sb.dataio.batch.PaddedBatch([item])
        with torch.no_grad():
            estimates = brain.compute_forward(batch, sb.Stage.TEST)
        return item["mixture"], item["sources"], estimates[0]

    write_report(
        folder / "report.html",
        title=hparams["experiment_name"],
        voices=hparams["test_voices"],
        facts=_facts(brain, hparams, command),
        summary=summary,
        rows=brain.evaluator.rows,
        curve=learning_curve(hparams["train_log"]),
        examples=brain.evaluator.examples(separate_again),
    )


def _some_mixtures(hparams: dict) -> list[torch.Tensor]:
    """Return what can be used of the first mixtures of validation."""
    items = (item for item, _ in islice(evaluation_set(hparams, "valid_data"), LEVEL_MIXTURES))
    return [item["mixture"] for item in items if item is not None]


def _facts(brain: SeparationBrain, hparams: dict, command: str) -> dict[str, object]:
    """Describe in a few lines what was trained on what; of another toolkit's network, what its model file says."""
    modules = hparams["modules"]
    facts = {"Command": command, "Test corpus": hparams["data_folder"]}
    if can_hold(modules):
        config = modules["encoder"].config | modules["masknet"].config
    else:
        config = {name: value for name, value in hparams["model"].items() if isinstance(value, bool | int | str)}
    facts["Network"] = ", ".join(f"{name} {value}" for name, value in config.items())
    facts["Parameters"] = f"{sum(p.numel() for module in modules.values() for p in module.parameters()):,}"
    if can_hold(modules):
        seen = receptive_field(modules["encoder"], modules["masknet"], hparams["sample_rate"])
        facts["Receptive field"] = f"{seen.seconds:.2f} s"
    splits = ("train", "valid", "test")
    bad = {split: count for split in splits if (count := len(brain.hparams.bad_items.names(split)))}
    facts["Epochs"] = hparams["epoch_counter"].current
    facts["Bad items"] = ", ".join(f"{count} in {split}" for split, count in bad.items()) or "none"
    return facts
