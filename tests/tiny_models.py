"""Packaged models at sizes that take no time, and what two models are compared by."""

import shlex

import torch

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.network.model import Model

LETTERS = "--N 16 --L 16 --B 8 --H 12 --X 2 --R 2"
DUAL_PATH = "--N 12 --L 16 --channels 8 --chunk 10 --repeats 2"
CHUNKS = "--N 8 --L 16 --chunk 10 --repeats 3"
TRANSFORMER = "--heads 2 --feedforward 12 --layers 2"
SIZES = {
    "asteroid": f"{LETTERS} --Sc 10",
    "causal": f"{LETTERS} --Sc 10",
    "convtasnet": f"{LETTERS} --Sc 10",
    "dprnn": f"{DUAL_PATH} --hidden_channels 6",
    "dptnet": f"{DUAL_PATH} --heads 2",
    "fasnet": "--mics 2 --enc_dim 8 --feature_dim 8 --hidden_dim 6 --n_layers 1 --tac_hidden_dim 8 --context_ms 2",
    "parallel": f"{LETTERS} --mics 2",
    "pinv": f"{LETTERS} --Sc 10",
    "resepformer": f"{CHUNKS} {TRANSFORMER}",
    "sepformer": f"{DUAL_PATH} {TRANSFORMER}",
    "skim": f"{CHUNKS} --hidden_channels 6",
    "speechbrain": LETTERS,
    "torchaudio": LETTERS,
}


NEED_ASTEROID = {"asteroid", "fasnet"}


def mixture_for(model: Model, *shape: int) -> torch.Tensor:
    """Make noise [batch, time], for as many microphones as a model hears."""
    mics = getattr(model.encoder, "mics", 1)
    return torch.randn(*shape, mics) if mics > 1 else torch.randn(*shape)


def build(name: str, words: str | None = None) -> Model:
    """Build a packaged model in a packaged recipe, in the folder one is in."""
    argv = ["demo", "--model", name, "--data_folder", ".", *shlex.split(SIZES[name] if words is None else words)]
    return loading.read(argv).build().network


def same_in_float64(model: Model, exact: Model, mixture: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Compare estimates and gradients with those of a copy in float64, which goes the readable way.

    Returns
    -------
    Tensor
        The estimates.
    """
    estimates, expected = model(mixture, lengths), exact(mixture.double(), lengths)
    torch.testing.assert_close(estimates, expected.float(), rtol=1e-4, atol=1e-5)
    weighing = torch.randn(estimates.shape)
    (estimates * weighing).sum().backward()
    (expected * weighing).sum().backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    for name, weight in exact.named_parameters():
        scale = weight.grad.abs().max().item()
        torch.testing.assert_close(gradients[name], weight.grad.float(), rtol=1e-3, atol=1e-3 * scale, msg=name)
    return estimates
