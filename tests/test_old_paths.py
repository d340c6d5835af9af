"""Paths that recipes, bundles, earlier runs and other people's programs name lead to what they always led to."""

import importlib

import pytest
import torch

import speechbrain_tasnet as st
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

PATHS = [
    "bundle.load_bundle",
    "bundle.pretrainer.BundlePretrainer",
    "bundle.save_bundle",
    "checkpoints.WholeCheckpointer",
    "convtasnet.Decoder",
    "convtasnet.Encoder",
    "convtasnet.MaskNet",
    "convtasnet.separate",
    "data.custom.prepare_custom",
    "data.librimix.prepare_librimix",
    "data.wham.prepare_wham",
    "data.whamr.prepare_whamr",
    "data.wsj0mix.prepare_wsj0mix",
    "errors.InputError",
    "errors.one_line_errors",
    "experiment.check",
    "experiment.run",
    "export.Separator",
    "export.export_onnx",
    "losses.pit_si_snr_loss",
    "peers.pseudo_inverse.Encoder",
    "separation.write_sources",
]

# As the first release wrote it beside a bundle's weights, for SpeechBrain's own loaders.
HYPERPARAMS = """
sample_rate: 8000
num_spks: 2
encoder: !new:speechbrain_tasnet.convtasnet.Encoder {N: 8, L: 4}
masknet: !new:speechbrain_tasnet.convtasnet.MaskNet {N: 8, B: 4, H: 8, Sc: 4, X: 2, R: 1}
decoder: !new:speechbrain_tasnet.convtasnet.Decoder {N: 8, L: 4}
modules:
    encoder: !ref <encoder>
    masknet: !ref <masknet>
    decoder: !ref <decoder>
pretrainer: !new:speechbrain_tasnet.bundle.pretrainer.BundlePretrainer
    loadables: !ref <modules>
"""


@pytest.mark.parametrize("path", PATHS)
def test_a_path_leads_somewhere(path):
    module, _, name = path.rpartition(".")
    assert callable(getattr(importlib.import_module(f"speechbrain_tasnet.{module}"), name))


def test_a_bundle_of_the_first_release_loads(tmp_path):
    modules = {
        "encoder": st.Encoder(8, 4),
        "masknet": st.MaskNet(8, 4, 8, 4, X=2, R=1),
        "decoder": st.Decoder(8, 4),
    }
    folder = tmp_path / "bundle"
    importlib.import_module("speechbrain_tasnet.bundle").save_bundle(folder, modules, 8000)
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS)
    mixture = torch.randn(1, 400)
    expected = st.separate(*modules.values(), mixture)
    for separator in (TasNetSeparation.from_hparams(source=str(folder)), TasNetSeparation.from_bundle(folder)):
        torch.testing.assert_close(separator.separate_batch(mixture), expected)
