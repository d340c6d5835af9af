"""The separation task in SpeechBrain's training loop."""

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from statistics import fmean

import speechbrain as sb
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from torch import Tensor
from tqdm import tqdm

from speechbrain_tasnet.data.epoch_loader import EpochLoader
from speechbrain_tasnet.data.microphones import at_reference, for_network, sources_at_reference, with_sources
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.diarization import Turn
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.losses import SeparationLoss, Targets
from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.ops.at_once import at_once
from speechbrain_tasnet.ops.denormals import flushed
from speechbrain_tasnet.ops.threads import alone
from speechbrain_tasnet.padding import valid_samples
from speechbrain_tasnet.system.termination import STATUS, Termination
from speechbrain_tasnet.training.distributed import anywhere, gather, share_of
from speechbrain_tasnet.training.epoch_stats import Telemetry
from speechbrain_tasnet.training.nonfinite_guard import GuardedBrain
from speechbrain_tasnet.training.stand_in import stand_in

logger = logging.getLogger(__name__)


class SeparationBrain(GuardedBrain):
    """Train, validate and test a separator of any number of sources.

    Batches carry ``id``, ``mixture`` [batch, time], or [batch, time, mics] of several microphones, ``sources``
    [batch, time, C], or [batch, time, C, mics] at each of them, and, as ``bad``, name and reason of items that
    could not be used. From the hyperparameters it takes ``epoch_counter``, ``train_logger``, ``training_loss``
    and, for validation and test, ``separation_loss`` (a `SeparationLoss` each), ``loss_threshold``,
    ``sample_rate``, ``mics``, ``mixture_channels``, ``reference``, ``outputs``, ``metrics``, ``aligned_sources``,
    ``bad_items`` (where those go), ``ledger`` (which records every batch and epoch), ``lr_scheduler`` (called
    after each validation, or null) and ``step_scheduler`` (called after each step of the optimizer, or null).
    Gradient accumulation, precision and checkpoints are SpeechBrain's. Trained on an `EpochLoader`, each item
    of an epoch is heard once and counts the same, whatever the batch size and the number of processes are.
    After `evaluate`, ``evaluator`` holds the score of each utterance; ``spoken``, which may be set before,
    has by id when each source speaks, see `talk.score_talk`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_batches = {}
        self.datasets = {}
        self.spoken: Mapping[str, Sequence[Turn]] = {}
        self.ending = False
        self.loader: EpochLoader | None = None
        self._group_start = 0  # position of the first item whose gradient is in the next step
        self._weight = 1.0

    def compute_forward(self, batch, stage: sb.Stage) -> Tensor:
        """Separate a batch: returns the estimates, in the shape of the sources."""
        mixture, lengths = batch.to(self.device).mixture
        # Through self.modules, whose wrappers keep the gradients of several processes in step.
        model = self.modules.encoder, self.modules.masknet, self.modules.decoder
        return separate(*model, for_network(mixture, self.hparams), lengths)

    def compute_objectives(self, predictions: Tensor, batch, stage: sb.Stage) -> Tensor:
        """Return the mean loss of a batch in dB, and keep account of each utterance's."""
        with alone(predictions.numel()):
            targets, mixture = Targets(*batch.sources), with_sources(batch.mixture.data, self.hparams)
            losses = at_once(lambda e: self._loss(stage)(targets, mixture, e), predictions)
            self._observe(losses, predictions, targets, batch, stage)
        if stage == sb.Stage.TEST:
            self._score(predictions, batch)
        threshold = self.hparams.loss_threshold
        if stage == sb.Stage.TRAIN and threshold is not None:
            # What is separated well enough already has nothing left to teach. NaN stays, to be noticed.
            taught = losses[~(losses <= threshold)]
            return taught.mean() if len(taught) else 0 * losses.sum()
        return losses.mean()

    def _loss(self, stage: sb.Stage) -> SeparationLoss:
        return self.hparams.training_loss if stage == sb.Stage.TRAIN else self.hparams.separation_loss

    @torch.no_grad()
    def _observe(self, losses: Tensor, predictions: Tensor, targets: Targets, batch, stage: sb.Stage) -> None:
        """Add a batch to the averages of the stage, and show them on its progress bar."""
        self.bar.update()
        if not batch.id:  # a stand-in
            return
        si_snr = -losses if self._loss(stage).is_plain else -targets.loss(predictions)
        mixture = with_sources(batch.mixture.data, self.hparams)
        improvements = (si_snr - targets.si_snr_of_mixture(mixture)).tolist()
        mixed = targets.are_mixed(mixture).tolist()
        for loss, ratio, improvement, known in zip(
            losses.tolist(), si_snr.tolist(), improvements, mixed, strict=True
        ):
            # In training the guard reports it and skips the step; in validation it must show in the mean.
            if math.isfinite(loss) or stage != sb.Stage.TRAIN:
                self.losses.append(loss)
                if known and (stage != sb.Stage.TEST or self.hparams.aligned_sources):
                    self.ratios.append(ratio)
                    self.improvements.append(improvement)
                    self.improved += improvement
        self.silent_targets += int(targets.silent.sum())
        if self.improvements:
            self.bar.set_postfix_str(f"SI-SNRi {self.improved / len(self.improvements):.2f} dB", refresh=False)

    def _score(self, estimates: Tensor, batch) -> None:
        """Pass each utterance of a test batch to the evaluator, without its padding, as the reference hears it."""
        mixture, lengths = at_reference(batch.mixture.data, self.hparams), batch.mixture.lengths
        sources, estimates = (sources_at_reference(s, self.hparams) for s in (batch.sources.data, estimates))
        for i, size in enumerate(valid_samples(lengths, mixture.shape[1]).tolist()):
            signals = mixture[i, :size], sources[i, :size], estimates[i, :size]
            self.evaluator.add(batch.id[i], *signals, self.spoken.get(batch.id[i]))

    def make_dataloader(self, dataset, stage: sb.Stage, **kwargs):
        """Make SpeechBrain's loader, and note its length for the progress bar.

        SpeechBrain shares the training set out among the processes of a distributed run and lets each of them
        do all of validation and test. Here those are shared too, each utterance once.
        """
        if stage != sb.Stage.TRAIN and self.distributed_launch:
            kwargs["sampler"] = share_of(dataset)
        loader = super().make_dataloader(dataset, stage, **kwargs)
        self.num_batches[stage] = len(loader)
        self.datasets[stage] = dataset
        return loader

    def fit(self, epoch_counter, train_set, *args, **kwargs) -> None:
        """Train as SpeechBrain does; SIGTERM ends it with a checkpoint and status 143."""
        self.loader = train_set if isinstance(train_set, EpochLoader) else None
        with Termination() as self.termination:
            super().fit(epoch_counter, train_set, *args, **kwargs)

    @flushed()
    def fit_batch(self, batch) -> Tensor:
        """Train on a batch. The last one of an epoch takes a step, however few batches were accumulated for it."""
        if self.loader is None:
            return super().fit_batch(batch)
        after, factor = self.loader.next_position, self.grad_accumulation_factor
        last = after == self.loader.end
        self._weight = self.loader.weight(len(batch.id), self._group_start, factor)
        if last and self.step % factor:
            # SpeechBrain steps where the factor divides the number of the batch, and divides the loss by it.
            self.grad_accumulation_factor, self._weight = 1, self._weight / factor
        try:
            loss = super().fit_batch(batch if batch.id else stand_in(batch.bad, self.hparams))
        finally:
            self.grad_accumulation_factor = factor
        self.loader.position.items = after
        if last or self.step % factor == 0:
            self._group_start = after
        return loss if batch.id else torch.tensor(math.nan)  # which SpeechBrain's average leaves out

    def check_loss_isfinite(self, loss: Tensor) -> None:
        """Weight the loss for its gradient alone: what is logged is the mean of the batch."""
        super().check_loss_isfinite(loss)
        if self._weight != 1:
            weight = self._weight
            loss.register_hook(lambda gradient: gradient * weight)

    def _should_save_intra_epoch_ckpt(self, *args) -> bool:
        # Where SpeechBrain asks after each batch, its own account of it is complete. A gradient that waits for its
        # step is in no checkpoint: its items would be lost.
        whole = self.step % self.grad_accumulation_factor == 0
        requested = anywhere(self.termination.requested)
        self.ending = requested and whole
        return (super()._should_save_intra_epoch_ckpt(*args) or requested) and whole

    def _save_intra_epoch_ckpt(self) -> None:
        # What other processes know would be forgotten with them.
        self.hparams.bad_items.gather()
        self.hparams.ledger.settle()
        super()._save_intra_epoch_ckpt()
        self.telemetry.ready()  # saving is not waiting for data
        if self.ending:
            logger.warning("Asked to end: saved a checkpoint after %d steps of the epoch", self.step)
            self.termination.resume()
            sys.exit(STATUS)

    def on_fit_start(self) -> None:
        """Recover the last checkpoint, if there is one, and log where training resumes."""
        super().on_fit_start()
        if self.loader is not None and self.step:
            self._continue_in_items()
        epochs = self.hparams.epoch_counter.current
        if epochs or self.step:
            logger.info("Resuming after %d complete epochs and %d steps of the next", epochs, self.step)

    def _continue_in_items(self) -> None:
        """Count the batches of an interrupted epoch as if they all had been of the present size."""
        position, size, factor = self.loader.position, self.loader.step_items, self.grad_accumulation_factor
        if not position.epoch:
            self._trust_batches(size)
        self.step = math.ceil(math.ceil(position.items / size) / factor) * factor

    def _trust_batches(self, size: int) -> None:
        """Take the position from SpeechBrain's count of batches, which is all that earlier versions saved."""
        if self.distributed_launch:
            raise InputError(
                f"{self.checkpointer.checkpoints_dir}: its last checkpoint, of an earlier version, is in mid-"
                "epoch and does not record what several processes have heard; delete it to begin the epoch again"
            )
        position = self.loader.position
        position.start(self.hparams.epoch_counter.current + 1, self.loader.order)
        position.items = min(self.step * size, len(self.loader.dataset))
        logger.warning(
            "The last checkpoint, of an earlier version, counts batches and not items: %d batches are taken for "
            "%d items; with another batch_size than before, some are left out or come twice",
            *(self.step, position.items),
        )

    def on_fit_batch_start(self, batch, should_step: bool) -> None:
        """Record what has come, and how long it was waited for."""
        super().on_fit_batch_start(batch, should_step)
        mixture = batch.mixture.data[: len(batch.id)]  # nothing of a stand-in
        samples = mixture.shape[1] * float(batch.mixture.lengths[: len(batch.id)].sum())
        self.telemetry.batch_came(samples / self.hparams.sample_rate)
        self._report_bad(batch, sb.Stage.TRAIN)
        self.hparams.ledger.begin(mixture, samples / self.hparams.sample_rate)

    def on_fit_batch_end(self, batch, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        """Adjust the learning rate after a step, if the recipe says so."""
        stepped = should_step and math.isfinite(self.gradient_norm)
        self.hparams.ledger.end(stepped)
        if should_step:
            self.telemetry.stepped(self.gradient_norm)
        if stepped and self.hparams.step_scheduler is not None:
            self.hparams.step_scheduler(self.optimizer)
        self.telemetry.ready()

    def evaluate_batch(self, batch, stage: sb.Stage) -> Tensor:
        """Evaluate what is left of a batch without its bad items."""
        self._report_bad(batch, stage)
        return super().evaluate_batch(batch, stage) if batch.id else torch.tensor(math.nan)

    def _report_bad(self, batch, stage: sb.Stage) -> None:
        for name, reason in getattr(batch, "bad", ()):
            self.hparams.bad_items.add(stage.name.lower(), name, reason)
            if stage == sb.Stage.TEST:
                self.evaluator.leave_out(name)

    def _figures(self) -> dict[str, float | int]:
        """Sum up what the epoch cost; the processes of a distributed run add up their audio."""
        figures = self.telemetry.figures()
        return figures | {"audio per second": sum(gather([figures["audio per second"]]))}

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Begin the averages and the progress bar of a stage."""
        self.losses, self.ratios, self.improvements, self.silent_targets = [], [], [], 0
        self.improved = 0.0  # the sum: the bar shows the mean after every step
        self.telemetry = Telemetry(self.device)
        if stage == sb.Stage.TRAIN:
            self.termination.defer()
        if stage == sb.Stage.TRAIN and self.loader is not None:
            self.loader.begin()
            self.num_batches[stage] = self.step + len(self.loader)
            self._group_start = self.loader.position.items
        elif stage == sb.Stage.TRAIN and hasattr(self.datasets.get(stage), "set_epoch"):
            # Before the loader's processes copy the dataset.
            self.datasets[stage].set_epoch(epoch)
        if stage == sb.Stage.TEST:
            options = self.hparams.sample_rate, self.hparams.metrics, self.hparams.aligned_sources
            self.evaluator = Evaluator(*options)
        self.bar = tqdm(
            desc=stage.name.lower() if epoch is None else f"epoch {epoch} {stage.name.lower()}",
            total=self.num_batches.get(stage),
            initial=self.step,
            disable=self.noprogressbar or not sb.utils.distributed.if_main_process(),
            dynamic_ncols=True,
        )

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Log the stage; after validation adjust the learning rate and save a checkpoint."""
        self.bar.close()
        name = stage.name.lower()
        self.hparams.bad_items.gather()
        losses, ratios, improvements = gather(self.losses), gather(self.ratios), gather(self.improvements)
        key = self.hparams.separation_loss.name
        if not losses and stage != sb.Stage.TRAIN:
            raise InputError(f"{name}: no item could be used; the warnings in the log say why")
        # A run that resumes after the last step of an epoch has nothing to train in it.
        comparable = stage != sb.Stage.TEST or self.hparams.aligned_sources
        stats = {key: fmean(losses)} if losses and comparable else {}
        if improvements:
            stats = {"si-snr": -fmean(ratios)} | stats | {"si-snr_i": fmean(improvements)}
        if silent_targets := sum(gather([self.silent_targets])):
            stats["silent targets"] = silent_targets
        if bad := self.hparams.bad_items.names(name):
            stats["bad items"] = len(bad)
        if stage == sb.Stage.TRAIN:
            # SpeechBrain's average survives a kill in mid-epoch, ours has only seen what came after.
            self.train_stats = stats | {key: fmean(gather([float(stage_loss)]))}
            if losses:
                self.train_stats |= self._figures()
            # What a kill or a signal in validation would cost is then the validation alone.
            self._save_intra_epoch_ckpt()
            self.termination.resume()
        elif stage == sb.Stage.VALID:
            self.termination.defer()  # what is logged as validated is saved
            lr = self.optimizer.param_groups[0]["lr"]
            if self.hparams.lr_scheduler is not None:
                _, next_lr = self.hparams.lr_scheduler([self.optimizer], epoch, stats[key])
                update_learning_rate(self.optimizer, next_lr)
            self.hparams.ledger.validated(epoch, -self.train_stats[key], -stats[key])
            self.hparams.train_logger.log_stats({"epoch": epoch, "lr": lr}, self.train_stats, stats)
            self.checkpointer.save_and_keep_only(meta=stats, min_keys=[key])
            self.termination.resume()
        else:
            self.evaluator, *others = gather([self.evaluator])
            for other in others:
                self.evaluator.merge(other)
            epochs = self.hparams.epoch_counter.current
            self.hparams.train_logger.log_stats({"epoch loaded": epochs}, test_stats=stats)
