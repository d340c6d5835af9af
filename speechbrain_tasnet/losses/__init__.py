"""Losses of separation: SI-SNR and its relatives, permutation-invariant, with voices that may be silent."""

from speechbrain_tasnet.losses.assignment import reorder
from speechbrain_tasnet.losses.pit import best_permutation, pit_si_snr_loss, si_snr, silent
from speechbrain_tasnet.losses.separation_loss import SeparationLoss
from speechbrain_tasnet.losses.targets import SILENCE_POWER, Targets

__all__ = [
    "SILENCE_POWER",
    "SeparationLoss",
    "Targets",
    "best_permutation",
    "pit_si_snr_loss",
    "reorder",
    "si_snr",
    "silent",
]
