"""What is measured: networks, each in a precision and in torch or another engine."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.speed import engines, networks
from benchmarks.speed.results import INFERENCE, OURS, TRAINING
from benchmarks.speed.sizes import SAMPLE_RATE, Sizes
from speechbrain_tasnet import pit_si_snr_loss


class Contestant(NamedTuple):
    """A name for the tables, a model file, ``float32``, ``tf32`` or ``bfloat16``, and the engine."""

    name: str
    model: str  # as `networks.build` takes it
    precision: str
    engine: Callable | None = None  # one of `engines`; None: torch itself
    compiled: bool = False  # by `torch.compile`, which takes the readable path of our network

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of runs that it is capable of; engines do not train."""
        return (INFERENCE, TRAINING) if self.engine is None else (INFERENCE,)


MODELS = {
    OURS: networks.OURS,
    "SpeechBrain": "speechbrain",
    "Asteroid": "asteroid",
    "torchaudio": networks.TORCHAUDIO,
}

GPU_PRECISIONS = ("float32", "tf32", "bfloat16")
CONTESTANTS = {
    "cpu": [
        Contestant(OURS, networks.OURS, "float32"),
        Contestant(OURS, networks.OURS, "bfloat16"),
        Contestant("SpeechBrain", "speechbrain", "float32"),
        Contestant("Asteroid", "asteroid", "float32"),
        Contestant("torchaudio", networks.TORCHAUDIO, "float32"),
        Contestant("torchaudio", networks.TORCHAUDIO, "bfloat16"),
        Contestant("torchaudio, torch.compile", networks.TORCHAUDIO, "float32", compiled=True),
        Contestant("readable path, torch.compile", networks.OURS, "float32", compiled=True),
        Contestant("torchaudio in onnxruntime", networks.TORCHAUDIO, "float32", engines.onnxruntime),
        Contestant("torchaudio in OpenVINO", networks.TORCHAUDIO, "float32", engines.openvino),
        Contestant("torchaudio in OpenVINO", networks.TORCHAUDIO, "bfloat16", engines.openvino),
    ],
    "cuda": [
        *(Contestant(name, model, precision) for name, model in MODELS.items() for precision in GPU_PRECISIONS),
        *(
            Contestant(f"{name}, torch.compile", model, precision, compiled=True)
            for name, model in (("torchaudio", networks.TORCHAUDIO), ("readable path", networks.OURS))
            for precision in GPU_PRECISIONS
        ),
    ],
}


class Entry:
    """A contestant's network with weights, the same in every process, ready to run.

    Parameters
    ----------
    contestant : Contestant
        Which one.
    sizes : Sizes
        Of the network.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestant: Contestant, sizes: Sizes, device: str):
        torch.manual_seed(0)
        self.network = networks.build(contestant.model, sizes).to(device)
        self.parameters = sum(p.numel() for p in self.network.parameters())
        self.precision = contestant.precision
        self.device = device
        allow_tf32(self.precision == "tf32")  # in the whole process
        self._network = torch.compile(self.network) if contestant.compiled else self.network
        self.run = contestant.engine(self.network, self.precision) if contestant.engine else self._forward

    def inference(self, mixture: Tensor, sources: Tensor) -> Tensor:
        """Separate ``mixture`` [batch, time]; ``sources`` are not used."""
        with torch.inference_mode():
            return self.run(mixture)

    def training(self, mixture: Tensor, sources: Tensor) -> Tensor:
        """Separate, compare with ``sources`` [batch, time, C] and go back; the gradients stay in the network."""
        self.network.zero_grad(set_to_none=True)
        estimates = self._forward(mixture)
        pit_si_snr_loss(sources, estimates).mean().backward()
        return estimates.detach()

    def truth(self, mixture: Tensor) -> Tensor:
        """Separate with the same network and weights in float64."""
        with torch.inference_mode():
            return copy.deepcopy(self.network).double()(mixture.double())

    def _forward(self, mixture: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self._network(mixture).float()


def allow_tf32(allowed: bool) -> None:
    """Set whether float32 products on a GPU may round their factors to 10 bits."""
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
