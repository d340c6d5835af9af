"""A whole experiment: prepare the corpus, train, evaluate, report. What the recipes call."""

import logging
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet import ops
from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.schema import Hparams, Settings
from speechbrain_tasnet.data.manifest import PROBLEMS
from speechbrain_tasnet.data.skipping import SkipBadItems, collate
from speechbrain_tasnet.data.spoken import read_turns
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.experiment import counting, gpu_block
from speechbrain_tasnet.experiment.datasets import evaluation_set, log_input_si_snr, seconds_of, training_set
from speechbrain_tasnet.experiment.results import write_results
from speechbrain_tasnet.experiment.schedules import Plan, make_plan
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.system.provenance import record_start
from speechbrain_tasnet.system.termination import outlive
from speechbrain_tasnet.training.bad_items import BadItems
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.checkpoints import check_network
from speechbrain_tasnet.training.dry_run import Forecast, rehearse
from speechbrain_tasnet.training.finetuning import start_from
from speechbrain_tasnet.training.ledger import Ledger
from speechbrain_tasnet.training.loggers import LedgerFile, TensorBoard, TrainLogs

logger = logging.getLogger(__name__)


def run(argv: Sequence[str], evaluate_only: bool = False) -> Path:
    """Run an experiment, in the order of SpeechBrain's own scripts.

    Started again, it resumes from its last checkpoint.

    Parameters
    ----------
    argv : sequence of str
        As `configuration.loading.read` takes it.
    evaluate_only : bool
        Evaluate the best checkpoint, or the separator that ``--pretrained`` names, without training.

    Returns
    -------
    Path
        The output folder. It holds ``test_results.csv``, ``test_results.json``, ``report.html`` and, in
        ``pretrained``, the best checkpoint as a bundle that `TasNetSeparation` loads; ``runs.json`` records how it
        was made, ``bad_items.csv`` what could not be used.

    Raises
    ------
    InputError
        A file, a folder or a value is not as it should be.
    """
    recipe = loading.read(argv)
    with _no_new_folder(recipe.settings, even_if_all_is_well=False):
        hparams = recipe.build()
        if evaluate_only:
            _check_evaluation(hparams, argv)
        _check_packages(hparams)
        check_network(hparams.checkpointer, hparams.modules)
        started = _start_from_pretrained(hparams, adapt=not evaluate_only)
        doubts = [] if evaluate_only else counting.doubts(hparams, begins=started is not None)
    ddp_init_group(recipe.run_opts)
    folder = Path(hparams.output_folder)
    sb.create_experiment_directory(folder)
    run_on_main(write_text, args=[folder / "hyperparams.yaml", recipe.text])
    if started:
        logger.info(started)
    for doubt in doubts:
        logger.warning(doubt)
    command = ["tasnet", "evaluate" if evaluate_only else "train", *argv]
    run_on_main(record_start, args=[folder / "runs.json", command, ops.slow_paths()])
    run_on_main(hparams.prepare)
    brain, plan = make_brain(hparams, recipe.run_opts)
    brain.hparams.bad_items.forget("test", *(() if evaluate_only else ("train", "valid")))
    test = evaluation_set(hparams, "test_data")
    brain.spoken = read_turns(hparams.test_data, hparams.data_folder, hparams.num_spks)
    at_start = {"worker_init_fn": outlive}  # unless the recipe has one of its own
    valid_loader_options = at_start | hparams.valid_dataloader_opts | {"collate_fn": collate}
    if not evaluate_only:
        run_on_main(log_input_si_snr, kwargs={"test": test, "hparams": hparams})
        training, loader_options = training_set(hparams)
        forecast = _rehearse(brain, plan, training)
        logger.info("%s", forecast)
        gpu_block.settle(Path(hparams.save_folder), brain, forecast)
        loader_options = at_start | hparams.dataloader_opts | loader_options | {"collate_fn": collate}
        # The Brain shows a progress bar of its own, with the SI-SNR improvement on it.
        brain.fit(
            hparams.epoch_counter,
            plan.feed(training, loader_options),
            evaluation_set(hparams, "valid_data"),
            progressbar=False,
            train_loader_kwargs=loader_options,
            valid_loader_kwargs=valid_loader_options,
        )
    brain.evaluate(
        test, min_key=hparams.separation_loss.name, progressbar=False, test_loader_kwargs=valid_loader_options
    )
    brain.hparams.bad_items.log_all()
    if if_main_process():
        write_results(brain, hparams, test.dataset, shlex.join(command))
    _end_log(folder)
    return folder


