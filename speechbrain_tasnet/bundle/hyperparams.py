"""``hyperparams.yaml`` of a bundle, by which SpeechBrain's own classes load it, and how its weights reach them."""

import json

from speechbrain_tasnet.bundle.config import Config

HPARAMS = "hyperparams.yaml"

TEMPLATE = """\
# For SpeechBrain's loaders, {loaders}(source="this folder").
# They run whatever this file names, so use them only on folders of people whose programs you would run.
# TasNetSeparation.from_bundle("this folder") does not read this file and runs no code from the folder.
sample_rate: {sample_rate}
num_spks: {num_spks}
encoder: !new:speechbrain_tasnet.convtasnet.Encoder {encoder}
masknet: !new:speechbrain_tasnet.convtasnet.MaskNet {masknet}
decoder: !new:speechbrain_tasnet.convtasnet.Decoder {decoder}
modules:
    encoder: !ref <encoder>
    masknet: !ref <masknet>
    decoder: !ref <decoder>
pretrainer: !new:speechbrain_tasnet.bundle.pretrainer.BundlePretrainer
    loadables: !ref <modules>
"""


def write_hparams(config: Config) -> str:
    """Write the text of ``hyperparams.yaml``."""
    # JSON is YAML too.
    modules = {name: json.dumps(arguments) for name, arguments in config.modules.items()}
    # Of SpeechBrain's own classes there is none for several microphones.
    classes = ["TasNetSeparation"] if config.interface is None else ["SepformerSeparation", "TasNetSeparation"]
    loaders = " and ".join(f"{name}.from_hparams" for name in classes)
    return TEMPLATE.format(sample_rate=config.sample_rate, num_spks=config.num_spks, loaders=loaders, **modules)
