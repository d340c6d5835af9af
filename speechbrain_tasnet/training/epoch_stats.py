"""What an epoch of training cost, and how large its gradients were."""

import math
import time

import torch

from speechbrain_tasnet.system import memory


class Telemetry:
    """Collects the figures of one epoch, a few microseconds a step.

    Parameters
    ----------
    device : str
        Where the network is: ``cpu``, ``cuda:0``.

    Examples
    --------
    >>> telemetry = Telemetry("cpu")
    >>> telemetry.batch_came(seconds=8.0)
    >>> telemetry.stepped(gradient_norm=2.0)
    >>> telemetry.stepped(gradient_norm=math.inf)
    >>> telemetry.ready()
    >>> figures = telemetry.figures()
    >>> figures["gradient norm"], figures["skipped steps"]
    (2.0, 1)
    """

    def __init__(self, device: str):
        self._device = torch.device(device)
        self._began = self._waiting_since = time.perf_counter()
        self._waited = self._audio = self._sum = self._largest = 0.0
        self._steps = self._skipped = 0
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def batch_came(self, seconds: float) -> None:
        """Record the end of the wait for a batch.

        Parameters
        ----------
        seconds : float
            Of audio in it, padding left out.
        """
        self._waited += time.perf_counter() - self._waiting_since
        self._audio += seconds

    def ready(self) -> None:
        """Record that all is done until the next batch comes."""
        self._waiting_since = time.perf_counter()

    def stepped(self, gradient_norm: float) -> None:
        """Record a step.

        Parameters
        ----------
        gradient_norm : float
            Before clipping; not finite if the step was skipped.
        """
        if math.isfinite(gradient_norm):
            self._steps += 1
            self._sum += gradient_norm
            self._largest = max(self._largest, gradient_norm)
        else:
            self._skipped += 1

    def figures(self) -> dict[str, float | int]:
        """Sum up, as the train log has it.

        Returns
        -------
        dict
            Mean and largest ``gradient norm``, ``skipped steps``, ``audio per second`` (seconds of it),
            ``waiting for data`` (share of the epoch) and ``peak memory MB``.
        """
        elapsed = time.perf_counter() - self._began
        return {
            "gradient norm": self._sum / self._steps if self._steps else math.nan,
            "largest gradient norm": self._largest,
            "skipped steps": self._skipped,
            "audio per second": self._audio / elapsed,
            "waiting for data": self._waited / elapsed,
            "peak memory MB": round(peak_memory(self._device) / 1e6),
        }


def peak_memory(device: torch.device | str) -> int:
    """Return the most memory that was in use.

    Parameters
    ----------
    device : torch.device or str
        On a GPU its allocator counts, since the last reset; else all of the process, since it began.

    Returns
    -------
    int
        Bytes.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return memory.peak()
