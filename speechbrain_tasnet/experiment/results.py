"""Write the results of a finished run: its scores, the separator as a bundle, the report."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset

import speechbrain_tasnet
from speechbrain_tasnet.bundle import PRETRAINED, can_hold, find_bundle, load_bundle, save_bundle
from speechbrain_tasnet.bundle.about import score_of, scores_of, speakers_of
from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.microphones import at_reference, for_network, sources_at_reference
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.datasets import evaluation_set, seconds_of
from speechbrain_tasnet.network.costs import count_parameters
from speechbrain_tasnet.network.receptive_field import receptive_field
from speechbrain_tasnet.report.evaluation_page import write_report
from speechbrain_tasnet.report.learning_curve import learning_curve
from speechbrain_tasnet.separation.output_level import at_level_of
from speechbrain_tasnet.system.provenance import git_state
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.ledger import Ledger
from speechbrain_tasnet.training.loggers import LEDGER

logger = logging.getLogger(__name__)

LEVEL_MIXTURES = 20  # are enough to know how loud sources should be
PACKAGES = ("speechbrain_tasnet", "speechbrain", "torch")


def write_results(brain: SeparationBrain, hparams: Hparams, test: DynamicItemDataset, command: str) -> None:
    """Write the scores, the separator and the report of a finished run.

    Parameters
    ----------
    brain : SeparationBrain
        After its evaluation.
    hparams : Hparams
        Of the recipe.
    test : DynamicItemDataset
        What it was evaluated on.
    command : str
        That the run was started with.
    """
    folder = Path(hparams.output_folder)
    brain.evaluator.write(folder)
    summary = brain.evaluator.summary()
    model = hparams.network  # the Brain may hold its parts in wrappers for distributed training
    if not hparams.epoch_counter.current:
        logger.info("Evaluated %s", hparams.pretrained)
    elif can_hold(model):
        about = about_run(hparams, summary, brain.hparams.ledger)
        levelled = at_level_of(_some_mixtures(hparams), model)
        save_bundle(folder / PRETRAINED, levelled, hparams.sample_rate, about, replace=True)
    else:
        logger.info("No bundle in %s: it can only hold a network of this package", folder / PRETRAINED)

    def separate_again(utterance_id: str):
        item = test[test.data_ids.index(utterance_id)]
        batch = sb.dataio.batch.PaddedBatch([item])
        with torch.no_grad():
            estimates = brain.compute_forward(batch, sb.Stage.TEST)
        sources, estimates = (sources_at_reference(s, hparams) for s in (item["sources"], estimates[0]))
        return at_reference(item["mixture"], hparams), sources, estimates

    write_report(
        folder / "report.html",
        title=hparams.experiment_name,
        voices=hparams.test_voices,
        facts=_facts(brain, hparams, command),
        summary=summary,
        rows=brain.evaluator.rows,
        curve=learning_curve(folder / LEDGER),
        examples=brain.evaluator.examples(separate_again),
    )


def about_run(hparams: Hparams, summary: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    """Return what a finished training run knows about its separator.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    summary : mapping
        `Evaluator.summary()` of the test set.
    ledger : Ledger
        What the training took.

    Returns
    -------
    dict
        See `bundle.about.ABOUT`.
    """
    prepare = hparams.prepare
    about = {
        "name": _one_line(hparams.experiment_name),
        "recipe": getattr(prepare, "func", prepare).__name__.removeprefix("prepare_"),
        "experiment": _one_line(hparams.experiment_name),
        "corpus": _folder_name(hparams.data_folder),
        "epochs": hparams.epoch_counter.current,
        "test_voices": _one_line(hparams.test_voices),
        "scores": scores_of(summary),
        "conditions": {
            condition: {group: score_of(value) for group, value in groups.items()}
            for condition, groups in summary.get("conditions", {}).items()
        },
        "versions": {package: str(import_module(package).__version__) for package in PACKAGES},
    }
    about |= {name: getattr(hparams, name) for name in ("seed", "task") if name in hparams.model_fields_set}
    if hparams.speech_folder is not None:
        about["speech"] = _folder_name(hparams.speech_folder)
    elif Path(hparams.train_data).exists():
        about["hours"] = round(sum(seconds_of(hparams, "train_data")) / 3600, 4)
    if hparams.loss_silence is not None:
        about["silence"] = hparams.loss_silence
    if summary["talk"]:
        about["speakers"] = speakers_of(summary["talk"])
    if summary["aligned_sources"]:
        about["not_improved"] = len(summary["not_improved"])
    if ledger.audio:
        about["audio_hours"] = round(ledger.audio / 3600 + _hours_before(hparams), 1)
    if ledger.joules:
        about["energy"] = round(ledger.joules / 3.6e6, 3)
    if code := git_state(Path(speechbrain_tasnet.__file__).parent):
        about["revision"] = code["revision"]
    if hparams.pretrained is not None:
        about["started_from"] = _folder_name(hparams.pretrained)
    return about


def _hours_before(hparams: Hparams) -> float:
    """Return how much audio the separator has heard that the training began with."""
    if hparams.pretrained is not None:
        with suppress(InputError):  # a resumed run no longer needs it
            return load_bundle(find_bundle(hparams.pretrained)).config.about.get("audio_hours", 0.0)
    return 0.0


def _some_mixtures(hparams: Hparams) -> list[torch.Tensor]:
    """Return of the first mixtures of validation what the network hears, where they can be used."""
    items = (item for item, _ in islice(evaluation_set(hparams, "valid_data"), LEVEL_MIXTURES))
    return [for_network(item["mixture"], hparams) for item in items if item is not None]


def _facts(brain: SeparationBrain, hparams: Hparams, command: str) -> dict[str, object]:
    """Describe in a few lines what was trained on what; of another toolkit's network, what its model file says."""
    model = hparams.network
    facts = {"Command": command, "Test corpus": hparams.data_folder}
    if can_hold(model):
        config = model.encoder.config | model.masknet.config
    else:
        config = {name: value for name, value in hparams.model.items() if isinstance(value, bool | int | str)}
    facts["Network"] = ", ".join(f"{name} {value}" for name, value in config.items())
    facts["Parameters"] = f"{count_parameters(model):,}"
    if can_hold(model):
        seen = receptive_field(model.encoder, model.masknet, hparams.sample_rate)
        facts["Receptive field"] = f"{seen.seconds:.2f} s"
    splits = ("train", "valid", "test")
    bad = {split: count for split in splits if (count := len(brain.hparams.bad_items.names(split)))}
    facts["Epochs"] = hparams.epoch_counter.current
    facts["Bad items"] = ", ".join(f"{count} in {split}" for split, count in bad.items()) or "none"
    return facts


def _folder_name(path: Path | str) -> str:
    """Return the name of a folder without telling where on the machine it lies."""
    return _one_line(Path(path).resolve().name)


def _one_line(value: object) -> str:
    """Keep what fits in one line: a finished training must not fail because of an odd name."""
    return "".join(letter for letter in str(value) if letter.isprintable())
