"""What a training has cost and what it was fed, over all its starts."""

import json
import time
import zlib
from pathlib import Path

from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from torch import Tensor

from speechbrain_tasnet.system.energy import EnergyMeter

# Checksums are kept of each batch up to this one, then whenever as many have come.
EVERY = 100


@register_checkpoint_hooks
class Ledger:
    """The account of a training; it is saved in its checkpoints, so that a resumed training goes on counting.

    Time and energy are those of the steps alone: from a batch that is there to weights that have changed. Loading,
    validation and checkpoints are left out. A process of a distributed run counts its own.

    Attributes
    ----------
    batches, steps : int
        That came; that the optimizer took.
    audio : float
        Seconds of it, padding left out.
    seconds, cpu_seconds : float
        Wall clock, and processor time of all threads.
    joules : float or None
        None where the machine does not report it.
    checksums : dict
        By number of batches, CRC-32 of the samples of all mixtures up to there, in hexadecimal digits.
    curve : list of dict
        One an epoch: ``epoch``, ``train`` and ``valid`` (SI-SNR in dB), and how much of the above it took to get
        there: ``steps``, ``audio``, ``seconds``, ``joules``.

    Examples
    --------
    >>> import torch
    >>> ledger = Ledger()
    >>> ledger.begin(torch.ones(2, 8000), audio=2.0)
    >>> ledger.end(stepped=True)
    >>> ledger.steps, ledger.audio, ledger.checksums
    (1, 2.0, {1: '6bad85bd'})
    """

    def __init__(self) -> None:
        self.batches = self.steps = 0
        self.audio = self.seconds = self.cpu_seconds = 0.0
        self.checksums: dict[int, str] = {}
        self.curve: list[dict] = []
        self._checksum = 0
        self._meter = EnergyMeter()
        self.joules = 0.0 if self._meter.sources else None

    def begin(self, mixture: Tensor, audio: float) -> None:
        """Record a batch, before anything is done with it.

        Parameters
        ----------
        mixture : Tensor
            [batch, time], on the processor.
        audio : float
            Seconds in it, padding left out.
        """
        self.batches += 1
        self.audio += audio
        self._checksum = zlib.crc32(mixture.contiguous().numpy(), self._checksum)
        if self.batches <= EVERY or self.batches % EVERY == 0:
            self.checksums[self.batches] = f"{self._checksum:08x}"
        self._before = time.perf_counter(), time.process_time(), self._meter.joules()

    def end(self, stepped: bool) -> None:
        """Record that all is done with a batch.

        Parameters
        ----------
        stepped : bool
            The optimizer took a step.
        """
        now = time.perf_counter(), time.process_time(), self._meter.joules()
        seconds, cpu_seconds, joules = (b - a for a, b in zip(self._before, now, strict=True))
        self.steps += stepped
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds
        if self.joules is not None:
            self.joules += joules

    def validated(self, epoch: int, train: float, valid: float) -> None:
        """Add a point to the learning curve.

        Parameters
        ----------
        epoch : int
            From 1.
        train, valid : float
            Mean SI-SNR in dB.
        """
        spent = {name: getattr(self, name) for name in ("steps", "audio", "seconds", "joules")}
        self.curve.append({"epoch": epoch, "train": train, "valid": valid} | spent)

    def as_dict(self) -> dict:
        """Return all that is known, as JSON takes it."""
        names = ("batches", "steps", "audio", "seconds", "cpu_seconds", "joules", "checksums", "curve")
        return {name: getattr(self, name) for name in names} | {"energy": self._meter.sources}

    @mark_as_saver
    def _save(self, path: Path | str) -> None:
        Path(path).write_text(json.dumps(self.as_dict() | {"checksum": self._checksum}), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: Path | str, end_of_epoch: bool) -> None:
        del end_of_epoch
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        del saved["energy"]
        self._checksum = saved.pop("checksum")
        if self.joules is None or saved["joules"] is None:  # on another machine before
            saved["joules"] = None
        saved["checksums"] = {int(batches): digits for batches, digits in saved["checksums"].items()}
        vars(self).update(saved)
