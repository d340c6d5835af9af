"""``tasnet export``: a trained model as a bundle, an ONNX graph or another toolkit's checkpoint."""

import argparse

from speechbrain_tasnet.commands import add_commands, export_bundle, export_onnx, export_weights

KINDS = {
    "bundle": (
        export_bundle,
        "a folder with weights, configuration and model card, ready for the Hugging Face hub",
    ),
    "onnx": (export_onnx, "a graph for onnxruntime: the whole separator, or one step of a stream"),
    "torchaudio": (export_weights, "a state dict for torchaudio.models.ConvTasNet"),
    "asteroid": (export_weights, "a file for asteroid.models.ConvTasNet.from_pretrained"),
}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = "Write a trained model as a bundle, an ONNX graph or another toolkit's checkpoint."
    add_commands(parser, "kind", KINDS)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    KINDS[options.kind][0].run(options)
