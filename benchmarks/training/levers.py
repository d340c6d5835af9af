"""Study what makes a separator better for the same processor time: ``python -m benchmarks.training.levers``.

A contestant starts from the weights of a bundle, or from none, trains on one thread for a number of minutes of
processor time, and is validated on whole mixtures, with its weights as they are and averaged. Two contestants may
run side by side on two cores; processor time, unlike wall-clock time, depends little on neighbours.

``OUT/NAME.jsonl`` gets a line per hundred steps and per validation, ``OUT/NAME`` the weights as bundles.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

from benchmarks.training import validation
from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.data.microphones import at_reference, for_network
from speechbrain_tasnet.losses import SeparationLoss, Targets
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.ops.at_once import at_once
from speechbrain_tasnet.ops.cpu.products import half_is_fast
from speechbrain_tasnet.ops.denormals import flushed
from speechbrain_tasnet.system.process import tune_process
from speechbrain_tasnet.training.finetuning import sizes_of_start, start_from
from speechbrain_tasnet.training.optimizers import make_optimizer

RATE = 8000
SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
WARM_UP = 50  # steps in which the learning rate rises
SHOWN = 100  # steps from line to line
SAVED = 300  # seconds from state to state


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = options.add_argument
    add("name", help="of the contestant")
    add("--speech", required=True, help="speech folder of the training")
    add("--valid", nargs="+", required=True, metavar="CORPUS", help="corpora of tasnet mix, whose cv is validated")
    add("--out", type=Path, default=Path("results/levers"))
    add("--start", metavar="BUNDLE", help="begin with its weights; sizes may only grow")
    add("--sizes", default="", metavar="X=8,R=3", help="of the network, where they are not the shipped ones")
    add("--encoder", default=None, choices=("relu",), help="its activation")
    add("--optimizer", default="muon")
    add("--rms", type=float, help="of a step of Muon's, see `Muon`")
    add("--momentum", type=float, help="of Muon's")
    add("--others", type=float, default=1.0, help="learning rate of what is no matrix, as a share of --lr")
    add("--lr", type=float, default=1e-3)
    add("--fall", type=float, default=0.4, help="share of the time in which the learning rate falls to zero")
    add("--minutes", type=float, default=20.0, help="of processor time in steps")
    add("--validations", type=int, default=2)
    add("--segment", type=float, default=3.0, help="seconds")
    add("--batch", type=int, default=4)
    add("--clip", type=float, default=5.0, help="norm of the gradient")
    add("--clip-percentile", type=float, help="clip at this percentile of the last 1000 norms instead")
    add("--decay", type=float, default=0.999, help="of the averaged weights")
    add("--channel-share", type=float, default=0.0)
    add("--wide-level-share", type=float, default=0.0)
    add("--similar-voice-share", type=float, default=0.0)
    add("--voices", type=int, default=2, help="outputs of the network, and most voices of an item")
    add("--min-voices", type=int, help="fewest voices of an item")
    add("--talk-share", type=float, default=0.0)
    add("--noise", help="folder of noise")
    add("--noise-share", type=float, default=1.0)
    add("--rooms", help="bank of rooms; items have as many channels as its rooms have microphones")
    add("--room-share", type=float, default=1.0)
    add("--mics", type=int, default=1, help="microphones of the network, the first ones of the rooms")
    add("--outputs", default="reference", choices=("reference", "sum"), help="what sources are made of")
    add("--source-order", default="best", help="or location, see `DynamicMixing`")
    add("--loss", default="si-snr", help="see `SeparationLoss`, as are the next three")
    add("--loss-silence")
    add("--loss-cap", type=float)
    add("--loss-level", type=float)
    add("--seed", type=int, default=0)
    return options


def build(options: argparse.Namespace) -> Model:
    """Build the network, with the weights it is to begin with."""
    sizes = {"N": 256, "L": 32, "B": 128, "H": 256, "Sc": 128, "P": 3, "X": 7, "R": 2}
    if options.start:
        before = sizes_of_start(options.start)
        sizes |= {name: before[name] for name in sizes}
    sizes |= {name: int(value) for name, value in (pair.split("=") for pair in options.sizes.split(",") if pair)}
    window = sizes.pop("L")
    microphones = {"mics": options.mics, "outputs": options.outputs}
    encoder = Encoder(sizes["N"], window, options.encoder, **microphones)
    masknet = MaskNet(**sizes, C=options.voices, **microphones)
    model = Model(encoder, masknet, Decoder(sizes["N"], window))
    if options.start:
        print(start_from(options.start, model, RATE))
    return model


class Contestant:
    """A network in training.

    Parameters
    ----------
    options : Namespace
        See `parser`.
    """

    def __init__(self, options: argparse.Namespace):
        torch.manual_seed(options.seed)
        torch.set_num_threads(1)
        self.options = options
        self.model = build(options)
        self.weights = list(self.model.parameters())
        self.averaged = [weight.detach().clone() for weight in self.weights]
        self.optimizer = make_optimizer(self.weights, options.optimizer, options.lr)
        for name in ("rms", "momentum"):
            if (value := getattr(options, name)) is not None:
                setattr(self.optimizer, name, value)
        shares = {name: value for name, value in vars(options).items() if name.endswith("_share")}
        shares |= {"min_spks": options.min_voices, "length": 10**8, "seed": options.seed, "speeds": SPEEDS}
        rooms = RoomBank.load(options.rooms) if options.rooms else None
        self.channels = SimpleNamespace(
            mixture_channels=rooms.mics if rooms else 1, mics=options.mics, reference=0
        )
        shares |= {"noise": options.noise, "rooms": rooms, "mics": self.channels.mixture_channels}
        shares |= {"source_order": options.source_order}
        self.items = DynamicMixing(options.speech, options.voices, RATE, options.segment, **shares)
        self.corpora = {Path(corpus).name: validation.read(Path(corpus)) for corpus in options.valid}
        kind = options.loss, options.loss_silence, options.loss_cap, options.loss_level
        self.loss = SeparationLoss(*kind, in_order=options.source_order == "location")
        self.half = half_is_fast()
        self.steps, self.seconds, self.heard = 0, 0.0, 0.0
        self.norms: list[float] = []
        self.gains: list[float] = []  # of each item: its SI-SNR improvement; with another loss, that turned over
        options.out.mkdir(parents=True, exist_ok=True)
        self.log = (options.out / f"{options.name}.jsonl").open("a", encoding="utf-8")
        self.say(options={name: str(value) for name, value in vars(options).items()})

    def run(self) -> None:
        """Train and validate."""
        budget, saved = 60 * self.options.minutes, time.monotonic()
        parts = self.options.validations
        while self.seconds < budget:
            begin = time.process_time()
            self.step(self.seconds / budget)
            self.seconds += time.process_time() - begin
            if self.steps % SHOWN == 0:
                self.say(training=float(np.mean(self.gains[-2 * SHOWN :])))
            if time.monotonic() > saved + SAVED:
                self.save()
                saved = time.monotonic()
            if parts > 1 and self.seconds >= budget * (1 - (parts - 1) / self.options.validations):
                parts -= 1
                self.validate()
        self.validate()
        self.save()

    @flushed()
    def step(self, spent: float) -> None:
        """Take a step, after ``spent``, a share of the time."""
        options, first = self.options, self.steps * self.options.batch
        rate = min(1.0, (1 - spent) / max(options.fall, 1e-9), (self.steps + 1) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * rate * (1 if group["params"][0].ndim == 2 else options.others)
        batch = [self.items.at(0, first + i) for i in range(options.batch)]
        mixture, sources = (torch.stack([item[name] for item in batch]) for name in ("mixture", "sources"))
        targets = Targets(sources)
        estimates = self.separate(mixture)
        mixture = at_reference(mixture, self.channels)
        losses = at_once(lambda estimates: self.loss(targets, mixture, estimates), estimates.float())
        losses.mean().backward()
        norm = self.clip()
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        self.heard += mixture.numel() / RATE / 3600
        torch._foreach_lerp_(self.averaged, [weight.detach() for weight in self.weights], 1 - options.decay)
        is_ratio = self.loss.is_plain or self.loss.in_order
        gains = -losses.detach() - (targets.si_snr_of_mixture(mixture) if is_ratio else 0)
        self.gains += gains.tolist()

    def clip(self) -> float:
        """Clip the gradient; return its norm before."""
        gradients = [weight.grad for weight in self.weights]
        norm = torch.nn.utils.get_total_norm(gradients)
        self.norms.append(float(norm))
        most = self.options.clip
        if self.options.clip_percentile is not None:
            most = float(np.percentile(self.norms[-1000:], self.options.clip_percentile))
        torch.nn.utils.clip_grads_with_norm_(self.weights, most, norm)
        return float(norm)

    @torch.no_grad()
    def validate(self) -> None:
        """Log what `validation.scores` finds on each corpus, with the weights averaged and as they are."""
        now = [weight.clone() for weight in self.weights]
        for name, weights in (("averaged", self.averaged), ("valid", now)):
            torch._foreach_copy_(self.weights, weights)
            self.say(**{name: {c: validation.scores(self.separate, m) for c, m in self.corpora.items()}})

    def separate(self, mixture: Tensor) -> Tensor:
        """Separate mixtures [batch, time], or [batch, time, channels], in the precision of the training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return separate(*self.model.values(), for_network(mixture, self.channels))

    def say(self, **values: object) -> None:
        """Write a line of the log."""
        where = {"steps": self.steps, "hours": self.heard, "minutes": self.seconds / 60}
        line = json.dumps({"name": self.options.name} | where | values)
        print(line, flush=True)
        print(line, file=self.log, flush=True)

    def save(self) -> None:
        """Write the averaged weights and the last ones as bundles."""
        now = [weight.detach().clone() for weight in self.weights]
        for name, weights in (("averaged", self.averaged), ("last", now)):
            with torch.no_grad():
                torch._foreach_copy_(self.weights, weights)
            save_bundle(self.options.out / self.options.name / name, self.model, RATE, replace=True)


if __name__ == "__main__":
    tune_process()
    Contestant(parser().parse_args()).run()
