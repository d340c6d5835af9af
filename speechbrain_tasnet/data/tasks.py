"""Tasks: for each name, what goes into the network and what should come out.

The names of signals are those of WHAM! and WHAMR!: ``mix_clean`` is all speakers, ``mix_both`` all speakers and
noise, ``mix_single`` the first speaker and noise; ``_anechoic`` is the direct sound, ``_reverb`` the room's.
"""

from typing import NamedTuple

from speechbrain_tasnet.errors import InputError


class Pairing(NamedTuple):
    """The signal that goes in, and those that should come out."""

    mixture: str
    sources: tuple[str, ...]


# Task: mixture, and the source, where {i} counts the speakers and {target} is the recipe's choice.
DRY = {
    "sep_clean": ("mix_clean", "s{i}"),
    "sep_noisy": ("mix_both", "s{i}"),
    "enh_single": ("mix_single", "s1"),
    "enh_both": ("mix_both", "mix_clean"),
}
REVERBERANT = {
    "sep_clean": ("mix_clean_anechoic", "s{i}_anechoic"),
    "sep_noisy": ("mix_both_anechoic", "s{i}_anechoic"),
    "sep_reverb": ("mix_clean_reverb", "s{i}_{target}"),
    "sep_reverb_noisy": ("mix_both_reverb", "s{i}_{target}"),
    "enh_single": ("mix_single_anechoic", "s1_anechoic"),
    "enh_both": ("mix_both_anechoic", "mix_clean_anechoic"),
    "enh_single_reverb": ("mix_single_reverb", "s1_{target}"),
    "enh_both_reverb": ("mix_both_reverb", "mix_clean_{target}"),
    "dereverb_single": ("s1_reverb", "s1_anechoic"),
    "dereverb_both": ("mix_clean_reverb", "mix_clean_anechoic"),
}
TARGETS = ("anechoic", "reverb")
# Of several microphones: where sources are heard, and whether their order is that of their locations.
OUTPUTS = ("reference", "sum", "each")
SOURCE_ORDERS = ("best", "location")


def dry_pairing(task: str, num_spks: int) -> Pairing:
    """Choose the signals of a task on a corpus without rooms, such as WHAM! or LibriMix.

    Parameters
    ----------
    task : str
        One of `DRY`.
    num_spks : int
        Sources that should come out.

    Returns
    -------
    Pairing
        Names of the signals.

    Raises
    ------
    InputError
        There is no such task, or it has another number of sources.

    Examples
    --------
    >>> dry_pairing("sep_noisy", num_spks=2)
    Pairing(mixture='mix_both', sources=('s1', 's2'))
    """
    return _pairing(DRY, task, num_spks, "anechoic")


def reverberant_pairing(task: str, target: str, num_spks: int) -> Pairing:
    """Choose the signals of a task on a corpus with rooms, such as WHAMR!.

    Parameters
    ----------
    task : str
        One of `REVERBERANT`.
    target : str
        ``anechoic``: the sources as their direct sound alone; ``reverb``: as the room has them.
    num_spks : int
        Sources that should come out.

    Returns
    -------
    Pairing
        Names of the signals.

    Raises
    ------
    InputError
        There is no such task or target, they contradict each other, or the task has another number of sources.

    Examples
    --------
    >>> reverberant_pairing("sep_reverb_noisy", "anechoic", num_spks=2)
    Pairing(mixture='mix_both_reverb', sources=('s1_anechoic', 's2_anechoic'))
    """
    if target not in TARGETS:
        raise InputError(f"target={target!r}: expected {' or '.join(TARGETS)}")
    pairing = _pairing(REVERBERANT, task, num_spks, target)
    if target == "reverb" and "{target}" not in REVERBERANT[task][1]:
        raise InputError(f"target='reverb': task={task!r} has anechoic targets by definition; leave target out")
    return pairing


def _pairing(tasks: dict[str, tuple[str, str]], task: str, num_spks: int, target: str) -> Pairing:
    if task not in tasks:
        raise InputError(f"task={task!r}: expected one of {', '.join(tasks)}")
    mixture, source = tasks[task]
    if "{i}" not in source and num_spks != 1:
        raise InputError(f"num_spks={num_spks}: task={task!r} has one source; set num_spks to 1")
    return Pairing(mixture, tuple(source.format(i=i, target=target) for i in range(1, num_spks + 1)))