def _end_log(folder: Path) -> None:
    """Close a run's log at its end: what the process does later is not part of the run."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder.absolute():
            root.removeHandler(handler)
            handler.close()


def _check_evaluation(hparams: Hparams, argv: Sequence[str]) -> None:
    """Check that there is one separator to evaluate, the run's own or another, and no doubt which."""
    trained = hparams.checkpointer.find_checkpoint(min_key=hparams.separation_loss.name) is not None
    named = any(word.partition("=")[0] == "--pretrained" for word in argv)
    if trained and named:
        raise InputError(
            f"{hparams.save_folder}: has a checkpoint of its own; give another --output_folder to evaluate "
            f"{hparams.pretrained}, or leave --pretrained out"
        )
    if not trained and not named:
        raise InputError(
            f"{hparams.save_folder}: no checkpoint to evaluate; train first, from the same folder, or name a "
            "separator with --pretrained"
        )


def _start_from_pretrained(hparams: Hparams, adapt: bool = True) -> str | None:
    """Load the weights of the recipe's separator, if this is a fresh start; return what to log."""
    if hparams.pretrained is None or hparams.checkpointer.find_checkpoint() is not None:
        return None
    return start_from(hparams.pretrained, hparams.network, hparams.sample_rate, adapt)


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
    recipe = loading.read(argv)
    with _no_new_folder(recipe.settings):
        hparams = recipe.build()
        _check_packages(hparams)
        started = _start_from_pretrained(hparams)
        for doubt in counting.doubts(hparams, begins=started is not None):
            logger.warning(doubt)
        with _scratch_manifests(hparams):
            for manifest in ("valid_data", "test_data"):
                evaluation_set(hparams, manifest)
            read_turns(hparams.test_data, hparams.data_folder, hparams.num_spks)
            training, _ = training_set(hparams)
            return _rehearse(*make_brain(hparams, recipe.run_opts), training)


@contextmanager
def _no_new_folder(settings: Settings, even_if_all_is_well: bool = True) -> Iterator[None]:
    """Remove the empty folders that a checkpointer makes when it is built."""
    folder = Path(settings.save_folder)
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
def _scratch_manifests(hparams: Hparams) -> Iterator[None]:
    """Prepare the corpus in a folder that goes away again, from the manifests that are there, if any."""
    save = Path(hparams.save_folder)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for file in (*save.glob("*.csv"), *save.glob("*.json")):
            shutil.copy(file, scratch)
        try:
            hparams.prepare(save_folder=scratch)
        except InputError as error:
            # The list would be gone with the folder.
            raise InputError(str(error).replace(f", listed in {scratch / PROBLEMS}", "")) from None
        for manifest in ("train_data", "valid_data", "test_data"):
            path = Path(getattr(hparams, manifest))
            if path.parent == save:
                setattr(hparams, manifest, str(scratch / path.name))
        yield


def _check_packages(hparams: Hparams) -> None:
    """Check now, not after the training, that the packages needed are there."""
    Evaluator(hparams.sample_rate, hparams.metrics, hparams.aligned_sources)
    if hparams.tensorboard:
        TensorBoard(hparams.output_folder)


def make_brain(hparams: Hparams, run_opts: RunOptions) -> tuple[SeparationBrain, Plan]:
    """Make the Brain and its plan, with all records that it keeps and writes after each epoch."""
    folder = Path(hparams.output_folder)
    ledger = Ledger()
    loggers = [hparams.train_logger, LedgerFile(folder, ledger, hparams.experiment_name)]
    if hparams.tensorboard:
        loggers.append(TensorBoard(folder / "tensorboard"))
    # Checkpoints of earlier versions have none.
    hparams.checkpointer.add_recoverable("ledger", ledger, optional_load=True)
    plan = make_plan(hparams, ledger)
    extended = hparams.as_written() | {
        "train_logger": TrainLogs(*loggers),
        "bad_items": BadItems(folder / "bad_items.csv", hparams.max_bad_items),
        "ledger": ledger,
        "aligned_sources": hparams.aligned_sources,
        "separation_loss": hparams.separation_loss,
        "training_loss": hparams.training_loss,
    }
    extended |= plan.changes
    return SeparationBrain(hparams.modules, plan.opt_class, extended, run_opts, hparams.checkpointer), plan


def _rehearse(brain: SeparationBrain, plan: Plan, training: SkipBadItems) -> Forecast:
    """Make the dry run."""
    hparams = brain.hparams
    longest = hparams.segment
    if longest is None or hparams.speech_folder is None:
        seconds = seconds_of(hparams, "train_data")
        longest = max(seconds) if longest is None else min(longest, max(seconds))
    valid = sum(seconds_of(hparams, "valid_data"))
    return rehearse(brain, training, valid, longest, plan)
