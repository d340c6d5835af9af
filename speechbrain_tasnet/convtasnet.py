"""The network under the paths that recipes and bundles name; it lives in `network`."""

from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.separate import separate

__all__ = ["Decoder", "Encoder", "MaskNet", "separate"]
