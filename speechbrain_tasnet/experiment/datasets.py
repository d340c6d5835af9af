"""The datasets of an experiment, as its recipe says."""

import logging
from pathlib import Path
from statistics import fmean

from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.data.durations import durations
from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.held_out import held_out
from speechbrain_tasnet.data.microphones import at_reference, channels_of, sources_at_reference
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.read_manifest import read_manifest
from speechbrain_tasnet.data.skipping import SkipBadItems
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses import Targets

logger = logging.getLogger(__name__)


def evaluation_set(hparams: Hparams, manifest: str) -> SkipBadItems:
    """Make the dataset of validation or test: whole mixtures.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    manifest : str
        Name of its key: ``valid_data``, ``test_data``.
    """
    return SkipBadItems(_corpus_items(hparams, manifest), replace=False)


def training_set(hparams: Hparams) -> tuple[SkipBadItems, dict]:
    """Make the training set, from disk or by dynamic mixing, and return what its loader needs besides."""
    draws = {"segment": hparams.segment, "speeds": hparams.speeds, "seed": hparams.item_seed}
    if hparams.speech_folder is None:
        return SkipBadItems(_corpus_items(hparams, "train_data", **draws), replace=True), {}
    kept_back = held_out(Path(hparams.data_folder))
    dataset = DynamicMixing(
        hparams.speech_folder,
        hparams.num_spks,
        hparams.sample_rate,
        length=hparams.epoch_items,
        exclude=kept_back.speakers,
        noise=hparams.noise_folder,
        exclude_noise=kept_back.noise,
        rooms=hparams.rooms,
        target=hparams.target,
        noise_share=hparams.noise_share,
        noise_snr=hparams.noise_snr,
        room_share=hparams.room_share,
        channel_share=hparams.channel_share,
        wide_level_share=hparams.wide_level_share,
        similar_voice_share=hparams.similar_voice_share,
        min_spks=hparams.min_spks,
        talk_share=hparams.talk_share,
        talk_turns=_turns(hparams),
        silent_share=hparams.silent_share,
        mics=channels_of(hparams),
        reference=hparams.reference,
        outputs=hparams.outputs,
        source_order=hparams.source_order,
        **draws,
    )
    # Every item is drawn at random, so their order need not be.
    return SkipBadItems(dataset, replace=True), {"shuffle": False}


def _turns(hparams: Hparams) -> TurnTaking:
    """Return how people talk in dynamic mixing."""
    ratio = hparams.talk_overlap_ratio
    return TurnTaking(
        hparams.talk_pause,
        hparams.talk_overlap,
        tuple(hparams.talk_overlap_probability),
        None if ratio is None else tuple(ratio),
    )


def seconds_of(hparams: Hparams, manifest: str) -> list[float]:
    """Return how long the mixtures of a manifest are, in seconds.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    manifest : str
        Name of its key: ``train_data``, ``valid_data``.
    """
    path = getattr(hparams, manifest)
    return durations(read_manifest(path, hparams.data_folder, hparams.num_spks), path)


def log_input_si_snr(test: SkipBadItems, hparams: Hparams) -> None:
    """Log how good the mixtures of the test set are as estimates: a wrong pairing shows here at once."""
    values, usable = [], 0
    for item, bad in test:
        if bad:  # reported when its turn comes
            continue
        usable += 1
        mixture = at_reference(item["mixture"][None], hparams)
        targets = Targets(sources_at_reference(item["sources"][None], hparams))
        if not targets.silent.all():
            values.append(targets.si_snr_of_mixture(mixture).item())
    if not usable:
        raise InputError("test set: no item can be used; check the corpus")
    if not values:
        logger.info("Nobody speaks in the test set")
        return
    logger.info("Input SI-SNR of the test set: %.1f dB, the mean of %d mixtures", fmean(values), len(values))


def _corpus_items(hparams: Hparams, manifest: str, **draws):
    """Read the items of one manifest."""
    return make_dataset(
        getattr(hparams, manifest),
        hparams.data_folder,
        hparams.num_spks,
        hparams.sample_rate,
        mics=channels_of(hparams),
        reference=hparams.reference,
        outputs=hparams.outputs,
        **draws,
    )
