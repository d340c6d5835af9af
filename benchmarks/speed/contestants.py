"""Who is measured: networks, each in a precision and in torch or another engine."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks import engines
from benchmarks.networks import Asteroid, Ours, SpeechBrain, Torchaudio
from benchmarks.results import INFERENCE, OURS, TRAINING
from benchmarks.sizes import SAMPLE_RATE, Sizes
from speechbrain_tasnet import pit_si_snr_loss


class Contestant(NamedTuple):
    """A name for the tables, a class of `networks`, ``float32``, ``tf32`` or ``bfloat16``, and the engine."""

    name: str
    network: type[torch.nn.Module]
    precision: str
    engine: Callable | None = None  # one of `engines`; None: torch itself

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it can do; engines do not train."""
        return (INFERENCE, TRAINING) if self.engine is None else (INFERENCE,)


NETWORKS = {OURS: Ours, "SpeechBrain": SpeechBrain, "Asteroid": Asteroid, "torchaudio": Torchaudio}

CONTESTANTS = {
    "cpu": [
        Contestant(OURS, Ours, "float32"),
        Contestant(OURS, Ours, "bfloat16"),
        Contestant("SpeechBrain", SpeechBrain, "float32"),
        Contestant("Asteroid", Asteroid, "float32"),
        Contestant("torchaudio", Torchaudio, "float32"),
        Contestant("torchaudio", Torchaudio, "bfloat16"),
        Contestant("torchaudio in onnxruntime", Torchaudio, "float32", engines.onnxruntime),
        Contestant("torchaudio in OpenVINO", Torchaudio, "float32", engines.openvino),
        Contestant("torchaudio in OpenVINO", Torchaudio, "bfloat16", engines.openvino),
    ],
    "cuda": [
        Contestant(name, network, precision)
        for name, network in NETWORKS.items()
        for precision in ("float32", "tf32", "bfloat16")
    ],
}


class Model:
    """A contestant with weights, the same in every process, ready to run.

    Parameters
    ----------
    contestant : Contestant
        Who.
    sizes : Sizes
        Of the network.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestant: Contestant, sizes: Sizes, device: str):
        torch.manual_seed(0)
        self.module = contestant.network(sizes).to(device)
        self.parameters = sum(p.numel() for p in self.module.parameters())
        self.precision = contestant.precision
        self.device = device
        allow_tf32(self.precision == "tf32")  # in the whole process
        self.run = contestant.engine(self.module, self.precision) if contestant.engine else self._forward

    def inference(self, mixture: Tensor, sources: Tensor) -> Tensor:
        """Separate ``mixture`` [batch, time]; ``sources`` are not looked at."""
        with torch.inference_mode():
            return self.run(mixture)

    def training(self, mixture: Tensor, sources: Tensor) -> Tensor:
        """Separate, compare with ``sources`` [batch, time, C] and go back; gradients are left in the module."""
        self.module.zero_grad(set_to_none=True)
        estimates = self._forward(mixture)
        pit_si_snr_loss(sources, estimates).mean().backward()
        return estimates.detach()

    def truth(self, mixture: Tensor) -> Tensor:
        """Separate with the same network and weights in float64."""
        with torch.inference_mode():
            return copy.deepcopy(self.module).double()(mixture.double())

    def _forward(self, mixture: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self.module(mixture).float()


def allow_tf32(allowed: bool) -> None:
    """Let float32 products on a GPU round their factors to 10 bits, or not."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def draw(batch: int, seconds: float, num_sources: int, device: str) -> tuple[Tensor, Tensor]:
    """Draw a mixture [batch, time] and its sources [batch, time, C]; the first item is always the same."""
    time = round(seconds * SAMPLE_RATE)
    items = [
        torch.randn(time, num_sources, generator=torch.Generator().manual_seed(seed)) / 10 for seed in range(batch)
    ]
    sources = torch.stack(items).to(device)
    return sources.sum(2), sources
