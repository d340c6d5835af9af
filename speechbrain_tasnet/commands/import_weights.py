"""``tasnet import``: another toolkit's weights as a separator."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Turn another toolkit's Conv-TasNet into a separator with the same output. If the checkpoint leaves "
        "something open, the error names the option that supplies it."
    )
    parser.epilog = "example: tasnet import asteroid best_model.pth --out libri2mix"
    parser.add_argument(
        "toolkit", metavar="TOOLKIT", help="torchaudio, asteroid, speechbrain, naplab, kaituoxu or espnet"
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a torch.save or safetensors file; for SpeechBrain, the folder with encoder.ckpt, masknet.ckpt and "
        "decoder.ckpt",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--sample-rate", type=int, metavar="HZ", help="the model's, if its file does not say")
    parser.add_argument("--norm", metavar="NAME", help="global, cumulative or channelwise")
    parser.add_argument("--causal", choices=("True", "False"), help="whether it was built as a causal model")
    parser.add_argument(
        "--mask-activation", metavar="NAME", help="sigmoid, relu, softmax (over sources) or softmax_filters"
    )
    parser.add_argument("--X", type=int, help="blocks per repeat, if the blocks are numbered consecutively")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.bundle import save_bundle
    from speechbrain_tasnet.convert import import_model
    from speechbrain_tasnet.errors import InputError, whole_number
    from speechbrain_tasnet.system.files import check_free

    check_free(options.out)
    found = import_model(
        options.toolkit,
        options.checkpoint,
        norm=options.norm,
        causal=None if options.causal is None else options.causal == "True",
        mask_activation=options.mask_activation,
        X=options.X,
    )
    rate = found.sample_rate or options.sample_rate
    if rate is None:
        raise InputError(f"{options.checkpoint}: does not say its sample rate; give --sample-rate")
    if options.sample_rate not in (None, rate):
        raise InputError(f"--sample-rate {options.sample_rate}: the checkpoint says {rate}; leave it out")
    about = {"name": f"Conv-TasNet from {options.toolkit}"}
    save_bundle(options.out, found.model, whole_number("--sample-rate", rate), about)
    sizes = ", ".join(f"{letter}={value}" for letter, value in found.model.masknet.config.items())
    print(f"{options.out}: {sizes}; try tasnet separate MIXTURE --model {options.out}")
