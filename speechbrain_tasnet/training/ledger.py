"""What a training has cost and what it was fed, over all its starts."""

import json
import time
import zlib
from pathlib import Path

from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from torch import Tensor

from speechbrain_tasnet.system.energy import EnergyMeter
from speechbrain_tasnet.training.distributed import first_on_its_machine, gather, processes, rank, total

# Checksums are kept of each batch up to this one, then whenever as many have come.
EVERY = 100


@register_checkpoint_hooks
class Ledger:
    """The record of a training; it is saved in its checkpoints, so that a resumed training keeps counting.

    Time and energy are those of the steps alone: from a batch that is there to weights that have changed. Loading,
    validation and checkpoints are left out. In a distributed run a process counts what is its own until `settle`
    adds up that of all; from then on each has the figures of the whole.

    Attributes
    ----------
    batches, steps : int
        That came to each process; that the optimizer took.
    items : int
        That came to all processes.
    audio : float
        Seconds of it, padding left out.
    seconds, cpu_seconds : float
        Wall clock, and processor time of all threads.
    joules : float or None
        None where the machine does not report it.
    checksums : dict
        By number of batches, CRC-32 of the samples of all mixtures up to there, in hexadecimal digits; those of
        several processes one after the other, with a space between them.
    curve : list of dict
        One an epoch: ``epoch``, ``train`` and ``valid`` (SI-SNR in dB), and how much of the above it took to get
        there: ``steps``, ``audio``, ``seconds``, ``joules``.

    Examples
    --------
    >>> import torch
    >>> ledger = Ledger()
    >>> ledger.begin(torch.ones(2, 8000), audio=2.0)
    >>> ledger.end(stepped=True)
    >>> ledger.steps, ledger.items, ledger.audio, ledger.checksums
    (1, 2, 2.0, {1: '6bad85bd'})
    """

    def __init__(self) -> None:
        self.batches = self.steps = self.items = 0
        self.audio = self.seconds = self.cpu_seconds = 0.0
        self.checksums: dict[int, str] = {}
        self.curve: list[dict] = []
        self.uncounted = 0  # batches before a version that counted their items
        self._checksum = 0
        self._meter = EnergyMeter()
        self.joules = 0.0 if self._meter.sources else None
        self._remember()

    def begin(self, mixture: Tensor, audio: float) -> None:
        """Record a batch, before anything is done with it.

        Parameters
        ----------
        mixture : Tensor
            [batch, time], on the CPU.
        audio : float
            Seconds in it, padding left out.
        """
        self.batches += 1
        self.items += len(mixture)
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

    def audio_of_all(self) -> float:
        """Return the seconds of audio of all processes, those before `settle` included; all must call it."""
        settled = self._added["audio"]
        return settled + total(self.audio - settled)

    def settle(self) -> None:
        """Add up what the processes of a distributed run have counted since the last time; all must call it."""
        own = {name: getattr(self, name) - before for name, before in self._added.items()}
        recent = {batches: self.checksums[batches] for batches in self.checksums if batches > self._settled}
        shares = gather([(own, self._own_joules(), recent, self._checksum)])
        for name, before in self._added.items():
            setattr(self, name, before + sum(share[name] for share, *_ in shares))
        joules = [energy for _, energy, *_ in shares]
        self.joules = None if None in joules else self._joules + sum(joules)
        for batches in recent:
            self.checksums[batches] = " ".join(checksums[batches] for *_, checksums, _ in shares)
        self._remember([checksum for *_, checksum in shares])

    def _own_joules(self) -> float | None:
        """Return the energy since the last time; meters count a whole machine, so that one process reads them."""
        if self.joules is None:
            return None
        return self.joules - self._joules if first_on_its_machine() else 0.0

    def _remember(self, checksums: list[int] | None = None) -> None:
        """Take the present figures for those of all processes."""
        self._added = {name: getattr(self, name) for name in ("items", "audio", "cpu_seconds")}
        self._joules, self._settled = self.joules, self.batches
        self._checksums = [self._checksum] if checksums is None else checksums

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
        names = ("batches", "steps", "items", "audio", "seconds", "cpu_seconds", "joules", "checksums", "curve")
        return {name: getattr(self, name) for name in names} | {"energy": self._meter.sources}

    @mark_as_saver
    def _save(self, path: Path | str) -> None:
        # Of several processes the last account of all, which `settle` has made.
        checksums = self._checksums if len(self._checksums) > 1 else [self._checksum]
        more = {"uncounted": self.uncounted, "checksum": checksums}
        Path(path).write_text(json.dumps(self.as_dict() | more), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: Path | str, end_of_epoch: bool) -> None:
        del end_of_epoch
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        del saved["energy"]
        if "items" not in saved:  # as in earlier versions
            saved |= {"items": 0, "uncounted": saved["batches"], "checksum": [saved["checksum"]]}
        checksums = saved.pop("checksum")
        if len(checksums) == processes():
            self._checksum = checksums[rank()]
        else:
            self._checksum = zlib.crc32(json.dumps(checksums).encode())
        if self.joules is None or saved["joules"] is None:  # on another machine before
            saved["joules"] = None
        saved["checksums"] = {int(batches): digits for batches, digits in saved["checksums"].items()}
        vars(self).update(saved)
        self._remember(checksums)
