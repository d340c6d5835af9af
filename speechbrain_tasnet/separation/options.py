"""Options of separation, and what it needs of a model."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol

import torch
from torch import Tensor

from speechbrain_tasnet.audio.reading import CHANNELS
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.separation.scaling import SCALES

# Seconds: enough for pairs that are hard to tell apart; memory is in proportion (benchmarks/quality/windows.py).
WINDOW = 120.0
SHORTEST_WINDOW = 1.0
BEAMFORMERS = ("mvdr", "mvdr-postfilter")


class Separator(Protocol):
    """What is needed of a model; `TasNetSeparation` provides it.

    One that also has an attribute ``parallel``, which is true, is called by several threads at once; of one with
    ``counts_voices`` only those outputs are kept in which somebody is heard. One with ``mics`` above 1 is given
    [batch, time, mics], and separates what the microphone with the number ``reference`` hears. ``hop`` is how many
    samples lie between its frames, which shifts are parts of.
    """

    hparams: SimpleNamespace  # sample_rate in Hz, num_spks

    def separate_batch(self, mix: Tensor) -> Tensor:
        """Separate mixtures [batch, time] into sources [batch, time, C]."""


@dataclass(frozen=True)
class SeparationOptions:
    """How recordings are separated.

    Parameters
    ----------
    channels : str
        Which channels are separated: their ``mean``, the ``left`` or the ``right`` one (the first or the second),
        or ``each`` by itself, with the speakers in one order; a file with one channel has it on either side. A
        separator of several microphones takes them all, whatever this default says.
    scale : str
        ``none``: the model's own output. ``peak``: the loudest sample of all sources is at 0.9.
        ``mixture``: one gain, with which their sum fits the mixture best. ``consistent``: they sum to the mixture,
        unless all are silenced (`gate`). Silence stays silence.
    window : float, optional
        Seconds that are separated at once, at least 1; None: the whole recording, in as much memory as it takes.
        A separator that counts voices gets a minute at most, unless it is to have the whole recording.
    workers : int, optional
        How many windows or recordings are separated at the same time, each on one thread and in memory of its own.
        The sources do not depend on it, except for the rounding of float32. By default as many as torch uses
        threads, if the network is ours and runs on a CPU, and otherwise 1: one by one, on all threads.
    gate : bool
        Whether sources are silenced where nobody is heard in them, if the separator counts voices.
    beamform : str, optional
        ``mvdr``: a separator of one microphone separates every channel, and each source is filtered out of all of
        them, as the first one hears it; ``mvdr-postfilter``: what that gives is separated once more. Channels that
        are silent, or copies of others, are left out; from a single one come the separator's own sources. See
        `beamforming`.
    shifts : int
        How many times everything is separated, with frames that begin elsewhere; the sources are the mean of all,
        better for as many times the time. See `shifts`.
    voices : int, optional
        How many outputs are kept of a separator that counts voices: those in which somebody is heard longest. By
        default those in which somebody is heard.

    Raises
    ------
    InputError
        A value is none of these.
    """

    channels: str = "mean"
    scale: str = "none"
    window: float | None = WINDOW
    workers: int | None = None
    gate: bool = True
    beamform: str | None = None
    shifts: int = 1
    voices: int | None = None

    def __post_init__(self):
        for name, allowed in (("channels", CHANNELS), ("scale", SCALES)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        if self.beamform not in (None, *BEAMFORMERS):
            raise InputError(f"beamform={self.beamform!r}: expected {', '.join(BEAMFORMERS)}, or None for none")
        if self.beamform is not None and self.channels != "mean":
            raise InputError(
                f"channels={self.channels!r} with beamform={self.beamform!r}: a beamformer takes all channels; "
                "leave channels out"
            )
        if self.window is not None and not SHORTEST_WINDOW <= self.window < float("inf"):
            raise InputError(f"window={self.window}: expected at least {SHORTEST_WINDOW:g} seconds")
        if self.workers is not None:
            whole_number("workers", self.workers)
        whole_number("shifts", self.shifts)
        if self.voices is not None:
            whole_number("voices", self.voices)

    def check_voices(self, separator: Separator) -> None:
        """Refuse a number of voices that a separator cannot have.

        Raises
        ------
        InputError
            It does not count voices, or has fewer outputs.
        """
        outputs = separator.hparams.num_spks
        if self.voices is None:
            return
        if not getattr(separator, "counts_voices", False):
            raise InputError(
                f"voices={self.voices}: this separator does not count voices, each of its {outputs} outputs is "
                "one; leave voices out, or choose one that counts, such as convtasnet-8k-talk"
            )
        if self.voices > outputs:
            raise InputError(f"voices={self.voices}: expected at most {outputs}, the separator's outputs")

    def num_workers(self, separator: Separator) -> int:
        """Return how many windows or recordings are separated at the same time."""
        if self.workers is not None:
            return self.workers
        return torch.get_num_threads() if getattr(separator, "parallel", False) else 1


DEFAULTS = SeparationOptions()
