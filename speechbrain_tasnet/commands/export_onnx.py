"""``tasnet export onnx``: a graph for onnxruntime, of the whole separator or of one step of a stream."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Write a trained separator as an ONNX graph from mixture [batch, time] to sources [batch, time, sources], "
        "or one step of a stream. The mixture of several microphones is [batch, time, mics], and sources at each "
        "of them are [batch, time, sources, mics]. Needs pip install 'speechbrain-tasnet[export]'."
    )
    parser.epilog = "example: tasnet export onnx convtasnet-8k-2spk --out separator.onnx"
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder of a training run or of a separator, or a bundled one"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--step",
        type=float,
        metavar="MS",
        help="write one step of a causal model, for chunks of this many milliseconds",
    )
    parser.add_argument(
        "--int8", action="store_true", help="8-bit weights: a smaller file, and slightly worse sources"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FOLDER",
        help="then separate up to 30 mixtures from a folder with mix, s1, s2, ... in torch and with the graph, "
        "and print the SI-SNRi and real-time factor of both; for several microphones the files have a channel for "
        "each",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.bundle import find_bundle, load_bundle
    from speechbrain_tasnet.errors import InputError
    from speechbrain_tasnet.export import export_onnx, export_streaming_onnx
    from speechbrain_tasnet.export.compare import compare, find_mixtures
    from speechbrain_tasnet.system.files import check_not_there

    if options.step is not None and options.compare is not None:
        raise InputError(
            "--step together with --compare: mixtures need the whole separator; leave one of them out"
        )
    if not options.overwrite:
        check_not_there([options.out])
    model, config = load_bundle(find_bundle(options.model))
    rate = config.sample_rate
    mixtures = [] if options.compare is None else find_mixtures(options.compare, model, rate)
    if options.step is None:
        export_onnx(*model.values(), options.out, rate, options.int8)
    else:
        samples, stride = options.step * rate / 1000, model.encoder.stride
        if not (samples > 0 and samples % stride == 0):
            raise InputError(
                f"--step {options.step:g}: {samples:g} samples at {rate} Hz; "
                f"expected a multiple of {1000 * stride / rate:g} ms"
            )
        export_streaming_onnx(*model.values(), options.out, int(samples), rate, options.int8)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, for onnxruntime.InferenceSession")
    if mixtures:
        print(*compare(model, options.out, mixtures, rate).lines(), sep="\n")
